//! Rules that say how important an event is by its topic and source.

use crate::InvalidConfig;
use crate::cloudevents::{Binding, Defaults, Form};
use http::request::Parts;
use relay_event::{Pattern, PatternError, Priority};

/// The most rules of a server: each is tried for each event.
const MAX_RULES: usize = 64;

/// Events of these topics and sources have this priority, whatever their sender says.
///
/// Patterns are as in [`relay_event::Pattern`]. Both lists must match; within a list one pattern is enough, and an empty
/// one matches everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriorityRule {
    /// Topics, such as `audit.*`.
    pub topics: Vec<String>,
    /// Sources, such as `/billing/*`.
    pub sources: Vec<String>,
    /// Low, normal or high: control does not come from outside.
    pub priority: Priority,
}

/// Compiled rules; the first that matches counts.
#[derive(Debug, Default, Clone)]
pub(super) struct Rules(Vec<Rule>);

#[derive(Debug, Clone)]
struct Rule {
    topics: Vec<Pattern>,
    sources: Vec<Pattern>,
    priority: Priority,
}

impl Rules {
    pub(super) fn compile(rules: &[PriorityRule]) -> Result<Self, InvalidConfig> {
        if rules.len() > MAX_RULES {
            let allowed = "up to 64 rules";
            return Err(InvalidConfig::new("priority_rules", rules.len(), allowed));
        }
        let rules = rules.iter().map(Rule::compile);
        rules.collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn priority_of(&self, topic: &str, source: &str) -> Option<Priority> {
        let rule = self.0.iter().find(|rule| rule.matches(topic, source));
        rule.map(|rule| rule.priority)
    }

    /// What is known before the body is read: of an event whose attributes are in its body nothing is.
    pub(super) fn of_head(
        &self,
        head: &Parts,
        binding: &Binding<'_>,
        defaults: &Defaults,
    ) -> Option<Priority> {
        if self.is_empty() || binding.form != Form::Payload {
            return None;
        }
        let (topic, source) = binding.names(head.uri.query(), defaults);
        self.priority_of(&topic, &source)
    }
}

impl Rule {
    fn compile(rule: &PriorityRule) -> Result<Self, InvalidConfig> {
        if rule.priority > Priority::High {
            return Err(InvalidConfig::new(
                "priority_rules",
                rule.priority,
                "low, normal or high",
            ));
        }
        let compile = |patterns: &[String]| {
            let patterns = patterns.iter().map(|pattern| Pattern::new(pattern));
            let patterns: Result<_, PatternError> = patterns.collect();
            patterns.map_err(|error| {
                InvalidConfig::new("priority_rules", error, "patterns of 1 to 255 bytes")
            })
        };
        Ok(Self {
            topics: compile(&rule.topics)?,
            sources: compile(&rule.sources)?,
            priority: rule.priority,
        })
    }

    fn matches(&self, topic: &str, source: &str) -> bool {
        let any = |patterns: &[Pattern], text: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(text))
        };
        any(&self.topics, topic) && any(&self.sources, source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(topics: &[&str], sources: &[&str], priority: Priority) -> PriorityRule {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        PriorityRule {
            topics: texts(topics),
            sources: texts(sources),
            priority,
        }
    }

    #[test]
    fn the_first_rule_that_matches_counts() {
        let rules = Rules::compile(&[
            rule(&["audit.*"], &[], Priority::High),
            rule(&[], &["/batch/*", "/cron"], Priority::Low),
            rule(&["order.*"], &["/shop"], Priority::Normal),
        ])
        .unwrap();
        assert_eq!(rules.priority_of("audit.x", "/cron"), Some(Priority::High));
        assert_eq!(
            rules.priority_of("order.x", "/batch/1"),
            Some(Priority::Low)
        );
        assert_eq!(
            rules.priority_of("order.x", "/shop"),
            Some(Priority::Normal)
        );
        assert_eq!(rules.priority_of("order.x", "/store"), None);
    }

    #[test]
    fn nobody_outside_is_control() {
        let error = Rules::compile(&[rule(&[], &[], Priority::Control)]).unwrap_err();
        assert_eq!(error.field, "priority_rules");
        assert!(Rules::compile(&[rule(&[""], &[], Priority::Low)]).is_err());
        assert!(Rules::compile(&vec![rule(&[], &[], Priority::Low); 65]).is_err());
    }
}
