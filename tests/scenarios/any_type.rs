//! Any type can be federated while the controller runs, and no longer be.
//!
//! `meridian enable` writes the Federated CRD, with the schema that the host publishes of the type,
//! and its FederatedTypeConfig; the controller needs no restart. `meridian disable` takes nothing
//! from members.

use meridian_tests::world::{ObjectRef, PATIENCE, SYSTEM, TYPES, World, condition, in_cluster};
use serde_json::{Value, json};

scenarios! {
    shared:
    a_type_that_is_enabled_is_propagated_and_one_that_is_disabled_stays_in_members,
    objects_of_a_disabled_type_go_and_stay_in_members,
    what_was_propagated_stays_in_members_when_its_kind_is_deleted_on_the_host,
    a_custom_type_is_federated_with_its_own_schema,
    a_type_of_several_versions_is_federated_in_the_one_that_is_named,
    a_definition_goes_into_members_before_its_objects_and_out_of_them_after,
    a_namespace_is_federated_with_what_is_in_it;
}

const DEFINITIONS: &str = "apiextensions.k8s.io/v1";

/// Until a Federated object says that it is propagated.
async fn until_propagated(world: &World, at: &ObjectRef) {
    let propagated = |object: &Value| condition(object, "Propagation")["status"] == "True";
    world.host().until(at, "it is propagated", propagated).await;
}

async fn a_type_that_is_enabled_is_propagated_and_one_that_is_disabled_stays_in_members(
    world: &World,
    namespace: &str,
) {
    world.command(&["enable", "statefulset"]).await;
    let federated = |template: Value| {
        json!({"apiVersion": TYPES, "kind": "FederatedStatefulSet",
            "metadata": {"namespace": namespace, "name": "db"},
            "spec": {"template": template, "placement": {"clusterSelector": {}}}})
    };
    let wrong = federated(json!({"spec": {"replicas": "three"}}));
    let refusal = world.host().try_apply(wrong).await.expect_err("a text");
    let message = refusal.message;
    assert!(message.contains("spec.template.spec.replicas"), "{message}");
    let labels = json!({"app": "db"});
    let right = federated(json!({"spec": {
        "replicas": 1, "serviceName": "db", "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "db", "image": "db:1",
                "resources": {"requests": {"cpu": 0.01}}}]}}
    }}));
    world.host().apply(right).await;
    let at = ObjectRef::new(TYPES, "FederatedStatefulSet", namespace, "db");
    until_propagated(world, &at).await;
    let there = ObjectRef::new("apps/v1", "StatefulSet", namespace, "db");
    for member in world.members() {
        assert_eq!(member.get(&there).await["spec"]["serviceName"], "db");
    }

    let refused = world
        .failing_command(&["disable", "statefulsets.apps", "--delete-crd"])
        .await;
    assert!(refused.contains(&format!("{namespace}/db")), "{refused}");
    world.command(&["disable", "statefulsets.apps"]).await;
    let again = world
        .failing_command(&["disable", "statefulsets.apps"])
        .await;
    assert!(again.contains("is not federated"), "{again}");
    for member in world.members() {
        member.get(&there).await;
    }

    // Enabled once more, it is as before, and goes when its user deletes it.
    world.command(&["enable", "statefulsets.apps"]).await;
    world.host().delete(&at).await;
    world.host().until_gone(&at).await;
    for member in world.members() {
        member.until_gone(&there).await;
    }
    world
        .command(&["disable", "statefulsets.apps", "--delete-crd"])
        .await;
    let name = "federatedstatefulsets.types.kubefed.io";
    let crd = ObjectRef::new(DEFINITIONS, "CustomResourceDefinition", "", name);
    world.host().until_gone(&crd).await;
}

async fn objects_of_a_disabled_type_go_and_stay_in_members(world: &World, namespace: &str) {
    world
        .command(&["enable", "roles.rbac.authorization.k8s.io"])
        .await;
    let rules = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]);
    let spec = json!({"template": {"rules": rules}, "placement": {"clusterSelector": {}}});
    world
        .federate("FederatedRole", namespace, "reader", spec)
        .await;
    let at = ObjectRef::new(TYPES, "FederatedRole", namespace, "reader");
    until_propagated(world, &at).await;
    world
        .command(&["disable", "roles.rbac.authorization.k8s.io"])
        .await;
    // Who knows nothing of the type that was federated sees to it as well.
    world.take_controller().stop();
    let controller = world.lead("successor").await;
    world.give_controller(controller);
    world.host().delete(&at).await;
    world.host().until_gone(&at).await;
    let there = ObjectRef::new("rbac.authorization.k8s.io/v1", "Role", namespace, "reader");
    for member in world.members() {
        assert_eq!(member.get(&there).await["rules"], rules);
    }
}

