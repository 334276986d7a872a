//! A few zones among many change: their names are put anew into the table, and the others stay as they are.
//!
//! Names of zones that lie inside each other depend on each other, so that this is for zones that stand
//! alone. For the rest, and for many at once, the table is composed of all zones.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use crate::name::Name;
use crate::names::Names;
use crate::snapshot::{Changes, SnapshotBuilder, Zones, beside_static};

/// One part in so many of all names is changed in place; with more, the table is composed sooner.
const PART: usize = 4;
/// So few names are changed in place whatever the whole is.
const NAMES_MIN: usize = 32;

impl SnapshotBuilder {
    /// Whether the changed zones are few names, stand alone, and leave the table room.
    pub(crate) fn can_graft(&self) -> bool {
        let size = |zones: &Zones| -> usize {
            let changed = self.zones_changed.iter();
            let changed = changed.filter_map(|origin| zones.get(origin));
            changed.map(|zone| zone.nodes.len()).sum()
        };
        let (gone, new) = (size(&self.zones_before), size(&self.zones));
        let most = (self.names.len() / PART).max(NAMES_MIN);
        let alone = |origin: &Name| {
            [&self.zones_before, &self.zones]
                .iter()
                .all(|zones| stands_alone(origin, zones))
        };
        gone.max(new) <= most
            && self.names.has_room_for(new + self.changes.len())
            && self.zones_changed.iter().all(alone)
    }

    /// The table before, with the names of the changed zones and the changed steered names.
    pub(crate) fn graft(&mut self) -> Names {
        let mut names = std::mem::replace(&mut self.names, Names::with_capacity(0));
        let mut steered = self.uproot(&mut names);
        steered.extend(std::mem::take(&mut self.changes));
        for origin in &self.zones_changed {
            let Some(zone) = self.zones.get(origin) else {
                continue;
            };
            for (name, node) in zone.nodes.iter() {
                names.put_static(name, &zone.core, node);
            }
        }
        for (name, steering) in steered {
            let Some(zone) = self.zone_of(&name) else {
                continue;
            };
            // A zone that came later may leave no room for it.
            let steering = steering.filter(|it| beside_static(zone, &name, it).is_ok());
            names.put_steered(&name, &zone.core, steering);
        }
        names
    }

    /// Takes the names of the changed zones out, and gives those that were steered.
    fn uproot(&self, names: &mut Names) -> Changes {
        let changed = self.zones_changed.iter();
        let before = changed.filter_map(|origin| self.zones_before.get(origin));
        let cores: BTreeSet<_> = before.map(|zone| Arc::as_ptr(&zone.core)).collect();
        if cores.is_empty() {
            return Changes::new();
        }
        let gone = names.iter();
        let gone = gone.filter(|node| cores.contains(&Arc::as_ptr(&node.zone)));
        let gone: Vec<_> = gone.map(Arc::clone).collect();
        let mut steered = Changes::new();
        for node in gone {
            names.remove(&node.name);
            if let Some(steering) = &node.steered {
                steered.insert(node.name.clone(), Some(Arc::clone(steering)));
            }
        }
        steered
    }
}

/// Whether no zone holds another's origin: neither this one nor any other.
fn stands_alone(origin: &Name, zones: &Zones) -> bool {
    let above = origin.ancestry().skip(1).any(|it| zones.contains_key(&it));
    let after = (Bound::Excluded(origin), Bound::Unbounded);
    let next = zones.range::<Name, _>(after).next();
    !above && next.is_none_or(|(next, _)| !next.is_within(origin))
}

#[cfg(test)]
mod tests {
    use crate::name::Name;
    use crate::record::{Record, Soa};
    use crate::snapshot::{Snapshot, SnapshotBuilder};
    use crate::zone::Zone;
    use std::sync::Arc;

    fn zone(at: usize, serial: u32) -> Zone {
        let origin = Name::parse(&format!("z{at}.example")).unwrap();
        let server = origin.child("ns").unwrap();
        let soa = Soa {
            primary: server.clone(),
            mailbox: server.clone(),
            serial,
            refresh_secs: 1,
            retry_secs: 1,
            expire_secs: 1,
            minimum_secs: 1,
        };
        let mut zone = Zone::new(origin, 300, &soa, std::slice::from_ref(&server));
        zone.records
            .push(Record::address(server, 300, [192, 0, 2, 1].into()));
        zone
    }

    /// How many names two snapshots have in one.
    fn shared(before: &Snapshot, after: &Snapshot) -> usize {
        let kept = before.names.iter().filter(|node| {
            let now = after.names.get(node.name.wire());
            now.is_some_and(|now| Arc::ptr_eq(now, node))
        });
        kept.count()
    }

    #[test]
    fn a_zone_that_changes_leaves_the_names_of_all_others_where_they_are() {
        let mut builder = SnapshotBuilder::new();
        for at in 0..100 {
            builder.zone(&zone(at, 1)).unwrap();
        }
        let all = builder.build(1);
        assert_eq!(all.name_count(), 200);
        let mut builder = SnapshotBuilder::from(&all);
        builder.zone(&zone(7, 2)).unwrap();
        let changed = builder.build(2);
        assert_eq!((changed.name_count(), shared(&all, &changed)), (200, 198));
        let mut builder = SnapshotBuilder::from(&changed);
        builder.remove_zone(&zone(8, 1).origin);
        builder.zone(&zone(100, 1)).unwrap();
        let other = builder.build(3);
        assert_eq!((other.name_count(), shared(&changed, &other)), (200, 198));
    }
}
