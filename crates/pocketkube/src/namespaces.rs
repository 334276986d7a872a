//! The namespace controllers: what a new Namespace gets, and how one that is deleted empties
//! (`pkg/controller/namespace/deletion`, `serviceaccount` and `rootcacertpublisher`).

use crate::clock::seconds;
use crate::object::{finalizers, is_deleting, list, name};
use crate::workloads::step::{Creation, Deletion, Step, Write};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Table of Namespaces.
pub(crate) const TABLE: &str = "namespaces";
/// Table of ServiceAccounts.
pub(crate) const SERVICE_ACCOUNTS: &str = "serviceaccounts";
/// Table of ConfigMaps.
pub(crate) const CONFIG_MAPS: &str = "configmaps";
/// ServiceAccount of Pods that name none.
pub(crate) const DEFAULT_ACCOUNT: &str = "default";
/// ConfigMap with the certificate authority of the cluster's server.
pub(crate) const ROOT_CA: &str = "kube-root-ca.crt";
/// Finalizer in the spec of every Namespace.
pub(crate) const KUBERNETES: &str = "kubernetes";

/// What a new Namespace has already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Furniture<'a> {
    /// Its `default` ServiceAccount.
    pub(crate) account: Option<&'a Value>,
    /// Its `kube-root-ca.crt` ConfigMap.
    pub(crate) root_ca: Option<&'a Value>,
    /// The certificate authority, in PEM.
    pub(crate) ca_pem: &'a str,
}

/// Objects of one kind in a Namespace.
#[derive(Debug, Clone)]
pub(crate) struct Contents<'a> {
    /// Table of the kind.
    pub(crate) table: String,
    /// Plural.
    pub(crate) plural: &'a str,
    /// API group.
    pub(crate) group: &'a str,
    /// The objects.
    pub(crate) objects: Vec<&'a Value>,
}

/// Gives a Namespace that stays what it lacks.
pub(crate) fn furnish(namespace: &Value, furniture: Furniture<'_>) -> Step {
    let mut step = Step::default();
    if is_deleting(namespace) {
        return step;
    }
    if furniture.account.is_none() {
        let account = json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": DEFAULT_ACCOUNT, "namespace": name(namespace)},
        });
        step.push(Write::Create(Creation::quiet(SERVICE_ACCOUNTS, account)));
    }
    match furniture.root_ca {
        None => {
            let object = root_ca(name(namespace), furniture.ca_pem);
            step.push(Write::Create(Creation::quiet(CONFIG_MAPS, object)));
        }
        Some(seen) if seen["data"]["ca.crt"] != *furniture.ca_pem => {
            let mut object = seen.clone();
            object["data"] = json!({"ca.crt": furniture.ca_pem});
            step.push(Write::Update(CONFIG_MAPS, object));
        }
        Some(_) => {}
    }
    step
}

/// Empties a Namespace that is deleted, tells how far that is, and lets it go at last.
pub(crate) fn empty(namespace: &Value, contents: &[Contents<'_>], now: Timestamp) -> Step {
    let mut step = Step::default();
    if !is_deleting(namespace) {
        return step;
    }
    for kind in contents {
        for object in kind.objects.iter().filter(|object| !is_deleting(object)) {
            step.push(Write::Delete(Deletion::of(&kind.table, object)));
        }
    }
    if !step.writes.is_empty() {
        // What stays after that is seen at the next look.
        return step;
    }
    let mut object = namespace.clone();
    set_conditions(&mut object, contents, now);
    if object != *namespace {
        // The changed Namespace brings the next look.
        step.push(Write::UpdateStatus(TABLE, object));
        return step;
    }
    let is_empty = contents.iter().all(|kind| kind.objects.is_empty());
    let held = list(&namespace["spec"]["finalizers"])
        .iter()
        .any(|one| one == KUBERNETES);
    if is_empty && held {
        step.push(Write::Finalize(object));
    }
    step
}

fn root_ca(namespace: &str, ca_pem: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": ROOT_CA,
            "namespace": namespace,
            "annotations": {
                "kubernetes.io/description": "Contains a CA bundle that can be used to verify the \
                    kube-apiserver when using internal endpoints such as the internal service IP \
                    or kubernetes.default.svc. No other usage is guaranteed across distributions \
                    of Kubernetes clusters.",
            },
        },
        "data": {"ca.crt": ca_pem},
    })
}

