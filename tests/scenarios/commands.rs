//! What a person does from a terminal: asks why, looks back, undoes, confirms, and decides.
//!
//! Every command's `--help` has examples. Those that need nothing but a federation are run here as
//! they stand; where they name a namespace, an object or a member, this world has it.

use meridian_tests::world::{CORE, ObjectRef, SCHEDULING, SYSTEM, TYPES, World, condition};
use serde_json::{Value, json};

scenarios! {
    shared:
    a_division_is_remembered_pinned_and_released,
    who_asks_why_is_told_of_every_cluster,
    what_is_orphaned_stays_and_is_listed,
    what_another_host_propagated_is_taken_over_once_it_is_adopted,
    a_shell_completes_names_that_the_host_knows;
    alone:
    a_deletion_that_was_stopped_goes_on_once_it_is_confirmed,
    the_examples_of_every_command_work;
}

async fn a_division_is_remembered_pinned_and_released(world: &World, namespace: &str) {
    deploy(world, namespace).await;
    prefer(world, namespace, &json!({"*": {"weight": 1}})).await;
    until_run(world, namespace, [2, 2, 2]).await;
    prefer(
        world,
        namespace,
        &json!({"*": {"weight": 1}, "berlin": {"weight": 4}}),
    )
    .await;
    until_run(world, namespace, [4, 1, 1]).await;
    let at = preference(namespace);
    let remembered = |object: &Value| object["status"]["history"][1]["clusters"]["berlin"] == 2;
    let spec = world.host().until(&at, "two divisions", remembered).await["spec"].clone();

    let history = world
        .command(&["history", "deployment", "web", "-n", namespace])
        .await;
    for words in [
        "berlin 4, lisbon 1, osaka 1",
        "berlin 2, lisbon 2, osaka 2",
        "template: ",
    ] {
        assert!(history.contains(words), "{words}: {history}");
    }
    world
        .command(&["undo", "deployments.apps", "web", "-n", namespace])
        .await;
    until_run(world, namespace, [2, 2, 2]).await;
    let pinned = |object: &Value| condition(object, "Pinned")["status"] == "True";
    let told = world
        .host()
        .until(&at, "it says that it is pinned", pinned)
        .await;
    assert_eq!(told["spec"], spec, "what a user wrote is never rewritten");
    let undo = ["undo", "FederatedDeployment", "web", "-n", namespace];
    let refused = world
        .failing_command(&[undo.as_slice(), &["--to", "9"]].concat())
        .await;
    assert!(refused.contains("--to 9"), "{refused}");
    world
        .command(&[undo.as_slice(), &["--release"]].concat())
        .await;
    until_run(world, namespace, [4, 1, 1]).await;
}

async fn who_asks_why_is_told_of_every_cluster(world: &World, namespace: &str) {
    let spec = json!({"template": {"data": {"a": "1"}},
        "placement": {"clusters": [{"name": "berlin"}, {"name": "osaka"}]}});
    world
        .federate("FederatedConfigMap", namespace, "prices", spec)
        .await;
    world
        .until_propagated("FederatedConfigMap", namespace, "prices")
        .await;
    let told = world
        .command(&["explain", "cm", "prices", "-n", namespace])
        .await;
    for words in [
        "+ berlin: chosen: placement.clusters names it",
        "- lisbon: not chosen: placement.clusters does not name it",
        "now: nothing: the member holds what was rendered",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    deploy(world, namespace).await;
    prefer(world, namespace, &json!({"berlin": {"weight": 1}})).await;
    until_run(world, namespace, [6, 0, 0]).await;
    let told = world
        .command(&["explain", "deploy", "web", "-n", namespace, "-o", "json"])
        .await;
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["division"]["berlin"]["replicas"], 6, "{told:#}");
    assert!(told["division"]["osaka"]["reason"].is_string(), "{told:#}");
    let missing = world
        .failing_command(&["explain", "cm", "nothing", "-n", namespace])
        .await;
    assert!(
        missing.contains("there is no FederatedConfigMap"),
        "{missing}"
    );

    // A plan of an object as it stands: nothing would change, until somebody changes a member.
    let plan = ["plan", "configmap", "prices", "-n", namespace];
    let still = world.ended_command(&plan).await;
    assert_eq!(still.0, Some(0), "{still:?}");
    assert!(still.1.contains("(on the host)"), "{still:?}");
}

