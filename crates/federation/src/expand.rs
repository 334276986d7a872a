//! `${cluster.…}` in the values of overrides that ask for it.

use crate::input::ClusterFacts;
use model::ClusterName;
use serde_json::Value;

/// Replaces the cluster's values in every text of a value; `$${` stands for `${` itself.
pub(crate) fn expand(
    value: Value,
    cluster: &ClusterName,
    facts: &ClusterFacts,
) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => Value::String(expand_text(&text, cluster, facts)?),
        Value::Array(items) => Value::Array(
            items
                .into_iter()
                .map(|item| expand(item, cluster, facts))
                .collect::<Result<_, _>>()?,
        ),
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(key, field)| Ok((key, expand(field, cluster, facts)?)))
                .collect::<Result<_, String>>()?,
        ),
        other => other,
    })
}

fn expand_text(text: &str, cluster: &ClusterName, facts: &ClusterFacts) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if rest[..start].ends_with('$') {
            out.push_str(&rest[..start - 1]);
            out.push_str("${");
            rest = &rest[start + 2..];
            continue;
        }
        out.push_str(&rest[..start]);
        let inside = &rest[start + 2..];
        let end = inside.find('}').ok_or("a \"${\" has no closing brace")?;
        out.push_str(&variable(&inside[..end], cluster, facts)?);
        rest = &inside[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

fn variable(name: &str, cluster: &ClusterName, facts: &ClusterFacts) -> Result<String, String> {
    let label = name
        .strip_prefix("cluster.labels['")
        .and_then(|rest| rest.strip_suffix("']"));
    match (name, label) {
        ("cluster.name", _) => Ok(cluster.to_string()),
        ("cluster.region", _) => facts
            .region
            .as_ref()
            .map(ToString::to_string)
            .ok_or_else(|| "the cluster has no region".to_owned()),
        ("cluster.zone", _) => facts
            .zones
            .first()
            .cloned()
            .ok_or_else(|| "the cluster has no zone".to_owned()),
        (_, Some(label)) => facts
            .labels
            .get(label)
            .cloned()
            .ok_or_else(|| format!("the cluster has no label {label:?}")),
        _ => Err(format!(
            "${{{name}}} is unknown; there are cluster.name, cluster.region, cluster.zone and \
             cluster.labels['…']"
        )),
    }
}
