//! What `kubectl auth` says on a server that enforces roles.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::rbac::{allow, once_allowed, role, rule};
use crate::world::World;

cases! { Workloads:
    can_i_says_yes_or_no,
    can_i_lists_what_one_may,
    whoami_tells_user_and_groups,
    reconcile_adds_what_a_role_lacks,
}

/// What kubectl printed on standard output; none when there is no kubectl.
fn kubectl(world: &World, arguments: &str, input: &str) -> Option<String> {
    let mut child = Command::new("kubectl")
        .arg("--kubeconfig")
        .arg(&world.server.kubeconfig_path)
        .args(["--namespace", &world.namespace])
        .args(arguments.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn reader(world: &World) {
    let rules = [rule(json!([""]), json!(["configmaps"]), json!(["list"]))];
    allow(world, "ann", &rules).await;
    once_allowed(world.get("configmaps").acting_as("ann"))
        .await
        .is(200);
}

async fn can_i_says_yes_or_no(world: World) {
    reader(&world).await;
    for (asked, expected) in [
        ("auth can-i list configmaps --as ann", "yes\n"),
        ("auth can-i delete configmaps --as ann", "no\n"),
        ("auth can-i get /version --as ann", "yes\n"),
        ("auth can-i delete pods", "yes\n"),
    ] {
        let Some(said) = kubectl(&world, asked, "") else {
            return;
        };
        assert_eq!(said, expected, "{asked}");
    }
}

async fn can_i_lists_what_one_may(world: World) {
    reader(&world).await;
    let Some(said) = kubectl(&world, "auth can-i --list --as ann", "") else {
        return;
    };
    let has = |words: &[&str]| {
        said.lines()
            .any(|line| line.split_whitespace().eq(words.iter().copied()))
    };
    assert!(has(&["configmaps", "[]", "[]", "[list]"]), "{said}");
    let reviews = "selfsubjectreviews.authentication.k8s.io";
    assert!(has(&[reviews, "[]", "[]", "[create]"]), "{said}");
    assert!(has(&["[/openapi/*]", "[]", "[get]"]), "{said}");
}

async fn whoami_tells_user_and_groups(world: World) {
    let Some(said) = kubectl(&world, "auth whoami --as ann --as-group devs", "") else {
        return;
    };
    let words: Vec<&str> = said.split_whitespace().collect();
    let expected = [
        "ATTRIBUTE",
        "VALUE",
        "Username",
        "ann",
        "Groups",
        "[devs",
        "system:authenticated]",
    ];
    assert_eq!(words, expected);
}

async fn reconcile_adds_what_a_role_lacks(world: World) {
    let first = [rule(json!([""]), json!(["pods"]), json!(["get"]))];
    let path = "rbac.authorization.k8s.io/v1:roles";
    world.post(path, &role("a", &first)).await.is(201);
    let second = [rule(json!([""]), json!(["pods"]), json!(["list"]))];
    let mut wanted = role("a", &second);
    wanted["metadata"]["namespace"] = json!(world.namespace);
    let Some(said) = kubectl(&world, "auth reconcile -f -", &wanted.to_string()) else {
        return;
    };
    assert!(
        said.contains("role.rbac.authorization.k8s.io/a reconciled"),
        "{said}"
    );
    let kept = world.get(&format!("{path}/a")).await.is(200);
    assert_eq!(kept["rules"].as_array().unwrap().len(), 2);
}