async fn what_was_propagated_stays_in_members_when_its_kind_is_deleted_on_the_host(
    world: &World,
    namespace: &str,
) {
    let name = "poddisruptionbudgets.policy";
    world.command(&["enable", name]).await;
    let spec = json!({"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}});
    let kept = |number: usize| format!("kept-{number}");
    for number in 0..3 {
        let spec = json!({"template": {"spec": spec}, "placement": {"clusterSelector": {}}});
        world
            .federate(
                "FederatedPodDisruptionBudget",
                namespace,
                &kept(number),
                spec,
            )
            .await;
        let kind = "FederatedPodDisruptionBudget";
        until_propagated(
            world,
            &ObjectRef::new(TYPES, kind, namespace, &kept(number)),
        )
        .await;
    }
    let definition = "federatedpoddisruptionbudgets.types.kubefed.io";
    let crd = ObjectRef::new(DEFINITIONS, "CustomResourceDefinition", "", definition);
    world.host().delete(&crd).await;
    world.host().until_gone(&crd).await;
    for member in world.members() {
        for number in 0..3 {
            let there =
                ObjectRef::new("policy/v1", "PodDisruptionBudget", namespace, &kept(number));
            let there = member.get(&there).await;
            assert_eq!(there["spec"]["minAvailable"], 1, "{there}");
            assert!(there["metadata"]["deletionTimestamp"].is_null(), "{there}");
            assert!(there["metadata"]["labels"].is_null(), "{there}");
        }
    }
    let told = world.host().until_told(SYSTEM, name, 1).await;
    assert_eq!(told[0]["reason"], "DefinitionDeleted", "{told:?}");
    world.command(&["disable", name]).await;
}

/// A type of somebody's own.
fn definition() -> Value {
    json!({
        "apiVersion": DEFINITIONS, "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.shop.example.org"},
        "spec": {
            "group": "shop.example.org", "scope": "Namespaced",
            "names": {"kind": "Widget", "plural": "widgets", "singular": "widget",
                "shortNames": ["wd"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {"spec": {
                        "type": "object", "required": ["size"],
                        "properties": {
                            "size": {"type": "integer", "minimum": 1},
                            "colour": {"type": "string", "enum": ["red", "blue"], "default": "red"}
                        }
                    }}
                }}
            }]
        }
    })
}

async fn a_custom_type_is_federated_with_its_own_schema(world: &World, namespace: &str) {
    let crd = ObjectRef::of(&definition());
    let served = |crd: &Value| condition(crd, "Established")["status"] == "True";
    world.host().apply(definition()).await;
    world.host().until(&crd, "it is served", served).await;
    // One member lacks the type: it alone says so.
    let mut members = world.members();
    let without = members.next().expect("a member").name().to_owned();
    for member in members {
        member.apply(definition()).await;
        member.until(&crd, "it is served", served).await;
    }
    world.command(&["enable", "wd.shop.example.org"]).await;
    let federated = |colour: &str| {
        json!({"apiVersion": TYPES, "kind": "FederatedWidget",
            "metadata": {"namespace": namespace, "name": "w"},
            "spec": {"template": {"spec": {"size": 3, "colour": colour}},
                "placement": {"clusterSelector": {}}}})
    };
    let refusal = world.host().try_apply(federated("green")).await;
    let message = refusal.expect_err("no such colour").message;
    assert!(message.contains("spec.template.spec.colour"), "{message}");
    world.host().apply(federated("blue")).await;
    let there = ObjectRef::new("shop.example.org/v1", "Widget", namespace, "w");
    for member in world.members().filter(|member| member.name() != without) {
        let widget = member.until(&there, "it is there", |_| true).await;
        assert_eq!(widget["spec"], json!({"size": 3, "colour": "blue"}));
    }
    let at = ObjectRef::new(TYPES, "FederatedWidget", namespace, "w");
    let told = |object: &Value| {
        let clusters = object["status"]["clusters"].as_array();
        clusters.is_some_and(|clusters| {
            clusters.iter().any(|cluster| {
                cluster["name"] == without.as_str() && cluster["message"].as_str().is_some()
            })
        })
    };
    world.host().until(&at, "who lacks it is named", told).await;
    // What is federated when its namespace goes would wait for the type.
    world.host().delete(&at).await;
    world.host().until_gone(&at).await;
}

