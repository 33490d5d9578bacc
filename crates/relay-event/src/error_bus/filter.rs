//! Which error events a subscriber wants.

use crate::code::{Code, CodeSet};
use crate::component::Component;
use crate::filter::{Pattern, PatternError};
use crate::report::{ErrorEvent, Severity, Signal};

/// Which error events a subscriber wants; everything that is set must match.
///
/// It is applied where events are received, so it costs publishers nothing; what it leaves out counts as
/// [skipped](crate::ErrorSubscription::skipped).
///
/// ```
/// use relay_event::{Code, Component, ErrorEvent, ErrorFilter, Severity};
///
/// let filter = ErrorFilter::all().types("relay.error.adapter_*")?.component_within("adapter");
/// assert!(filter.matches(&ErrorEvent::new(Code::AdapterFail, Severity::Error, Component::adapter("http"))));
/// assert!(!filter.matches(&ErrorEvent::new(Code::EmitterFail, Severity::Error, Component::emitter("http"))));
/// # Ok::<(), relay_event::PatternError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct ErrorFilter {
    codes: CodeSet,
    at_least: Option<Severity>,
    signal: Option<Signal>,
    component: Option<Component>,
    within: Option<Box<str>>,
}

impl ErrorFilter {
    /// Every event.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only this code.
    #[must_use]
    pub fn code(mut self, code: Code) -> Self {
        self.codes.keep(|other| other == code);
        self
    }

    /// Only codes whose [event type](Code::event_type), or its [older name](Code::event_type_alias), matches `pattern`,
    /// such as `relay.error.*` or `pipeline.error.adapter_*`. The pattern is turned into a set of codes here, once.
    ///
    /// # Errors
    ///
    /// When `pattern` is not a [`Pattern`].
    pub fn types(mut self, pattern: &str) -> Result<Self, PatternError> {
        let pattern = Pattern::new(pattern)?;
        self.codes.keep(|code| {
            pattern.matches(code.event_type()) || pattern.matches(code.event_type_alias())
        });
        Ok(self)
    }

    /// Only this severity and worse.
    #[must_use]
    pub fn at_least(mut self, severity: Severity) -> Self {
        self.at_least = Some(severity);
        self
    }

    /// Only this signal.
    #[must_use]
    pub fn signal(mut self, signal: Signal) -> Self {
        self.signal = Some(signal);
        self
    }

    /// Only this component.
    #[must_use]
    pub fn component(mut self, component: Component) -> Self {
        self.component = Some(component);
        self
    }

    /// Only components [within](Component::is_within) `prefix`: `bus:orders` takes in its subscriptions, `adapter` takes
    /// in every adapter.
    #[must_use]
    pub fn component_within(mut self, prefix: impl Into<Box<str>>) -> Self {
        self.within = Some(prefix.into());
        self
    }

    /// Whether this filter wants `event`.
    pub fn matches(&self, event: &ErrorEvent) -> bool {
        self.codes.contains(event.code)
            && self
                .at_least
                .is_none_or(|severity| event.severity >= severity)
            && self.signal.is_none_or(|signal| signal == event.signal)
            && self
                .component
                .as_ref()
                .is_none_or(|component| *component == event.component)
            && self
                .within
                .as_ref()
                .is_none_or(|prefix| event.component.is_within(prefix))
    }
}
