//! `meridian history` and `meridian undo`: the last divisions of a workload's replicas.
//!
//! They live in the status of its scheduling preference. Undo pins one by an annotation of the
//! preference; no spec is changed. Of templates the host keeps none but the present one: what is
//! known of their changes is printed.

use super::federated_type::{self, Found};
use crate::cli::{self, Output};
use crate::output::{self, Table};
use anyhow::{Context, Result, ensure};
use api::{ReplicaSchedulingPreference, ReplicaSchedulingPreferenceStatus};
use federation::ANNOTATION_DIVISION;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Runs `meridian history`.
///
/// # Errors
/// There is no such object, or no preference divides its replicas.
pub(crate) async fn run(args: cli::History) -> Result<()> {
    let found = federated_type::object(&args.which).await?;
    let preference = preference(&found).await?;
    let status = preference.status.clone().unwrap_or_default();
    let told = json!({
        "pinned": pinned(&preference),
        "divisions": status.history,
        "template": template(&found),
    });
    match args.output {
        Output::Table => output::print(&text(&found, &preference, &status)),
        form => output::structured(form, &told)?,
    }
    Ok(())
}

/// Runs `meridian undo`.
///
/// # Errors
/// There is no such division.
pub(crate) async fn undo(args: cli::Undo) -> Result<()> {
    let found = federated_type::object(&args.which).await?;
    let preference = preference(&found).await?;
    if args.release {
        pin(&found, Value::Null).await?;
        eprintln!(
            "{}: the preference's spec divides its replicas again",
            found.what()
        );
        return Ok(());
    }
    let history = preference.status.map(|status| status.history);
    let history = history.unwrap_or_default();
    ensure!(
        history.len() > 1,
        "{}: its replicas were never divided otherwise",
        found.what()
    );
    ensure!(
        (1..history.len()).contains(&args.to),
        "--to {}: 'meridian history' numbers the earlier divisions from 1 to {}",
        args.to,
        history.len() - 1
    );
    let division = &history[args.to].clusters;
    pin(&found, json!(serde_json::to_string(division)?)).await?;
    eprintln!(
        "{}: pinned to {} until 'meridian undo … --release'",
        found.what(),
        words(division)
    );
    eprintln!("{}", template(&found));
    Ok(())
}

async fn preference(found: &Found) -> Result<ReplicaSchedulingPreference> {
    let (namespace, name) = (&found.key.namespace, &found.key.name);
    let api = Api::<ReplicaSchedulingPreference>::namespaced(found.host.clone(), namespace);
    let kind = &found.federated.types.federated.kind;
    let preference = api.get_opt(name).await?;
    let preference = preference.filter(|preference| preference.spec.target_kind == *kind);
    preference.with_context(|| {
        format!(
            "no ReplicaSchedulingPreference {}/{} has targetKind {kind}: its replicas are not \
             divided, so there is no history",
            found.key.namespace, found.key.name
        )
    })
}

async fn pin(found: &Found, division: Value) -> Result<()> {
    let (namespace, name) = (&found.key.namespace, &found.key.name);
    let api = Api::<ReplicaSchedulingPreference>::namespaced(found.host.clone(), namespace);
    let patch = json!({"metadata": {"annotations": {ANNOTATION_DIVISION: division}}});
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .with_context(|| format!("ReplicaSchedulingPreference {namespace}/{name}"))?;
    Ok(())
}

fn pinned(preference: &ReplicaSchedulingPreference) -> Option<&String> {
    let annotations = preference.metadata.annotations.as_ref()?;
    annotations.get(ANNOTATION_DIVISION)
}

fn text(
    found: &Found,
    preference: &ReplicaSchedulingPreference,
    status: &ReplicaSchedulingPreferenceStatus,
) -> String {
    let mut table = Table::new(&["", "SINCE", "GENERATION", "REPLICAS", "DIVISION"]);
    for (index, past) in status.history.iter().enumerate() {
        let number = match index {
            0 => "now".to_owned(),
            index => index.to_string(),
        };
        table.row([
            number,
            past.divided_at.clone(),
            past.generation.to_string(),
            past.clusters.values().sum::<i64>().to_string(),
            words(&past.clusters),
        ]);
    }
    let pinned = match pinned(preference) {
        Some(division) => format!("pinned by undo: {division}\n"),
        None => String::new(),
    };
    format!(
        "{}\n{}{pinned}{}\n",
        found.what(),
        table.text(),
        template(found)
    )
}

fn words(division: &BTreeMap<String, i64>) -> String {
    let shares = division
        .iter()
        .map(|(name, replicas)| format!("{name} {replicas}"));
    shares.collect::<Vec<_>>().join(", ")
}

/// Who changed the template last, as far as the host knows.
fn template(found: &Found) -> String {
    let entries = found.object.metadata.managed_fields.iter().flatten();
    let writers = entries.filter(|entry| {
        let fields = entry.fields_v1.as_ref();
        fields.is_some_and(|fields| fields.0.pointer("/f:spec/f:template").is_some())
    });
    let last = writers.max_by_key(|entry| entry.time.as_ref().map(|time| time.0));
    let generation = found.object.metadata.generation.unwrap_or_default();
    let who = last.map(|entry| {
        let manager = entry.manager.as_deref().unwrap_or("somebody");
        let time = entry.time.as_ref().map(|time| time.0.to_string());
        format!("last written by {manager} at {}", time.unwrap_or_default())
    });
    format!(
        "template: generation {generation}, {}; the host keeps no earlier one: apply it from where \
         it is kept, and 'meridian plan -f' shows what that changes",
        who.unwrap_or_else(|| "by whom is not known".to_owned())
    )
}
