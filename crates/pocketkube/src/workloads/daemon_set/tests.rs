//! DaemonSets, told as worlds that looks change.

use super::*;
use crate::workloads::replay::Replay;
use serde_json::json;

const NOW: &str = "2026-01-01T00:10:00Z";

fn set() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "n", "uid": "d", "generation": 1},
        "spec": {"revisionHistoryLimit": 10, "selector": {"matchLabels": {"app": "agent"}},
            "updateStrategy": {"type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}},
            "template": {"metadata": {"labels": {"app": "agent"}},
                "spec": {"containers": [{"name": "c", "image": "agent:1"}]}}},
        "status": {}})
}

fn node(name: &str) -> Value {
    json!({"kind": "Node", "metadata": {"name": name, "labels": {"disk": "fast"}}, "spec": {}})
}

fn world(set: Value) -> Replay {
    let mut world = Replay::of(set);
    ["a", "b", "c"]
        .into_iter()
        .for_each(|name| world.put(node(name)));
    world
}

fn look(world: &mut Replay) -> Vec<String> {
    let set = world.one("DaemonSet", "agent");
    let step = step(View {
        set: &set,
        nodes: &world.all("Node"),
        pods: &world.all("Pod"),
        revisions: &world.all("ControllerRevision"),
        now: NOW.parse().unwrap(),
    });
    world.apply(&step)
}

/// Binds Pods and makes them ready.
fn run_pods(world: &mut Replay) {
    world.each("Pod", |pod| {
        pod["spec"]["nodeName"] = json!(pods::target(pod).expect("a node"));
        pod["status"] = json!({"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    });
}

fn settle(world: &mut Replay) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        run_pods(world);
        let done = look(world);
        if done.is_empty() {
            return all;
        }
        all.extend(done);
    }
}

fn edit(world: &mut Replay, edit: impl Fn(&mut Value)) {
    world.each("DaemonSet", |set| edit(&mut set["spec"]));
}

fn on(world: &Replay) -> Vec<String> {
    let mut nodes: Vec<String> = world
        .all("Pod")
        .iter()
        .filter_map(|pod| pods::target(pod).map(str::to_owned))
        .collect();
    nodes.sort();
    nodes
}

#[test]
fn each_node_that_fits_has_one_pod() {
    let mut world = world(set());
    settle(&mut world);
    assert_eq!(on(&world), ["a", "b", "c"]);
    let status = world.one("DaemonSet", "agent")["status"].clone();
    let expected = json!({"observedGeneration": 1, "updatedNumberScheduled": 3,
        "numberAvailable": 3, "currentNumberScheduled": 3, "numberMisscheduled": 0,
        "desiredNumberScheduled": 3, "numberReady": 3});
    assert_eq!(status, expected);
    edit(&mut world, |spec| {
        spec["template"]["spec"]["nodeSelector"] = json!({"disk": "slow"})
    });
    settle(&mut world);
    assert_eq!(on(&world), Vec::<String>::new());
}

#[test]
fn a_taint_keeps_new_pods_out_and_only_no_execute_drives_them_away() {
    let mut world = world(set());
    settle(&mut world);
    let taint = |effect: &str| json!([{"key": "k", "effect": effect}]);
    world.each("Node", |node| node["spec"]["taints"] = taint("NoSchedule"));
    assert_eq!(settle(&mut world), Vec::<String>::new());
    let status = &world.one("DaemonSet", "agent")["status"];
    assert_eq!(
        (
            &status["desiredNumberScheduled"],
            &status["numberMisscheduled"]
        ),
        (&json!(0), &json!(3))
    );
    world.each("Node", |node| node["spec"]["taints"] = taint("NoExecute"));
    settle(&mut world);
    assert_eq!(on(&world), Vec::<String>::new());
    // What every node may have at times is tolerated.
    world.each("Node", |node| {
        node["spec"]["taints"] =
            json!([{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]);
    });
    settle(&mut world);
    assert_eq!(on(&world), ["a", "b", "c"]);
}

#[test]
fn an_update_takes_one_pod_away_at_a_time() {
    let mut world = world(set());
    settle(&mut world);
    edit(&mut world, |spec| {
        spec["template"]["spec"]["containers"][0]["image"] = json!("agent:2");
    });
    let deletes = |done: &[String]| {
        done.iter()
            .filter(|what| what.starts_with("delete"))
            .count()
    };
    let first = look(&mut world);
    assert_eq!(deletes(&first), 1, "{first:?}");
    let second = look(&mut world);
    assert_eq!((deletes(&second), second.len()), (0, 1), "{second:?}");
    settle(&mut world);
    assert_eq!(on(&world), ["a", "b", "c"]);
    assert_eq!(
        world.one("DaemonSet", "agent")["status"]["updatedNumberScheduled"],
        3
    );
    assert_eq!(world.names("ControllerRevision").len(), 2);
}

#[test]
fn a_surge_has_a_new_pod_ready_before_the_old_one_goes() {
    let mut own = set();
    own["spec"]["updateStrategy"]["rollingUpdate"] = json!({"maxUnavailable": 0, "maxSurge": 1});
    let mut world = world(own);
    settle(&mut world);
    edit(&mut world, |spec| {
        spec["template"]["spec"]["containers"][0]["image"] = json!("agent:2");
    });
    let first = look(&mut world);
    assert!(
        first.iter().all(|what| what.starts_with("create")),
        "{first:?}"
    );
    assert_eq!(on(&world).len(), 4);
    run_pods(&mut world);
    let second = look(&mut world);
    assert!(second[0].starts_with("delete"), "{second:?}");
    settle(&mut world);
    assert_eq!(on(&world), ["a", "b", "c"]);
}

#[test]
fn on_delete_waits_for_somebody_to_delete() {
    let mut own = set();
    own["spec"]["updateStrategy"] = json!({"type": "OnDelete"});
    let mut world = world(own);
    settle(&mut world);
    edit(&mut world, |spec| {
        spec["template"]["spec"]["containers"][0]["image"] = json!("agent:2");
    });
    assert_eq!(settle(&mut world).len(), 1, "only a revision");
    assert_eq!(
        world.one("DaemonSet", "agent")["status"].get("updatedNumberScheduled"),
        None
    );
}

#[test]
fn a_failed_pod_is_replaced() {
    let mut world = world(set());
    settle(&mut world);
    world.each("Pod", |pod| pod["status"]["phase"] = json!("Failed"));
    let done = look(&mut world);
    assert_eq!(done.len(), 3, "{done:?}");
    settle(&mut world);
    assert_eq!(on(&world), ["a", "b", "c"]);
}
