//! CustomResourceDefinitions themselves.

use super::validate::names as rules;
use crate::schema::{admit, child_path, index_path};
use crate::status::Cause;
use serde_json::{Value, json};

pub(super) fn default(object: &mut Value) {
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    let names = spec.entry("names").or_insert_with(|| json!({}));
    let kind = names["kind"].as_str().unwrap_or_default().to_owned();
    if let Some(fields) = names.as_object_mut()
        && !kind.is_empty()
    {
        fields
            .entry("singular")
            .or_insert_with(|| json!(kind.to_lowercase()));
        fields
            .entry("listKind")
            .or_insert_with(|| json!(format!("{kind}List")));
    }
    spec.entry("conversion")
        .or_insert_with(|| json!({ "strategy": "None" }));
}

/// Remembers the version that objects are stored in from now on.
pub(super) fn prepare(object: &mut Value) {
    let stored = list(&object["spec"]["versions"])
        .iter()
        .find(|version| version["storage"] == true)
        .map(|version| version["name"].clone());
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    let status = fields.entry("status").or_insert_with(|| json!({}));
    let Some(status) = status.as_object_mut() else {
        return;
    };
    let known = status.entry("storedVersions").or_insert_with(|| json!([]));
    if known.is_null() {
        *known = json!([]);
    }
    if let (Some(known), Some(version)) = (known.as_array_mut(), stored)
        && !known.contains(&version)
    {
        known.push(version);
    }
}

pub(super) fn validate(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (name, group, plural) = (
        text(&object["metadata"]["name"]),
        text(&spec["group"]),
        text(&spec["names"]["plural"]),
    );
    if name != format!("{plural}.{group}") {
        let why = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid("metadata.name", &name.into(), why));
    }
    if group.is_empty() {
        causes.push(Cause::required("spec.group", ""));
    } else {
        for why in rules::subdomain(&group) {
            causes.push(Cause::invalid("spec.group", &spec["group"], &why));
        }
        if !group.contains('.') {
            let why = "should be a domain with at least one dot";
            causes.push(Cause::invalid("spec.group", &spec["group"], why));
        }
    }
    match text(&spec["scope"]).as_str() {
        "" => causes.push(Cause::required("spec.scope", "")),
        "Cluster" | "Namespaced" => {}
        _ => causes.push(Cause::unsupported(
            "spec.scope",
            &spec["scope"],
            &["Cluster", "Namespaced"],
        )),
    }
    for field in ["plural", "singular", "kind", "listKind"] {
        let value = text(&spec["names"][field]).to_lowercase();
        let at = format!("spec.names.{field}");
        if value.is_empty() {
            causes.push(Cause::required(at, ""));
        } else {
            for why in rules::rfc1035(&value) {
                causes.push(Cause::invalid(&at, &spec["names"][field], &why));
            }
        }
    }
    versions(object, causes);
}

pub(super) fn validate_update(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    for (path, now, was) in [
        ("spec.group", &new["spec"]["group"], &old["spec"]["group"]),
        ("spec.scope", &new["spec"]["scope"], &old["spec"]["scope"]),
        (
            "spec.names.kind",
            &new["spec"]["names"]["kind"],
            &old["spec"]["names"]["kind"],
        ),
        (
            "spec.names.plural",
            &new["spec"]["names"]["plural"],
            &old["spec"]["names"]["plural"],
        ),
    ] {
        if now != was {
            causes.push(Cause::invalid(path, now, "field is immutable"));
        }
    }
}

fn versions(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let versions = list(&spec["versions"]);
    let mut seen: Vec<&Value> = Vec::new();
    for (index, version) in versions.iter().enumerate() {
        let field = child_path(&index_path("spec.versions", index), "name");
        for why in rules::rfc1035(version["name"].as_str().unwrap_or_default()) {
            causes.push(Cause::invalid(&field, &version["name"], &why));
        }
        if seen.contains(&&version["name"]) {
            let why = "must contain unique version names";
            causes.push(Cause::invalid("spec.versions", &version["name"], why));
        }
        seen.push(&version["name"]);
    }
    let stored = versions
        .iter()
        .filter(|version| version["storage"] == true)
        .count();
    if stored != 1 {
        let why = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid(
            "spec.versions",
            &json!(shown(versions)),
            why,
        ));
        if stored == 0 {
            let why = "must have at least one stored version";
            causes.push(Cause::invalid("status.storedVersions", &Value::Null, why));
        }
    }
    let known = list(&object["status"]["storedVersions"]);
    for version in versions.iter().filter(|version| version["storage"] == true) {
        if !known.contains(&version["name"]) {
            let name = version["name"].as_str().unwrap_or_default();
            let why = format!("must have the storage version {name}");
            causes.push(Cause::invalid("status.storedVersions", &json!(known), &why));
        }
    }
    // The server moves what all versions share to the top before it checks.
    let schema = |version: &Value| version["schema"]["openAPIV3Schema"].clone();
    let is_shared = versions
        .windows(2)
        .all(|pair| schema(&pair[0]) == schema(&pair[1]));
    for (index, version) in versions.iter().enumerate() {
        let path = match is_shared {
            true => "spec.validation.openAPIV3Schema".to_owned(),
            false => format!("spec.versions[{index}].schema.openAPIV3Schema"),
        };
        let open_api = schema(version);
        if open_api.is_object() {
            causes.extend(admit(&open_api, &path));
        } else {
            let path = format!("spec.versions[{index}].schema.openAPIV3Schema");
            causes.push(Cause::required(path, ""));
        }
        if is_shared {
            break;
        }
    }
    for (index, version) in versions.iter().enumerate() {
        let path = match versions {
            // What all versions share moves to the top.
            [_] => "spec.selectableFields".to_owned(),
            _ => format!("spec.versions[{index}].selectableFields"),
        };
        selectable(version, &path, causes);
    }
}

/// Fields that select objects are of scalar types.
fn selectable(version: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (index, field) in list(&version["selectableFields"]).iter().enumerate() {
        let at = child_path(&index_path(path, index), "jsonPath");
        let given = &field["jsonPath"];
        let steps = given.as_str().unwrap_or_default().split('.').skip(1);
        let root = &version["schema"]["openAPIV3Schema"];
        let schema = steps.fold(root, |schema, step| &schema["properties"][step]);
        let why = match schema["type"].as_str() {
            None => "is an invalid path: does not refer to a valid field",
            Some("string" | "boolean" | "integer") => continue,
            Some(_) => {
                "must point to a field of type string, boolean or integer. Enum string fields and \
                 strings with formats are allowed."
            }
        };
        causes.push(Cause::invalid(at, given, why));
    }
}

fn shown(versions: &[Value]) -> Vec<Value> {
    let brief = |version: &Value| {
        json!({
            "Name": version["name"],
            "Served": version["served"],
            "Storage": version["storage"],
            "Deprecated": version["deprecated"] == true,
            "DeprecationWarning": version["deprecationWarning"],
            "Schema": null,
            "Subresources": null,
            "AdditionalPrinterColumns": null,
            "SelectableFields": null,
        })
    };
    versions.iter().map(brief).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
