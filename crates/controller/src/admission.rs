//! What an API server's webhook is told: whether an object that is to be written can be used.
//!
//! The schemas say most, and CEL in them. Here is what neither can: whatever meridian itself would
//! fail to read. Somebody at a terminal is told at once, with the field, instead of by a status.
//!
//! # Guarantees
//! Whether something is let in depends on what is asked alone, the object and what it was: two
//! replicas never say different things.
//! An object that is being deleted, or whose spec stays as it was, is always let in, or what was
//! there before a rule could neither be released nor mended step by step.
//! # Caveats
//! It is a courtesy: what is not asked, because no replica answers, is told by statuses as before.

use crate::members::check_access;
use crate::settings::read_settings;
use api::{
    ClusterOverride, FederatedTypeConfig, GlobalService, KubeFedCluster, KubeFedConfig, Override,
    Zone, read_spec,
};
use federation::check_overrides;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The longest that is told.
const MESSAGE_CHARS_MAX: usize = 2048;

/// Answers an AdmissionReview (`admission.k8s.io/v1`); nothing, when it is none.
pub fn review(asked: &[u8]) -> Option<Vec<u8>> {
    let asked: Value = serde_json::from_slice(asked).ok()?;
    let request = asked.get("request")?;
    let judged = match is_let_in(request) {
        true => Judged::default(),
        false => judge(&request["object"]),
    };
    let mut response = json!({"uid": request["uid"], "allowed": judged.faults.is_empty()});
    if !judged.faults.is_empty() {
        let message: String = judged.faults.join("; ");
        let message: String = message.chars().take(MESSAGE_CHARS_MAX).collect();
        response["status"] = json!({"code": 422, "reason": "Invalid", "message": message});
    }
    if !judged.warnings.is_empty() {
        response["warnings"] = json!(judged.warnings);
    }
    let answer = json!({"apiVersion": asked["apiVersion"], "kind": "AdmissionReview",
        "response": response});
    serde_json::to_vec(&answer).ok()
}

/// Whether nobody is to be kept from it, whatever it says.
fn is_let_in(request: &Value) -> bool {
    let (object, before) = (&request["object"], &request["oldObject"]);
    !object.is_object()
        || !object["metadata"]["deletionTimestamp"].is_null()
        || (before.is_object() && before["spec"] == object["spec"])
}

#[derive(Debug, Default, PartialEq)]
struct Judged {
    faults: Vec<String>,
    warnings: Vec<String>,
}

impl Judged {
    fn fault(&mut self, fault: impl ToString) {
        self.faults.push(fault.to_string());
    }

    /// What a reader of ours says of it.
    fn read<T, E: ToString>(&mut self, read: &Result<T, E>) {
        self.faults.extend(read.as_ref().err().map(E::to_string));
    }
}

