//! Traffic leaves a failing cluster, replicas follow, and both return.
//!
//! One process has all roles: it propagates an application to three members, probes their load
//! balancers and answers DNS for one name. Clients are answered the nearest member that works.
//! When a member dies, first its address leaves the answers, then its replicas run elsewhere; when
//! it returns, both come back. When only its API hangs, nothing moves: its traffic is served.

use crate::resolver::{ask, until_answered};
use meridian_tests::control_plane::free_ports;
use meridian_tests::world::{ApiFault, GSLB, Meridian, ObjectRef, Run, SCHEDULING, SYSTEM, World};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

scenarios! {
    pocketkube only:
        traffic_leaves_a_failing_cluster_then_replicas_follow_and_both_return,
        an_api_that_hangs_changes_no_answer_and_moves_no_replica,
        a_drained_member_loses_traffic_first_then_replicas_and_gets_both_back;
}

const NAME: &str = "shop.example.org";
/// Clients by their universities: Berlin's Humboldt, and Osaka's.
const IN_BERLIN: IpAddr = IpAddr::V4(Ipv4Addr::new(141, 20, 1, 31));
const IN_OSAKA: IpAddr = IpAddr::V4(Ipv4Addr::new(133, 1, 1, 1));

async fn traffic_leaves_a_failing_cluster_then_replicas_follow_and_both_return(
    world: &mut World,
    namespace: &str,
) {
    let shop = Shop::open(world, namespace).await;
    let (berlin, osaka) = (shop.address("berlin"), shop.address("osaka"));

    world.break_api("osaka", ApiFault::Down);
    world.break_data_plane("osaka");
    shop.until_answered(IN_OSAKA, "no answer names Osaka", |answer| {
        !answer.is_empty() && !answer.contains(&osaka)
    })
    .await;
    until_run(world, namespace, &[("berlin", 3), ("lisbon", 3)]).await;
    assert_eq!(ask(shop.dns, NAME, IN_BERLIN).await, Some(vec![berlin]));

    world.mend_api("osaka").await;
    world.mend_data_plane("osaka");
    shop.until_answered(IN_OSAKA, "Osaka again", |answer| answer == [osaka])
        .await;
    until_run(
        world,
        namespace,
        &[("berlin", 2), ("lisbon", 2), ("osaka", 2)],
    )
    .await;
    shop.close();
}

async fn an_api_that_hangs_changes_no_answer_and_moves_no_replica(
    world: &mut World,
    namespace: &str,
) {
    let shop = Shop::open(world, namespace).await;
    let osaka = shop.address("osaka");
    world.break_api("osaka", ApiFault::Hung);
    world.until_condition("osaka", "Offline", "True").await;
    // What is decided on that is in the preference's status before a change of the total is.
    prefer(world, namespace, 9).await;
    let at = ObjectRef::new(SCHEDULING, "ReplicaSchedulingPreference", namespace, "shop");
    let preference = world
        .host()
        .until(&at, "the new total is divided", |object| {
            object["status"]["observedGeneration"] == object["metadata"]["generation"]
        })
        .await;
    let clusters = preference["status"]["clusters"].as_array();
    let share = clusters
        .into_iter()
        .flatten()
        .find(|share| share["name"] == "osaka");
    let replicas = share.map(|share| share["replicas"].clone());
    assert!(
        replicas.as_ref().is_some_and(|r| r.as_u64() >= Some(2)),
        "{preference:#}"
    );
    assert_eq!(ask(shop.dns, NAME, IN_OSAKA).await, Some(vec![osaka]));
    world.mend_api("osaka").await;
    until_run(
        world,
        namespace,
        &[("berlin", 3), ("lisbon", 3), ("osaka", 3)],
    )
    .await;
    assert_eq!(ask(shop.dns, NAME, IN_OSAKA).await, Some(vec![osaka]));
    shop.close();
}

async fn a_drained_member_loses_traffic_first_then_replicas_and_gets_both_back(
    world: &mut World,
    namespace: &str,
) {
    let shop = Shop::open(world, namespace).await;
    let osaka = shop.address("osaka");
    world.command(&["drain", "osaka"]).await;
    shop.until_answered(IN_OSAKA, "no answer names Osaka", |answer| {
        !answer.is_empty() && !answer.contains(&osaka)
    })
    .await;
    // Clients may hold the last answer that did for as long as its TTL.
    let deployment = ObjectRef::new("apps/v1", "Deployment", namespace, "shop");
    let held = world.member("osaka").get(&deployment).await;
    assert_eq!(held["spec"]["replicas"], 2, "{held:#}");
    until_run(world, namespace, &[("berlin", 3), ("lisbon", 3)]).await;
    world
        .member("osaka")
        .until(&deployment, "it is empty", |held| {
            held["spec"]["replicas"] == 0
        })
        .await;

    world.command(&["uncordon", "osaka"]).await;
    until_run(
        world,
        namespace,
        &[("berlin", 2), ("lisbon", 2), ("osaka", 2)],
    )
    .await;
    shop.until_answered(IN_OSAKA, "Osaka again", |answer| answer == [osaka])
        .await;
    shop.close();
}

