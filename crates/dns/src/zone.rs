//! A zone as it is given, and its compilation into nodes with encoded answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::encoded::{Encoded, Encoder, Owner, Section, TooLong};
use crate::error::Error;
use crate::name::Name;
use crate::record::{Record, RecordType, Soa, name_length};

/// The TTL of answers to ANY: as good as for ever.
const ANY_TTL_SECS: u32 = 86_400;

/// A zone's static records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// The name at its top.
    pub origin: Name,
    /// All records, the SOA and NS of the origin among them, in any order.
    pub records: Vec<Record>,
}

impl Zone {
    /// A zone with its start of authority and name servers.
    pub fn new(origin: Name, ttl_secs: u32, soa: &Soa, name_servers: &[Name]) -> Self {
        let start = Record::new(origin.clone(), ttl_secs, RecordType::SOA, soa.data());
        let servers = name_servers
            .iter()
            .map(|server| Record::name(origin.clone(), ttl_secs, RecordType::NS, server));
        let records = std::iter::once(start).chain(servers).collect();
        Self { origin, records }
    }

    /// Checks the zone as a whole, as publishing it would.
    ///
    /// # Errors
    /// `Error::Zone` with the first thing that is wrong.
    pub fn check(&self) -> Result<Checked, Error> {
        CompiledZone::compile(self).map(|compiled| Checked(Arc::new(compiled)))
    }
}

/// A zone whose records fit together, compiled; cheap to clone.
#[derive(Debug, Clone)]
pub struct Checked(pub(crate) Arc<CompiledZone>);

/// What all answers of a zone share.
#[derive(Debug, Clone)]
pub(crate) struct ZoneCore {
    pub(crate) origin: Name,
    /// Counters tell zones apart by it.
    pub(crate) number: u16,
    /// The SOA for the authority section of negative answers (RFC 2308 § 3).
    pub(crate) negative: Encoded,
    pub(crate) negative_ttl_secs: u32,
    /// Where the negative SOA's TTL stands.
    pub(crate) negative_ttl_at: usize,
    /// The answer to ANY (RFC 8482 § 4.2).
    pub(crate) any: Encoded,
    /// DS records of delegations, which are the parent's (RFC 4035 § 3.1.4.1).
    pub(crate) ds: BTreeMap<Name, Arc<Encoded>>,
}

/// An alias: its CNAME record, and where it leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Alias {
    pub(crate) record: Encoded,
    pub(crate) target: Name,
}

/// A DNAME: its record, and where it leads (RFC 6672).
#[derive(Debug)]
pub(crate) struct Redirection {
    pub(crate) record: Encoded,
    pub(crate) ttl_secs: u32,
    pub(crate) target: Name,
}

/// Static content of one name that the zone answers for.
#[derive(Debug, Clone, Default)]
pub(crate) struct StaticNode {
    /// Few, and in the node itself: one load less on the way to an answer.
    pub(crate) types: SmallVec<[(RecordType, Arc<Encoded>); 2]>,
    pub(crate) alias: Option<Arc<Alias>>,
    pub(crate) redirection: Option<Arc<Redirection>>,
    /// NS records with glue, at a delegation.
    pub(crate) referral: Option<Arc<Encoded>>,
}

/// A zone whose answers are encoded.
#[derive(Debug)]
pub(crate) struct CompiledZone {
    pub(crate) core: Arc<ZoneCore>,
    /// Names with data and delegations; what a delegation or a DNAME occludes is left out.
    pub(crate) nodes: Arc<BTreeMap<Name, StaticNode>>,
    /// Whether some name of it hides what is below.
    occludes: bool,
}

