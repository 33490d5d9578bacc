//! What the node says about itself at start: the limit, and the bytes that follow from it.

use std::fmt::Write;

use relay_control::LadderConfig;
use relay_sense::Detection;

use super::kind::Auto;
use super::schema::Config;
use super::schema::adapters::Source;
use super::schema::control::{Ladder, Law, Mode};
use super::schema::emitters::{Emitter, Target};
use super::schema::subscription::Delivery;
use crate::units::{ByteSize, Ratio, format_duration};

/// The memory limit that was found. "No limit" is no case of it: then the machine's memory is the
/// limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitFacts {
    /// So many bytes.
    Bytes {
        /// The hard limit.
        hard: ByteSize,
        /// The soft one, when there is one.
        soft: Option<ByteSize>,
        /// Who says so, such as `cgroup-v2 /sys/fs/cgroup/memory.max`.
        source: String,
        /// CPUs the process may run on: the kernel charges memory ahead on each, so emergency
        /// begins earlier on many.
        cpus: u32,
    },
    /// It could not be found out.
    Unknown {
        /// Why not.
        reason: String,
    },
}

impl LimitFacts {
    /// What was detected, with the soft limit of the configuration.
    pub fn new(detection: &Detection, configured_soft: Option<ByteSize>) -> Self {
        let Some(memory) = &detection.memory else {
            let reason = detection.notes.first().cloned();
            let reason = reason.unwrap_or_else(|| "no limit can be read".to_owned());
            return Self::Unknown { reason };
        };
        let path = memory.path.as_ref().map(|path| path.display().to_string());
        let name = memory.name.map(str::to_owned);
        let detail = path.or(name).map(|detail| format!(" {detail}"));
        let detected_soft = detection.soft.as_ref();
        let detected_soft = detected_soft.map(|soft| ByteSize::from_bytes(soft.bytes));
        Self::Bytes {
            hard: ByteSize::from_bytes(memory.bytes),
            soft: [detected_soft, configured_soft].into_iter().flatten().min(),
            source: format!("{}{}", memory.source, detail.unwrap_or_default()),
            cpus: detection
                .cpu
                .affinity_cpus
                .map_or(1, |cpus| cpus.get() as u32),
        }
    }
}

/// The start-up text: one fact a line.
///
/// ```
/// use relay_node::config::{LimitFacts, Sources, summary};
/// use relay_node::units::ByteSize;
///
/// let config = Sources::default().load()?.into_config();
/// let limit = LimitFacts::Bytes {
///     hard: ByteSize::from_mib(64),
///     soft: None,
///     source: "cgroup-v2".to_owned(),
///     cpus: 2,
/// };
/// assert!(summary(&config, &limit).contains("memory limit    67108864 bytes (64MiB)"));
/// # Ok::<(), relay_node::config::InvalidConfig>(())
/// ```
pub fn summary(config: &Config, limit: &LimitFacts) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<14}  {value}");
    };
    memory(config, limit, &mut line);
    control(config, &mut line);
    for (id, adapter) in &config.adapters {
        let source = match &adapter.source {
            Source::Http(http) => format!("http on {}{}", http.listen, http.path),
            Source::Tcp(tcp) => format!("tcp on {}", tcp.listen),
        };
        line("adapter", format!("{id}: {source}"));
    }
    for (id, emitter) in &config.emitters {
        line("emitter", format!("{id}: {}", describe(emitter)));
    }
    line("black box", blackbox(config));
    let admin = &config.admin;
    line(
        "admin",
        if admin.enabled {
            format!("http on {}", admin.listen)
        } else {
            "off".into()
        },
    );
    line(
        "shutdown",
        format!(
            "drains for up to {}",
            format_duration(config.shutdown.deadline)
        ),
    );
    text
}

fn blackbox(config: &Config) -> String {
    let blackbox = &config.blackbox;
    if !blackbox.enabled {
        return "off: a kill will leave nothing to read".to_owned();
    }
    let dir = match &blackbox.dir {
        Auto::Auto => "the usual folder".to_owned(),
        Auto::Fixed(dir) => dir.display().to_string(),
    };
    format!(
        "{} in {dir}, a look each {} down to {}",
        blackbox.instance,
        format_duration(blackbox.interval),
        format_duration(blackbox.interval_min)
    )
}

