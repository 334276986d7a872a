//! Nodes and Pods, and what is chosen.

use super::*;

fn node(name: &str, cpu: &str, extra: Value) -> Value {
    json!({"metadata": {"name": name, "labels": extra["labels"]}, "spec": extra["spec"],
        "status": {"allocatable": {"cpu": cpu, "memory": "4Gi", "pods": "3"}}})
}

fn pod(name: &str, cpu: &str, spec: Value) -> Value {
    let mut pod = json!({"metadata": {"name": name, "namespace": "n", "uid": name,
            "ownerReferences": [{"uid": "rs", "controller": true}]},
        "spec": {"containers": [{"resources": {"requests": {"cpu": cpu}}}]}});
    for (field, value) in spec.as_object().into_iter().flatten() {
        pod["spec"][field] = value.clone();
    }
    pod
}

fn board(nodes: &[Value]) -> Board {
    let mut board = Board::default();
    nodes.iter().for_each(|node| board.put_node(node));
    board
}

fn check(nodes: &[Value], pod: &Value, expected: Result<&str, &str>) {
    let found = board(nodes).choose(pod);
    let expected = expected.map(str::to_owned).map_err(str::to_owned);
    assert_eq!(found, expected, "{pod}");
}

#[test]
fn a_pod_that_fits_nowhere_is_told_why_in_the_schedulers_words() {
    let two = [node("a", "2", json!({})), node("b", "2", json!({}))];
    check(
        &two,
        &pod("big", "3", json!({})),
        Err(
            "0/2 nodes are available: 2 Insufficient cpu. no new claims to deallocate, \
             preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.",
        ),
    );
    check(
        &[],
        &pod("any", "1", json!({})),
        Err("no nodes available to schedule pods"),
    );
    let mixed = [
        node("a", "2", json!({"spec": {"unschedulable": true}})),
        node(
            "b",
            "2",
            json!({"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}),
        ),
    ];
    check(
        &mixed,
        &pod("any", "1", json!({})),
        Err(
            "0/2 nodes are available: 1 node(s) had untolerated taint(s), 1 node(s) were \
             unschedulable. no new claims to deallocate, preemption: 0/2 nodes are available: \
             2 Preemption is not helpful for scheduling.",
        ),
    );
}

#[test]
fn selectors_affinity_and_tolerations_choose_nodes() {
    let nodes = [
        node("a", "2", json!({"labels": {"disk": "ssd"}})),
        node("b", "2", json!({"labels": {"disk": "hdd"}})),
        node(
            "c",
            "2",
            json!({"spec": {"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]}}),
        ),
    ];
    check(
        &nodes,
        &pod("p", "1", json!({"nodeSelector": {"disk": "hdd"}})),
        Ok("b"),
    );
    let terms = |terms: Value| {
        json!({"affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}})
    };
    let not_ssd =
        json!([{"matchExpressions": [{"key": "disk", "operator": "NotIn", "values": ["ssd"]}]}]);
    check(&nodes, &pod("p", "1", terms(not_ssd)), Ok("b"));
    let named =
        json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}]);
    check(&nodes, &pod("p", "1", terms(named)), Ok("b"));
    check(
        &nodes[2..],
        &pod(
            "p",
            "1",
            json!({"tolerations": [{"key": "k", "operator": "Exists"}]}),
        ),
        Ok("c"),
    );
    check(
        &nodes[2..],
        &pod(
            "p",
            "1",
            json!({"tolerations": [{"key": "k", "value": "v"}]}),
        ),
        Ok("c"),
    );
}

#[test]
fn replicas_are_spread_over_nodes_and_zones() {
    let zone = |zone: &str| json!({"labels": {ZONE: zone}});
    let mut board = board(&[
        node("a1", "4", zone("a")),
        node("a2", "4", zone("a")),
        node("b1", "4", zone("b")),
    ]);
    let chosen: Vec<String> = (0..4)
        .map(|number| {
            let pod = pod(&number.to_string(), "1", json!({}));
            let step = board.step(&pod, Timestamp::UNIX_EPOCH);
            match &step.writes[0] {
                Write::Bind(binding) => binding.node.clone(),
                other => panic!("{other:?}"),
            }
        })
        .collect();
    assert_eq!(chosen, ["a1", "b1", "a2", "b1"]);
}

#[test]
fn room_is_taken_and_given_back() {
    let mut board = board(&[node("a", "2", json!({}))]);
    let first = pod("first", "2", json!({}));
    let second = pod("second", "2", json!({}));
    board.step(&first, Timestamp::UNIX_EPOCH);
    let waits = board.step(&second, Timestamp::UNIX_EPOCH);
    let [Write::UpdateStatus(_, object), Write::Event(note)] = &waits.writes[..] else {
        panic!("{waits:?}");
    };
    assert_eq!(note.message, object["status"]["conditions"][0]["message"]);
    assert!(
        note.message
            .contains("1 No preemption victims found for incoming pod"),
        "{note:?}"
    );
    assert_eq!(board.step(object, Timestamp::UNIX_EPOCH), Step::default());
    assert!(board.remove_pod("first"));
    let goes = board.step(object, Timestamp::UNIX_EPOCH);
    assert!(matches!(&goes.writes[0], Write::Bind(binding) if binding.node == "a"));
}

#[test]
fn init_containers_count_once_and_sidecars_with_the_rest() {
    let container = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}}});
    let mut sidecar = container("200m");
    sidecar["restartPolicy"] = json!("Always");
    let pod = json!({"spec": {"containers": [container("1"), container("500m")],
        "initContainers": [sidecar, container("3")]}});
    assert_eq!(requests(&pod)["cpu"], 3_200);
    let pod =
        json!({"spec": {"containers": [container("1")], "initContainers": [container("500m")]}});
    assert_eq!(requests(&pod)["cpu"], 1_000);
}

