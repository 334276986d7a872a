//! What is published: an immutable view of all zones, and how one is built from another.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::choice::{self, Interned, Steering};
use crate::edition::{Edition, Transfer};
use crate::error::Error;
use crate::name::Name;
use crate::names::Names;
use crate::record::RecordType;
use crate::steered::{Freshness, Steered};
use crate::view::ViewTable;
use crate::zone::{Checked, CompiledZone, Zone};

pub(crate) type Zones = BTreeMap<Name, Arc<CompiledZone>>;
/// Steered names that come or change, or go. In no order: a start has a hundred thousand of them.
pub(crate) type Changes = HashMap<Name, Option<Arc<Steering>>>;
type Transfers = BTreeMap<Name, Arc<Edition>>;
type Numbers = BTreeMap<Name, u16>;
type Updaters = BTreeMap<Name, BTreeSet<Name>>;

/// The most aliases that are followed for one query. A chain across steered names can only be
/// this long; circles are refused when they are given.
pub(crate) const CHAIN_MAX: usize = 16;

/// How many zones have a number of their own: counters have a place for each.
pub const ZONES_NUMBERED_MAX: u16 = 1023;

/// All that is known when a query is answered. Immutable; parts that did not change are shared
/// with the snapshot it was built from.
#[derive(Clone)]
pub struct Snapshot {
    pub(crate) generation: u64,
    pub(crate) freshness: Freshness,
    pub(crate) zones: Arc<Zones>,
    pub(crate) names: Names,
    /// The table of views that a steered name had last, and most others probably have.
    pub(crate) views: Option<Arc<ViewTable>>,
    /// Zones that have secondaries.
    pub(crate) transfers: Arc<Transfers>,
    /// By origin, the keys that may change challenges.
    pub(crate) updaters: Arc<Updaters>,
    /// Every zone that was ever added has its number for good.
    numbers: Arc<Numbers>,
}

impl Snapshot {
    /// A snapshot without zones: every query is refused.
    pub fn empty() -> Self {
        SnapshotBuilder::new().build(0)
    }

    /// The number that the builder was given.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the answers are known to be current.
    pub fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// The zones' origins, in canonical order.
    pub fn zones(&self) -> impl Iterator<Item = &Name> {
        self.zones.keys()
    }

    /// The number of each zone, as replies have it. A zone keeps its number, and nobody else gets it;
    /// those after the first [`ZONES_NUMBERED_MAX`] have none.
    pub fn zone_numbers(&self) -> &Arc<BTreeMap<Name, u16>> {
        &self.numbers
    }

    /// When a steered name was asked for last, in seconds since 1970 and about a minute late, by whoever answers from
    /// this snapshot or one before it; none when it never was. Names that are steered alike may count as one.
    pub fn asked_secs(&self, name: &Name) -> Option<u32> {
        let steering = self.names.get(name.wire())?.steered.as_ref()?;
        Some(steering.asked_secs.load(Ordering::Relaxed)).filter(|at| *at != 0)
    }

    /// How many names exist, empty non-terminals included.
    pub fn name_count(&self) -> usize {
        self.names.len()
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Snapshot")
            .field("generation", &self.generation)
            .field("freshness", &self.freshness)
            .field("zones", &self.zones.keys())
            .field("names", &self.names.len())
            .finish()
    }
}

/// Builds a [`Snapshot`], from nothing or from the one before.
///
/// Whatever is refused leaves the builder as it was: the caller reports the error and goes on.
pub struct SnapshotBuilder {
    freshness: Freshness,
    pub(crate) zones: Arc<Zones>,
    /// The zones of the snapshot before.
    pub(crate) zones_before: Arc<Zones>,
    /// The names of the snapshot before.
    pub(crate) names: Names,
    /// Origins of zones that come, change or go.
    pub(crate) zones_changed: BTreeSet<Name>,
    /// Steered names that come, change or go.
    pub(crate) changes: Changes,
    interned: Interned,
    views: Option<Arc<ViewTable>>,
    /// What was compiled last, for which zone and from what.
    last: Option<(Name, Steered, Arc<Steering>)>,
    transfers: Arc<Transfers>,
    updaters: Arc<Updaters>,
    numbers: Arc<Numbers>,
}