fn memory(config: &Config, limit: &LimitFacts, line: &mut impl FnMut(&str, String)) {
    let ladder = &config.control.ladder;
    match limit {
        LimitFacts::Bytes {
            hard,
            soft,
            source,
            cpus,
        } => {
            line("memory limit", format!("{}, {source}", sized(*hard)));
            if let Some(soft) = soft {
                line("soft limit", sized(*soft));
            }
            let base = soft.map_or(*hard, |soft| soft.min(*hard));
            let mut at = |name: &str, share: Ratio, of: ByteSize| {
                line(
                    name,
                    format!("{} ({:.1}%)", bytes(share.of(of)), share.get() * 100.0),
                );
            };
            at("  relief", ladder.relief, base);
            at("  warning", ladder.warning, base);
            at("  error", ladder.error, base);
            at("  critical", ladder.critical, base);
            at("  emergency", emergency_share(ladder, *hard, *cpus), *hard);
            at("  setpoint", config.control.drain.setpoint, base);
            at("  ledger", config.control.ledger_share, *hard);
        }
        LimitFacts::Unknown { reason } => line(
            "memory limit",
            format!("unknown ({reason}): control is conservative; set memory.limit"),
        ),
    }
}

/// Where emergency really begins, as the ladder decides it.
fn emergency_share(ladder: &Ladder, hard: ByteSize, cpus: u32) -> Ratio {
    let config = LadderConfig {
        warning: ladder.warning.get(),
        error: ladder.error.get(),
        critical: ladder.critical.get(),
        emergency: ladder.emergency.get(),
        relief: ladder.relief.get(),
        cpus,
    };
    Ratio::new(config.emergency_share(hard.bytes())).unwrap_or(ladder.emergency)
}

fn control(config: &Config, line: &mut impl FnMut(&str, String)) {
    let control = &config.control;
    let mode = match control.mode {
        Mode::Enforce => "enforce",
        Mode::Observe => "observe: decides and records, turns nothing",
        Mode::Off => "off: NOT PROTECTED",
    };
    let law = match control.law {
        Law::Drain => "drain",
        Law::Aimd => "aimd",
        Law::None => "none",
    };
    line("control", format!("{mode}, law {law}"));
    line("  interval", format_duration(control.interval));
    line("  cooldown", format_duration(control.aimd.cooldown));
    line(
        "  arbiter",
        format!(
            "each {}, cooldown {}",
            format_duration(control.arbiter.interval),
            format_duration(control.arbiter.cooldown)
        ),
    );
    line(
        "  queue delay",
        format!("at most {}", format_duration(control.max_queue_delay)),
    );
}

fn describe(emitter: &Emitter) -> String {
    let target = match &emitter.target {
        Target::File(file) => format!(
            "file {}, rotated at {}, {} kept",
            file.path.display(),
            file.rotate,
            file.keep
        ),
        Target::Stdout => "stdout".to_owned(),
        Target::Http(http) => format!("http to {}", http.url),
        Target::Blackhole { rate: Some(rate) } => format!("blackhole at {rate}"),
        Target::Blackhole { rate: None } => "blackhole".to_owned(),
    };
    let queue = &emitter.subscription;
    let delivery = match queue.delivery {
        Delivery::Reliable => "reliable",
        Delivery::Sheddable(_) => "sheddable",
    };
    let queue_bytes = match queue.queue_bytes {
        Auto::Auto => "bytes bounded by the ledger".to_owned(),
        Auto::Fixed(size) => size.to_string(),
    };
    let events = match queue.queue_start {
        Some(start) => format!("{start} ({} to {})", queue.queue_min, queue.queue_events),
        None => queue.queue_events.to_string(),
    };
    format!("{target}; {delivery}, queues {events} events, {queue_bytes}")
}

fn bytes(size: ByteSize) -> String {
    format!("{} bytes", size.bytes())
}

fn sized(size: ByteSize) -> String {
    format!("{} ({})", bytes(size), size.rounded())
}
