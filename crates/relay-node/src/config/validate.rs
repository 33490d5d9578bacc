//! What no field can judge alone: how it stands to its neighbours, and what deserves a warning.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use relay_control::DrainConfig;

use super::findings::{Findings, Relation};
use super::kind::Auto;
use super::origin::Origin;
use super::problem::{Problem, Warning};
use super::schema::Config;
use super::schema::adapters::Source;
use super::schema::breaker::{Breaker, BreakerWindow};
use super::schema::control::{Control, Law, Mode};
use super::schema::emitters::{Emitter, Target};
use super::schema::pools::Pools;
use Relation::{AtMost, Below, Unlike, WellBelow};

/// Checks every relation of `config`, whose fields are in `findings`.
pub(crate) fn relations(config: &Config, findings: &mut Findings) {
    if let (Auto::Fixed(limit), Some(soft)) = (config.memory.limit, config.memory.soft_limit) {
        findings.require(soft < limit, "memory.soft_limit", Below, "memory.limit");
    }
    control(&config.control, findings);
    pools(&config.pools, findings);
    for (id, adapter) in &config.adapters {
        let Source::Http(http) = &adapter.source else {
            continue;
        };
        let header = format!("adapters.{id}.header_timeout");
        let request = format!("adapters.{id}.request_timeout");
        findings.require(
            http.header_timeout <= http.request_timeout,
            &header,
            AtMost,
            &request,
        );
    }
    findings.require(
        config.blackbox.interval_min <= config.blackbox.interval,
        "blackbox.interval_min",
        AtMost,
        "blackbox.interval",
    );
    for (id, emitter) in &config.emitters {
        self::emitter(id, emitter, findings);
    }
    distinct(listeners(config), |address| address.port() != 0, findings);
    distinct(files(config), |_| true, findings);
}

/// Warns of what is legal and probably not meant.
pub(crate) fn warnings(config: &Config, findings: &mut Findings) {
    for (path, address) in listeners(config) {
        if !address.ip().is_loopback() {
            warn(
                findings,
                &path,
                format!(
                    "{path} = {address} accepts anyone who can reach it: there is no authentication or \
                 encryption; bind to loopback or put a protected proxy in front"
                ),
            );
        }
    }
    if config.blackbox.cpu_profile.is_some() && !cfg!(feature = "profile") {
        warn(
            findings,
            "blackbox.cpu_profile",
            "blackbox.cpu_profile has no effect: this relay was built without the feature \
             `profile`; build it with --features profile"
                .to_owned(),
        );
    }
    if config.control.mode == Mode::Off {
        warn(
            findings,
            "control.mode",
            "control.mode = off: this is the naive pipeline, nothing \
             keeps it inside the memory limit; use it for comparison only"
                .to_owned(),
        );
    }
    if config.control.law == Law::None && config.control.mode == Mode::Enforce {
        warn(
            findings,
            "control.law",
            "control.law = none: only the byte ledger bounds \
             admission"
                .to_owned(),
        );
    }
    if config.adapters.is_empty() && !has_mistake_in("adapters", findings) {
        warn(
            findings,
            "adapters",
            "no adapters: no event can come in".to_owned(),
        );
    }
    if config.emitters.is_empty() && !has_mistake_in("emitters", findings) {
        warn(
            findings,
            "emitters",
            "no emitters: every event is dropped as no_subscriber".to_owned(),
        );
    }
}

