//! Clients with private addresses: they are where the member is whose networks hold them.

use crate::harness::*;
use meridian_steering::{ClusterState, Event, MemberApi, Nearest, Policy, Pool, ServiceSpec};
use std::collections::{BTreeMap, BTreeSet};

fn with_networks(name: &str, region: &str, networks: &[&str]) -> Event {
    let Event::ClusterApplied(state) = cluster(name, region, MemberApi::Ready) else {
        unreachable!("it is a cluster")
    };
    let mut state: ClusterState = *state;
    let networks = networks.iter().map(|text| text.parse().expect("a network"));
    state.place.networks = networks.collect();
    Event::ClusterApplied(Box::new(state))
}

fn nearest() -> Replica {
    let nearest = Nearest {
        pool: Pool::default(),
        bias: BTreeMap::new(),
    };
    let spec = ServiceSpec {
        policy: Policy::Nearest(nearest),
        ..service()
    };
    Replica::with(spec, three())
}

/// The answers of many queries, since those of one place share.
fn answers(replica: &Replica, client: &str) -> BTreeSet<String> {
    replica.addresses(client).into_iter().collect()
}

#[test]
fn a_private_client_is_where_the_member_is_whose_network_holds_it() {
    let mut replica = nearest();
    let inside = ["10.7.1.9", "fd00:7::9", "100.64.7.9"];
    let before: Vec<_> = inside.map(|client| answers(&replica, client)).into();
    let networks = ["10.7.0.0/16", "fd00:7::/32", "100.64.7.0/24"];
    replica.tell([with_networks("frankfurt", "eu-central-1", &networks)]);
    for client in inside {
        assert_eq!(answers(&replica, client), [F.to_owned()].into(), "{client}");
    }
    // Elsewhere nothing changed, and public space is the database's.
    assert_eq!(answers(&replica, "10.8.1.9"), before[0]);
    replica.tell([with_networks(
        "frankfurt",
        "eu-central-1",
        &["202.106.0.0/16"],
    )]);
    assert_ne!(answers(&replica, BEIJING), [F.to_owned()].into());
    assert_eq!(answers(&replica, "10.7.1.9"), before[0], "it is taken back");
}

#[test]
fn a_longer_network_wins_and_one_that_two_places_name_is_nobodys() {
    let mut replica = nearest();
    let nowhere = answers(&replica, "10.7.1.9");
    replica.tell([
        with_networks("frankfurt", "eu-central-1", &["10.0.0.0/8", "10.9.0.0/16"]),
        with_networks("beijing-a", "cn-beijing", &["10.7.0.0/16", "10.9.0.0/16"]),
    ]);
    assert_eq!(answers(&replica, "10.8.1.9"), [F.to_owned()].into());
    assert!(!answers(&replica, "10.7.1.9").contains(F));
    assert_eq!(answers(&replica, "10.9.1.9"), nowhere);
}