impl CompiledZone {
    pub(crate) fn compile(zone: &Zone) -> Result<Self, Error> {
        let sets = gather(zone)?;
        check_apex(zone, &sets)?;
        let cover = occlusion(&zone.origin, &sets);
        let mut nodes = BTreeMap::new();
        let mut ds = BTreeMap::new();
        for (name, types) in &sets {
            check_node(&zone.origin, name, types)?;
            if cover.hides(name) {
                continue;
            }
            let long =
                |TooLong| refuse(&zone.origin, format!("the records of {name} are too long"));
            let node = compile_node(&zone.origin, name, types, &sets).map_err(long)?;
            if let (Some(_), Some(set)) = (&node.referral, types.get(&RecordType::DS)) {
                let encoded = encode_set(&zone.origin, RecordType::DS, set).map_err(long)?;
                ds.insert(name.clone(), Arc::new(encoded));
            }
            nodes.insert(name.clone(), node);
        }
        check_aliases(&zone.origin, &nodes)?;
        let occludes = |node: &StaticNode| node.referral.is_some() || node.redirection.is_some();
        Ok(Self {
            core: Arc::new(compile_core(&zone.origin, &sets, ds)?),
            occludes: nodes.values().any(occludes),
            nodes: Arc::new(nodes),
        })
    }

    /// The same, with a number by which counters know it.
    pub(crate) fn numbered(&self, number: u16) -> Self {
        let core = ZoneCore {
            number,
            ..ZoneCore::clone(&self.core)
        };
        Self {
            core: Arc::new(core),
            nodes: Arc::clone(&self.nodes),
            occludes: self.occludes,
        }
    }

    /// The delegation or DNAME that keeps this zone from answering for `name`, if any.
    pub(crate) fn occluder(&self, name: &Name) -> Option<Name> {
        if !self.occludes {
            return None;
        }
        name.ancestry()
            .take_while(|above| above.is_within(&self.core.origin))
            .find(|above| {
                self.nodes.get(above).is_some_and(|node| {
                    node.referral.is_some() || (node.redirection.is_some() && above != name)
                })
            })
    }
}

/// Records of one name and type: one TTL (RFC 2181 § 5.2), no duplicates (§ 5).
struct RecordSet {
    ttl_secs: u32,
    data: Vec<Box<[u8]>>,
}

impl RecordSet {
    fn new(ttl_secs: u32) -> Self {
        Self {
            ttl_secs,
            data: Vec::new(),
        }
    }

    fn add(&mut self, record: &Record) {
        self.ttl_secs = self.ttl_secs.min(record.ttl_secs);
        if !self.data.contains(&record.data) {
            self.data.push(record.data.clone());
        }
    }
}

type Types = BTreeMap<RecordType, RecordSet>;
type Sets = BTreeMap<Name, Types>;

fn refuse(origin: &Name, problem: String) -> Error {
    Error::Zone {
        origin: origin.clone(),
        problem,
    }
}

/// Sorts records by owner and type.
fn gather(zone: &Zone) -> Result<Sets, Error> {
    let mut sets = Sets::new();
    for record in &zone.records {
        if let Some(problem) = record_problem(&zone.origin, record) {
            return Err(refuse(&zone.origin, problem));
        }
        let set = sets
            .entry(record.owner.clone())
            .or_default()
            .entry(record.record_type)
            .or_insert_with(|| RecordSet::new(record.ttl_secs));
        set.add(record);
    }
    Ok(sets)
}

/// What is wrong with a record by itself.
pub(crate) fn record_problem(origin: &Name, record: &Record) -> Option<String> {
    let Record {
        owner,
        record_type,
        data,
        ..
    } = record;
    if !owner.is_within(origin) {
        return Some(format!("{owner} {record_type} lies outside the zone"));
    }
    let problem = check_data(*record_type, data).err()?;
    Some(format!("{owner} {record_type}: {problem}"))
}

/// What is wrong with the records of one name together.
pub(crate) fn together_problem<'r>(
    origin: &Name,
    name: &Name,
    records: impl Iterator<Item = &'r Record>,
) -> Option<String> {
    let mut types = Types::new();
    for record in records {
        let set = types.entry(record.record_type);
        let set = set.or_insert_with(|| RecordSet::new(record.ttl_secs));
        set.add(record);
    }
    match check_node(origin, name, &types) {
        Err(Error::Zone { problem, .. }) => Some(problem),
        _ => None,
    }
}

