//! Sets of indexes as a Job's status writes them (`1,3-5,7`), and success policies (KEP-3998).

use crate::object::list;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;

/// A set of indexes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Indexes(BTreeSet<u32>);

impl Indexes {
    /// Reads `1,3-5,7`; what is no index is passed over.
    pub(super) fn parse(text: &str) -> Self {
        let mut set = BTreeSet::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            if let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse()) {
                set.extend(first..=last);
            }
        }
        Self(set)
    }

    pub(super) fn insert(&mut self, index: u32) {
        self.0.insert(index);
    }

    pub(super) fn contains(&self, index: u32) -> bool {
        self.0.contains(&index)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for Indexes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for index in &self.0 {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == *index => *last = *index,
                _ => ranges.push((*index, *index)),
            }
        }
        let parts: Vec<String> = ranges
            .into_iter()
            .map(|(first, last)| match last - first {
                0 => first.to_string(),
                1 => format!("{first},{last}"),
                _ => format!("{first}-{last}"),
            })
            .collect();
        out.write_str(&parts.join(","))
    }
}

/// What the first rule of a success policy that is met says.
pub(super) fn met(policy: &Value, completed: &Indexes) -> Option<String> {
    let rules = list(&policy["rules"]).iter().enumerate();
    let mut met = rules.filter(|(_, rule)| is_met(rule, completed));
    met.next()
        .map(|(number, _)| format!("Matched rules at index {number}"))
}

fn is_met(rule: &Value, completed: &Indexes) -> bool {
    let wanted = rule["succeededIndexes"].as_str().map(Indexes::parse);
    let found = match &wanted {
        Some(wanted) => wanted.0.intersection(&completed.0).count(),
        None => completed.len(),
    };
    match (rule["succeededCount"].as_u64(), &wanted) {
        (Some(count), _) => usize::try_from(count).is_ok_and(|count| found >= count),
        (None, Some(wanted)) => found == wanted.len(),
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Indexes, met};
    use serde_json::{Value, json};

    #[test]
    fn indexes_are_written_as_ranges_of_three_and_more() {
        for text in ["", "0", "0,1", "0-2", "1,3-5,7,8"] {
            assert_eq!(Indexes::parse(text).to_string(), text);
        }
    }

    #[test]
    fn a_success_policy_is_met_by_indexes_by_a_count_or_by_both() {
        let check = |rule: Value, completed: &str, expected: bool| {
            let policy = json!({"rules": [rule]});
            let found = met(&policy, &Indexes::parse(completed)).is_some();
            assert_eq!(found, expected, "{policy} with {completed}");
        };
        check(json!({"succeededIndexes": "0-1"}), "0,1,4", true);
        check(json!({"succeededIndexes": "0-1"}), "0,4", false);
        check(json!({"succeededCount": 2}), "3,4", true);
        check(
            json!({"succeededIndexes": "0-3", "succeededCount": 2}),
            "0,9",
            false,
        );
        check(
            json!({"succeededIndexes": "0-3", "succeededCount": 2}),
            "0,3",
            true,
        );
    }
}
