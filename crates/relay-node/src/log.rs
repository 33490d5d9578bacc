//! Log lines: to stderr, for a person on a terminal and as JSON otherwise.
//!
//! What comes from outside (a header, a path, an answer) may hold control characters that move the
//! cursor of whoever reads the log, or newlines that forge a line. Both formats escape them.

mod escape;

use std::io::{IsTerminal, stderr};

use tracing::Subscriber;
use tracing::subscriber::SetGlobalDefaultError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

use crate::config::{Log, LogFormat};
use escape::{EscapeLines, write_escaped};

/// Sends the process's log lines to stderr from now on.
///
/// # Errors
///
/// When something else in this process has installed a subscriber before.
pub fn init(config: &Log) -> Result<(), SetGlobalDefaultError> {
    tracing::subscriber::set_global_default(subscriber(config, stderr().is_terminal(), stderr))
}

/// The subscriber that [`init`] installs, writing to `writer`.
///
/// `is_terminal` decides what [`LogFormat::Auto`] is.
pub fn subscriber<W>(config: &Log, is_terminal: bool, writer: W) -> impl Subscriber + use<W>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let is_human = match config.format {
        LogFormat::Auto => is_terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let layer = if is_human {
        human(writer)
    } else {
        json(writer)
    };
    Registry::default().with(layer.with_filter(config.level.targets()))
}

type BoxedLayer<S> = Box<dyn Layer<S> + Send + Sync>;

fn human<S, W>(writer: W) -> BoxedLayer<S>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let fields = debug_fn(|writer, field, value| {
        if field.name() == "message" {
            write_escaped(writer, value)
        } else {
            write!(writer, " {}=", field.name())?;
            write_escaped(writer, value)
        }
    });
    tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_target(false)
        .fmt_fields(fields)
        .with_writer(writer)
        .boxed()
}

fn json<S, W>(writer: W) -> BoxedLayer<S>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer()
        .json()
        .with_writer(EscapeLines(writer))
        .boxed()
}

#[cfg(test)]
mod tests;
