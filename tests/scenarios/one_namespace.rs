//! A control plane of one namespace: a team federates what is its own, with no right beyond.
//!
//! It is made as `docs/guide/host.md` says, line by line. The role in `deploy/namespaced` is all that
//! it has on the host, and a role in that namespace all that it has in members. It is its own host, with its own members: others on the same clusters are
//! none of its business.

use meridian_tests::control_plane::free_ports;
use meridian_tests::world::{CORE, Meridian, ObjectRef, Run, SCHEDULING, TYPES, World, condition};
use serde_json::{Value, json};
use std::path::Path;

scenarios! {
    alone: a_role_is_enough_for_a_control_plane_of_one_namespace;
}

async fn a_role_is_enough_for_a_control_plane_of_one_namespace(world: &mut World, shared: &str) {
    let team = format!("{shared}-team");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let meridian = begin(world, &team, folder.path()).await;

    let copy = ObjectRef::new("v1", "ConfigMap", &team, "prices");
    let two = json!({"clusters": [{"name": "berlin"}, {"name": "osaka"}]});
    let spec = json!({"template": {"data": {"price": "1"}}, "placement": two});
    world
        .federate("FederatedConfigMap", &team, "prices", spec)
        .await;
    world
        .until_propagated("FederatedConfigMap", &team, "prices")
        .await;
    let own = ObjectRef::new("v1", "Namespace", "", &team);
    let uid = world.host().get(&own).await["metadata"]["uid"].clone();
    let held = world.member("osaka").get(&copy).await;
    let origin = held["metadata"]["annotations"]["meridian.dev/origin"].to_string();
    assert!(origin.contains(uid.as_str().unwrap_or("none")), "{origin}");

    // Who else edits it is answered as everywhere, and replicas are divided.
    let edit = json!({"data": {"price": "9"}});
    world.member("osaka").patch(&copy, edit).await;
    world
        .member("osaka")
        .until(&copy, "it is as it was", |held| {
            held["data"]["price"] == "1"
        })
        .await;
    divide(world, &team).await;
    ask(world, &team, &folder.path().join(KUBECONFIG)).await;

    // What is in no namespace is not this one's, and other namespaces are not either.
    let config = |name: &str| ObjectRef::new(CORE, "FederatedTypeConfig", &team, name);
    world
        .host()
        .until(&config("configmaps"), "it runs", |config| {
            config["status"]["propagationController"] == "Running"
        })
        .await;
    let namespaces = world.host().get(&config("namespaces")).await;
    assert_ne!(namespaces["status"]["propagationController"], "Running");

    a_scope_waits_for_a_start(world, &team).await;
    a_kind_goes(world, &team).await;
    nobody_meddled(world, &team).await;
    for (kind, name) in [
        ("FederatedConfigMap", "prices"),
        ("FederatedDeployment", "web"),
    ] {
        let federated = ObjectRef::new(TYPES, kind, &team, name);
        world.host().delete(&federated).await;
        world.host().until_gone(&federated).await;
    }
    world.member("osaka").until_gone(&copy).await;
    nothing_was_forbidden(&meridian);
    meridian.stop();
    for name in ["berlin", "osaka"] {
        let kubeconfig = world.member(name).kubeconfig().display().to_string();
        let words = ["unjoin", name, "--system-namespace", &team];
        let words = [&words[..], &["--cluster-kubeconfig", &kubeconfig]].concat();
        world.command(&words).await;
    }
}

/// Its role was enough, by its log.
fn nothing_was_forbidden(meridian: &Meridian) {
    let log = std::fs::read_to_string(meridian.log()).expect("it has a log");
    let refused = log.lines().find(|line| line.contains("orbidden"));
    assert_eq!(refused, None);
}

/// A scope that changes says what it waits for.
async fn a_scope_waits_for_a_start(world: &World, team: &str) {
    let settings = ObjectRef::new(CORE, "KubeFedConfig", team, "kubefed");
    let whole = json!({"spec": {"scope": "Cluster"}});
    world.host().patch(&settings, whole).await;
    world
        .host()
        .until(&settings, "it says that it waits", |config| {
            let told = condition(config, "RestartNeeded");
            told["message"].to_string().contains("spec.scope")
        })
        .await;
    let back = json!({"spec": {"scope": "Namespaced"}});
    world.host().patch(&settings, back).await;
}

/// Who may not read definitions sees all the same that a kind goes, and leaves what it propagated.
async fn a_kind_goes(world: &World, team: &str) {
    let policy = json!({"podSelector": {}, "policyTypes": ["Ingress"]});
    let spec = json!({"template": {"spec": policy}, "placement": {"clusterSelector": {}}});
    world
        .federate("FederatedNetworkPolicy", team, "shut", spec)
        .await;
    world
        .until_propagated("FederatedNetworkPolicy", team, "shut")
        .await;
    let name = "federatednetworkpolicies.types.kubefed.io";
    let version = "apiextensions.k8s.io/v1";
    let definition = ObjectRef::new(version, "CustomResourceDefinition", "", name);
    world.host().delete(&definition).await;
    world.host().until_gone(&definition).await;
    let there = ObjectRef::new("networking.k8s.io/v1", "NetworkPolicy", team, "shut");
    for member in ["berlin", "osaka"] {
        let there = world.member(member).get(&there).await;
        assert!(there["metadata"]["deletionTimestamp"].is_null(), "{there}");
        assert!(there["metadata"]["labels"].is_null(), "{there}");
    }
}

/// The whole host's control plane has kept out of the namespace.
async fn nobody_meddled(world: &World, team: &str) {
    let events = world.host().list("events.k8s.io/v1", "Event", team).await;
    let meddling = events
        .iter()
        .filter(|event| event["reason"] == "NamespaceNotFederated");
    let meddling: Vec<&Value> = meddling.collect();
    assert!(meddling.is_empty(), "{meddling:#?}");
}

