//! The controller's configuration: each law's own, and what their neighbours must agree on.

use std::time::Duration;

use crate::{
    aimd::AimdConfig,
    cost::LedgerConfig,
    decision::Law,
    drain_match::DrainConfig,
    error::{InvalidConfig, require},
    ladder::LadderConfig,
};

/// Everything a [`Controller`](crate::Controller) can be told. Every field has a working default.
#[derive(Debug, Clone, PartialEq)]
pub struct ControlConfig {
    /// Which law sets the admitted rate.
    pub law: Law,
    /// Where the levels are.
    pub ladder: LadderConfig,
    /// The governor.
    pub aimd: AimdConfig,
    /// Drain matching.
    pub drain: DrainConfig,
    /// The ledger's size.
    pub ledger: LedgerConfig,
    /// What the governor's scale is a share of. `None`: the drain that was last measured under
    /// load.
    pub nominal_bytes_per_second: Option<u64>,
    /// How long a silent memory sensor is taken to show what it showed last.
    pub sensor_timeout: Duration,
    /// How long emergency must last before the process should drain and exit.
    pub emergency_sustain: Duration,
}

impl Default for ControlConfig {
    /// Law `drain`, the early ladder, a sensor timeout of 2 s, and shutdown after 1 s of emergency.
    fn default() -> Self {
        Self {
            law: Law::default(),
            ladder: LadderConfig::default(),
            aimd: AimdConfig::default(),
            drain: DrainConfig::default(),
            ledger: LedgerConfig::default(),
            nominal_bytes_per_second: None,
            sensor_timeout: Duration::from_secs(2),
            emergency_sustain: Duration::from_secs(1),
        }
    }
}

impl ControlConfig {
    /// Checks what one law's configuration owes to another's. Each law checks its own.
    pub(crate) fn check_neighbours(&self) -> Result<(), InvalidConfig> {
        let Self {
            drain,
            aimd,
            ladder,
            ..
        } = self;
        require(
            drain.setpoint < aimd.enter,
            "drain.setpoint",
            &drain.setpoint,
            format_args!(
                "must be below aimd.enter ({}), or the governor never rests",
                aimd.enter
            ),
        )?;
        let closed = drain.setpoint + drain.band;
        require(
            closed < ladder.error,
            "drain.band",
            &drain.band,
            format_args!(
                "drain.setpoint + drain.band ({closed}) must be below ladder.error ({}): the gate \
                 closes before anything is shed",
                ladder.error
            ),
        )?;
        require(
            self.nominal_bytes_per_second != Some(0),
            "nominal_bytes_per_second",
            &self.nominal_bytes_per_second,
            "must be above 0, or not set",
        )?;
        require(
            !self.sensor_timeout.is_zero(),
            "sensor_timeout",
            &self.sensor_timeout,
            "must be above zero",
        )
    }
}