async fn what_is_orphaned_stays_and_is_listed(world: &World, namespace: &str) {
    let spec = json!({"template": {"data": {"a": "1"}}, "placement": {"clusterSelector": {}}});
    world
        .federate("FederatedConfigMap", namespace, "kept", spec)
        .await;
    world
        .until_propagated("FederatedConfigMap", namespace, "kept")
        .await;
    let which = ["configmap", "kept", "-n", namespace];
    let status = [&["orphan", "status"], which.as_slice()].concat();
    assert_eq!(world.command(&status).await, "Disabled\n");
    // As kubefedctl calls it.
    world
        .command(&[&["orphaning-deletion", "enable"], which.as_slice()].concat())
        .await;
    assert_eq!(world.command(&status).await, "Enabled\n");
    let json = world
        .command(&[status.as_slice(), &["-o", "json"]].concat())
        .await;
    let told: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(told["orphaning"], "Enabled", "{told:#}");
    let federated = ObjectRef::new(TYPES, "FederatedConfigMap", namespace, "kept");
    world.host().delete(&federated).await;
    world.host().until_gone(&federated).await;
    let there = ObjectRef::new("v1", "ConfigMap", namespace, "kept");
    for member in world.members() {
        let held = member.get(&there).await;
        assert!(
            held["metadata"]["labels"]["kubefed.io/managed"].is_null(),
            "{held:#}"
        );
    }
    // With its label, and without a federated object, it is an orphan.
    let label = json!({"metadata": {"labels": {"kubefed.io/managed": "true"}}});
    world.member("osaka").patch(&there, label).await;
    let orphans = world.command(&["get", "orphans", "-o", "json"]).await;
    let orphans: Vec<Value> = serde_json::from_str(&orphans).expect("JSON");
    let name = format!("{namespace}/kept");
    let mut found = orphans
        .iter()
        .filter(|orphan| orphan["name"] == name.as_str());
    let orphan = found.next().expect("it is listed");
    assert_eq!(orphan["cluster"], "osaka", "{orphan:#}");
    assert_eq!(found.next(), None);
}

async fn what_another_host_propagated_is_taken_over_once_it_is_adopted(
    world: &World,
    namespace: &str,
) {
    let there = ObjectRef::new("v1", "ConfigMap", namespace, "inherited");
    let old = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"namespace": namespace, "name": "inherited",
            "labels": {"kubefed.io/managed": "true"},
            "annotations": {"meridian.dev/origin": "host-of-yesterday/0"}},
        "data": {"a": "0"}});
    world.member("osaka").apply_as("meridian", old).await;
    let spec = json!({"template": {"data": {"a": "1"}},
        "placement": {"clusters": [{"name": "osaka"}]}});
    world
        .federate("FederatedConfigMap", namespace, "inherited", spec)
        .await;
    let federated = ObjectRef::new(TYPES, "FederatedConfigMap", namespace, "inherited");
    let refused = |object: &Value| {
        object["status"]["clusters"][0]["status"] == "AlreadyExists"
            && object
                .to_string()
                .contains("adopt-host --from host-of-yesterday")
    };
    world
        .host()
        .until(&federated, "it says what to do", refused)
        .await;
    world
        .command(&["adopt-host", "--from", "host-of-yesterday"])
        .await;
    world
        .until_propagated("FederatedConfigMap", namespace, "inherited")
        .await;
    let held = world.member("osaka").get(&there).await;
    assert_eq!(held["data"], json!({"a": "1"}), "{held:#}");
}

async fn a_shell_completes_names_that_the_host_knows(world: &World, namespace: &str) {
    let spec = json!({"template": {"data": {"a": "1"}}, "placement": {"clusters": []}});
    for name in ["prices", "promises", "sale"] {
        world
            .federate("FederatedConfigMap", namespace, name, spec.clone())
            .await;
    }
    let host = world.host().kubeconfig().display().to_string();
    let inside = format!("-n {namespace}");
    for (line, names) in [
        ("explain configm", vec!["configmaps"]),
        (&format!("plan {inside} cm pr"), vec!["prices", "promises"]),
        (
            &format!("rollout status federatedconfigmap {inside} s"),
            vec!["sale"],
        ),
        ("drain os", vec!["osaka"]),
        (
            &format!("confirm cm prices {inside} --cluster osaka,b"),
            vec!["osaka,berlin"],
        ),
        (&format!("plan cm prices -n {namespace}"), vec![namespace]),
        ("enable leas", vec!["leases.coordination.k8s.io"]),
    ] {
        assert_eq!(completed(world, &host, line).await, names, "{line}");
    }
    // Where there is no host there are no names, and no words in between.
    let nowhere = completed(world, "/nowhere", "drain os").await;
    assert_eq!(nowhere, Vec::<String>::new());
}