fn judge(object: &Value) -> Judged {
    let mut judged = Judged::default();
    let text = |name: &str| object[name].as_str().unwrap_or_default().to_owned();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let group = api_version.split('/').next().unwrap_or_default();
    match (group, kind.as_str()) {
        ("core.kubefed.io", "KubeFedCluster") => {
            typed(object, &mut judged, |cluster: &KubeFedCluster, judged| {
                judged.read(&cluster.place());
                judged.read(&cluster.check());
                let faults = check_access(&cluster.spec);
                judged.faults.extend(faults.iter().map(ToString::to_string));
            });
        }
        ("core.kubefed.io", "KubeFedConfig") => {
            typed(object, &mut judged, |config: &KubeFedConfig, judged| {
                let told = read_settings(Some(config)).conditions;
                let costs = told.into_iter().filter(|told| told.r#type != "Accepted");
                judged
                    .warnings
                    .extend(costs.filter_map(|told| told.message));
            });
        }
        ("core.kubefed.io", "FederatedTypeConfig") => {
            typed(
                object,
                &mut judged,
                |config: &FederatedTypeConfig, judged| {
                    judged.read(&config.read());
                },
            );
        }
        ("gslb.meridian.dev", "GlobalService") => typed(object, &mut judged, service),
        ("gslb.meridian.dev", "Override") => {
            typed(object, &mut judged, |it: &Override, judged| {
                judged.read(&it.read())
            });
        }
        ("gslb.meridian.dev", "ClusterOverride") => {
            typed(object, &mut judged, |it: &ClusterOverride, judged| {
                judged.read(&it.read())
            });
        }
        ("gslb.meridian.dev", "Zone") => {
            typed(object, &mut judged, |zone: &Zone, judged| {
                judged.read(&zone.read());
            });
        }
        ("types.kubefed.io", _) => match read_spec(&object["spec"]) {
            Err(why) => judged.fault(why),
            Ok(spec) => judged
                .faults
                .extend(check_overrides(&spec.intent.overrides)),
        },
        // Kinds of a later version are none of this one's business.
        _ => {}
    }
    judged
}

fn service(service: &GlobalService, judged: &mut Judged) {
    judged.read(&service.read_endpoints());
    match service.read() {
        Err(why) => judged.fault(why),
        Ok(spec) => {
            let problems = spec.problems().into_iter();
            let problems = problems.map(|it| format!("spec.{}: {}", it.field, it.message));
            judged.faults.extend(problems);
        }
    }
}

fn typed<K: DeserializeOwned>(
    object: &Value,
    judged: &mut Judged,
    look: impl FnOnce(&K, &mut Judged),
) {
    match serde_json::from_value(object.clone()) {
        Ok(read) => look(&read, judged),
        Err(why) => judged.fault(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(request: Value) -> Value {
        let asked = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": request});
        let answer = review(asked.to_string().as_bytes()).expect("an answer");
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
        answer["response"].clone()
    }

    fn create(object: &Value) -> Value {
        ask(json!({"uid": "1", "operation": "CREATE", "object": object}))
    }

    fn object(api_version: &str, kind: &str, spec: Value) -> Value {
        json!({"apiVersion": api_version, "kind": kind,
            "metadata": {"name": "x", "namespace": "y"}, "spec": spec})
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_its_field() {
        let cluster = |spec: Value| {
            let mut whole = json!({"apiEndpoint": "a", "secretRef": {"name": "s"}});
            json_patch::merge(&mut whole, &spec);
            object("core.kubefed.io/v1beta1", "KubeFedCluster", whole)
        };
        let override_path = json!({"template": {}, "placement": {}, "overrides": [
            {"clusterName": "a", "clusterOverrides": [{"path": "/metadata/name", "value": "z"}]}]});
        let service = json!({"hosts": ["shop.example"], "endpoints": {"static": [
            {"cluster": "a", "addresses": ["192.0.2.300"]}]}});
        for (object, field) in [
            (cluster(json!({"proxyURL": "ftp://proxy"})), "spec.proxyURL"),
            (
                cluster(json!({"apiEndpoint": "ftp://a"})),
                "spec.apiEndpoint",
            ),
            (
                cluster(json!({"dataPlaneCheck": {"address": "a",
                    "healthCheck": {"tcp": {"port": 1}, "interval": "1ms"}}})),
                "spec.dataPlaneCheck.healthCheck.interval",
            ),
            (
                object("gslb.meridian.dev/v1alpha1", "GlobalService", service),
                "spec.endpoints.static[0]",
            ),
            (
                object(
                    "types.kubefed.io/v1beta1",
                    "FederatedConfigMap",
                    override_path,
                ),
                "/metadata/name",
            ),
        ] {
            let said = create(&object);
            assert_eq!(said["allowed"], false, "{object}");
            assert_eq!(said["status"]["reason"], "Invalid");
            let message = said["status"]["message"].as_str().unwrap();
            assert!(message.contains(field), "{message}");
        }
        let said = create(&cluster(json!({})));
        assert_eq!(said, json!({"uid": "1", "allowed": true}));
    }

    #[test]
    fn what_is_deleted_or_stays_as_it_was_is_let_in() {
        let bad = object(
            "types.kubefed.io/v1beta1",
            "FederatedConfigMap",
            json!({"template": 1}),
        );
        assert_eq!(create(&bad)["allowed"], false);
        let mut released = bad.clone();
        released["metadata"]["finalizers"] = json!([]);
        let update = |before: &Value, now: &Value| {
            let request = json!({"uid": "1", "operation": "UPDATE", "object": now,
                "oldObject": before});
            ask(request)["allowed"].clone()
        };
        assert_eq!(update(&bad, &released), true);
        let mut changed = bad.clone();
        changed["spec"]["placement"] = json!({});
        assert_eq!(update(&bad, &changed), false);
        changed["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(update(&bad, &changed), true);
    }

    #[test]
    fn what_a_setting_costs_is_a_warning_and_other_kinds_are_let_in() {
        let config = object(
            "core.kubefed.io/v1beta1",
            "KubeFedConfig",
            json!({"leaderElect": {"leaseDuration": "1s"}}),
        );
        let said = create(&config);
        assert_eq!(said["allowed"], true);
        assert!(
            said["warnings"][0].to_string().contains("leaseDuration"),
            "{said}"
        );
        let other = object("example.org/v1", "Other", json!({"x": 1}));
        assert_eq!(create(&other)["allowed"], true);
        assert!(review(b"no review").is_none());
    }
}
