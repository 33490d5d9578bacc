//! The second opinion: how long tasks wait for memory (pressure stall information).
//!
//! It is told and shown, and has a say where it can only hold back: while tasks stall, nothing grows, and from its level
//! error on the lowest priority is refused and the governor is degraded. Without swap it says nothing until the last MiB
//! before a kill, so nothing waits for it.

use crate::pulse::Tick;
use relay_control::{
    InvalidConfig, Level, PressureAlarm, PressureAlarmConfig, PressureAlert, PressureDecision,
};
use relay_event::{Code, Component, ErrorBus, ErrorEvent, Severity, Signal};
use relay_sense::{Pressure, PressureSample, PressureScope, Root, Trigger};
use std::time::{Duration, Instant};

/// How the stall monitor works.
#[derive(Debug, Clone, PartialEq)]
pub struct StallConfig {
    /// Whether it reads anything at all.
    pub enabled: bool,
    /// How often it reads; never more often than the readers of these files may (50 ms).
    pub interval: Duration,
    /// When it raises its alarm.
    pub alarm: PressureAlarmConfig,
}

#[derive(Debug)]
pub(crate) struct StallMonitor {
    pressure: Pressure,
    alarm: PressureAlarm,
    interval: Duration,
    component: Component,
    read_at: Option<Instant>,
    trigger: Option<Trigger>,
    last: Option<PressureSample>,
    level: Level,
}

// === impl StallConfig ===

impl Default for StallConfig {
    /// On, once a second.
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Duration::from_secs(1),
            alarm: PressureAlarmConfig::default(),
        }
    }
}

// === impl StallMonitor ===

impl StallMonitor {
    /// Finds the file to read. That there is none is told once, and is no error.
    ///
    /// # Errors
    ///
    /// When a threshold is out of its range.
    pub(crate) fn try_new(
        config: &StallConfig,
        root: &Root,
        errors: &ErrorBus,
    ) -> Result<Self, InvalidConfig> {
        let component = Component::monitor("psi");
        let pressure = if config.enabled {
            Pressure::open(root)
        } else {
            Pressure::disabled()
        };
        let found = pressure.availability();
        if config.enabled && !found.available {
            let event = ErrorEvent::new(Code::PsiUnavailable, Severity::Info, component.clone());
            errors.publish(event.detail(found.reason.as_deref().unwrap_or("no reason is known")));
        }
        Ok(Self {
            alarm: PressureAlarm::try_new(config.alarm.clone())?,
            pressure,
            interval: config.interval,
            component,
            read_at: None,
            trigger: None,
            last: None,
            level: Level::Normal,
        })
    }

    /// Lets a stall end the waits of the pulse; see [`trigger::choose`](crate::trigger::choose).
    pub(crate) fn listen(&mut self, trigger: Option<Trigger>) {
        self.trigger = trigger;
    }

    /// What to wait for.
    pub(crate) fn trigger(&mut self) -> Option<&mut Trigger> {
        self.trigger.as_mut()
    }

    /// It is time to read: tasks wait for memory.
    pub(crate) fn hurry(&mut self) {
        self.read_at = None;
    }

    /// Reads if it is time, and tells what is worth telling; what it read last. Allocates nothing.
    pub(crate) fn look(&mut self, tick: &Tick, errors: &ErrorBus) -> Option<PressureSample> {
        let now = tick.now;
        let is_due = self
            .read_at
            .is_none_or(|at| now.saturating_duration_since(at) >= self.interval);
        if is_due {
            self.read_at = Some(now);
            self.last = self.pressure.read(now);
            let some = self.last.and_then(|sample| sample.psi.some);
            let decision = self.alarm.step(some.map(|stall| stall.avg10), tick.since);
            // That neighbours wait is no reason to refuse anybody here.
            let own = self
                .last
                .is_some_and(|sample| sample.scope == PressureScope::Group);
            self.level = if own { decision.level } else { Level::Normal };
            self.tell(decision, tick, errors);
        }
        self.last
    }

    /// How badly tasks wait, as of the last reading; normal where nobody knows.
    pub(crate) fn level(&self) -> Level {
        self.level
    }

    fn tell(&self, decision: PressureDecision, tick: &Tick, errors: &ErrorBus) {
        let (severity, signal) = match decision.alert {
            None => return,
            Some(PressureAlert::Raised(level)) => (severity(level), Signal::Shed),
            Some(PressureAlert::Relieved) => (Severity::Info, Signal::Recovered),
        };
        let Some(sample) = self.last else { return };
        let some = sample.psi.some.unwrap_or_default();
        let event = ErrorEvent::new(Code::PsiPreOom, severity, self.component.clone());
        errors.publish(
            event
                .signal(signal)
                .recoverable(severity < Severity::Critical)
                .with("avg10", some.avg10)
                .with("avg60", some.avg60)
                .with("stalled_us", some.total.as_micros() as u64)
                .with("scope", sample.scope.as_str())
                .with("decision", tick.number),
        );
    }
}

fn severity(level: Level) -> Severity {
    match level {
        Level::Normal | Level::Warning => Severity::Warning,
        Level::Error => Severity::Error,
        Level::Critical | Level::Emergency => Severity::Critical,
    }
}

#[cfg(test)]
mod tests;
