//! Environment variables: `RELAY_SECTION__KEY` for every field, short names for a few.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::file;
use super::findings::Findings;
use super::kind::number::Number;
use super::nearest;
use super::origin::Origin;
use super::problem::{Problem, Warning};
use super::raw::{Raw, RawTable, RawValue, insert};
use crate::units::ByteSize;
use relay_sense::Quantity;

/// The variables that concern Relay, taken once from the process's environment.
///
/// Nothing else in this crate reads the environment, so a test passes a few pairs and knows that
/// they are all there is.
///
/// ```
/// use relay_node::config::Environment;
///
/// let environment = Environment::new([("RELAY_CONFIG", "relay.toml"), ("HOME", "/root")]);
/// assert_eq!(environment.config_file().unwrap(), std::path::Path::new("relay.toml"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, OsString>,
}

/// A short name, and the fields it sets.
struct Alias {
    name: &'static str,
    paths: &'static [&'static str],
    /// Turns the variable's text into the field's: for names that carry the unit themselves.
    translate: fn(&str) -> String,
}

const FILE_VARIABLE: &str = "RELAY_CONFIG";
const LIMIT_PATH: &str = "memory.limit";
/// All of these mean the memory limit; the smallest wins.
const LIMIT_NAMES: [&str; 4] = [
    "RELAY_MEMORY__LIMIT",
    "RELAY_MEMORY_LIMIT_BYTES",
    "MEMORY_LIMIT_BYTES",
    "MEMORY_LIMIT",
];
/// The memory limit as a field; the other names are those that relay-sense understands as well.
const LIMIT_FIELD: &str = LIMIT_NAMES[0];
/// Means something to relay-sense, and is no field.
const SENSED: &str = "GOMEMLIMIT";
/// Kubernetes injects these for a service that is named `relay`.
const FOREIGN_PREFIXES: [&str; 2] = ["RELAY_PORT", "RELAY_SERVICE_"];

const ALIASES: &[Alias] = &[
    Alias::plain(
        "RELAY_MEM_ENTER_PCT",
        &["control.aimd.enter", "control.ladder.warning"],
    ),
    Alias::plain(
        "RELAY_MEM_EXIT_PCT",
        &["control.aimd.exit", "control.ladder.relief"],
    ),
    Alias::plain("RELAY_MEM_CRITICAL_PCT", &["control.ladder.critical"]),
    Alias::milliseconds("RELAY_GOVERNOR_POLL_MS", &["control.interval"]),
    Alias::milliseconds("RELAY_TARGET_LAG_MS", &["pools.target_lag"]),
    Alias::plain("RELAY_MIN_WORKERS", &["pools.min"]),
    Alias::plain("RELAY_MAX_WORKERS", &["pools.max"]),
    Alias::plain(
        "RELAY_CONTROL_COOLDOWN",
        &["control.aimd.cooldown", "control.arbiter.cooldown"],
    ),
    Alias::plain("RELAY_RED_MIN_FILL", &["control.red.min_threshold"]),
    Alias::plain("RELAY_RED_MAX_PROB", &["control.red.max_probability"]),
    Alias::plain("RELAY_AIMD_INCR", &["control.aimd.increase"]),
    Alias::plain("RELAY_AIMD_DECR", &["control.aimd.decrease_factor"]),
    Alias::plain("RELAY_ERROR_BUS_BUFFER", &["errors.buffer"]),
    Alias {
        name: "RELAY_ERROR_SAMPLING",
        paths: &["errors.fold"],
        translate: |text| {
            match text {
                "true" => "1s",
                "false" => "none",
                other => other,
            }
            .to_owned()
        },
    },
    Alias::plain("RELAY_CONTROL_INTERVAL", &["control.arbiter.interval"]),
    Alias::plain("RELAY_MAX_ACTIONS", &["control.arbiter.max_actions"]),
    Alias::plain("RELAY_QUEUE_START", &["control.queue.start"]),
    Alias::plain("RELAY_QUEUE_MIN", &["control.queue.min"]),
    Alias::plain("RELAY_QUEUE_MAX", &["control.queue.max"]),
    Alias::plain("RELAY_BUFFER_MEMORY_PCT", &["control.ledger_share"]),
    Alias::plain("RELAY_PSI_ENABLED", &["psi.enabled"]),
    Alias::plain("RELAY_PSI_THRESHOLD", &["psi.threshold"]),
    Alias::plain("RELAY_PSI_SUSTAIN", &["psi.sustain"]),
    Alias::plain("RELAY_PSI_POLL_INTERVAL", &["psi.poll_interval"]),
    Alias::plain("RELAY_FLIGHT_RECORDER_SIZE", &["blackbox.size"]),
    Alias::plain("RELAY_FLIGHT_RECORDER_INTERVAL", &["blackbox.interval"]),
    Alias {
        name: relay_forensics::termination_page::VARIABLE,
        paths: &["blackbox.termination_log"],
        translate: |text| {
            let text = if text.is_empty() { "none" } else { text };
            text.to_owned()
        },
    },
    Alias::plain("RELAY_LOG", &["log.level"]),
];