/// The team's, in the scenario's folder.
const KUBECONFIG: &str = "team.kubeconfig";

/// Its settings, types, members and rights; it leads when this returns.
async fn begin(world: &World, team: &str, folder: &Path) -> Meridian {
    let host = world.host();
    let recipe = recipe(team);
    let mut did = Vec::new();
    for line in recipe.lines().filter_map(|line| line.strip_prefix("$ ")) {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["kubectl", "create", "namespace", name] => {
                let made = json!({"apiVersion": "v1", "kind": "Namespace",
                    "metadata": {"name": name}});
                host.apply(made).await;
            }
            ["sed", ..] => {
                for object in piped_into_kubectl(line) {
                    host.apply_once_served(object).await;
                }
            }
            ["kubectl", "apply", "-f", "settings.yaml"] => {
                host.apply(settings(&recipe)).await;
            }
            ["meridian", "join", ..] => {
                for name in ["berlin", "osaka"] {
                    join(world, name, &words[1..]).await;
                }
            }
            ["meridian", "run", "--system-namespace", name] => assert_eq!(*name, team),
            _ => panic!("the guide has a line that nobody tries here: {line}"),
        }
        did.push(words[0].to_owned() + words[1]);
    }
    assert_eq!(did.len(), 5, "{did:?}");
    let kubeconfig = folder.join(KUBECONFIG);
    world
        .write_kubeconfig_of(team, "meridian", &kubeconfig)
        .await;
    let [dns] = free_ports();
    let words = ["--system-namespace", team, "--v=4"];
    let run = Run::all_roles("team", ([127, 0, 0, 1], dns).into());
    let meridian = world.run(&run.coming_with(&kubeconfig, &words)).await;
    let lease = ObjectRef::new(
        "coordination.k8s.io/v1",
        "Lease",
        team,
        "meridian-controller",
    );
    host.until(&lease, "it leads", |lease| {
        lease["spec"]["holderIdentity"].to_string().contains("team")
    })
    .await;
    meridian
}

/// What the guide says of a control plane of one namespace, with this team's name.
fn recipe(team: &str) -> String {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/host.md");
    let guide = std::fs::read_to_string(guide).expect("it is in the repository");
    let (_, part) = guide
        .split_once("## A control plane of one namespace")
        .expect("the guide has it");
    let part = part.split("\n## ").next().unwrap_or_default();
    part.replace("team-a", team)
}

/// The guide's settings, with a probe that is as quick as this world's.
fn settings(recipe: &str) -> Value {
    let (_, block) = recipe.split_once("```yaml\n").expect("settings");
    let text = block.split("```").next().unwrap_or_default();
    let mut settings: Value = serde_saphyr::from_str(text).expect("YAML");
    settings["spec"]["clusterHealthCheck"] = json!({"period": "1s"});
    settings
}

/// What a line of a shell hands to `kubectl apply -f -`.
fn piped_into_kubectl(line: &str) -> Vec<Value> {
    let (command, apply) = line.rsplit_once(" | ").expect("a pipe");
    assert_eq!(apply, "kubectl apply -f -");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut shell = std::process::Command::new("sh");
    let output = shell.args(["-c", command]).current_dir(root).output();
    let text = String::from_utf8(output.expect("a shell").stdout).expect("text");
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
    documents
        .into_iter()
        .filter(|object| !object.is_null())
        .collect()
}

/// Joins a member as the guide's line joins Lisbon.
async fn join(world: &World, name: &str, words: &[&str]) {
    let kubeconfig = world.member(name).kubeconfig().display().to_string();
    let words = words.iter().map(|word| match *word {
        "lisbon" => name,
        "lisbon.kubeconfig" => &kubeconfig,
        word => word,
    });
    world.command(&words.collect::<Vec<_>>()).await;
}

/// The team's own rights are enough for what commands read.
async fn ask(world: &World, team: &str, kubeconfig: &Path) {
    let at = ObjectRef::new(SCHEDULING, "ReplicaSchedulingPreference", team, "web");
    let two_each = |object: &Value| object["status"]["history"][0]["clusters"]["osaka"] == 2;
    world.host().until(&at, "two each", two_each).await;
    let own = ["--system-namespace", team];
    let preferences = [&["get", "preferences"][..], &own].concat();
    let told = world.command_as(kubeconfig, &preferences).await;
    assert!(told.1.contains("berlin 2, osaka 2"), "{told:?}");
    let orphans = [&["get", "orphans"][..], &own].concat();
    let told = world.command_as(kubeconfig, &orphans).await;
    assert_eq!((told.0, told.1.as_str()), (Some(0), ""), "{told:?}");
    assert!(!told.2.contains("orbidden"), "{told:?}");
    let plan = [&["plan", "deployment", "web", "-n", team][..], &own].concat();
    let told = world.command_as(kubeconfig, &plan).await;
    assert_eq!(told.0, Some(0), "{told:?}");
}

async fn divide(world: &World, team: &str) {
    world.federate_deployment(team, "web").await;
    world
        .host()
        .apply(json!({
            "apiVersion": SCHEDULING, "kind": "ReplicaSchedulingPreference",
            "metadata": {"namespace": team, "name": "web"},
            "spec": {"targetKind": "FederatedDeployment", "totalReplicas": 4},
        }))
        .await;
    let deployment = ObjectRef::new("apps/v1", "Deployment", team, "web");
    for name in ["berlin", "osaka"] {
        world
            .member(name)
            .until(&deployment, "two run", |held| held["spec"]["replicas"] == 2)
            .await;
    }
}
