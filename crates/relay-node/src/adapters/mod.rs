//! Where events come in over plain TCP. HTTP is in `relay-http`.

pub mod tcp;

pub use tcp::{LineFormat, TcpConfig, TcpLines};