impl Default for SnapshotBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl SnapshotBuilder {
    /// Starts from nothing.
    pub fn new() -> Self {
        Self {
            freshness: Freshness::Fresh,
            zones: Arc::default(),
            zones_before: Arc::default(),
            names: Names::with_capacity(0),
            zones_changed: BTreeSet::new(),
            changes: Changes::new(),
            interned: Interned::default(),
            views: None,
            last: None,
            transfers: Arc::default(),
            updaters: Arc::default(),
            numbers: Arc::default(),
        }
    }

    /// Starts from `snapshot`: what is not changed is shared with it.
    pub fn from(snapshot: &Snapshot) -> Self {
        Self {
            freshness: snapshot.freshness,
            zones: Arc::clone(&snapshot.zones),
            zones_before: Arc::clone(&snapshot.zones),
            names: snapshot.names.clone(),
            views: snapshot.views.clone(),
            transfers: Arc::clone(&snapshot.transfers),
            updaters: Arc::clone(&snapshot.updaters),
            numbers: Arc::clone(&snapshot.numbers),
            ..Self::new()
        }
    }

    /// Whether all answers are current, stale or too old to be served.
    pub fn freshness(&mut self, freshness: Freshness) {
        self.freshness = freshness;
    }

    /// Adds a zone, or replaces the one with its origin. Steered names in it stay, where its
    /// static records allow.
    ///
    /// # Errors
    /// `Error::Zone` when its records do not fit together; the zone that was there stays.
    pub fn zone(&mut self, zone: &Zone) -> Result<(), Error> {
        self.checked_zone(&zone.check()?)
    }

    /// The same with one that was checked, and is compiled by that.
    ///
    /// # Errors
    /// `Error::Zone` when its aliases lead in a circle; the zone that was there stays.
    pub fn checked_zone(&mut self, checked: &Checked) -> Result<(), Error> {
        let origin = checked.0.core.origin.clone();
        let number = self.number(&origin);
        let compiled = Arc::new(checked.0.numbered(number));
        let before = Arc::clone(&self.zones);
        Arc::make_mut(&mut self.zones).insert(origin.clone(), Arc::clone(&compiled));
        // A static alias may now lead to a steered one that leads back.
        for (name, node) in compiled.nodes.iter() {
            if node.alias.is_some()
                && let Some(circle) = self.circle(name, None)
            {
                self.zones = before;
                return Err(Error::Zone {
                    origin,
                    problem: circle,
                });
            }
        }
        self.zones_changed.insert(origin);
        Ok(())
    }

    /// The number of a zone, which it gets when it comes first.
    fn number(&mut self, origin: &Name) -> u16 {
        if let Some(number) = self.numbers.get(origin) {
            return *number;
        }
        let next = u16::try_from(self.numbers.len() + 1).unwrap_or(u16::MAX);
        if next > ZONES_NUMBERED_MAX {
            return 0;
        }
        Arc::make_mut(&mut self.numbers).insert(origin.clone(), next);
        next
    }

    /// Removes a zone with all its names.
    pub fn remove_zone(&mut self, origin: &Name) {
        if Arc::make_mut(&mut self.zones).remove(origin).is_some() {
            self.zones_changed.insert(origin.clone());
        }
        self.end_transfer(origin);
    }

    /// Lets secondaries have a zone. What they get is what is given here, until it is given anew
    /// with a later serial; what changed between two is remembered for IXFR.
    ///
    /// # Errors
    /// `Error::Zone` when there is no such zone, or its records have no SOA; what was there stays.
    pub fn transfer(&mut self, origin: &Name, transfer: &Transfer) -> Result<(), Error> {
        if !self.zones.contains_key(origin) {
            return Err(Error::Zone {
                origin: origin.clone(),
                problem: "there is no such zone to transfer".to_owned(),
            });
        }
        let before = self.transfers.get(origin).map(Arc::as_ref);
        let edition = Edition::new(origin, transfer, before)?;
        Arc::make_mut(&mut self.transfers).insert(origin.clone(), Arc::new(edition));
        Ok(())
    }