/// An application that is served under one name, and the process that does so.
struct Shop {
    dns: SocketAddr,
    meridian: Meridian,
    addresses: Vec<(String, IpAddr)>,
}

impl Shop {
    /// Everything is answered and runs when this returns.
    async fn open(world: &World, namespace: &str) -> Self {
        world.take_controller().stop();
        let [port] = free_ports();
        let dns = SocketAddr::from(([127, 0, 0, 1], port));
        let meridian = world.run(&Run::all_roles("all", dns)).await;
        world.until_leads("all").await;
        serve(world, namespace).await;
        let service = ObjectRef::new("v1", "Service", namespace, "shop");
        let mut addresses = Vec::new();
        for member in world.members() {
            let held = member
                .until(&service, "it has an address", |held| {
                    address(held).is_some()
                })
                .await;
            let address = address(&held).expect("it was waited for");
            addresses.push((member.name().to_owned(), address));
        }
        let shop = Self {
            dns,
            meridian,
            addresses,
        };
        until_run(
            world,
            namespace,
            &[("berlin", 2), ("lisbon", 2), ("osaka", 2)],
        )
        .await;
        for (client, member) in [(IN_BERLIN, "berlin"), (IN_OSAKA, "osaka")] {
            let nearest = shop.address(member);
            shop.until_answered(client, "the nearest", |answer| answer == [nearest])
                .await;
        }
        shop
    }

    fn address(&self, member: &str) -> IpAddr {
        let found = self.addresses.iter().find(|(name, _)| name == member);
        found.expect("a member's name").1
    }

    async fn until_answered(&self, client: IpAddr, what: &str, wanted: impl Fn(&[IpAddr]) -> bool) {
        until_answered(self.dns, (NAME, client), what, wanted).await;
    }

    fn close(self) {
        self.meridian.stop();
    }
}

/// The application, its addresses, the division of its replicas, and its name.
async fn serve(world: &World, namespace: &str) {
    let labels = json!({"app": "shop"});
    let deployment = json!({
        "template": {"spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [
                {"name": "shop", "image": "shop:1"}]}},
        }},
        "placement": {"clusterSelector": {}},
    });
    let service = json!({
        "template": {"spec": {
            "type": "LoadBalancer", "selector": labels, "ports": [{"port": 8080}],
        }},
        "placement": {"clusterSelector": {}},
    });
    world
        .federate("FederatedDeployment", namespace, "shop", deployment)
        .await;
    world
        .federate("FederatedService", namespace, "shop", service)
        .await;
    prefer(world, namespace, 6).await;
    let zone = json!({
        "apiVersion": GSLB, "kind": "Zone",
        "metadata": {"namespace": SYSTEM, "name": "example-org"},
        "spec": {
            "domain": "example.org",
            "nameServers": [{"name": "ns1.example.org", "addresses": ["127.0.0.1"]}],
            "allowedNamespaces": [namespace],
        },
    });
    world.host().apply(zone).await;
    let service = json!({
        "apiVersion": GSLB, "kind": "GlobalService",
        "metadata": {"namespace": namespace, "name": "shop"},
        "spec": {
            "hosts": [NAME],
            "endpoints": {"service": {"name": "shop"}},
            "ttl": {"min": "5s", "max": "60s"},
            "healthCheck": {"http": {"port": 8080, "path": "/healthz"},
                "interval": "400ms", "timeout": "350ms", "up": 2, "down": 3},
            "policy": {"nearest": {}},
        },
    });
    world.host().apply(service).await;
}

async fn prefer(world: &World, namespace: &str, total: u32) {
    let preference = json!({
        "apiVersion": SCHEDULING, "kind": "ReplicaSchedulingPreference",
        "metadata": {"namespace": namespace, "name": "shop"},
        "spec": {"targetKind": "FederatedDeployment", "totalReplicas": total,
            "rebalance": true, "clusters": {"*": {"weight": 1}}},
    });
    world.host().apply(preference).await;
}

async fn until_run(world: &World, namespace: &str, wanted: &[(&str, u64)]) {
    let deployment = ObjectRef::new("apps/v1", "Deployment", namespace, "shop");
    for (name, replicas) in wanted {
        let what = format!("{replicas} replicas run");
        world
            .member(name)
            .until(&deployment, &what, |held| {
                held["spec"]["replicas"] == *replicas
                    && held["status"]["readyReplicas"] == *replicas
            })
            .await;
    }
}

fn address(service: &Value) -> Option<IpAddr> {
    let ingress = service.pointer("/status/loadBalancer/ingress/0/ip");
    ingress?.as_str()?.parse().ok()
}
