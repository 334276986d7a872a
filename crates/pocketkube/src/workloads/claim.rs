//! Which objects a controller owns: adopting those that match its selector and have no
//! controller, releasing those that match no longer (`controller_ref_manager.go` of the real one).

use super::selector;
use super::step::Write;
use crate::object::{controller_uid, is_deleting, labels, list, metadata_mut, name, uid};
use serde_json::{Value, json};

/// The controlling reference that a child of `owner` carries.
pub(crate) fn controller_reference(owner: &Value) -> Value {
    json!({
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name(owner),
        "uid": uid(owner),
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// Sorts candidates of the owner's namespace: gives those that it owns and that match, and the
/// writes that adopt orphans and release strangers.
pub(crate) fn claim<'a>(
    owner: &Value,
    table: &'static str,
    candidates: impl IntoIterator<Item = &'a Value>,
) -> (Vec<&'a Value>, Vec<Write>) {
    let wanted = &owner["spec"]["selector"];
    let (mut owned, mut writes) = (Vec::new(), Vec::new());
    for candidate in candidates {
        let matches = selector::selects(wanted, labels(candidate));
        match controller_uid(candidate) {
            Some(other) if other != uid(owner) => {}
            Some(_) if matches => owned.push(candidate),
            Some(_) if is_deleting(owner) => {}
            Some(_) => writes.push(Write::Update(table, released(candidate, uid(owner)))),
            None if !matches || is_deleting(owner) || is_deleting(candidate) => {}
            None => writes.push(Write::Update(table, adopted(candidate, owner))),
        }
    }
    (owned, writes)
}

fn adopted(candidate: &Value, owner: &Value) -> Value {
    let mut object = candidate.clone();
    let mut owners = list(&object["metadata"]["ownerReferences"]).to_vec();
    owners.retain(|reference| reference["uid"] != owner["metadata"]["uid"]);
    owners.push(controller_reference(owner));
    metadata_mut(&mut object).insert("ownerReferences".to_owned(), Value::Array(owners));
    object
}

fn released(candidate: &Value, owner_uid: &str) -> Value {
    let mut object = candidate.clone();
    let mut owners = list(&object["metadata"]["ownerReferences"]).to_vec();
    owners.retain(|reference| reference["uid"] != *owner_uid);
    let metadata = metadata_mut(&mut object);
    if owners.is_empty() {
        metadata.shift_remove("ownerReferences");
    } else {
        metadata.insert("ownerReferences".to_owned(), Value::Array(owners));
    }
    object
}

#[cfg(test)]
mod tests {
    use super::{Write, claim};
    use serde_json::{Value, json};

    fn owner() -> Value {
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": "web", "namespace": "n", "uid": "owner"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}}})
    }

    fn pod(name: &str, app: &str, controller: Option<&str>) -> Value {
        let mut pod = json!({"metadata": {"name": name, "labels": {"app": app}}});
        if let Some(uid) = controller {
            pod["metadata"]["ownerReferences"] = json!([{"uid": uid, "controller": true}]);
        }
        pod
    }

    #[test]
    fn orphans_that_match_are_adopted_and_strangers_released() {
        let pods = [
            pod("mine", "web", Some("owner")),
            pod("orphan", "web", None),
            pod("relabelled", "db", Some("owner")),
            pod("other", "web", Some("someone")),
            pod("unrelated", "db", None),
        ];
        let (owned, writes) = claim(&owner(), "pods", &pods);
        assert_eq!(owned, vec![&pods[0]]);
        let [
            Write::Update("pods", adopted),
            Write::Update("pods", released),
        ] = &writes[..]
        else {
            panic!("two updates: {writes:?}");
        };
        assert_eq!(adopted["metadata"]["name"], "orphan");
        assert_eq!(adopted["metadata"]["ownerReferences"][0]["uid"], "owner");
        assert_eq!(
            adopted["metadata"]["ownerReferences"][0]["blockOwnerDeletion"],
            true
        );
        assert_eq!(released["metadata"]["name"], "relabelled");
        assert_eq!(released["metadata"].get("ownerReferences"), None);
    }

    #[test]
    fn an_owner_that_goes_adopts_nothing() {
        let mut owner = owner();
        owner["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let pods = [pod("orphan", "web", None)];
        assert_eq!(claim(&owner, "pods", &pods), (vec![], vec![]));
    }
}
