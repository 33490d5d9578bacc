//! What listens to the error bus: each handler on a thread of its own, so that a slow or panicking one harms nobody.

use relay_event::{ErrorBus, ErrorEvent, ErrorFilter, ErrorHandler, Severity, block_on};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{Builder, JoinHandle};

/// Handlers format text and call user code; a quarter of the usual stack is ample.
const STACK_BYTES: usize = 512 * 1024;

/// Runs `handler` on a thread of its own until the bus is closed; `None` when the bus takes no subscribers.
pub(crate) fn spawn(
    errors: &ErrorBus,
    name: &str,
    mut handler: Box<dyn ErrorHandler>,
) -> io::Result<Option<JoinHandle<()>>> {
    let Some(mut subscription) = errors.subscribe(ErrorFilter::all()) else {
        return Ok(None);
    };
    let run = move || {
        while let Some(event) = block_on(subscription.recv()) {
            // The event is lost for this handler only; the panic itself is reported by the panic hook.
            let _ = catch_unwind(AssertUnwindSafe(|| handler.handle(&event)));
        }
    };
    Builder::new()
        .name(format!("relay-{name}"))
        .stack_size(STACK_BYTES)
        .spawn(run)
        .map(Some)
}

/// Writes each error event as one structured log line, through `tracing`.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogHandler;

impl ErrorHandler for LogHandler {
    fn handle(&mut self, event: &ErrorEvent) {
        let fields = Numbers(event).to_string();
        let detail = event.detail.as_deref().unwrap_or_default();
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: "relay::errors",
                    code = event.code.as_str(),
                    component = %event.component,
                    signal = event.signal.as_str(),
                    recoverable = event.recoverable,
                    count = event.count,
                    fields,
                    detail,
                    "{}",
                    event.code.message()
                )
            };
        }
        match event.severity {
            Severity::Debug => line!(debug),
            Severity::Info => line!(info),
            Severity::Warning => line!(warn),
            Severity::Error | Severity::Critical => line!(error),
        }
    }
}

/// Asks the engine to shut down at the first critical event that cannot pass by itself.
pub(crate) struct ShutdownOnFatal<F>(pub(crate) F);

impl<F: FnMut(&ErrorEvent) + Send + 'static> ErrorHandler for ShutdownOnFatal<F> {
    fn handle(&mut self, event: &ErrorEvent) {
        if event.severity == Severity::Critical && !event.recoverable {
            (self.0)(event);
        }
    }
}

struct Numbers<'a>(&'a ErrorEvent);

impl std::fmt::Display for Numbers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut gap = "";
        for (name, value) in self.0.fields.iter() {
            write!(f, "{gap}{name}={value}")?;
            gap = " ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use relay_event::{Code, Component};
    use std::sync::{Arc, Mutex};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Level, Metadata, Subscriber};

    /// Keeps the level of every line.
    struct Levels(Arc<Mutex<Vec<Level>>>);

    impl Subscriber for Levels {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            self.0.lock().unwrap().push(*event.metadata().level());
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn each_severity_has_its_log_level() {
        let seen = Arc::<Mutex<Vec<Level>>>::default();
        tracing::subscriber::with_default(Levels(Arc::clone(&seen)), || {
            for severity in Severity::ALL {
                LogHandler.handle(&ErrorEvent::new(Code::Panic, severity, Component::Engine));
            }
        });
        let expected = [
            Level::DEBUG,
            Level::INFO,
            Level::WARN,
            Level::ERROR,
            Level::ERROR,
        ];
        assert_eq!(*seen.lock().unwrap(), expected);
    }
}