/// A condition while all is well: type, reason, message.
const WELL: [(&str, &str, &str); 5] = [
    (
        "NamespaceDeletionDiscoveryFailure",
        "ResourcesDiscovered",
        "All resources successfully discovered",
    ),
    (
        "NamespaceDeletionGroupVersionParsingFailure",
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    (
        "NamespaceContentRemaining",
        "ContentRemoved",
        "All content successfully removed",
    ),
    (
        "NamespaceFinalizersRemaining",
        "ContentHasNoFinalizers",
        "All content-preserving finalizers finished",
    ),
];

fn set_conditions(namespace: &mut Value, contents: &[Contents<'_>], now: Timestamp) {
    for (kind, reason, message) in WELL {
        let remains = match kind {
            "NamespaceContentRemaining" => {
                remaining_content(contents).map(|message| ("SomeResourcesRemain", message))
            }
            "NamespaceFinalizersRemaining" => {
                remaining_finalizers(contents).map(|message| ("SomeFinalizersRemain", message))
            }
            _ => None,
        };
        match remains {
            Some((reason, message)) => {
                set_condition(namespace, kind, "True", reason, &message, now)
            }
            None => set_condition(namespace, kind, "False", reason, message, now),
        }
    }
}

fn set_condition(
    namespace: &mut Value,
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
    now: Timestamp,
) {
    let conditions = &mut namespace["status"]["conditions"];
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    let conditions = conditions.as_array_mut().expect("made a list above");
    let Some(known) = conditions
        .iter_mut()
        .find(|condition| condition["type"] == *kind)
    else {
        conditions.push(json!({
            "type": kind,
            "status": status,
            "lastTransitionTime": seconds(now),
            "reason": reason,
            "message": message,
        }));
        return;
    };
    if known["status"] != *status {
        known["lastTransitionTime"] = json!(seconds(now));
    }
    known["status"] = json!(status);
    known["reason"] = json!(reason);
    known["message"] = json!(message);
}

fn remaining_content(contents: &[Contents<'_>]) -> Option<String> {
    let mut parts: Vec<String> = contents
        .iter()
        .filter(|kind| !kind.objects.is_empty())
        .map(|kind| {
            let count = kind.objects.len();
            format!(
                "{}.{} has {count} resource instances",
                kind.plural, kind.group
            )
        })
        .collect();
    parts.sort();
    (!parts.is_empty()).then(|| format!("Some resources are remaining: {}", parts.join(", ")))
}

fn remaining_finalizers(contents: &[Contents<'_>]) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for finalizer in contents
        .iter()
        .flat_map(|kind| &kind.objects)
        .flat_map(|one| finalizers(one))
    {
        *counts.entry(finalizer).or_default() += 1;
    }
    let parts: Vec<String> = counts
        .into_iter()
        .map(|(finalizer, count)| format!("{finalizer} in {count} resource instances"))
        .collect();
    (!parts.is_empty()).then(|| {
        format!(
            "Some content in the namespace has finalizers remaining: {}",
            parts.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-01T00:00:00Z";

    fn terminating() -> Value {
        json!({"metadata": {"name": "n", "uid": "n", "deletionTimestamp": NOW},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Terminating"}})
    }

    fn contents<'a>(plural: &'a str, objects: &'a [Value]) -> Contents<'a> {
        Contents {
            table: plural.to_owned(),
            plural,
            group: "",
            objects: objects.iter().collect(),
        }
    }

    fn look(namespace: &Value, contents: &[Contents<'_>]) -> Step {
        empty(namespace, contents, NOW.parse().unwrap())
    }

    #[test]
    fn a_new_namespace_gets_an_account_and_the_certificate_authority() {
        let namespace = json!({"metadata": {"name": "n"}});
        let step = furnish(
            &namespace,
            Furniture {
                account: None,
                root_ca: None,
                ca_pem: "PEM",
            },
        );
        let [Write::Create(account), Write::Create(root_ca)] = &step.writes[..] else {
            panic!("{step:?}");
        };
        assert_eq!(
            account.object["metadata"],
            json!({"name": "default", "namespace": "n"})
        );
        assert_eq!(root_ca.object["data"], json!({"ca.crt": "PEM"}));
        let furniture = Furniture {
            account: Some(&account.object),
            root_ca: Some(&root_ca.object),
            ca_pem: "PEM",
        };
        assert_eq!(furnish(&namespace, furniture), Step::default());
        assert_eq!(
            furnish(
                &terminating(),
                Furniture {
                    account: None,
                    root_ca: None,
                    ca_pem: ""
                }
            ),
            Step::default()
        );
    }

    #[test]
    fn a_tampered_certificate_authority_is_put_right() {
        let namespace = json!({"metadata": {"name": "n"}});
        let tampered = json!({"data": {"ca.crt": "other"}});
        let account = json!({});
        let furniture = Furniture {
            account: Some(&account),
            root_ca: Some(&tampered),
            ca_pem: "PEM",
        };
        let step = furnish(&namespace, furniture);
        let [Write::Update(_, object)] = &step.writes[..] else {
            panic!("{step:?}")
        };
        assert_eq!(object["data"]["ca.crt"], "PEM");
    }

    #[test]
    fn a_namespace_empties_tells_what_stays_and_goes() {
        let fresh = [json!({"metadata": {"name": "a", "namespace": "n", "uid": "a"}})];
        let deletes = look(&terminating(), &[contents("configmaps", &fresh)]);
        assert!(matches!(&deletes.writes[..], [Write::Delete(deletion)] if deletion.name == "a"));

        let stuck = [
            json!({"metadata": {"name": "a", "namespace": "n", "uid": "a",
            "deletionTimestamp": NOW, "finalizers": ["example.com/hold"]}}),
        ];
        let waits = look(&terminating(), &[contents("configmaps", &stuck)]);
        let [Write::UpdateStatus(_, told)] = &waits.writes[..] else {
            panic!("{waits:?}")
        };
        let conditions = &told["status"]["conditions"];
        assert_eq!(
            conditions[3]["message"],
            "Some resources are remaining: configmaps. has 1 resource instances"
        );
        assert_eq!(
            conditions[4]["message"],
            "Some content in the namespace has finalizers remaining: example.com/hold in 1 \
             resource instances"
        );
        assert_eq!(
            look(told, &[contents("configmaps", &stuck)]),
            Step::default()
        );

        let cleared = look(told, &[]);
        let [Write::UpdateStatus(_, cleared)] = &cleared.writes[..] else {
            panic!("{cleared:?}")
        };
        assert_eq!(
            cleared["status"]["conditions"][3]["reason"],
            "ContentRemoved"
        );
        assert!(matches!(
            &look(cleared, &[]).writes[..],
            [Write::Finalize(_)]
        ));
    }

    #[test]
    fn a_finalized_namespace_is_left_alone() {
        let mut done = terminating();
        set_conditions(&mut done, &[], NOW.parse().unwrap());
        done["spec"]["finalizers"] = json!(["example.com/mine"]);
        assert_eq!(look(&done, &[]), Step::default());
    }
}
