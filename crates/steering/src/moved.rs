//! Which share of the address space a change moves, and from where to where: counted from the prefix tables, address
//! by address, and no sample of clients.
//!
//! Two views are compared by the shares that clusters have in them. What both give to the same cluster stays; the rest
//! moves. So a hash counts with what rendezvous moves, and equal weights of other numbers with nothing.

use crate::{
    branches::Motion, engine::Engine, outcome::Rung, resolve::Hostnames, service::Service,
    world::World,
};
use geo::Family;
use model::ObjectKey;
use serde::Serialize;
use std::{collections::BTreeMap, fmt};

/// What a change moves, as parts of the public address space of each family, which is 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Moved {
    /// Of IPv4.
    pub v4: FamilyMoved,
    /// Of IPv6, of `2000::/3`.
    pub v6: FamilyMoved,
}

/// What a change moves in one family.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FamilyMoved {
    /// The part that is answered otherwise.
    pub moved: f64,
    /// From where to where, the largest first.
    pub flows: Vec<Flow>,
}

/// Clients that go from one answer to another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flow {
    /// The clusters that were named.
    pub from: String,
    /// Those that are.
    pub to: String,
    /// The part of the family's public space.
    pub share: f64,
}

/// A part of the space that is not worth telling: less than a single IPv4 address.
const SHARE_MIN: f64 = 1e-10;

impl Engine {
    /// What a service's answers are in another engine, compared with this one; nothing when either does not
    /// know the service or has not placed it.
    pub fn moved(&self, other: &Self, service: &ObjectKey, now: u64) -> Option<Moved> {
        let (before, after) = (self.services.get(service)?, other.services.get(service)?);
        let (old, new) = (self.world(now), other.world(now));
        moved((before, &old, old.motion()), (after, &new, new.motion()))
    }
}

/// A service as it stands in a world.
pub(crate) type Standing<'a> = (&'a Service, &'a World<'a>, Motion);

/// What changes from one to the other.
pub(crate) fn moved(before: Standing<'_>, after: Standing<'_>) -> Option<Moved> {
    let old_table = &before.0.table.as_ref()?.stored.table;
    let new_table = &after.0.table.as_ref()?.stored.table;
    let (old, new) = (shares(before)?, shares(after)?);
    let mut flows: [BTreeMap<(String, String), f64>; 2] = Default::default();
    for compared in old_table.compared(new_table) {
        let (from, to) = (
            &old[usize::from(compared.before)],
            &new[usize::from(compared.after)],
        );
        let family = match compared.family {
            Family::V4 => &mut flows[0],
            Family::V6 => &mut flows[1],
        };
        for (from, to, part) in between(from, to) {
            *family.entry((from, to)).or_default() += part * compared.share;
        }
    }
    let [v4, v6] = flows.map(FamilyMoved::of);
    Some(Moved { v4, v6 })
}

/// Per view, the part that each answer has.
fn shares((service, world, motion): Standing<'_>) -> Option<Vec<BTreeMap<String, f64>>> {
    let table = service.table.clone()?;
    let views = service.by_view(world, motion, &table, Hostnames::Aliases);
    let of = |(rung, picks): (Rung, Vec<crate::choose::Pick>)| {
        let mut shares: BTreeMap<String, f64> = BTreeMap::new();
        for pick in &picks {
            let names: Vec<_> = pick.clusters.iter().map(ToString::to_string).collect();
            *shares.entry(names.join("+")).or_default() += pick.share;
        }
        if shares.is_empty() {
            shares.insert(rung.label().to_owned(), 1.0);
        }
        shares
    };
    Some(views.into_iter().map(of).collect())
}

/// What leaves answers that lose, for those that gain, in the measure in which they do.
fn between(from: &BTreeMap<String, f64>, to: &BTreeMap<String, f64>) -> Vec<(String, String, f64)> {
    let part = |of: &BTreeMap<String, f64>, name: &str| {
        let whole: f64 = of.values().sum();
        of.get(name).copied().unwrap_or_default() / whole
    };
    let more = |of: &BTreeMap<String, f64>, than: &BTreeMap<String, f64>| -> Vec<(String, f64)> {
        let each = of
            .keys()
            .map(|name| (name.clone(), part(of, name) - part(than, name)));
        each.filter(|(_, part)| *part > 0.0).collect()
    };
    let (lost, gained) = (more(from, to), more(to, from));
    let whole: f64 = gained.iter().map(|(_, part)| part).sum();
    let mut flows = Vec::new();
    for (from, part) in &lost {
        for (to, gain) in &gained {
            flows.push((from.clone(), to.clone(), part * gain / whole));
        }
    }
    flows
}

impl FamilyMoved {
    fn of(flows: BTreeMap<(String, String), f64>) -> Self {
        let told = flows.into_iter().filter(|(_, share)| *share >= SHARE_MIN);
        let mut flows: Vec<_> = told
            .map(|((from, to), share)| Flow { from, to, share })
            .collect();
        flows.sort_by(|a, b| b.share.total_cmp(&a.share));
        Self {
            moved: flows.iter().map(|flow| flow.share).sum(),
            flows,
        }
    }
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, family) in [("IPv4", &self.v4), ("IPv6", &self.v6)] {
            let percent = family.moved * 100.0;
            writeln!(
                f,
                "  {percent:.2} % of public {name} addresses are answered otherwise"
            )?;
            for flow in &family.flows {
                let percent = flow.share * 100.0;
                writeln!(f, "    {percent:>6.2} %  {} -> {}", flow.from, flow.to)?;
            }
        }
        Ok(())
    }
}
