//! The node: configuration, command line, and the parts that `relay` is made of.
//!
//! This crate is a program; the library beside it exists so that tests reach what the program is
//! made of. To move events within a memory limit from Rust, take `relay-engine`.
//!
//! ```
//! use relay_node::config::{Environment, Sources};
//!
//! let mistaken = Sources {
//!     set: vec!["control.intervall=5".to_owned(), "memory.limit=lots".to_owned()],
//!     ..Sources::default()
//! };
//! let invalid = mistaken.load().unwrap_err();
//! assert_eq!(invalid.problems().len(), 2);
//! assert_eq!(invalid.problems()[0].nearest.as_deref(), Some("interval"));
//! ```

#![forbid(unsafe_code)]

pub mod adapters;
pub mod admin;
pub mod cli;
pub mod commands;
pub mod config;
pub mod emitters;
pub mod exit;
pub mod load;
pub mod log;
pub mod profile;
pub mod state_json;
pub mod units;
pub mod wiring;

use std::ffi::OsString;
use std::io::{self, Write};

use clap::Parser;

use cli::Cli;
use config::Environment;

/// Runs `relay` with these arguments (the program's name first) and environment variables, and
/// returns its [exit code](exit).
///
/// Data goes to stdout; mistakes, warnings and logs go to stderr.
pub fn main(
    arguments: impl IntoIterator<Item = OsString>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> u8 {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(usage) => {
            // Nobody is left to tell when neither stdout nor stderr can be written.
            let _ = usage.print();
            return u8::try_from(usage.exit_code()).unwrap_or(exit::USAGE);
        }
    };
    let environment = Environment::new(variables);
    // Not locked: other threads log to stderr while a command runs.
    let (mut out, mut errors) = (io::stdout(), io::stderr());
    match commands::execute(&cli.command, &environment, &mut out, &mut errors) {
        Ok(code) => code,
        // The reader, `head` for example, has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => exit::SUCCESS,
        Err(error) => {
            let _ = writeln!(errors, "error: cannot write the output: {error}");
            exit::FAILURE
        }
    }
}