/// Checks the form of data that the engine reads itself.
pub(crate) fn check_data(record_type: RecordType, data: &[u8]) -> Result<(), &'static str> {
    let names = |prefix: usize, count: usize, suffix: usize| {
        let mut rest = data.get(prefix..)?;
        for _ in 0..count {
            rest = &rest[name_length(rest)?..];
        }
        (rest.len() == suffix).then_some(())
    };
    let sound = match record_type {
        RecordType::A => data.len() == 4,
        RecordType::AAAA => data.len() == 16,
        RecordType::NS | RecordType::CNAME | RecordType::PTR | RecordType::DNAME => {
            names(0, 1, 0).is_some()
        }
        RecordType::SOA => names(0, 2, 20).is_some(),
        RecordType::MX => names(2, 1, 0).is_some(),
        RecordType::SRV => names(6, 1, 0).is_some(),
        other if !other.is_data() => return Err("this type is not data"),
        _ => data.len() <= usize::from(u16::MAX),
    };
    if sound {
        Ok(())
    } else {
        Err("the data is malformed")
    }
}

fn check_apex(zone: &Zone, sets: &Sets) -> Result<(), Error> {
    let apex = sets.get(&zone.origin);
    match apex.and_then(|types| types.get(&RecordType::SOA)) {
        None => return Err(refuse(&zone.origin, "it has no SOA record".to_owned())),
        Some(set) if set.data.len() > 1 => {
            return Err(refuse(
                &zone.origin,
                "it has more than one SOA record".to_owned(),
            ));
        }
        Some(_) => {}
    }
    if !apex.is_some_and(|types| types.contains_key(&RecordType::NS)) {
        return Err(refuse(
            &zone.origin,
            "it has no NS record at its origin".to_owned(),
        ));
    }
    Ok(())
}

/// What may stand together at one name.
fn check_node(origin: &Name, name: &Name, types: &Types) -> Result<(), Error> {
    let problem = |text: &str| Err(refuse(origin, format!("{name} {text}")));
    let count = |record_type| types.get(&record_type).map_or(0, |set| set.data.len());
    if name != origin && count(RecordType::SOA) > 0 {
        return problem("has an SOA record but is not the origin");
    }
    if count(RecordType::CNAME) > 1 {
        return problem("has more than one CNAME record");
    }
    // RFC 2181 § 10.1.
    if count(RecordType::CNAME) == 1 && types.len() > 1 {
        return problem("has a CNAME record and other data");
    }
    // RFC 6672 § 2.4.
    if count(RecordType::DNAME) > 1 {
        return problem("has more than one DNAME record");
    }
    let target = types
        .get(&RecordType::DNAME)
        .map(|set| Name::from_wire(&set.data[0]));
    if target.is_some_and(|target| target.is_ok_and(|target| target.is_within(name))) {
        return problem("has a DNAME record that leads to itself or below");
    }
    // RFC 4592 § 4.2 and § 4.4: what these would mean is not defined.
    if name.is_wildcard() && (count(RecordType::NS) > 0 || count(RecordType::DNAME) > 0) {
        return problem("is a wildcard with an NS or DNAME record");
    }
    if name.is_wildcard() && name == origin {
        return problem("is a wildcard and the origin");
    }
    Ok(())
}

/// Names whose descendants the zone does not answer for.
struct Occlusion {
    tops: Vec<Name>,
}

impl Occlusion {
    fn hides(&self, name: &Name) -> bool {
        !self.tops.is_empty()
            && name
                .ancestry()
                .skip(1)
                .any(|above| self.tops.binary_search(&above).is_ok())
    }
}

fn occlusion(origin: &Name, sets: &Sets) -> Occlusion {
    let covers = |(name, types): &(&Name, &Types)| {
        types.contains_key(&RecordType::DNAME)
            || (*name != origin && types.contains_key(&RecordType::NS))
    };
    // Sorted, because the sets are.
    Occlusion {
        tops: sets
            .iter()
            .filter(covers)
            .map(|(name, _)| name.clone())
            .collect(),
    }
}

