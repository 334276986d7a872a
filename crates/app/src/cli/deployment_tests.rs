//! What `deploy/cluster` runs is a line that the command line takes, and its ports, probes and labels
//! are those of that line.

use super::{Cli, Command, Role, Run};
use clap::Parser;
use serde_json::{Value, json};
use std::path::Path;

fn manifest(path: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../deploy")
        .join(path);
    let text = std::fs::read_to_string(&file).expect(path);
    // The first of several documents, where there are some.
    let mut documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect(path);
    documents.retain(|document| !document.is_null());
    documents.remove(0)
}

fn deployment() -> Value {
    manifest("cluster/6-deployment.yaml")
}

fn container(deployment: &Value) -> &Value {
    &deployment["spec"]["template"]["spec"]["containers"][0]
}

/// Its arguments, read as the program reads them.
fn run(container: &Value) -> Run {
    let arguments = container["args"].as_array().into_iter().flatten();
    let words = arguments.map(|word| word.as_str().expect("a text"));
    let parsed = Cli::try_parse_from(std::iter::once("meridian").chain(words));
    match parsed.expect("the program takes them").command {
        Command::Run(run) => *run,
        other => panic!("it runs {other:?}"),
    }
}

/// The number of a port that has this name in the Pod.
fn port(container: &Value, name: &Value) -> u64 {
    let ports = container["ports"].as_array().into_iter().flatten();
    let mut named = ports.filter(|port| port["name"] == *name);
    let port = named
        .next()
        .unwrap_or_else(|| panic!("no port is called {name}"));
    port["containerPort"].as_u64().expect("a number")
}

/// Whether a selector chooses the Pods.
fn chooses(selector: &Value, deployment: &Value) -> bool {
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    let wanted = selector.as_object().expect("labels");
    !wanted.is_empty() && wanted.iter().all(|(key, value)| labels[key] == *value)
}

#[test]
fn what_is_deployed_listens_where_probes_and_services_ask() {
    let deployment = deployment();
    let container = container(&deployment);
    let run = run(container);
    for (probe, path) in [("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
        let asked = &container[probe]["httpGet"];
        assert_eq!(asked["path"], path);
        assert_eq!(
            port(container, &asked["port"]),
            u64::from(run.http_listen.port())
        );
    }
    assert!(
        run.http_listen.ip().is_unspecified(),
        "the kubelet asks from outside"
    );
    let service = manifest("cluster/7-service.yaml");
    assert!(chooses(&service["spec"]["selector"], &deployment));
    let [dns] = run.dns.plain.as_slice() else {
        panic!("one address answers DNS: {:?}", run.dns.plain);
    };
    let mut protocols = Vec::new();
    for published in service["spec"]["ports"].as_array().expect("ports") {
        assert_eq!(published["port"], 53);
        assert_eq!(
            port(container, &published["targetPort"]),
            u64::from(dns.port())
        );
        protocols.push(published["protocol"].as_str().expect("a protocol"));
    }
    assert_eq!(protocols, ["UDP", "TCP"]);
    assert!(dns.port() >= 1024, "nobody but root may have a lower one");
}

#[test]
fn what_is_deployed_has_the_role_that_its_label_says_and_stays_when_nodes_are_emptied() {
    let deployment = deployment();
    let container = container(&deployment);
    let run = run(container);
    assert_eq!(run.roles, [Role::Controller, Role::Dns, Role::Webhook]);
    let webhook = manifest("webhook/1-service.yaml");
    assert!(chooses(&webhook["spec"]["selector"], &deployment));
    let target = webhook["spec"]["ports"][0]["targetPort"].as_u64();
    assert_eq!(target, Some(u64::from(run.webhook_listen.port())));
    let own = &deployment["spec"]["selector"]["matchLabels"];
    assert!(chooses(own, &deployment));
    let budget = manifest("cluster/8-pod-disruption-budget.yaml");
    assert!(chooses(
        &budget["spec"]["selector"]["matchLabels"],
        &deployment
    ));
    assert_eq!(deployment["spec"]["replicas"], 2);

    // Who it is, each by its own name; what it may do; and where it may write.
    let account = manifest("cluster/1-service-account.yaml");
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], account["metadata"]["name"]);
    assert_eq!(
        (
            &deployment["metadata"]["namespace"],
            run.host.system_namespace.as_str()
        ),
        (
            &account["metadata"]["namespace"],
            api::names::SYSTEM_NAMESPACE
        )
    );
    let named = &container["env"][0];
    assert_eq!(named["name"], "POD_NAME");
    assert_eq!(named["valueFrom"]["fieldRef"]["fieldPath"], "metadata.name");
    let state = json!(run.state_dir);
    assert_eq!(container["volumeMounts"][0]["mountPath"], state);
}
