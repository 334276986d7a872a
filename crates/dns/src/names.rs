//! All names of all zones in one hash table, in small shards that snapshots share.
//!
//! Zones need no table of their own: every name knows its zone, names that a delegation hides are
//! not in the table, and so the closest name that is found also tells the zone.

use std::sync::Arc;

use crate::choice::Steering;
use crate::encoded::Encoded;
use crate::hash;
use crate::name::Name;
use crate::record::RecordType;
use crate::words;
use crate::zone::{Alias, Redirection, StaticNode, ZoneCore};

/// How many names a shard holds on average: what a change of one name copies.
const SHARD_NAMES: usize = 32;
/// The least number of slots in a shard.
const SHARD_SLOTS_MIN: usize = 4;

/// A name that exists, and what is there.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) name: Name,
    pub(crate) zone: Arc<ZoneCore>,
    pub(crate) content: StaticNode,
    pub(crate) steered: Option<Arc<Steering>>,
    /// How many names exist directly below: with some, the name exists without data of its own
    /// (RFC 4592 § 2.2.2).
    children: u32,
    /// Whether one of these is a wildcard.
    pub(crate) has_wildcard: bool,
}

impl Node {
    fn empty(name: Name, zone: Arc<ZoneCore>) -> Self {
        let content = StaticNode::default();
        Self {
            name,
            zone,
            content,
            steered: None,
            children: 0,
            has_wildcard: false,
        }
    }

    pub(crate) fn alias(&self) -> Option<&Alias> {
        self.content.alias.as_deref()
    }

    pub(crate) fn redirection(&self) -> Option<&Redirection> {
        self.content.redirection.as_deref()
    }

    pub(crate) fn referral(&self) -> Option<&Encoded> {
        self.content.referral.as_deref()
    }

    /// Whether records of a type stand there that is wanted.
    pub(crate) fn has(&self, wanted: &dyn Fn(RecordType) -> bool) -> bool {
        let content = &self.content;
        let types = content.types.iter().map(|(record_type, _)| *record_type);
        let steered = self.steered.iter().flat_map(|it| &it.sets);
        let steered = steered.map(|(record_type, _)| *record_type);
        let one = |there: bool, record_type| there.then_some(record_type);
        types
            .chain(steered)
            .chain(one(content.alias.is_some(), RecordType::CNAME))
            .chain(one(content.redirection.is_some(), RecordType::DNAME))
            .chain(one(content.referral.is_some(), RecordType::NS))
            .any(wanted)
    }

    fn has_data(&self) -> bool {
        let content = &self.content;
        !content.types.is_empty()
            || content.alias.is_some()
            || content.redirection.is_some()
            || content.referral.is_some()
            || self.steered.is_some()
    }
}

#[derive(Debug, Clone, Default)]
struct Slot {
    hash: u64,
    node: Option<Arc<Node>>,
}

/// Slots in open addressing: a power of two, at most three quarters full; the place is the hash's
/// low bits.
type Shard = [Slot];

/// Names by the hash of their wire form.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// A power of two; the shard is chosen by the hash's high bits.
    shards: Vec<Arc<Shard>>,
    /// How many names each shard holds.
    used: Vec<u32>,
    /// How far the hash is shifted to give the shard.
    shift: u32,
    len: usize,
    /// The most labels of a name: longer questions need not be looked up whole.
    pub(crate) labels_max: usize,
}

impl Names {
    /// An empty table for about `len` names.
    pub(crate) fn with_capacity(len: usize) -> Self {
        let shards = len.div_ceil(SHARD_NAMES).next_power_of_two();
        // Room for half as many again as are expected: few shards have to grow.
        let slots = (len.div_ceil(shards) * 3 / 2).next_power_of_two();
        let empty: Arc<Shard> = vec![Slot::default(); slots.max(SHARD_SLOTS_MIN)].into();
        let shift = 64 - shards.trailing_zeros();
        Self {
            shards: std::iter::repeat_n(empty, shards).collect(),
            used: vec![0; shards],
            shift,
            len: 0,
            labels_max: 0,
        }
    }

    /// How many names exist, empty non-terminals included.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether shards stay about as small as they are meant to be with so many names more.
    pub(crate) fn has_room_for(&self, more: usize) -> bool {
        self.len + more <= self.shards.len() * SHARD_NAMES * 2
    }

    /// Finds a name by its lower-cased wire form.
    #[inline]
    pub(crate) fn get(&self, wire: &[u8]) -> Option<&Arc<Node>> {
        self.get_hashed(hash::of(wire), wire)
    }

