//! How far a changed template is, and a person's word on it.

use super::federated_type::{self, Found};
use super::operate::annotate;
use crate::{cli, output};
use anyhow::{Context, Result, bail};
use federation::{
    ANNOTATION_PAUSED, ANNOTATION_ROLLOUT_APPROVED, RolloutPhase, RolloutStatus, approval,
};
use kube::ResourceExt;
use serde_json::{Value, json};

/// Runs `meridian rollout`.
///
/// # Errors
/// There is no such object, or nothing that waits.
pub(crate) async fn rollout(args: cli::Rollout) -> Result<()> {
    match &args.command {
        cli::RolloutCommand::Status(which) => {
            let found = federated_type::object(which).await?;
            output::print(&words(&found)?);
            Ok(())
        }
        cli::RolloutCommand::Approve(which) => {
            let found = federated_type::object(which).await?;
            approve(&found).await
        }
        cli::RolloutCommand::Pause(which) => {
            let found = federated_type::object(which).await?;
            annotate(&found, ANNOTATION_PAUSED, json!("true")).await?;
            eprintln!("{}: held as it is in every cluster", found.what());
            Ok(())
        }
        cli::RolloutCommand::Resume(which) => {
            let found = federated_type::object(which).await?;
            annotate(&found, ANNOTATION_PAUSED, Value::Null).await?;
            eprintln!("{}: goes on", found.what());
            Ok(())
        }
    }
}

fn status(found: &Found) -> Result<Option<RolloutStatus>> {
    let told = found.object.data["status"].get("rollout");
    let told = told.filter(|told| !told.is_null()).cloned();
    let read = told.map(serde_json::from_value).transpose();
    read.with_context(|| format!("{}: status.rollout", found.what()))
}

/// What the status says; of a generation that the controller has not seen, that.
fn words(found: &Found) -> Result<String> {
    let seen = found.object.data["status"]["observedGeneration"].as_i64();
    let paused = found.object.annotations().get(ANNOTATION_PAUSED);
    let paused = match paused.map(String::as_str) {
        Some("true") => "paused; ",
        _ => "",
    };
    let Some(status) = status(found)? else {
        return Ok(format!(
            "{paused}it has no spec.rollout: a change goes to every cluster at once\n"
        ));
    };
    if seen != found.object.metadata.generation {
        return Ok(format!(
            "{paused}the controller has not seen the change yet\n"
        ));
    }
    let how = match status.phase {
        RolloutPhase::Complete => {
            format!("revision {} has been everywhere", status.revision)
        }
        RolloutPhase::Progressing => status.message,
        RolloutPhase::Waiting => status.message,
        RolloutPhase::Stalled => format!("stalled; {}", status.message),
    };
    Ok(format!("{paused}{how}\n"))
}

/// Approves exactly the step that waits, of the revision that the status speaks of.
async fn approve(found: &Found) -> Result<()> {
    let waiting = status(found)?.filter(|status| status.phase == RolloutPhase::Waiting);
    let Some(status) = waiting else {
        bail!(
            "{}: no step of a rollout waits for approval: {}",
            found.what(),
            words(found)?.trim_end()
        );
    };
    let approved = approval(&status.revision, status.step);
    annotate(found, ANNOTATION_ROLLOUT_APPROVED, json!(approved)).await?;
    eprintln!(
        "{}: step {} of {} of revision {} may begin",
        found.what(),
        status.step,
        status.steps,
        status.revision
    );
    Ok(())
}