    /// Lets nobody have a zone any more.
    pub fn end_transfer(&mut self, origin: &Name) {
        if self.transfers.contains_key(origin) {
            Arc::make_mut(&mut self.transfers).remove(origin);
        }
    }

    /// By origin, the names of the keys that may change its challenges (RFC 2136); nobody may in other
    /// zones.
    pub fn updaters(&mut self, updaters: BTreeMap<Name, BTreeSet<Name>>) {
        self.updaters = Arc::new(updaters);
    }

    /// Steers a name, or changes how it is steered. Its zone must be there already.
    ///
    /// # Errors
    /// `Error::Steered` when no zone holds the name, a delegation or a static record stands in
    /// its way, an answer is malformed, or aliases would form a circle.
    pub fn steer(&mut self, name: &Name, steered: &Steered) -> Result<(), Error> {
        let refuse = |problem| Error::Steered {
            name: name.clone(),
            problem,
        };
        let Some(zone) = self.zone_of(name).cloned() else {
            return Err(refuse(
                "no zone holds it: add one, or correct the name".to_owned(),
            ));
        };
        let steering = self.compiled(&zone.core.origin, steered);
        let steering = steering.map_err(refuse)?;
        beside_static(&zone, name, &steering).map_err(refuse)?;
        if steering.may_alias
            && let Some(circle) = self.circle(name, Some(&steering))
        {
            return Err(refuse(circle));
        }
        self.views = Some(Arc::clone(&steered.views));
        let note = |before: &Steering| {
            let asked_secs = before.asked_secs.load(Ordering::Relaxed);
            steering.asked_secs.fetch_max(asked_secs, Ordering::Relaxed);
        };
        match self
            .changes
            .insert(name.clone(), Some(Arc::clone(&steering)))
        {
            Some(before) => before.as_deref().map(note),
            None => {
                let before = self.names.get(name.wire());
                before.and_then(|node| node.steered.as_deref()).map(note)
            }
        };
        Ok(())
    }

    /// Names that are steered alike, one after another, share what is compiled: it is in the cache
    /// for all of them when one is asked for.
    fn compiled(&mut self, origin: &Name, steered: &Steered) -> Result<Arc<Steering>, String> {
        if let Some((zone, like, steering)) = &self.last
            && zone == origin
            && Arc::ptr_eq(&like.views, &steered.views)
            && like.records == steered.records
            && like.freshness == steered.freshness
        {
            return Ok(Arc::clone(steering));
        }
        let compiled = choice::compile(steered, origin, &mut self.interned)?;
        let compiled = Arc::new(compiled);
        self.last = Some((origin.clone(), steered.clone(), Arc::clone(&compiled)));
        Ok(compiled)
    }

    /// Stops steering a name; static records at it stay.
    pub fn release(&mut self, name: &Name) {
        self.changes.insert(name.clone(), None);
    }

    /// The snapshot. `generation` is for the caller to tell snapshots apart.
    pub fn build(mut self, generation: u64) -> Snapshot {
        let names = if self.zones_changed.is_empty() {
            self.amend()
        } else if self.can_graft() {
            self.graft()
        } else {
            self.compose()
        };
        Snapshot {
            generation,
            freshness: self.freshness,
            zones: self.zones,
            names,
            views: self.views,
            transfers: self.transfers,
            updaters: self.updaters,
            numbers: self.numbers,
        }
    }

    /// The table before with the changed names: copies their shards only.
    fn amend(&mut self) -> Names {
        let mut names = std::mem::replace(&mut self.names, Names::with_capacity(0));
        for (name, steering) in std::mem::take(&mut self.changes) {
            if let Some(zone) = self.zone_of(&name) {
                names.put_steered(&name, &zone.core, steering);
            }
        }
        names
    }

