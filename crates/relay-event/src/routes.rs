//! From a topic to the groups that want it: one look-up, and no pattern is matched for a topic that was seen before.

use crate::filter::Filter;
use crate::topic::Topic;
use std::collections::HashMap;

/// The most topics that are remembered. A sender that makes up topics costs the matching of patterns, not memory.
const MAX_TOPICS: usize = 4096;

/// The number of the list that is written anew for each topic that is not remembered.
const SCRATCH: usize = 0;

pub(crate) struct Routes {
    /// Whether no filter looks at topics: then every group is in the scratch list.
    every: bool,
    by_topic: HashMap<Topic, usize>,
    /// The last topic, for publishers that stay with one.
    last: Option<(Topic, usize)>,
    lists: Vec<Vec<usize>>,
}

impl Routes {
    pub(crate) fn new() -> Self {
        Self {
            every: true,
            by_topic: HashMap::new(),
            last: None,
            lists: vec![Vec::new()],
        }
    }

    /// Begins anew, after the groups have changed.
    pub(crate) fn rebuild<'a>(&mut self, filters: impl Iterator<Item = &'a Filter> + Clone) {
        let all: Vec<_> = (0..filters.clone().count()).collect();
        *self = Self {
            every: !filters.into_iter().any(Filter::looks_at_topic),
            lists: vec![all],
            ..Self::new()
        };
    }

    /// Whether every topic leads to every group.
    #[inline]
    pub(crate) fn lead_everywhere(&self) -> bool {
        self.every
    }

    /// The groups that want `topic`, in ascending order.
    #[inline]
    pub(crate) fn of<'a>(
        &mut self,
        topic: &Topic,
        filters: impl Iterator<Item = &'a Filter>,
    ) -> &[usize] {
        let list = match &self.last {
            _ if self.every => SCRATCH,
            Some((known, list)) if known.is_same(topic) => *list,
            _ => self.look_up(topic, filters),
        };
        &self.lists[list]
    }

    fn look_up<'a>(&mut self, topic: &Topic, filters: impl Iterator<Item = &'a Filter>) -> usize {
        if let Some(list) = self.by_topic.get(topic) {
            let list = *list;
            self.last = Some((topic.clone(), list));
            return list;
        }
        let scratch = &mut self.lists[SCRATCH];
        scratch.clear();
        let wanted = filters
            .enumerate()
            .filter(|(_, filter)| filter.matches_topic(topic));
        scratch.extend(wanted.map(|(index, _)| index));
        if self.by_topic.len() >= MAX_TOPICS {
            return SCRATCH;
        }
        let groups = scratch.clone();
        let list = self.lists.len();
        self.lists.push(groups);
        self.by_topic.insert(topic.clone(), list);
        self.last = Some((topic.clone(), list));
        list
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn topic(text: &str) -> Topic {
        Topic::new(text).unwrap()
    }

    #[test]
    fn a_topic_leads_to_the_groups_that_want_it_first_and_later() {
        let filters = [
            Filter::topics(["a.*"]).unwrap(),
            Filter::all(),
            Filter::topics(["b", "a.c"]).unwrap(),
        ];
        let mut routes = Routes::new();
        routes.rebuild(filters.iter());
        for _ in 0..2 {
            assert_eq!(routes.of(&topic("a.c"), filters.iter()), [0, 1, 2]);
            assert_eq!(routes.of(&topic("b"), filters.iter()), [1, 2]);
            assert_eq!(routes.of(&topic("x"), filters.iter()), [1]);
        }
        assert_eq!(routes.by_topic.len(), 3);
        routes.rebuild(filters[..1].iter());
        assert!(routes.of(&topic("b"), filters[..1].iter()).is_empty());
    }

    #[test]
    fn topics_beyond_the_bound_are_still_matched() {
        let filters = [Filter::topics(["5*"]).unwrap()];
        let mut routes = Routes::new();
        routes.rebuild(filters.iter());
        for number in 0..MAX_TOPICS + 2000 {
            let text = number.to_string();
            let groups = routes.of(&topic(&text), filters.iter());
            assert_eq!(groups.len(), usize::from(text.starts_with('5')), "{text}");
        }
        assert_eq!(routes.by_topic.len(), MAX_TOPICS);
    }
}