/// Three nodes of two zones, and a Pod `web` on the first.
fn neighbourhood() -> Board {
    let zoned = |name: &str, zone: &str| {
        node(
            name,
            "4",
            json!({"labels": {ZONE: zone, "kubernetes.io/hostname": name}}),
        )
    };
    let mut board = board(&[zoned("a1", "a"), zoned("a2", "a"), zoned("b1", "b")]);
    board.put_pod(&bound("web", "a1", json!({})));
    board
}

fn bound(name: &str, node: &str, spec: Value) -> Value {
    let mut pod = labelled(name, spec);
    pod["spec"]["nodeName"] = json!(node);
    pod
}

fn labelled(name: &str, spec: Value) -> Value {
    let mut pod = pod(name, "100m", spec);
    pod["metadata"]["labels"] = json!({"app": name});
    pod
}

fn near(app: &str, key: &str) -> Value {
    json!({"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}}]})
}

fn check_among(pod: &Value, expected: Result<&str, &str>) {
    let found = neighbourhood().choose(pod);
    match (found, expected) {
        (Ok(node), Ok(expected)) => assert_eq!(node, expected),
        (Err(why), Err(expected)) => assert!(why.contains(expected), "{why}"),
        (found, expected) => panic!("{found:?}, not {expected:?}"),
    }
}

#[test]
fn pods_come_near_those_they_want_and_keep_away_from_others() {
    let wants =
        |app: &str, key: &str| labelled("x", json!({"affinity": {"podAffinity": near(app, key)}}));
    check_among(&wants("web", "kubernetes.io/hostname"), Ok("a1"));
    check_among(
        &wants("none", ZONE),
        Err("3 node(s) didn't match pod affinity rules"),
    );
    // Somebody has to be the first of a group that keeps together.
    assert!(neighbourhood().choose(&wants("x", ZONE)).is_ok());
    let avoids = |app: &str| {
        labelled(
            "x",
            json!({"affinity": {"podAntiAffinity": near(app, ZONE)}}),
        )
    };
    check_among(&avoids("web"), Ok("b1"));
    let mut board = neighbourhood();
    let mut second = bound("web", "b1", json!({}));
    second["metadata"]["uid"] = json!("second");
    board.put_pod(&second);
    let why = board.choose(&avoids("web")).unwrap_err();
    assert!(
        why.contains("3 node(s) didn't match pod anti-affinity rules"),
        "{why}"
    );
}

#[test]
fn a_pod_that_is_there_keeps_others_away() {
    let mut board = neighbourhood();
    let hermit = json!({"affinity": {"podAntiAffinity": near("x", ZONE)}});
    board.put_pod(&bound("hermit", "a2", hermit));
    assert_eq!(board.choose(&labelled("x", json!({}))).unwrap(), "b1");
}

#[test]
fn preferences_weigh_and_do_not_forbid() {
    let term = json!({"topologyKey": ZONE, "labelSelector": {"matchLabels": {"app": "web"}}});
    let weighed = |part: &str| {
        let affinity = json!({part: {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 10, "podAffinityTerm": term}]}});
        labelled("x", json!({"affinity": affinity}))
    };
    check_among(&weighed("podAffinity"), Ok("a2"));
    check_among(&weighed("podAntiAffinity"), Ok("b1"));
    let node = json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 1, "preference": {"matchExpressions": [
            {"key": "kubernetes.io/hostname", "operator": "In", "values": ["a1"]}]}}]}});
    check_among(&labelled("x", json!({"affinity": node})), Ok("a1"));
}

#[test]
fn pods_are_spread_as_they_ask() {
    let spread = |key: &str, when: &str| {
        json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": key,
            "whenUnsatisfiable": when, "labelSelector": {"matchLabels": {"app": "web"}}}]})
    };
    let mut next = labelled("web", spread(ZONE, "DoNotSchedule"));
    next["metadata"]["uid"] = json!("next");
    check_among(&next, Ok("b1"));
    next["spec"]["nodeSelector"] = json!({ZONE: "a"});
    // Only zone a may be chosen, so it is all there is.
    check_among(&next, Ok("a2"));
    let mut rack = labelled("web", spread("rack", "DoNotSchedule"));
    rack["metadata"]["uid"] = json!("rack");
    check_among(&rack, Err("(missing required label)"));
    let mut soft = labelled("web", spread(ZONE, "ScheduleAnyway"));
    soft["metadata"]["uid"] = json!("soft");
    check_among(&soft, Ok("b1"));
}

#[test]
fn a_port_of_a_host_is_taken_once() {
    let ports = json!({"containers": [{"ports": [{"hostPort": 80, "containerPort": 80}]}]});
    let mut board = board(&[node("a", "4", json!({}))]);
    board.put_pod(&bound("first", "a", ports.clone()));
    let why = board.choose(&labelled("second", ports)).unwrap_err();
    assert!(
        why.contains("1 node(s) didn't have free ports for the requested pod ports"),
        "{why}"
    );
}