/// How bash is told that the last word of a line may go on.
async fn completed(world: &World, kubeconfig: &str, line: &str) -> Vec<String> {
    let words: Vec<&str> = std::iter::once("meridian").chain(line.split(' ')).collect();
    let output = tokio::process::Command::new(world.binary())
        .arg("--")
        .args(&words)
        .env("KUBECONFIG", kubeconfig)
        .env("MERIDIAN_COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string())
        .env("_CLAP_IFS", "\n")
        .output()
        .await
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said, "", "nothing is said between words");
    let names = String::from_utf8_lossy(&output.stdout);
    names.lines().map(str::to_owned).collect()
}

async fn a_deletion_that_was_stopped_goes_on_once_it_is_confirmed(
    world: &mut World,
    namespace: &str,
) {
    let two = json!({"placement": {"clusters": [{"name": "berlin"}, {"name": "lisbon"}]}});
    world
        .federate("FederatedNamespace", namespace, namespace, two)
        .await;
    let federated = ObjectRef::new(TYPES, "FederatedNamespace", namespace, namespace);
    let braked = |object: &Value| condition(object, "DeletionBraked")["status"] == "True";
    world
        .host()
        .until(&federated, "the brake is shut", braked)
        .await;
    let there = ObjectRef::new("v1", "Namespace", "", namespace);
    world.member("osaka").get(&there).await;
    let confirm = ["confirm", "namespace", namespace];
    world
        .command(&[confirm.as_slice(), &["--cluster", "osaka"]].concat())
        .await;
    world.member("osaka").until_gone(&there).await;
    let open = |object: &Value| condition(object, "DeletionBraked")["status"] != "True";
    world
        .host()
        .until(&federated, "the brake is open", open)
        .await;
    let nothing = world.failing_command(&confirm).await;
    assert!(nothing.contains("nothing to confirm"), "{nothing}");
    for name in ["berlin", "lisbon"] {
        world.member(name).get(&there).await;
    }
}

/// Examples that are run elsewhere or by nobody, and why.
const NOT_HERE: &[(&str, &str)] = &[
    ("run", "it runs for ever; every scenario runs it"),
    ("demo", "it runs for minutes, and CI runs it"),
    ("fleet", "it runs for ever; its own tests run it"),
    (
        "join",
        "it names the kubeconfig of another cluster; every scenario joins members",
    ),
    (
        "unjoin",
        "it names the context of another cluster; its own scenario does it",
    ),
    (
        "enable certificates",
        "it needs a definition of others; any_type.rs enables one",
    ),
    (
        "explain shop.example.org",
        "it asks a DNS replica; the demo does",
    ),
    (
        "switchover",
        "it hands over what is in two cities; two_cities.rs does it",
    ),
    (
        "dns check",
        "it reads files and asks no host; its own test runs it",
    ),
    ("version", "it asks no host; plugin.rs runs it"),
    (
        "confirm",
        "nothing is stopped here; its own scenario does it",
    ),
    (
        "rollout approve",
        "no step of a rollout waits here; its own scenario does it",
    ),
    ("migrate --from kubefed --", "moving_over.rs does it"),
    ("federate namespace", "any_type.rs does it"),
];

