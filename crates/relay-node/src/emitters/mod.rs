//! Where events go: a file, standard output, or nowhere at a known rate. HTTP is in `relay-http`.

mod blackhole;
mod file;
mod lines;
mod stdout;

pub use blackhole::Blackhole;
pub use file::{FileConfig, FileSink, Fsync};
pub use lines::LineEmitter;
pub use stdout::StdoutSink;
