//! The program as its users meet it: a real process, real HTTP, real signals, a real Prometheus parser.

#![allow(clippy::unwrap_used)]

mod last_words;
mod node;
mod support;
