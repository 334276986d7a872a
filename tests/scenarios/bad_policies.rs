//! What is wrong with a steered name is said with its path, and the last good answers stay.
//!
//! | what is wrong | told by |
//! |---|---|
//! | weights of zero, a prefix in two rules | `Served`, since the whole spec cannot be meant |
//! | a pool that nothing is in, a cluster that nobody registered | `PolicyFits`: it may come yet |
//! | a health check on a port where nobody listens | the endpoints' reasons |
//! | overrides that contradict each other | `InForce` of the one that is outweighed |
//! | a host that another namespace has | `Served` of the younger, which names the older |
//!
//! What admission refuses is in `two_cities.rs` and `webhook.rs`; a database of the wrong type is no object of the
//! host (`app/src/geography.rs`).

use crate::bank::{Bank, NAME, addresses};
use meridian_tests::control_plane::free_ports;
use meridian_tests::world::{GSLB, ObjectRef, World, condition};
use serde_json::{Value, json};

scenarios! {
    alone:
        what_cannot_work_is_told_with_its_path_and_the_last_good_answers_stay,
        overrides_that_contradict_each_other_say_which_counts;
}

async fn what_cannot_work_is_told_with_its_path_and_the_last_good_answers_stay(
    world: &mut World,
    namespace: &str,
) {
    let bank = Bank::open(world, namespace, |_| json!({"mode": "Manual"}), json!({})).await;
    let a = addresses(&["berlin", "lisbon"]);
    bank.until_shared(&a, "both centres of city A share").await;
    let pool = |centre: &str| json!({"clusters": [centre]});
    let of = |network: &str, centre: &str| json!({"networks": [network], "pool": pool(centre)});
    for (policy, kind, path) in [
        (
            json!({"weighted": [{"weight": 0, "pool": pool("berlin")},
                {"weight": 0, "pool": pool("osaka")}]}),
            "Served",
            "policy.weighted: needs a weight greater than 0",
        ),
        (
            json!({"cidr": {"rules": [of("198.51.100.0/24", "berlin"), of("198.51.100.0/24", "osaka")],
                "default": {"pool": {}}}}),
            "Served",
            "policy.cidr.rules[1].networks: 198.51.100.0/24 is in rules[0] as well",
        ),
        (
            json!({"pool": {"regions": ["nowhere"]}}),
            "PolicyFits",
            "spec.policy.pool: no endpoint is in it",
        ),
        (
            json!({"pool": pool("atlantis")}),
            "PolicyFits",
            "spec.policy.pool.clusters[0]: no cluster is called atlantis",
        ),
    ] {
        replace(world, &bank, &policy).await;
        until_says(world, &bank.at(), kind, path).await;
        bank.until_shared(&a, &format!("{policy}: both centres of city A share"))
            .await;
    }

    // Nothing answers there: those that were good last go on.
    let half = |centre: &str| json!({"weight": 50, "pool": pool(centre)});
    let right = json!({"weighted": [half("berlin"), half("lisbon")]});
    replace(world, &bank, &right).await;
    until_fits(world, &bank.at()).await;
    let [nobody] = free_ports();
    let check = json!({"spec": {"healthCheck": {"http": {"port": nobody}}}});
    world.host().patch(&bank.at(), check).await;
    let refused = |service: &Value| {
        let health = service["status"]["health"].to_string();
        health.matches("connection refused").count() == 3
    };
    let what = "every endpoint says why";
    world.host().until(&bank.at(), what, refused).await;
    bank.until_shared(&a, "those that were good last answer")
        .await;

    let other = format!("{namespace}-other");
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other}});
    world.host().apply(object).await;
    let mut claim = bank.manifest(&json!({"pool": pool("osaka")}));
    claim["metadata"]["namespace"] = json!(other);
    world.host().apply(claim).await;
    let younger = ObjectRef::new(GSLB, "GlobalService", &other, "bank");
    let words = format!("{NAME}: the older GlobalService {namespace}/bank has this host");
    until_says(world, &younger, "Served", &words).await;
    bank.until_shared(&a, "the older one keeps its name").await;
    world.host().delete(&younger).await;
    bank.close(world).await;
}

async fn overrides_that_contradict_each_other_say_which_counts(world: &mut World, namespace: &str) {
    let bank = Bank::open(world, namespace, |_| json!({"mode": "Manual"}), json!({})).await;
    let a = addresses(&["berlin", "lisbon"]);
    bank.until_shared(&a, "both centres of city A share").await;
    let ends = "2100-01-01T00:00:00Z";
    bank.force(world, "down", "berlin", ends).await;
    bank.until_shared(&addresses(&["lisbon"]), "one is forced down")
        .await;
    let up = json!({
        "apiVersion": GSLB, "kind": "Override",
        "metadata": {"namespace": namespace, "name": "up"},
        "spec": {"service": "bank", "cluster": "berlin", "force": "Up", "reason": "it is well",
            "owner": "a test", "expiresAt": ends},
    });
    world.host().apply(up).await;
    bank.until_in_force(world, "up", ("False", "Outweighed"))
        .await;
    bank.until_in_force(world, "down", ("True", "InForce"))
        .await;
    let at = |name: &str| ObjectRef::new(GSLB, "Override", namespace, name);
    let told = world.host().get(&at("up")).await;
    let message = condition(&told, "InForce")["message"].to_string();
    let words = format!("{namespace}/down forces it Down");
    assert!(message.contains(&words), "{message}");
    bank.until_shared(&addresses(&["lisbon"]), "the cautious one counts")
        .await;
    world.host().delete(&at("down")).await;
    bank.until_in_force(world, "up", ("True", "InForce")).await;
    bank.until_shared(&a, "both centres share again").await;
    world.host().delete(&at("up")).await;
    bank.close(world).await;
}

/// Puts another policy in the place of the one that is there, in one step: none in between would be a good one.
async fn replace(world: &World, bank: &Bank, policy: &Value) {
    let mut whole = json!({"pool": null, "weighted": null, "failover": null, "cidr": null});
    for (node, of) in policy.as_object().into_iter().flatten() {
        whole[node] = of.clone();
    }
    let patch = json!({"spec": {"policy": whole}});
    world.host().patch(&bank.at(), patch).await;
}

async fn until_says(world: &World, at: &ObjectRef, kind: &str, words: &str) {
    let says = |service: &Value| {
        let told = condition(service, kind);
        told["status"] == "False" && told["message"].to_string().contains(words)
    };
    world.host().until(at, words, says).await;
}

async fn until_fits(world: &World, at: &ObjectRef) {
    let fits = |service: &Value| {
        condition(service, "PolicyFits")["status"] == "True"
            && condition(service, "Served")["status"] == "True"
    };
    world.host().until(at, "it is right again", fits).await;
}
