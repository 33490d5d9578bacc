//! Log lines: to stderr, for a person on a terminal and as JSON otherwise.
//!
//! What comes from outside (a header, a path, an answer) may hold control characters that move the
//! cursor of whoever reads the log, or newlines that forge a line. Both formats escape them.

mod escape;

use std::io::{IsTerminal, stderr};

use tracing::Subscriber;
use tracing::subscriber::SetGlobalDefaultError;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry, reload};

use crate::config::{Log, LogFilter, LogFormat};
use escape::{EscapeLines, write_escaped};

/// Changes what is logged while the process runs.
#[derive(Clone, Debug)]
pub struct LevelHandle(reload::Handle<Targets, Registry>);

/// Sends the process's log lines to stderr from now on.
///
/// # Errors
///
/// When something else in this process has installed a subscriber before.
pub fn init(config: &Log) -> Result<LevelHandle, SetGlobalDefaultError> {
    let (subscriber, level) = subscriber(config, stderr().is_terminal(), stderr);
    tracing::subscriber::set_global_default(subscriber)?;
    Ok(level)
}

/// The subscriber that [`init`] installs, writing to `writer`.
///
/// `is_terminal` decides what [`LogFormat::Auto`] is.
pub fn subscriber<W>(
    config: &Log,
    is_terminal: bool,
    writer: W,
) -> (impl Subscriber + use<W>, LevelHandle)
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
    let (filter, handle) = reload::Layer::new(config.level.targets());
    let subscriber = Registry::default().with(layer.with_filter(filter));
    (subscriber, LevelHandle(handle))
}

// === impl LevelHandle ===

impl LevelHandle {
    /// From now on this is logged. Without the subscriber, at the end of the process, it does nothing.
    pub fn set(&self, level: &LogFilter) {
        let _ = self.0.reload(level.targets());
    }
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