impl Alias {
    const fn plain(name: &'static str, paths: &'static [&'static str]) -> Self {
        Self {
            name,
            paths,
            translate: str::to_owned,
        }
    }

    /// The name says the unit, so a number is enough.
    const fn milliseconds(name: &'static str, paths: &'static [&'static str]) -> Self {
        Self {
            name,
            paths,
            translate: |text| {
                let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                if is_number {
                    format!("{text}ms")
                } else {
                    text.to_owned()
                }
            },
        }
    }
}

// === impl Environment ===

impl Environment {
    /// Keeps what concerns Relay of `variables`; pass `std::env::vars_os()` in a real process.
    pub fn new<N, V>(variables: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<OsString>,
        V: Into<OsString>,
    {
        let ours = |name: &String| {
            name.starts_with("RELAY_") || LIMIT_NAMES.contains(&&**name) || name == SENSED
        };
        let variables = variables
            .into_iter()
            .filter_map(|(name, value)| Some((name.into().into_string().ok()?, value.into())))
            .filter(|(name, _)| ours(name))
            .collect();
        Self { variables }
    }

    /// The configuration file that `RELAY_CONFIG` names; an empty value is none.
    pub fn config_file(&self) -> Option<&std::path::Path> {
        let file = self.variables.get(FILE_VARIABLE)?;
        (!file.is_empty()).then(|| file.as_ref())
    }

    /// The value of a variable that was kept; bytes that are not UTF-8 are replaced.
    pub fn get(&self, name: &str) -> Option<String> {
        let value = self.variables.get(name)?;
        Some(value.to_string_lossy().into_owned())
    }

    /// Without the memory limits that relay-sense looks up by itself.
    #[must_use]
    pub fn without_limits(mut self) -> Self {
        self.variables
            .retain(|name, _| name == LIMIT_FIELD || !LIMIT_NAMES.contains(&&**name));
        self
    }

    /// Lays the variables over `tree`. Variables of no meaning are noted for a later warning.
    pub(crate) fn overlay(&self, tree: &mut RawTable, findings: &mut Findings) {
        let mut texts = BTreeMap::new();
        for (name, value) in &self.variables {
            match value.to_str() {
                Some(text) => {
                    texts.insert(name.as_str(), text);
                }
                None => findings.problems.push(Problem::new(
                    Origin::Environment(name.clone()),
                    "",
                    "the value is not valid UTF-8",
                )),
            }
        }
        overlay_limit(&texts, tree, findings);
        for alias in ALIASES {
            let Some(text) = texts.get(alias.name) else {
                continue;
            };
            for path in alias.paths {
                let long = variable_of(path);
                if texts.contains_key(long.as_str()) {
                    findings.warnings.push(Warning::new(
                        Origin::Environment(alias.name.to_owned()),
                        format!("not used for {path}: {long} is set too, and wins"),
                    ));
                } else {
                    set(
                        tree,
                        &split(path, "."),
                        alias.name,
                        &(alias.translate)(text),
                    );
                }
            }
        }
        for (name, text) in texts {
            let is_known = name == FILE_VARIABLE || name == SENSED || is_alias(name);
            if is_known || LIMIT_NAMES.contains(&name) {
                continue;
            }
            if FOREIGN_PREFIXES
                .iter()
                .any(|prefix| name.starts_with(prefix))
            {
                continue;
            }
            let path = name
                .strip_prefix("RELAY_")
                .filter(|path| path.contains("__"));
            match path.map(|path| split(&path.to_ascii_lowercase(), "__")) {
                Some(path) if path.iter().all(|part| !part.is_empty()) => {
                    set(tree, &path, name, text);
                }
                _ => findings.unknown_variables.push(name.to_owned()),
            }
        }
    }
}

/// Turns the variables that set nothing into warnings, now that every field is known.
pub(crate) fn warn_unknown(findings: &mut Findings) {
    let fields = findings
        .entries
        .iter()
        .map(|entry| variable_of(&entry.path));
    let aliases = ALIASES.iter().map(|alias| alias.name.to_owned());
    let limits = LIMIT_NAMES.iter().map(|name| (*name).to_owned());
    let mut known: Vec<String> = fields.chain(aliases).chain(limits).collect();
    known.push(FILE_VARIABLE.to_owned());
    let mut unknown = std::mem::take(&mut findings.unknown_variables);
    unknown.sort();
    unknown.dedup();
    for name in unknown {
        // The prefix that all share would make any two names look alike.
        let stem = |name: &'_ str| name.strip_prefix("RELAY_").unwrap_or(name).to_owned();
        let stems: Vec<String> = known.iter().map(|known| stem(known)).collect();
        let near = nearest::of(&stem(&name), stems.iter().map(String::as_str));
        let near = near.and_then(|near| known.iter().find(|known| stem(known) == near));
        let message = match near {
            Some(near) => format!("unknown variable, ignored; did you mean `{near}`?"),
            None => "unknown variable, ignored; `relay config --explain` lists every field".into(),
        };
        findings
            .warnings
            .push(Warning::new(Origin::Environment(name), message));
    }
}

/// The variable that sets the field at `path`.
pub(crate) fn variable_of(path: &str) -> String {
    format!(
        "RELAY_{}",
        path.replace('.', "__")
            .replace('-', "_")
            .to_ascii_uppercase()
    )
}

/// The text of a variable or flag as a value: arrays and tables as TOML, all else left open.
pub(crate) fn loose(text: &str, origin: &Origin) -> RawValue {
    let is_toml = text.starts_with(['[', '{', '"']);
    let parsed = if is_toml {
        file::parse_value(text, origin)
    } else {
        None
    };
    parsed.unwrap_or_else(|| RawValue::Loose(text.to_owned()))
}

fn overlay_limit(texts: &BTreeMap<&str, &str>, tree: &mut RawTable, findings: &mut Findings) {
    let given: Vec<(&str, &str)> = LIMIT_NAMES
        .iter()
        .filter_map(|name| Some((*name, *texts.get(name)?)))
        .filter(|(name, text)| *name == LIMIT_FIELD || !is_sensed(text))
        .collect();
    let size = |text: &str| ByteSize::read(&RawValue::Loose(text.to_owned()));
    let is_auto = |text: &str| text == "auto" || size(text) == Ok(ByteSize::from_bytes(0));
    // A text that is no size is chosen first, so that it is reported rather than ignored.
    let chosen = given
        .iter()
        .filter(|(_, text)| !is_auto(text))
        .min_by_key(|(_, text)| size(text).map_or(0, ByteSize::bytes))
        .or(given.first());
    let Some((name, text)) = chosen else { return };
    let text = if is_auto(text) { "auto" } else { text };
    set(tree, &split(LIMIT_PATH, "."), name, text);
    for (other, found) in given.iter().filter(|(other, _)| other != name) {
        findings.warnings.push(Warning::new(
            Origin::Environment((*other).to_owned()),
            format!("{found:?} is not used: of several memory limits the smallest wins, {name}"),
        ));
    }
}

/// Whether only relay-sense can tell what a limit means: a share of what it detects, or none.
fn is_sensed(text: &str) -> bool {
    let quantity = text.parse::<Quantity>();
    text.trim().is_empty() || matches!(quantity, Ok(Quantity::Share(_) | Quantity::Unlimited))
}

fn is_alias(name: &str) -> bool {
    ALIASES.iter().any(|alias| alias.name == name)
}

fn split(path: &str, separator: &str) -> Vec<String> {
    path.split(separator).map(str::to_owned).collect()
}

fn set(tree: &mut RawTable, path: &[String], name: &str, text: &str) {
    let origin = Origin::Environment(name.to_owned());
    let raw = Raw::new(loose(text, &origin), origin);
    let alike = |known: &str, part: &str| known.to_ascii_lowercase().replace('-', "_") == part;
    insert(tree, path, raw, alike);
}
