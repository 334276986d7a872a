//! The way of one query from a name to its records, along aliases.

use std::sync::Arc;

use crate::address::Address;
use crate::choice::{Pick, Steering};
use crate::client::{Client, ReplyClass};
use crate::edns::ExtendedError;
use crate::encoded::Encoded;
use crate::lookup::{Found, Sought};
use crate::message::{Authority, Message, OwnerPointer};
use crate::name::NAME_BYTES_MAX;
use crate::names::{Names, Node};
use crate::record::RecordType;
use crate::snapshot::{CHAIN_MAX, Snapshot};
use crate::steered::Freshness;
use crate::view::ViewTable;
use crate::zone::{Redirection, ZoneCore};

pub(crate) const NOERROR: u16 = 0;
pub(crate) const SERVFAIL: u16 = 2;
const NXDOMAIN: u16 = 3;
const YXDOMAIN: u16 = 6;

/// What a query came to.
pub(crate) struct Outcome {
    pub(crate) rcode: u16,
    pub(crate) class: ReplyClass,
    pub(crate) authority: Authority,
    /// The prefix length for which a tailored answer is good.
    pub(crate) scope: u8,
    pub(crate) errors: [Option<ExtendedError>; 2],
    /// The number of the zone that answers.
    pub(crate) zone: u16,
}

impl Outcome {
    pub(crate) fn error(rcode: u16, class: ReplyClass, error: Option<ExtendedError>) -> Self {
        Self {
            rcode,
            class,
            authority: Authority::Others,
            scope: 0,
            errors: [error, None],
            zone: 0,
        }
    }
}

/// One query on its way along aliases.
pub(crate) struct Road<'s, 'm, 'o> {
    pub(crate) names: &'s Names,
    /// The zone of the question: aliases out of it are not followed.
    pub(crate) zone: &'s Arc<ZoneCore>,
    pub(crate) record_type: RecordType,
    pub(crate) client: &'m Client,
    pub(crate) subnet: Option<Address>,
    pub(crate) ahead: Option<Ahead<'s>>,
    pub(crate) owner: OwnerPointer,
    pub(crate) outcome: Outcome,
    pub(crate) message: &'m mut Message<'o>,
}

/// The view of a client subnet in the table that most names share, looked up before the name is:
/// the processor does both at once, where it would wait for one memory after the other.
#[derive(Clone, Copy)]
pub(crate) struct Ahead<'s> {
    views: &'s Arc<ViewTable>,
    found: (u16, u8),
}

impl<'s> Ahead<'s> {
    #[inline]
    pub(crate) fn look(snapshot: &'s Snapshot, subnet: Address) -> Option<Self> {
        let views = snapshot.views.as_ref()?;
        let (address, _) = subnet.inner();
        Some(Self {
            views,
            found: views.find(address),
        })
    }
}

/// Whether the road goes on.
enum Step<'s> {
    Done,
    /// With this name, in wire form.
    To(&'s [u8]),
    /// With the name that `Sought` now holds.
    Rewritten,
}

impl<'s> Road<'s, '_, '_> {
    #[inline]
    pub(crate) fn walk(mut self, sought: &mut Sought, mut found: Found<'s>) -> Outcome {
        self.zone = self.zone_of(found).unwrap_or(self.zone);
        for _ in 0..=CHAIN_MAX {
            let step = match found {
                Found::Exact(node) => self.at(node, sought),
                Found::Wildcard(node) => self.serve(node),
                Found::Below(node) => self.below(node, sought),
                Found::Outside => Step::Done,
            };
            match step {
                Step::Done => break,
                // A target is lower-cased already.
                Step::To(target) => sought.replace(target),
                Step::Rewritten => {}
            }
            if self.message.truncated {
                break;
            }
            found = sought.find(self.names);
            let zone = self.zone_of(found);
            if !zone.is_some_and(|zone| Arc::ptr_eq(zone, self.zone)) {
                break;
            }
        }
        self.outcome
    }