/// Whether something in `table` was refused: it is then empty because of a mistake, which is reported already.
fn has_mistake_in(table: &str, findings: &Findings) -> bool {
    findings.problems.iter().any(|problem| {
        let rest = problem.path.strip_prefix(table);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

fn control(control: &Control, findings: &mut Findings) {
    let Control {
        ladder,
        aimd,
        drain,
        red,
        ..
    } = control;
    let mut ordered = |holds, low: &str, relation, high: &str| {
        let (low, high) = (format!("control.{low}"), format!("control.{high}"));
        findings.require(holds, &low, relation, &high);
    };
    ordered(
        ladder.relief < ladder.warning,
        "ladder.relief",
        Below,
        "ladder.warning",
    );
    ordered(
        ladder.warning < ladder.error,
        "ladder.warning",
        Below,
        "ladder.error",
    );
    ordered(
        ladder.error < ladder.critical,
        "ladder.error",
        Below,
        "ladder.critical",
    );
    ordered(
        ladder.critical < ladder.emergency,
        "ladder.critical",
        Below,
        "ladder.emergency",
    );
    ordered(aimd.exit < aimd.enter, "aimd.exit", Below, "aimd.enter");
    ordered(
        aimd.enter <= ladder.critical,
        "aimd.enter",
        AtMost,
        "ladder.critical",
    );
    ordered(
        drain.setpoint < aimd.enter,
        "drain.setpoint",
        Below,
        "aimd.enter",
    );
    let shut = drain.setpoint.get() + DrainConfig::default().band;
    ordered(
        shut < ladder.error.get(),
        "drain.setpoint",
        WellBelow,
        "ladder.error",
    );
    ordered(
        aimd.lowest_floor <= aimd.floor,
        "aimd.lowest_floor",
        AtMost,
        "aimd.floor",
    );
    ordered(
        control.arbiter.interval <= control.arbiter.cooldown,
        "arbiter.interval",
        AtMost,
        "arbiter.cooldown",
    );
    let start = control.queue.start.unwrap_or(control.queue.max);
    ordered(
        control.queue.min <= start,
        "queue.min",
        AtMost,
        "queue.start",
    );
    ordered(
        start <= control.queue.max,
        "queue.start",
        AtMost,
        "queue.max",
    );
    ordered(
        red.min_threshold < red.max_threshold,
        "red.min_threshold",
        Below,
        "red.max_threshold",
    );
}

fn emitter(id: &str, emitter: &Emitter, findings: &mut Findings) {
    let queue = &emitter.subscription;
    let path = |name: &str| format!("emitters.{id}.{name}");
    let events_fit = queue.batch_events <= queue.queue_events;
    findings.require(
        events_fit,
        &path("batch_events"),
        AtMost,
        &path("queue_events"),
    );
    let start = queue.queue_start.unwrap_or(queue.queue_events);
    let (first, least) = (path("queue_start"), path("queue_min"));
    findings.require(queue.queue_min <= start, &least, AtMost, &first);
    findings.require(
        start <= queue.queue_events,
        &first,
        AtMost,
        &path("queue_events"),
    );
    if let Auto::Fixed(queue_bytes) = queue.queue_bytes {
        let bytes_fit = queue.batch_bytes <= queue_bytes;
        findings.require(
            bytes_fit,
            &path("batch_bytes"),
            AtMost,
            &path("queue_bytes"),
        );
    }
    breaker(&path("breaker"), &emitter.breaker, findings);
    if let Target::Http(http) = &emitter.target {
        let fewest = http.in_flight_min <= http.in_flight;
        findings.require(fewest, &path("in_flight_min"), AtMost, &path("in_flight"));
        let grows = http.backoff_initial <= http.backoff_max;
        findings.require(
            grows,
            &path("backoff_initial"),
            AtMost,
            &path("backoff_max"),
        );
    }
}

fn pools(pools: &Pools, findings: &mut Findings) {
    if let (Auto::Fixed(min), Auto::Fixed(max)) = (pools.min, pools.max) {
        findings.require(min <= max, "pools.min", AtMost, "pools.max");
    }
}

fn breaker(path: &str, breaker: &Breaker, findings: &mut Findings) {
    let field = |name: &str| format!("{path}.{name}");
    let grows = breaker.open_for <= breaker.open_max;
    findings.require(grows, &field("open_for"), AtMost, &field("open_max"));
    if let BreakerWindow::Calls(calls) = breaker.window {
        let enough = breaker.min_calls <= calls;
        findings.require(enough, &field("min_calls"), AtMost, &field("window"));
    }
    let opens =
        breaker.failures.is_some() || breaker.failure_rate.is_some() || breaker.slow_rate.is_some();
    let failures = field("failures");
    if breaker.enabled
        && !opens
        && let Some(entry) = findings.entry(&failures)
    {
        let what = "nothing would open it: set this, failure_rate or slow_rate, or enabled = false";
        let problem = Problem::new(entry.origin.clone(), failures, what).value(&entry.value);
        findings.problems.push(problem);
    }
}

fn listeners(config: &Config) -> BTreeMap<String, SocketAddr> {
    let admin = config
        .admin
        .enabled
        .then(|| ("admin.listen".to_owned(), config.admin.listen));
    let adapters = config
        .adapters
        .iter()
        .map(|(id, adapter)| (format!("adapters.{id}.listen"), adapter.listen()));
    admin.into_iter().chain(adapters).collect()
}

fn files(config: &Config) -> BTreeMap<String, std::path::PathBuf> {
    let files = config
        .emitters
        .iter()
        .filter_map(|(id, emitter)| match &emitter.target {
            Target::File(file) => Some((format!("emitters.{id}.path"), file.path.clone())),
            _ => None,
        });
    files.collect()
}

/// No two fields may hold the same value: two listeners on a port, two writers of a file.
fn distinct<T: PartialEq>(
    fields: BTreeMap<String, T>,
    matters: fn(&T) -> bool,
    findings: &mut Findings,
) {
    let mut seen: Vec<(String, T)> = Vec::new();
    for (path, value) in fields.into_iter().filter(|(_, value)| matters(value)) {
        if let Some((other, _)) = seen.iter().find(|(_, known)| *known == value) {
            findings.require(false, &path, Unlike, other);
        }
        seen.push((path, value));
    }
}

fn warn(findings: &mut Findings, path: &str, message: String) {
    let origin = findings
        .entry(path)
        .map_or(Origin::Default, |entry| entry.origin.clone());
    findings.warnings.push(Warning::new(origin, message));
}
