//! `meridian explain TYPE NAME`: why each cluster was or was not chosen, and how many replicas it
//! has and why.
//!
//! It is the controller's own plan, made from what the host and the members say now.

use crate::cli::{self, Output};
use crate::commands::federated_type;
use crate::commands::plan::ask;
use crate::output;
use anyhow::{Context, Result};
use controller::preview::{Asked, PreviewedObject};
use federation::{Explanation, explain};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What is printed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    kind: String,
    name: String,
    #[serde(flatten)]
    explanation: Explanation,
    /// Why each cluster has its replicas.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    division: BTreeMap<String, Share>,
    /// What the scheduling preference's own status would say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    preference: Vec<String>,
    /// Members that do not answer, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    silent: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct Share {
    replicas: i64,
    reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    phase: String,
}

/// Explains one object.
pub(super) async fn run(which: &cli::Which, form: Output) -> Result<()> {
    let found = federated_type::object(which).await?;
    let asked = Asked {
        type_name: found.federated.name.clone(),
        key: found.key.clone(),
    };
    let preview = ask(&which.host, &[], vec![asked]).await?;
    let object = preview.objects.iter().find(|object| object.asked);
    let notes = || {
        let notes: Vec<&str> = preview
            .notes
            .iter()
            .map(|note| note.text.as_str())
            .collect();
        format!("{} cannot be planned: {}", found.what(), notes.join("; "))
    };
    let object = object.with_context(notes)?;
    let mut told = told(object, found.what());
    told.silent = preview
        .silent
        .iter()
        .map(|(name, why)| (name.to_string(), why.clone()))
        .collect();
    output::print(&match form {
        Output::Table => text(&told),
        Output::Json => format!("{:#}\n", serde_json::to_value(&told)?),
        Output::Yaml => serde_saphyr::to_string(&told)?,
    });
    Ok(())
}

fn told(object: &PreviewedObject, name: String) -> Told {
    let mut explanation = explain(&object.input);
    for cluster in &mut explanation.clusters {
        if let Some(why) = object.unknown.get(&cluster.name) {
            cluster.reason.clone_from(why);
        }
    }
    let status = object.replicas.as_ref().map(|planned| &planned.status);
    let shares = status.iter().flat_map(|status| &status.clusters);
    let conditions = status.iter().flat_map(|status| &status.conditions);
    Told {
        kind: object.input.object.kind.clone(),
        name,
        explanation,
        division: shares
            .map(|share| {
                let told = Share {
                    replicas: share.replicas,
                    reason: share.reason.clone(),
                    phase: share.phase.clone(),
                };
                (share.name.clone(), told)
            })
            .collect(),
        preference: conditions
            .filter_map(|condition| {
                let words = condition.message.clone()?;
                Some(format!(
                    "{} is {}: {words}",
                    condition.r#type, condition.status
                ))
            })
            .collect(),
        silent: BTreeMap::new(),
    }
}

fn text(told: &Told) -> String {
    let mut text = format!("{}\n", told.name);
    for cluster in &told.explanation.clusters {
        let sign = if cluster.chosen { '+' } else { '-' };
        let chosen = if cluster.chosen {
            "chosen"
        } else {
            "not chosen"
        };
        let _ = writeln!(
            text,
            "  {sign} {}: {chosen}: {}",
            cluster.name, cluster.placement
        );
        if let Some(share) = told.division.get(cluster.name.as_str()) {
            let phase = match share.phase.as_str() {
                "" => String::new(),
                phase => format!(", {phase}"),
            };
            let _ = writeln!(
                text,
                "      replicas {}{phase}: {}",
                share.replicas, share.reason
            );
        }
        if cluster.chosen || cluster.action != "nothing" {
            let _ = writeln!(text, "      now: {}: {}", cluster.action, cluster.reason);
        }
    }
    for words in &told.preference {
        let _ = writeln!(text, "  preference: {words}");
    }
    for problem in &told.explanation.problems {
        let at = problem.cluster.as_ref();
        let at = at.map(|cluster| format!("{cluster}: ")).unwrap_or_default();
        let _ = writeln!(text, "  ! {at}{}", problem.message);
    }
    for (cluster, why) in &told.silent {
        let _ = writeln!(text, "  ! {cluster} does not answer: {why}");
    }
    text
}