/// Parcels are of more colours since v1.
fn parcels(versions: &[&str]) -> Value {
    let version = |name: &&str| {
        let colours = match *name {
            "v1" => json!(["red", "blue", "green"]),
            _ => json!(["red", "blue"]),
        };
        json!({"name": name, "served": true, "storage": *name == "v1beta1",
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {
            "type": "object", "properties": {"colour": {"type": "string", "enum": colours}}
        }}}}})
    };
    let versions: Vec<Value> = versions.iter().map(version).collect();
    json!({"apiVersion": DEFINITIONS, "kind": "CustomResourceDefinition",
        "metadata": {"name": PARCELS},
        "spec": {"group": "shop.example.org", "scope": "Namespaced",
            "names": {"kind": "Parcel", "plural": "parcels"}, "versions": versions}})
}

const PARCELS: &str = "parcels.shop.example.org";

async fn a_type_of_several_versions_is_federated_in_the_one_that_is_named(
    world: &World,
    namespace: &str,
) {
    let (both, old) = (parcels(&["v1", "v1beta1"]), parcels(&["v1beta1"]));
    let crd = ObjectRef::of(&both);
    let served = |crd: &Value| condition(crd, "Established")["status"] == "True";
    let (host, lisbon) = (world.host(), world.member("lisbon"));
    for (cluster, definition) in [
        (host, &both),
        (world.member("berlin"), &both),
        (world.member("osaka"), &both),
        (lisbon, &old),
    ] {
        cluster.apply(definition.clone()).await;
        cluster.until(&crd, "it is served", served).await;
    }
    let refused = world
        .failing_command(&["enable", PARCELS, "--version", "v2"])
        .await;
    assert!(refused.contains("does not serve"), "{refused}");

    // The host prefers v1. In the version that was named, every member has it.
    world
        .command(&["enable", PARCELS, "--version", "v1beta1"])
        .await;
    let federated = |colour: &str| {
        json!({"apiVersion": TYPES, "kind": "FederatedParcel",
            "metadata": {"namespace": namespace, "name": "p"},
            "spec": {"template": {"spec": {"colour": colour}},
                "placement": {"clusterSelector": {}}}})
    };
    let at = ObjectRef::of(&host.apply_once_served(federated("blue")).await);
    until_propagated(world, &at).await;
    let refusal = host.try_apply(federated("green")).await;
    let message = refusal.expect_err("it was no colour then").message;
    assert!(message.contains("spec.template.spec.colour"), "{message}");
    let there = ObjectRef::new("shop.example.org/v1beta1", "Parcel", namespace, "p");
    for member in world.members() {
        let held = member.get(&there).await;
        assert_eq!(written_in(&held), "shop.example.org/v1beta1");
    }

    // In the other one Lisbon has none: it alone says so, and keeps what it has.
    world.command(&["enable", PARCELS, "--version", "v1"]).await;
    let accepted = async { while host.try_apply(federated("green")).await.is_err() {} };
    let accepted = tokio::time::timeout(PATIENCE, accepted).await;
    accepted.expect("the host follows the new definition");
    let green = |held: &Value| held["spec"]["colour"] == "green";
    for name in ["berlin", "osaka"] {
        let member = world.member(name);
        let held = member.until(&there, "it is green", green).await;
        assert_eq!(written_in(&held), "shop.example.org/v1", "{held:#}");
    }
    let told = |object: &Value| {
        let said = in_cluster(object, "lisbon")["message"].as_str();
        said.is_some_and(|said| said.contains("shop.example.org/v1"))
            && object["status"]["summary"]["ready"] == "2/3"
    };
    let told = host.until(&at, "Lisbon is named", told).await;
    for name in ["berlin", "osaka"] {
        let entry = in_cluster(&told, name);
        assert!(entry.is_object() && entry["status"].is_null(), "{told:#}");
    }
    assert_eq!(lisbon.get(&there).await["spec"]["colour"], "blue");

    // Once it has it, nobody need tell anybody.
    lisbon.apply(both).await;
    lisbon.until(&there, "it is green", green).await;
    until_propagated(world, &at).await;
    host.delete(&at).await;
    host.until_gone(&at).await;
    for member in world.members() {
        member.until_gone(&there).await;
    }
    world.command(&["disable", PARCELS, "--delete-crd"]).await;
}

/// The version in which meridian wrote an object.
fn written_in(object: &Value) -> &str {
    let entries = object["metadata"]["managedFields"].as_array();
    let mut ours = entries
        .into_iter()
        .flatten()
        .filter(|entry| entry["manager"] == "meridian");
    let version = ours.next().and_then(|entry| entry["apiVersion"].as_str());
    assert!(ours.next().is_none(), "{object:#}");
    version.unwrap_or_default()
}