    /// The zone that answers for what was found: for DS at a zone's origin, the one above.
    #[inline]
    fn zone_of(&self, found: Found<'s>) -> Option<&'s Arc<ZoneCore>> {
        match found {
            Found::Exact(node) if self.record_type == RecordType::DS => {
                self.found_above(node).zone().or(found.zone())
            }
            _ => found.zone(),
        }
    }

    /// What the zone above has at the origin of another: DS records are the parent's
    /// (RFC 4035 § 3.1.4.1).
    #[cold]
    fn found_above(&self, node: &'s Node) -> Found<'s> {
        if node.name != node.zone.origin {
            return Found::Exact(node);
        }
        let mut sought = Sought::NOTHING;
        sought.read(node.name.wire(), node.name.label_count());
        sought.find_encloser(self.names)
    }

    /// The name exists.
    #[inline]
    fn at(&mut self, node: &'s Node, sought: &mut Sought) -> Step<'s> {
        if self.record_type == RecordType::DS {
            return self.delegation_signer(node, sought);
        }
        match node.referral() {
            Some(referral) => self.refer(referral),
            None => self.serve(node),
        }
    }

    /// The name does not exist, but this one above it does.
    fn below(&mut self, node: &'s Node, sought: &mut Sought) -> Step<'s> {
        if let Some(referral) = node.referral() {
            return self.refer(referral);
        }
        if let Some(redirection) = node.redirection() {
            return self.redirect(redirection, node, sought);
        }
        // RFC 6604 § 2.1: the code is that of the last name in the chain.
        self.outcome.rcode = NXDOMAIN;
        self.negative(&node.zone, ReplyClass::NxDomain, u32::MAX);
        Step::Done
    }

    /// The records of a node, for the name that was asked.
    #[inline]
    fn serve(&mut self, node: &'s Node) -> Step<'s> {
        if let Some(steering) = &node.steered {
            return self.steer(node, steering);
        }
        if let Some(alias) = node.alias() {
            self.owner = self.message.append_alias(&alias.record, self.owner);
            return self.after_alias(alias.target.wire());
        }
        self.serve_static(node)
    }

    #[inline]
    fn serve_static(&mut self, node: &'s Node) -> Step<'s> {
        let types = &node.content.types;
        let asked = types
            .iter()
            .find(|(record_type, _)| *record_type == self.record_type);
        match asked {
            Some((_, encoded)) => self.message.append(encoded, self.owner),
            None if self.record_type == RecordType::ANY
                && (!types.is_empty() || node.steered.is_some()) =>
            {
                self.message.append(&node.zone.any, self.owner);
            }
            None => self.negative(&node.zone, ReplyClass::NoData, u32::MAX),
        }
        Step::Done
    }

    fn after_alias(&mut self, target: &'s [u8]) -> Step<'s> {
        match self.record_type {
            RecordType::CNAME | RecordType::ANY => Step::Done,
            _ => Step::To(target),
        }
    }

    /// The client's answer at a steered name.
    #[inline]
    fn steer(&mut self, node: &'s Node, steering: &'s Steering) -> Step<'s> {
        steering.note_asked(self.client.now_secs);
        let asked = steering
            .sets
            .iter()
            .find(|(record_type, _)| *record_type == self.record_type);
        if asked.is_none() && !steering.may_alias {
            return self.serve_static(node);
        }
        match steering.freshness {
            Freshness::Fresh => {}
            Freshness::Stale => self.outcome.errors[0] = Some(ExtendedError::Stale),
            Freshness::Expired => {
                let error = Some(ExtendedError::InvalidData);
                self.outcome = Outcome {
                    zone: self.outcome.zone,
                    ..Outcome::error(SERVFAIL, ReplyClass::ServFail, error)
                };
                return Step::Done;
            }
        }
        // RFC 7871 § 7.2.1: the subnet, else the address that asks. A prefix of length 0 asks
        // not to be tailored by more than that.
        let address = self.subnet.unwrap_or_else(|| self.client.source.into());
        let (address, start) = address.inner();
        let (view, depth) = match self.ahead {
            Some(ahead) if Arc::ptr_eq(ahead.views, &steering.views) => ahead.found,
            _ => steering.views.find(address),
        };
        // An alias answers for every type, whichever type's table it stands in.
        let mut sets = asked
            .map_or(&steering.sets[..], std::slice::from_ref)
            .iter();
        let picked = sets.find_map(|(_, set)| {
            let (pick, bits) = set.pick(view, address, self.client.entropy);
            (asked.is_some() || matches!(pick, Pick::Alias(_))).then_some((pick, bits))
        });
        let Some((pick, bits)) = picked else {
            return self.serve_static(node);
        };
        match pick {
            Pick::Records(encoded) => self.message.append(encoded, self.owner),
            Pick::Alias(alias) => {
                self.owner = self.message.append_alias(&alias.record, self.owner);
            }
            // Negative answers are not tailored (RFC 7871 § 7.4).
            Pick::NoData { ttl_secs } => {
                self.negative(&node.zone, ReplyClass::NoData, *ttl_secs);
                return Step::Done;
            }
            Pick::NothingHealthy { ttl_secs } => {
                self.outcome.errors[1] = Some(ExtendedError::NoReachableAuthority);
                self.negative(&node.zone, ReplyClass::NoData, *ttl_secs);
                return Step::Done;
            }
        }
        self.outcome.class = ReplyClass::Steered;
        if self.subnet.is_some() {
            self.outcome.scope = self.outcome.scope.max(start + depth.max(bits));
        }
        match pick {
            Pick::Alias(alias) => self.after_alias(alias.target.wire()),
            _ => Step::Done,
        }
    }

    /// A referral: not authoritative, unless aliases led here (RFC 1034 § 4.3.1).
    fn refer(&mut self, referral: &Encoded) -> Step<'s> {
        if self.owner.0 == OwnerPointer::QUESTION.0 {
            self.outcome.authority = Authority::Others;
            self.outcome.class = ReplyClass::Referral;
        }
        self.message.append(referral, self.owner);
        Step::Done
    }

    /// DS at a delegation, or at the origin of a zone below one that is here too.
    #[cold]
    fn delegation_signer(&mut self, node: &'s Node, sought: &mut Sought) -> Step<'s> {
        let is_origin = node.name == node.zone.origin;
        if !is_origin && node.referral().is_none() {
            return self.serve(node);
        }
        let above = self.found_above(node);
        if let Found::Below(above) = above
            && (above.referral().is_some() || above.redirection().is_some())
        {
            return self.below(above, sought);
        }
        let zone = above.zone().unwrap_or(&node.zone);
        match zone.ds.get(&node.name) {
            Some(encoded) => self.message.append(encoded, self.owner),
            None => self.negative(zone, ReplyClass::NoData, u32::MAX),
        }
        Step::Done
    }

    /// A DNAME and the CNAME made from it (RFC 6672 § 3.2).
    #[cold]
    fn redirect(
        &mut self,
        redirection: &'s Redirection,
        node: &'s Node,
        sought: &mut Sought,
    ) -> Step<'s> {
        self.message
            .append(&redirection.record, OwnerPointer::QUESTION);
        let kept = sought.len - node.name.wire().len();
        let target = redirection.target.wire();
        if kept + target.len() > NAME_BYTES_MAX {
            self.outcome.rcode = YXDOMAIN;
            return Step::Done;
        }
        sought.wire[kept..kept + target.len()].copy_from_slice(target);
        let labels = sought.labels - node.name.label_count() + redirection.target.label_count();
        sought.rewritten(kept + target.len(), labels);
        let made = &sought.wire[..sought.len];
        self.owner = self
            .message
            .append_synthesized(self.owner, redirection.ttl_secs, made);
        match self.record_type {
            RecordType::CNAME | RecordType::ANY => Step::Done,
            _ => Step::Rewritten,
        }
    }

    /// The zone's SOA, for as long as a resolver may believe that there is nothing
    /// (RFC 2308 § 3 and § 5), but no longer than `ttl_secs`.
    #[inline]
    fn negative(&mut self, zone: &ZoneCore, class: ReplyClass, ttl_secs: u32) {
        self.outcome.class = class;
        let ttl_secs = ttl_secs.min(zone.negative_ttl_secs);
        self.message
            .append_with_ttl(&zone.negative, zone.negative_ttl_at, ttl_secs);
    }
}
