//! Records that other programs ask for: DNSEndpoints, served from the zone that allows their namespace.

use crate::bank::{Bank, CLIENT};
use crate::resolver::{ask, until_answered};
use meridian_tests::world::{ObjectRef, World};
use serde_json::{Value, json};
use std::net::IpAddr;

scenarios! {
    alone: a_dns_endpoint_is_served_until_it_goes_and_never_over_what_is_steered;
}

const API: &str = "multiclusterdns.kubefed.io/v1alpha1";
const NAME: &str = "db.bank.example.net";

async fn a_dns_endpoint_is_served_until_it_goes_and_never_over_what_is_steered(
    world: &mut World,
    namespace: &str,
) {
    let bank = Bank::open(world, namespace, |_| json!({"mode": "Auto"}), json!({})).await;
    let endpoint = |targets: Value| {
        let set = |name: &str, targets: &Value| json!({"dnsName": name, "recordType": "A", "recordTTL": 180, "targets": targets});
        json!({
            "apiVersion": API, "kind": "DNSEndpoint",
            "metadata": {"namespace": namespace, "name": "db"},
            "spec": {"endpoints": [set(NAME, &targets), set("bank.example.net", &targets)]},
        })
    };
    let steered = ("bank.example.net", CLIENT);
    until_answered(bank.dns, steered, "it is steered", |answer| {
        !answer.is_empty()
    })
    .await;
    let address: IpAddr = [192, 0, 2, 77].into();
    world.host().apply(endpoint(json!(["192.0.2.77"]))).await;
    let what = "the record is served";
    until_answered(bank.dns, (NAME, CLIENT), what, |answer| answer == [address]).await;
    let steered = ask(bank.dns, "bank.example.net", CLIENT).await;
    assert!(
        !steered.unwrap_or_default().contains(&address),
        "it is steered"
    );

    let other: IpAddr = [192, 0, 2, 78].into();
    world.host().apply(endpoint(json!(["192.0.2.78"]))).await;
    let what = "it follows";
    until_answered(bank.dns, (NAME, CLIENT), what, |answer| answer == [other]).await;
    world
        .host()
        .delete(&ObjectRef::new(API, "DNSEndpoint", namespace, "db"))
        .await;
    until_answered(bank.dns, (NAME, CLIENT), "it is gone", <[IpAddr]>::is_empty).await;
    bank.close(world).await;
}