async fn a_definition_goes_into_members_before_its_objects_and_out_of_them_after(
    world: &World,
    namespace: &str,
) {
    let mut gadgets = definition();
    gadgets["metadata"]["name"] = json!("gadgets.shop.example.org");
    gadgets["spec"]["names"] = json!({"kind": "Gadget", "plural": "gadgets"});
    let crd = ObjectRef::of(&gadgets);
    let host = world.host();
    host.apply(gadgets.clone()).await;
    let served = |crd: &Value| condition(crd, "Established")["status"] == "True";
    host.until(&crd, "it is served", served).await;
    let enabled = [
        "customresourcedefinitions.apiextensions.k8s.io",
        "gadgets.shop.example.org",
    ];
    for name in enabled {
        world.command(&["enable", name]).await;
    }
    // The object first: it waits for its type, and for no more than that.
    let everywhere = json!({"clusterSelector": {}});
    let gadget = json!({"apiVersion": TYPES, "kind": "FederatedGadget",
        "metadata": {"namespace": namespace, "name": "g"},
        "spec": {"template": {"spec": {"size": 3}}, "placement": everywhere}});
    let gadget_at = ObjectRef::of(&host.apply_once_served(gadget).await);
    let lacks = |object: &Value| {
        let clusters = object["status"]["clusters"].as_array();
        clusters.is_some_and(|clusters| clusters.len() == world.members().count())
    };
    host.until(&gadget_at, "all lack the type", lacks).await;
    let federated = json!({"apiVersion": TYPES, "kind": "FederatedCustomResourceDefinition",
        "metadata": {"name": "gadgets.shop.example.org"},
        "spec": {"template": {"spec": gadgets["spec"]}, "placement": everywhere}});
    let crd_at = ObjectRef::of(&host.apply_once_served(federated).await);
    until_propagated(world, &crd_at).await;
    until_propagated(world, &gadget_at).await;
    let there = ObjectRef::new("shop.example.org/v1", "Gadget", namespace, "g");
    for member in world.members() {
        assert_eq!(member.get(&there).await["spec"]["size"], 3);
    }

    // One cluster less would take every gadget there with it: somebody has to confirm.
    let braked = |object: &Value| condition(object, "DeletionBraked")["status"] == "True";
    let one = json!({"spec": {"placement": {"clusters": [{"name": "berlin"}]}}});
    host.patch(&crd_at, one).await;
    host.until(&crd_at, "it is stopped", braked).await;
    let all = json!({"spec": {"placement": {"clusters": Value::Null}}});
    host.patch(&crd_at, all).await;
    until_propagated(world, &crd_at).await;

    host.delete(&crd_at).await;
    let waits = |object: &Value| {
        let clusters = object["status"]["clusters"].to_string();
        clusters.contains("these leave first: 1 of the kind Gadget")
    };
    host.until(&crd_at, "it waits for the gadget", waits).await;
    host.delete(&gadget_at).await;
    host.until_gone(&gadget_at).await;
    host.until_gone(&crd_at).await;
    for member in world.members() {
        member.until_gone(&crd).await;
    }
    for name in enabled {
        world.command(&["disable", name, "--delete-crd"]).await;
    }
}

async fn a_namespace_is_federated_with_what_is_in_it(world: &World, namespace: &str) {
    let mine = format!("{namespace}-mine");
    let host = world.host();
    host.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": mine}}))
        .await;
    host.apply(json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"namespace": mine, "name": "settings"}, "data": {"currency": "EUR"}}))
        .await;
    let service = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": mine, "name": "web"},
        "spec": {"ports": [{"port": 80}], "selector": {"app": "web"}}});
    let service = host.apply(service).await;
    world
        .command(&["federate", "namespace", &mine, "--contents"])
        .await;
    let settings = ObjectRef::new("v1", "ConfigMap", &mine, "settings");
    let web = ObjectRef::new("v1", "Service", &mine, "web");
    for member in world.members() {
        let held = member.until(&settings, "it is there", |_| true).await;
        assert_eq!(held["data"], json!({"currency": "EUR"}));
        let held = member.until(&web, "it is there", |_| true).await;
        assert_eq!(held["spec"]["selector"], service["spec"]["selector"]);
    }
    let given = ObjectRef::new(TYPES, "FederatedConfigMap", &mine, "kube-root-ca.crt");
    assert_eq!(host.find(&given).await, None, "every namespace has its own");
    let twice = world
        .failing_command(&["federate", "configmap", "settings", "-n", &mine])
        .await;
    assert!(twice.contains("already exists"), "{twice}");
}
