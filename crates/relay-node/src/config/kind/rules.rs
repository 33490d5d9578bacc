//! Rules that give events a priority: an array of tables.

use relay_event::{Pattern, Priority};
use relay_http::PriorityRule;

use super::text::literal;
use super::{Kind, not_a};
use crate::config::raw::{Raw, RawTable, RawValue, quoted};

/// Most rules of one adapter: each is tried for each event.
const RULES_MAX: usize = 64;

/// `[[adapters.<id>.priority]]`. In a variable: `high:topic=audit.*, low:source=/batch/*`.
pub(crate) struct PriorityRules;

impl Kind for PriorityRules {
    type Value = Vec<PriorityRule>;

    fn read(&self, raw: &RawValue) -> Result<Vec<PriorityRule>, String> {
        let rules: Vec<PriorityRule> = match raw {
            RawValue::Loose(text) if text.trim().is_empty() => Vec::new(),
            RawValue::Loose(text) => text
                .split(',')
                .map(|part| from_text(part.trim()))
                .collect::<Result<_, _>>()?,
            RawValue::Array(items) => items.iter().map(from_item).collect::<Result<_, _>>()?,
            other => return Err(not_a("an array of tables", other)),
        };
        if rules.len() > RULES_MAX {
            return Err(format!("{} rules are too many", rules.len()));
        }
        Ok(rules)
    }

    fn show(&self, rules: &Vec<PriorityRule>) -> String {
        let list = |patterns: &[String]| {
            let patterns: Vec<_> = patterns.iter().map(|pattern| literal(pattern)).collect();
            patterns.join(", ")
        };
        let rules: Vec<_> = rules
            .iter()
            .map(|rule| {
                format!(
                    "{{ topics = [{}], sources = [{}], priority = \"{}\" }}",
                    list(&rule.topics),
                    list(&rule.sources),
                    rule.priority
                )
            })
            .collect();
        format!("[{}]", rules.join(", "))
    }

    fn allowed(&self) -> String {
        format!(
            "up to {RULES_MAX} tables with priority (low, normal or high) and topics or sources, such as \
             {{ topics = [\"audit.*\"], priority = \"high\" }}"
        )
    }
}

fn from_item(item: &Raw) -> Result<PriorityRule, String> {
    let RawValue::Table(table) = &item.value else {
        return Err(not_a("tables only", &item.value));
    };
    let known = ["topics", "sources", "priority"];
    if let Some(name) = table.keys().find(|name| !known.contains(&name.as_str())) {
        let name = quoted(name);
        return Err(format!(
            "a rule has no {name}, only topics, sources and priority"
        ));
    }
    let priority = match table.get("priority") {
        Some(raw) => {
            let text = raw.value.text();
            priority_of(text.ok_or_else(|| not_a("a string", &raw.value))?)?
        }
        None => return Err("a rule has no priority".to_owned()),
    };
    checked(PriorityRule {
        topics: patterns_of(table, "topics")?,
        sources: patterns_of(table, "sources")?,
        priority,
    })
}

fn patterns_of(table: &RawTable, name: &str) -> Result<Vec<String>, String> {
    match table.get(name) {
        Some(raw) => super::list::Patterns.read(&raw.value),
        None => Ok(Vec::new()),
    }
}

fn from_text(text: &str) -> Result<PriorityRule, String> {
    let wrong = || {
        let text = quoted(text);
        format!("{text} is not a rule such as high:topic=audit.* or low:source=/batch/*")
    };
    let (priority, pattern) = text.split_once(':').ok_or_else(wrong)?;
    let (what, pattern) = pattern.split_once('=').ok_or_else(wrong)?;
    let (mut topics, mut sources) = (Vec::new(), Vec::new());
    match what.trim() {
        "topic" => topics.push(pattern.trim().to_owned()),
        "source" => sources.push(pattern.trim().to_owned()),
        _ => return Err(wrong()),
    }
    checked(PriorityRule {
        topics,
        sources,
        priority: priority_of(priority.trim())?,
    })
}

fn priority_of(text: &str) -> Result<Priority, String> {
    match text.parse() {
        Ok(Priority::Control) => {
            Err("control is the node's own, the highest here is high".to_owned())
        }
        Ok(priority) => Ok(priority),
        Err(_) => Err(format!("{} is no priority", quoted(text))),
    }
}

fn checked(rule: PriorityRule) -> Result<PriorityRule, String> {
    let mut patterns = rule.topics.iter().chain(&rule.sources);
    if rule.topics.is_empty() && rule.sources.is_empty() {
        return Err("a rule needs topics or sources".to_owned());
    }
    if let Some(wrong) = patterns.find(|pattern| Pattern::new(pattern).is_err()) {
        let wrong = quoted(wrong);
        return Err(format!(
            "pattern {wrong} is empty, too long or holds a control character"
        ));
    }
    Ok(rule)
}
