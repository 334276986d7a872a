//! The plan of a move, for people and for programs.

use super::survey::{Fate, Surveyed};
use super::{host, settings};
use crate::output::Table;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Everything that is known before anything is done.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) settings: Vec<settings::Row>,
    pub(super) host: Vec<host::Row>,
    pub(super) objects: Vec<Surveyed>,
}

impl Report {
    /// Whether no member would hold anything else than now, as far as all of them say, and every
    /// setting is followed.
    pub(super) fn is_clear(&self) -> bool {
        self.settings.iter().all(settings::Row::is_followed) && self.objects_stay()
    }

    fn objects_stay(&self) -> bool {
        let fates = self.objects.iter().map(|object| object.fate);
        let mut in_the_way =
            fates.filter(|fate| matches!(fate, Fate::Changed | Fate::Created | Fate::Unknown));
        in_the_way.next().is_none()
    }

    /// What was moved, in one line.
    pub(super) fn moved(&self) -> String {
        let moved = self
            .objects
            .iter()
            .filter(|object| matches!(object.fate, Fate::HandedOver | Fate::Changed));
        let (count, clusters) =
            moved.fold((0, BTreeSet::new()), |(count, mut clusters), object| {
                clusters.insert(&object.cluster);
                (count + 1, clusters)
            });
        format!(
            "{count} objects in {} clusters are meridian's",
            clusters.len()
        )
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut table = Table::new(&["KUBEFEDCONFIG", "VALUE", "WHAT BECOMES OF IT"]);
        for row in &self.settings {
            table.row([row.path.clone(), row.value.clone(), row.fate.clone()]);
        }
        let _ = writeln!(text, "{}", table.text());
        let mut table = Table::new(&["ON THE HOST", "WHAT BECOMES OF IT"]);
        for row in &self.host {
            table.row([row.what.clone(), row.fate.clone()]);
        }
        let _ = writeln!(text, "{}", table.text());
        let mut table = Table::new(&["OBJECT", "CLUSTER", "WHAT BECOMES OF IT", "WHY"]);
        for object in &self.objects {
            table.row([
                format!("{} {}", object.kind, object.name),
                object.cluster.to_string(),
                words(object.fate).to_owned(),
                object.reason.clone(),
            ]);
        }
        let _ = writeln!(text, "{}", table.text());
        let mut sums: BTreeMap<Fate, usize> = BTreeMap::new();
        for object in &self.objects {
            *sums.entry(object.fate).or_default() += 1;
        }
        let sums: Vec<String> = sums
            .into_iter()
            .map(|(fate, count)| format!("{count} {}", words(fate)))
            .collect();
        let _ = writeln!(
            text,
            "{}",
            match sums.is_empty() {
                true => "nothing is federated".to_owned(),
                false => sums.join(", "),
            }
        );
        if !self.settings.iter().all(settings::Row::is_followed) {
            text.push_str(
                "Some settings are NOT obeyed: --accept-changes says that this is meant.\n",
            );
        }
        if self.objects_stay() {
            text.push_str("No spec changes in any member, and no Pod is restarted.\n");
        }
        text
    }
}

fn words(fate: Fate) -> &'static str {
    match fate {
        Fate::HandedOver => "handed over",
        Fate::Changed => "CHANGED by meridian's first write",
        Fate::Created => "CREATED",
        Fate::Done => "meridian's already",
        Fate::LeftAlone => "left alone",
        Fate::Unknown => "NOT KNOWN",
    }
}
