//! Argo CD judges preferences and global services by scripts in `deploy/argocd`. Those of federated
//! objects are tried where their conditions are made (`federation/src/verdict_tests.rs`).

use mlua::LuaSerdeExt;
use serde_json::{Value, json};
use std::path::Path;

/// What a script says of an object with this status.
fn health(of: &str, status: &Value) -> (String, Option<String>) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/argocd/argocd-cm.yaml");
    let text = std::fs::read_to_string(file).expect("it is in the repository");
    let map: Value = serde_saphyr::from_str(&text).expect("YAML");
    let customizations = map["data"]["resource.customizations"].as_str();
    let scripts: Value = serde_saphyr::from_str(customizations.expect("text")).expect("YAML");
    let script = scripts[of]["health.lua"].as_str().expect("a script");
    let lua = mlua::Lua::new();
    let mut object = json!({"metadata": {"generation": 2}});
    if !status.is_null() {
        object["status"] = status.clone();
    }
    let object = lua.to_value(&object).expect("a table");
    lua.globals().set("obj", object).expect("a global");
    let health: mlua::Table = lua.load(script).eval().expect("it runs");
    let status: String = health.get("status").expect("a status");
    (status, health.get("message").expect("a text, or nothing"))
}

fn check(of: &str, generation: i64, conditions: &[(&str, &str)], expected: &str) {
    let conditions: Vec<Value> = conditions
        .iter()
        .map(|(kind, status)| json!({"type": kind, "status": status, "message": kind}))
        .collect();
    let status = json!({"observedGeneration": generation, "conditions": conditions});
    let (said, message) = health(of, &status);
    assert_eq!(said, expected, "{status:#}");
    let told = conditions
        .iter()
        .any(|condition| message.as_deref() == condition["message"].as_str());
    assert!(told || expected != "Degraded", "it says why: {message:?}");
}

#[test]
fn a_preference_is_healthy_while_all_is_divided_and_nobody_is_waited_for() {
    let of = "scheduling.kubefed.io/ReplicaSchedulingPreference";
    check(of, 2, &[("Scheduled", "True")], "Healthy");
    check(of, 1, &[("Scheduled", "True")], "Progressing");
    check(of, 2, &[], "Progressing");
    check(of, 2, &[("Scheduled", "False")], "Degraded");
    let braked = [("Scheduled", "True"), ("FailoverBraked", "True")];
    check(of, 2, &braked, "Degraded");
    let unsafe_ = [("Scheduled", "True"), ("FailoverUnsafe", "True")];
    check(of, 2, &unsafe_, "Healthy");
}

#[test]
fn a_global_service_is_healthy_while_its_hosts_are_served_as_its_policy_says() {
    let of = "gslb.meridian.dev/GlobalService";
    let good = [
        ("Served", "True"),
        ("PolicyFits", "True"),
        ("ObserversTooFew", "False"),
        ("HostnamesResolve", "True"),
    ];
    check(of, 2, &good, "Healthy");
    check(of, 1, &good, "Progressing");
    check(of, 2, &[], "Progressing");
    for (at, (kind, status)) in good.into_iter().enumerate() {
        let mut bad = good;
        let other = if status == "True" { "False" } else { "True" };
        bad[at] = (kind, other);
        check(of, 2, &bad, "Degraded");
    }
    assert_eq!(health(of, &Value::Null).0, "Progressing");
}
