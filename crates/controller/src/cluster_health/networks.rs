//! The private networks of a member, as its nodes tell: what Pods get their addresses from, and where nodes stand.
//!
//! | of a node | read as |
//! |---|---|
//! | `spec.podCIDRs` | those networks |
//! | an `InternalIP` | the /24 or /64 around it, so that a node that comes or goes changes nothing |
//!
//! Of these the private ones count (RFC 1918, RFC 6598, RFC 4193): what is public has a place of its own. Neighbours
//! are one network, and more than [`NETWORKS_MAX`] are widened until they are no more.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use k8s_openapi::api::core::v1::Node;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The schema of the status has the same bound.
pub(super) const NETWORKS_MAX: usize = 64;
/// Around a node's address.
const AROUND_V4: u8 = 24;
const AROUND_V6: u8 = 64;
/// No network is widened beyond: half a company would be in it.
const WIDEST_V4: u8 = 12;
const WIDEST_V6: u8 = 40;

/// What a node tells of them.
pub(super) fn of_node(node: &Node) -> Vec<IpNet> {
    let spec = node.spec.as_ref();
    let ranges = spec.and_then(|spec| spec.pod_cidrs.as_ref());
    let ranges = ranges.into_iter().flatten();
    let ranges = ranges.filter_map(|text| text.parse::<IpNet>().ok());
    let status = node.status.as_ref();
    let addresses = status.and_then(|status| status.addresses.as_ref());
    let addresses = addresses.into_iter().flatten();
    let inside = addresses.filter(|it| it.type_ == "InternalIP");
    let around = inside.filter_map(|it| around(it.address.parse().ok()?));
    ranges.chain(around).filter(is_private).collect()
}

fn around(address: IpAddr) -> Option<IpNet> {
    let length = match address {
        IpAddr::V4(_) => AROUND_V4,
        IpAddr::V6(_) => AROUND_V6,
    };
    IpNet::new(address, length).ok()
}

fn is_private(network: &IpNet) -> bool {
    let v4 = |a, b, length| IpNet::from(Ipv4Net::new_assert(Ipv4Addr::new(a, b, 0, 0), length));
    let unique = Ipv6Net::new_assert(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7);
    let spaces = [
        v4(10, 0, 8),
        v4(172, 16, 12),
        v4(192, 168, 16),
        v4(100, 64, 10),
        unique.into(),
    ];
    spaces.iter().any(|space| space.contains(network))
}

/// Those of all nodes together: few, sorted, none within another.
pub(super) fn together(networks: Vec<IpNet>) -> Vec<IpNet> {
    let trunc = networks.iter().map(IpNet::trunc).collect();
    let mut networks = IpNet::aggregate(&trunc);
    while networks.len() > NETWORKS_MAX {
        let Some(longest) = networks.iter().filter_map(spare).max() else {
            networks.truncate(NETWORKS_MAX);
            break;
        };
        let wider = |network: &IpNet| match spare(network) {
            Some(spare) if spare == longest => network.supernet().unwrap_or(*network),
            _ => *network,
        };
        networks = IpNet::aggregate(&networks.iter().map(wider).collect());
    }
    networks.sort_unstable();
    networks
}

/// By how much it may be widened.
fn spare(network: &IpNet) -> Option<u8> {
    let widest = match network {
        IpNet::V4(_) => WIDEST_V4,
        IpNet::V6(_) => WIDEST_V6,
    };
    network
        .prefix_len()
        .checked_sub(widest)
        .filter(|spare| *spare > 0)
}

/// What a status says: what it said before while that holds all there is, but with a heartbeat, so that
/// nodes that come and go make no replica compile anew.
pub(super) fn told(now: &[IpNet], before: Vec<String>, heartbeat: bool) -> Vec<String> {
    let known: Vec<IpNet> = before.iter().filter_map(|it| it.parse().ok()).collect();
    let held = |network: &IpNet| known.iter().any(|known| known.contains(network));
    if !heartbeat && now.iter().all(held) {
        return before;
    }
    let all = match heartbeat {
        true => now.to_vec(),
        false => together(known.iter().chain(now).copied().collect()),
    };
    all.iter().map(IpNet::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        let parse = |text: &&str| text.parse().expect("a network");
        texts.iter().map(parse).collect()
    }

    #[test]
    fn a_nodes_networks_are_its_pods_ranges_and_what_is_around_its_inner_address() {
        let node = json!({"metadata": {"name": "n"},
            "spec": {"podCIDRs": ["10.244.3.0/24", "fd00:3::/64", "198.51.100.0/24", "none"]},
            "status": {"addresses": [
                {"type": "InternalIP", "address": "192.168.7.9"},
                {"type": "InternalIP", "address": "203.0.113.9"},
                {"type": "ExternalIP", "address": "10.1.1.1"}]}});
        let node = serde_json::from_value(node).expect("a node");
        assert_eq!(
            together(of_node(&node)),
            nets(&["10.244.3.0/24", "192.168.7.0/24", "fd00:3::/64"])
        );
        assert_eq!(of_node(&Node::default()), []);
    }

    #[test]
    fn neighbours_are_one_network_and_many_are_widened() {
        let near = ["10.0.0.0/24", "10.0.1.0/24", "10.0.1.128/25"];
        assert_eq!(together(nets(&near)), nets(&["10.0.0.0/23"]));
        // Every other /24: none has a neighbour.
        let many = (0..400_u32).map(|at| Ipv4Addr::from(0x0a00_0000 + (at << 9)));
        let many = many.map(|it| Ipv4Net::new_assert(it, 24).into());
        let few = together(many.collect());
        assert!(few.len() <= NETWORKS_MAX, "{few:?}");
        assert!(
            few.contains(&"10.0.0.0/15".parse().expect("a network")),
            "{few:?}"
        );
    }

    #[test]
    fn a_status_changes_when_a_network_is_new_and_forgets_with_a_heartbeat() {
        let check = |now: &[&str], heartbeat, expected: &[&str]| {
            let before = vec!["10.0.0.0/23".to_owned()];
            assert_eq!(told(&nets(now), before, heartbeat), expected);
        };
        check(&["10.0.1.0/24"], false, &["10.0.0.0/23"]);
        check(&[], false, &["10.0.0.0/23"]);
        check(&["10.0.2.0/24"], false, &["10.0.0.0/23", "10.0.2.0/24"]);
        check(&["10.0.2.0/24"], true, &["10.0.2.0/24"]);
    }
}