fn compile_node(
    origin: &Name,
    name: &Name,
    types: &Types,
    sets: &Sets,
) -> Result<StaticNode, TooLong> {
    if let Some(servers) = types.get(&RecordType::NS).filter(|_| name != origin) {
        let referral = Some(Arc::new(compile_referral(origin, name, servers, sets)?));
        return Ok(StaticNode {
            referral,
            ..StaticNode::default()
        });
    }
    if let Some(set) = types.get(&RecordType::CNAME) {
        let alias = Some(Arc::new(compile_alias(origin, set.ttl_secs, &set.data[0])?));
        return Ok(StaticNode {
            alias,
            ..StaticNode::default()
        });
    }
    let mut redirection = None;
    if let Some(set) = types.get(&RecordType::DNAME) {
        let mut encoder = Encoder::new(origin);
        let owner = Owner::Named(name);
        encoder.record(
            Section::Answer,
            owner,
            RecordType::DNAME,
            set.ttl_secs,
            &set.data[0],
        )?;
        let target = Name::from_wire(&set.data[0]).expect("the data was checked");
        let record = encoder.finish();
        redirection = Some(Arc::new(Redirection {
            record,
            ttl_secs: set.ttl_secs,
            target,
        }));
    }
    let mut encoded = SmallVec::new();
    for (record_type, set) in types {
        encoded.push((
            *record_type,
            Arc::new(encode_set(origin, *record_type, set)?),
        ));
    }
    Ok(StaticNode {
        types: encoded,
        redirection,
        ..StaticNode::default()
    })
}

fn encode_set(origin: &Name, record_type: RecordType, set: &RecordSet) -> Result<Encoded, TooLong> {
    let mut encoder = Encoder::new(origin);
    for data in &set.data {
        encoder.record(
            Section::Answer,
            Owner::Asked,
            record_type,
            set.ttl_secs,
            data,
        )?;
    }
    Ok(encoder.finish())
}

/// An alias in the zone at `origin`.
pub(crate) fn compile_alias(origin: &Name, ttl_secs: u32, data: &[u8]) -> Result<Alias, TooLong> {
    let mut encoder = Encoder::new(origin);
    encoder.record(
        Section::Answer,
        Owner::Asked,
        RecordType::CNAME,
        ttl_secs,
        data,
    )?;
    let target = Name::from_wire(data).expect("the data was checked");
    Ok(Alias {
        record: encoder.finish(),
        target,
    })
}

/// The NS records of a delegation with glue (RFC 1034 § 4.3.2 step 3b). Glue below the
/// delegation is needed, and without room for it the reply is truncated (RFC 9471 § 3.1); glue of
/// sibling delegations may be left out (§ 3.2). Addresses that are no glue are not sent.
fn compile_referral(
    origin: &Name,
    cut: &Name,
    servers: &RecordSet,
    sets: &Sets,
) -> Result<Encoded, TooLong> {
    let mut encoder = Encoder::new(origin);
    let owner = Owner::Named(cut);
    let mut names = Vec::new();
    for data in &servers.data {
        encoder.record(
            Section::Authority,
            owner,
            RecordType::NS,
            servers.ttl_secs,
            data,
        )?;
        names.push(Name::from_wire(data).expect("the data was checked"));
    }
    let below_a_cut = |name: &Name| {
        let inside = |above: &Name| above.is_within(origin) && above != origin;
        name.ancestry().take_while(inside).any(|above| {
            sets.get(&above)
                .is_some_and(|types| types.contains_key(&RecordType::NS))
        })
    };
    let (needed, sibling): (Vec<_>, Vec<_>) = names
        .into_iter()
        .filter(|name| below_a_cut(name))
        .partition(|name| name.is_within(cut));
    let mut first = true;
    for name in needed {
        glue(&mut encoder, &name, sets)?;
    }
    for name in sibling {
        if std::mem::take(&mut first) {
            encoder.may_end()?;
        }
        glue(&mut encoder, &name, sets)?;
        encoder.may_end()?;
    }
    Ok(encoder.finish())
}