async fn the_examples_of_every_command_work(world: &mut World, _namespace: &str) {
    world.federate_namespace("shop").await;
    deploy(world, "shop").await;
    for weights in [[1, 1, 1], [4, 1, 1], [1, 4, 1]] {
        let [berlin, lisbon, osaka] = weights.map(|weight| json!({"weight": weight}));
        let clusters = json!({"berlin": berlin, "lisbon": lisbon, "osaka": osaka});
        prefer(world, "shop", &clusters).await;
        let shares = match weights {
            [1, 1, 1] => [2, 2, 2],
            weights => weights,
        };
        until_run(world, "shop", shares).await;
    }
    let remembered = |object: &Value| object["status"]["history"][2]["clusters"]["berlin"] == 2;
    world
        .host()
        .until(&preference("shop"), "three divisions", remembered)
        .await;
    let plain = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": "shop", "name": "web"},
        "spec": {"ports": [{"port": 80}], "selector": {"app": "web"}}});
    world.host().apply(plain).await;

    let mut ran = 0;
    for example in examples(world).await {
        let words = example.strip_prefix("meridian ").expect("it is ours");
        let left_out = NOT_HERE.iter().any(|(start, _)| words.starts_with(start));
        if left_out {
            continue;
        }
        // A pipe is the shell's own: here it is what comes before.
        let words = words.split(" | ").next().unwrap_or_default();
        let arguments = shell_words(words);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (code, out, err) = world.ended_command(&arguments).await;
        let is_plan = ["plan", "migrate"].contains(&arguments[0]);
        let fine = code == Some(0) || (is_plan && code == Some(2));
        assert!(fine, "{example}: {code:?} {out} {err}");
        ran += 1;
    }
    assert!(ran >= 20, "only {ran} examples were run");
    let settings = ObjectRef::new(CORE, "KubeFedConfig", SYSTEM, "kubefed");
    let annotations = world.host().get(&settings).await["metadata"]["annotations"].clone();
    for annotation in [
        "meridian.dev/failover-released",
        "meridian.dev/adopted-hosts",
    ] {
        assert!(annotations[annotation].is_string(), "{annotations:#}");
    }
}

/// Every example in the help of every command.
async fn examples(world: &World) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Vec<Vec<String>> = vec![Vec::new()];
    while let Some(command) = open.pop() {
        let output = tokio::process::Command::new(world.binary())
            .args(&command)
            .arg("--help")
            .output()
            .await
            .expect("the binary runs");
        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        let after = help
            .split_once("Example")
            .map(|(_, after)| after.to_owned());
        match after {
            Some(after) => {
                let lines = after
                    .lines()
                    .map(|line| line.trim_start_matches("s:").trim_start());
                let lines = lines.map(|line| line.trim_start_matches(": "));
                found.extend(
                    lines
                        .filter(|line| line.starts_with("meridian "))
                        .map(str::to_owned),
                );
            }
            None => assert!(command.is_empty(), "{command:?} has no example: {help}"),
        }
        if let Some((_, commands)) = help.split_once("Commands:\n") {
            let lines = commands.lines().take_while(|line| !line.is_empty());
            let heads = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
            let names = heads.filter_map(|line| line.split_whitespace().next());
            for name in names.filter(|name| *name != "help") {
                open.push([command.clone(), vec![name.to_owned()]].concat());
            }
        }
    }
    // What is to be disabled is enabled first.
    found.sort_by_key(|example| (!example.contains(" enable "), example.clone()));
    found.dedup();
    found
}

/// Words as a shell has them; of quotes the single ones.
fn shell_words(line: &str) -> Vec<String> {
    let parts = line.split('\'').enumerate();
    let words = parts.flat_map(|(index, part)| match index % 2 {
        0 => part
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>(),
        _ => vec![part.to_owned()],
    });
    words.collect()
}

async fn deploy(world: &World, namespace: &str) {
    let labels = json!({"app": "web"});
    let spec = json!({
        "template": {"spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "web", "image": "web:1"}]},
            },
        }},
        "placement": {"clusterSelector": {}},
    });
    world
        .federate("FederatedDeployment", namespace, "web", spec)
        .await;
}

async fn prefer(world: &World, namespace: &str, clusters: &Value) {
    let preference = json!({
        "apiVersion": SCHEDULING, "kind": "ReplicaSchedulingPreference",
        "metadata": {"namespace": namespace, "name": "web"},
        "spec": {"targetKind": "FederatedDeployment", "totalReplicas": 6, "rebalance": true,
            "clusters": clusters},
    });
    world.host().apply(preference).await;
}

fn preference(namespace: &str) -> ObjectRef {
    ObjectRef::new(SCHEDULING, "ReplicaSchedulingPreference", namespace, "web")
}

/// Waits until Berlin, Lisbon and Osaka run so many.
async fn until_run(world: &World, namespace: &str, replicas: [u32; 3]) {
    let at = ObjectRef::new("apps/v1", "Deployment", namespace, "web");
    for (name, replicas) in ["berlin", "lisbon", "osaka"].into_iter().zip(replicas) {
        let runs = |held: &Value| {
            held["spec"]["replicas"] == replicas
                && held["status"]["readyReplicas"].as_u64().unwrap_or(0) == u64::from(replicas)
        };
        let what = format!("{replicas} replicas");
        world.member(name).until(&at, &what, runs).await;
    }
}