    /// The same, by who has its hash already.
    #[inline]
    pub(crate) fn get_hashed(&self, hash: u64, wire: &[u8]) -> Option<&Arc<Node>> {
        let slots: &Shard = &self.shards[self.shard(hash)];
        let mask = slots.len() - 1;
        let mut at = place(hash) & mask;
        loop {
            let slot = &slots[at];
            let node = slot.node.as_ref()?;
            if slot.hash == hash && words::equal(node.name.wire(), wire) {
                return Some(node);
            }
            at = (at + 1) & mask;
        }
    }

    /// Every node, in no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.shards
            .iter()
            .flat_map(|shard| shard.iter())
            .filter_map(|slot| slot.node.as_ref())
    }

    /// Puts static content at a name.
    pub(crate) fn put_static(&mut self, name: &Name, zone: &Arc<ZoneCore>, content: &StaticNode) {
        let node = self.ensure(name, zone);
        node.zone = Arc::clone(zone);
        node.content = content.clone();
    }

    /// Steers a name, or stops to; what then has neither data nor names below goes.
    pub(crate) fn put_steered(
        &mut self,
        name: &Name,
        zone: &Arc<ZoneCore>,
        steered: Option<Arc<Steering>>,
    ) {
        match steered {
            Some(_) => self.ensure(name, zone).steered = steered,
            None => {
                if let Some(node) = self.get_mut(name.wire()) {
                    node.steered = None;
                    self.prune(name);
                }
            }
        }
    }

    /// The node of `name`, made together with the names between it and its zone's origin.
    pub(crate) fn ensure(&mut self, name: &Name, zone: &Arc<ZoneCore>) -> &mut Node {
        if self.get(name.wire()).is_none() {
            self.insert(Node::empty(name.clone(), Arc::clone(zone)));
            if *name != zone.origin
                && let Some(parent) = name.parent()
            {
                let above = self.ensure(&parent, zone);
                above.children += 1;
                above.has_wildcard |= name.is_wildcard();
            }
        }
        self.get_mut(name.wire()).expect("it was just made")
    }

    /// Removes `name` if nothing is there nor below, and then likewise what is above.
    fn prune(&mut self, name: &Name) {
        let mut name = name.clone();
        loop {
            let Some(node) = self.get(name.wire()) else {
                return;
            };
            if node.has_data() || node.children > 0 || name == node.zone.origin {
                return;
            }
            self.remove(&name);
            let Some(parent) = name.parent() else { return };
            if let Some(above) = self.get_mut(parent.wire()) {
                above.children -= 1;
                above.has_wildcard &= !name.is_wildcard();
            }
            name = parent;
        }
    }

    fn get_mut(&mut self, wire: &[u8]) -> Option<&mut Node> {
        let hash = hash::of(wire);
        let shard = self.shard(hash);
        self.get(wire)?;
        let shard = Arc::make_mut(&mut self.shards[shard]);
        let found = shard.iter_mut().filter(|slot| slot.hash == hash);
        found
            .filter_map(|slot| slot.node.as_mut())
            .find(|node| node.name.wire() == wire)
            .map(Arc::make_mut)
    }

    fn insert(&mut self, node: Node) {
        self.labels_max = self.labels_max.max(node.name.label_count());
        let hash = hash::of(node.name.wire());
        let at = self.shard(hash);
        let shard = &mut self.shards[at];
        self.used[at] += 1;
        if self.used[at] as usize * 4 > shard.len() * 3 {
            *shard = refilled(shard.iter(), shard.len() * 2);
        }
        fill(
            Arc::make_mut(shard),
            Slot {
                hash,
                node: Some(Arc::new(node)),
            },
        );
        self.len += 1;
    }

    /// Takes out a name as it is, whatever lies below.
    pub(crate) fn remove(&mut self, name: &Name) {
        let hash = hash::of(name.wire());
        let at = self.shard(hash);
        let shard = &mut self.shards[at];
        let other = |slot: &&Slot| slot.node.as_ref().is_some_and(|node| node.name != *name);
        *shard = refilled(shard.iter().filter(other), shard.len());
        self.used[at] -= 1;
        self.len -= 1;
    }

    fn shard(&self, hash: u64) -> usize {
        // A shift by 64 is a table of one shard.
        place(hash.checked_shr(self.shift).unwrap_or(0))
    }
}

/// A shard of `size` slots with what these hold.
fn refilled<'s>(slots: impl Iterator<Item = &'s Slot>, size: usize) -> Arc<Shard> {
    let mut shard = vec![Slot::default(); size];
    for slot in slots.filter(|slot| slot.node.is_some()) {
        fill(&mut shard, slot.clone());
    }
    shard.into()
}

fn fill(shard: &mut Shard, slot: Slot) {
    let mask = shard.len() - 1;
    let mut at = place(slot.hash) & mask;
    while shard[at].node.is_some() {
        at = (at + 1) & mask;
    }
    shard[at] = slot;
}

fn place(hash: u64) -> usize {
    hash as usize
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