fn glue(encoder: &mut Encoder, name: &Name, sets: &Sets) -> Result<(), TooLong> {
    let Some(types) = sets.get(name) else {
        return Ok(());
    };
    for record_type in [RecordType::A, RecordType::AAAA] {
        let Some(set) = types.get(&record_type) else {
            continue;
        };
        for data in &set.data {
            let owner = Owner::Named(name);
            encoder.record(Section::Additional, owner, record_type, set.ttl_secs, data)?;
        }
    }
    Ok(())
}

fn compile_core(
    origin: &Name,
    sets: &Sets,
    ds: BTreeMap<Name, Arc<Encoded>>,
) -> Result<ZoneCore, Error> {
    let set = &sets[origin][&RecordType::SOA];
    let minimum = set.data[0]
        .last_chunk()
        .map(|bytes| u32::from_be_bytes(*bytes));
    // RFC 2308 § 5.
    let negative_ttl_secs = set.ttl_secs.min(minimum.expect("the data was checked"));
    let mut encoder = Encoder::new(origin);
    let owner = Owner::Named(origin);
    encoder
        .record(
            Section::Authority,
            owner,
            RecordType::SOA,
            negative_ttl_secs,
            &set.data[0],
        )
        .map_err(|TooLong| refuse(origin, "its SOA record is too long".to_owned()))?;
    // The owner is a pointer to the origin, or the root's single byte.
    let owner_bytes = if origin.wire().len() > 1 { 2 } else { 1 };
    Ok(ZoneCore {
        origin: origin.clone(),
        number: 0,
        negative: encoder.finish(),
        negative_ttl_secs,
        negative_ttl_at: owner_bytes + 4,
        any: compile_any(origin),
        ds,
    })
}

/// An HINFO record that says why not all is told.
fn compile_any(origin: &Name) -> Encoded {
    let mut encoder = Encoder::new(origin);
    let data = b"\x07RFC8482\x00";
    encoder
        .record(
            Section::Answer,
            Owner::Asked,
            RecordType(13),
            ANY_TTL_SECS,
            data,
        )
        .expect("one short record fits");
    encoder.finish()
}

/// Follows every alias inside the zone: a circle is an error here, so that it is none for a
/// client.
fn check_aliases(origin: &Name, nodes: &BTreeMap<Name, StaticNode>) -> Result<(), Error> {
    let next = |name: &Name| {
        let found = nodes
            .get(name)
            .or_else(|| wildcard_for(nodes, origin, name));
        found
            .and_then(|node| node.alias.as_ref())
            .map(|alias| alias.target.clone())
    };
    let mut done = std::collections::BTreeSet::new();
    for start in nodes.keys() {
        let mut path = vec![start.clone()];
        while let Some(target) = next(path.last().expect("the path has its start")) {
            if done.contains(&target) {
                break;
            }
            if let Some(index) = path.iter().position(|name| *name == target) {
                let circle: Vec<_> = path[index..].iter().map(ToString::to_string).collect();
                let problem = format!("CNAME circle: {} -> {target}", circle.join(" -> "));
                return Err(refuse(origin, problem));
            }
            path.push(target);
        }
        done.extend(path);
    }
    Ok(())
}

/// The wildcard that answers for `name`, which itself does not exist (RFC 4592 § 3.3.1).
fn wildcard_for<'a>(
    nodes: &'a BTreeMap<Name, StaticNode>,
    origin: &Name,
    name: &Name,
) -> Option<&'a StaticNode> {
    let exists = |above: &Name| {
        nodes
            .range(above.clone()..)
            .next()
            .is_some_and(|(next, _)| next.is_within(above))
    };
    if !name.is_within(origin) || exists(name) {
        return None;
    }
    let encloser = name.ancestry().skip(1).find(|above| exists(above))?;
    nodes.get(&encloser.child("*").ok()?)
}