    /// A new table of all zones, longest match first, and all steered names.
    fn compose(&mut self) -> Names {
        let steered = self.all_steered();
        let count = self
            .zones
            .values()
            .map(|zone| zone.nodes.len())
            .sum::<usize>();
        let mut names = Names::with_capacity(count + steered.len());
        for zone in self.zones.values() {
            let origin = &zone.core.origin;
            // A zone below another exists there as well, whatever the other says.
            if let Some(parent) = origin.parent()
                && let Some(outer) = self.zone_of(&parent)
                && outer.occluder(&parent).is_none()
            {
                names.ensure(origin, &outer.core);
            }
            for (name, node) in zone.nodes.iter() {
                if self
                    .zone_of(name)
                    .is_some_and(|longest| longest.core.origin == *origin)
                {
                    names.put_static(name, &zone.core, node);
                }
            }
        }
        for (name, steering) in steered {
            let (Some(steering), Some(zone)) = (steering, self.zone_of(&name)) else {
                continue;
            };
            // A zone that came later may leave no room for it.
            if beside_static(zone, &name, &steering).is_ok() {
                names.put_steered(&name, &zone.core, Some(steering));
            }
        }
        names
    }

    /// Every name that is steered, or is no longer.
    fn all_steered(&mut self) -> Changes {
        let mut steered = std::mem::take(&mut self.changes);
        for node in self.names.iter() {
            if let Some(steering) = &node.steered
                && !steered.contains_key(&node.name)
            {
                steered.insert(node.name.clone(), Some(Arc::clone(steering)));
            }
        }
        steered
    }

    pub(crate) fn zone_of(&self, name: &Name) -> Option<&Arc<CompiledZone>> {
        name.ancestry().find_map(|above| self.zones.get(&above))
    }

    fn steering_of(&self, name: &Name) -> Option<&Steering> {
        match self.changes.get(name) {
            Some(change) => change.as_deref(),
            None => self
                .names
                .get(name.wire())
                .and_then(|node| node.steered.as_deref()),
        }
    }

    /// Says how an alias at `start`, which is or will be steered as given, leads back to itself.
    fn circle(&self, start: &Name, steering: Option<&Steering>) -> Option<String> {
        let mut seen = BTreeSet::new();
        let mut open = self.alias_targets(start, steering);
        while let Some(name) = open.pop() {
            if name == *start {
                return Some(format!("its aliases lead back to {start}: a CNAME circle"));
            }
            if seen.insert(name.clone()) {
                open.extend(self.alias_targets(&name, None));
            }
        }
        None
    }

    fn alias_targets(&self, name: &Name, steering: Option<&Steering>) -> Vec<Name> {
        let steering = steering.or_else(|| self.steering_of(name));
        let steered = steering.into_iter().flat_map(|steering| &steering.sets);
        let mut targets: Vec<_> = steered
            .flat_map(|(_, set)| set.aliases().map(|alias| alias.target.clone()))
            .collect();
        let zone = self.zone_of(name);
        if let Some(alias) = zone.and_then(|zone| zone.nodes.get(name)?.alias.as_ref()) {
            targets.push(alias.target.clone());
        }
        targets
    }
}

/// Whether a steered name can stand where it is given.
pub(crate) fn beside_static(
    zone: &CompiledZone,
    name: &Name,
    steering: &Steering,
) -> Result<(), String> {
    if let Some(occluder) = zone.occluder(name) {
        return Err(format!(
            "{occluder} is delegated or redirected by a DNAME, and hides it"
        ));
    }
    let Some(node) = zone.nodes.get(name) else {
        return Ok(());
    };
    if node.alias.is_some() {
        return Err("it has a static CNAME record: remove one of the two".to_owned());
    }
    // RFC 2181 § 10.1.
    if steering.may_alias && !node.types.is_empty() {
        return Err("it is an alias for some clients but has static records: \
                    remove them, or give addresses instead of a hostname"
            .to_owned());
    }
    let both = |(record_type, _): &&(RecordType, _)| {
        steering
            .sets
            .iter()
            .any(|(steered, _)| steered == record_type)
    };
    match node.types.iter().find(both) {
        Some((record_type, _)) => Err(format!(
            "it has static {record_type} records: remove one of the two"
        )),
        None => Ok(()),
    }
}
