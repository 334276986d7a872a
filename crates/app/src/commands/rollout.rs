//! How far a changed template is, and a person's word on it.

use super::federated_type::{self, Found};
use super::operate::annotate;
use crate::cli::{self, Output};
use crate::output;
use anyhow::{Context, Result, bail};
use federation::{
    ANNOTATION_PAUSED, ANNOTATION_ROLLOUT_APPROVED, RolloutPhase, RolloutStatus, approval,
};
use futures::StreamExt;
use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::{Value, json};
use std::process::ExitCode;

/// The HTTP status of what a user may not do.
const FORBIDDEN: u16 = 403;

/// Runs `meridian rollout`.
///
/// # Errors
/// There is no such object, or nothing that waits.
pub(crate) async fn rollout(args: cli::Rollout) -> Result<ExitCode> {
    match &args.command {
        cli::RolloutCommand::Status(args) => return status(args).await,
        cli::RolloutCommand::Approve(which) => {
            let found = federated_type::object(which).await?;
            approve(&found).await?;
        }
        cli::RolloutCommand::Pause(which) => {
            let found = federated_type::object(which).await?;
            annotate(&found, ANNOTATION_PAUSED, json!("true")).await?;
            eprintln!("{}: held as it is in every cluster", found.what());
        }
        cli::RolloutCommand::Resume(which) => {
            let found = federated_type::object(which).await?;
            annotate(&found, ANNOTATION_PAUSED, Value::Null).await?;
            eprintln!("{}: goes on", found.what());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Says how it stands; as kubectl does, until that is settled.
async fn status(args: &cli::RolloutStatus) -> Result<ExitCode> {
    let found = federated_type::object(&args.which).await?;
    let (mut last, mut said) = (Standing::of(&found.object)?, String::new());
    let settling = async {
        let changes = watcher::watch_object(found.api(), &found.key.name).default_backoff();
        let mut changes = std::pin::pin!(changes);
        loop {
            let words = last.words();
            if args.output == Output::Table && words != said {
                output::print(&words);
                said = words;
            }
            if !args.watch || last.phase.is_settled() {
                return Ok(());
            }
            match changes.next().await.context("the watch ended")? {
                Ok(Some(object)) => last = Standing::of(&object)?,
                Ok(None) => bail!("{}: it was deleted", found.what()),
                // Whoever may not watch it never may; all else is tried again.
                Err(watcher::Error::InitialListFailed(kube::Error::Api(why)))
                    if why.code == FORBIDDEN =>
                {
                    bail!("{}: {}", found.what(), why.message)
                }
                Err(_) => {}
            }
        }
    };
    let ended = match args.timeout.is_zero() {
        true => Some(settling.await),
        false => tokio::time::timeout(args.timeout, settling).await.ok(),
    };
    let in_time = ended.transpose()?.is_some();
    if args.output != Output::Table {
        output::structured(args.output, &last.told(&found))?;
    }
    if !in_time {
        bail!(
            "{}: not within {:?}: {}",
            found.what(),
            args.timeout,
            last.words().trim_end()
        );
    }
    Ok(match last.phase {
        Phase::Stalled => ExitCode::FAILURE,
        Phase::Complete | Phase::Progressing | Phase::Waiting => ExitCode::SUCCESS,
    })
}

/// How an object's change stands, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Complete,
    Progressing,
    Waiting,
    Stalled,
}

impl Phase {
    /// Whether nothing more comes of itself.
    fn is_settled(self) -> bool {
        matches!(self, Self::Complete | Self::Stalled)
    }
}

/// How an object's change stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Standing {
    phase: Phase,
    message: String,
    paused: bool,
    rollout: Value,
}

impl Standing {
    /// What the status says; of a generation that the controller has not seen, that.
    fn of(object: &DynamicObject) -> Result<Self> {
        let status = &object.data["status"];
        let paused = object.annotations().get(ANNOTATION_PAUSED);
        let rollout = rollout_of(object)?;
        let (phase, message) = match status["observedGeneration"].as_i64() {
            seen if seen != object.metadata.generation => {
                let unseen = "the controller has not seen the change yet";
                (Phase::Progressing, unseen.to_owned())
            }
            _ => phase(&status["conditions"], rollout.as_ref()),
        };
        Ok(Self {
            phase,
            message,
            paused: paused.is_some_and(|word| word == "true"),
            rollout: status["rollout"].clone(),
        })
    }

    fn words(&self) -> String {
        let paused = if self.paused { "paused; " } else { "" };
        let stalled = match self.phase {
            Phase::Stalled => "stalled; ",
            _ => "",
        };
        format!("{paused}{stalled}{}\n", self.message)
    }

    /// For programs.
    fn told(&self, found: &Found) -> Value {
        json!({
            "kind": found.federated.types.federated.kind,
            "namespace": found.key.namespace, "name": found.key.name,
            "phase": format!("{:?}", self.phase), "message": self.message,
            "paused": self.paused, "rollout": self.rollout,
        })
    }
}

/// What needs somebody comes first; then what the rollout says; without one, whether it is Ready.
fn phase(conditions: &Value, rollout: Option<&RolloutStatus>) -> (Phase, String) {
    let condition = |kind: &str| {
        let mut all = conditions.as_array().into_iter().flatten();
        let found = all.find(|condition| condition["type"] == kind);
        found.map(|found| {
            let message = found["message"].as_str().unwrap_or_default().to_owned();
            (found["status"] == "True", message)
        })
    };
    if let Some((true, message)) = condition("Stalled") {
        return (Phase::Stalled, message);
    }
    let Some(rollout) = rollout else {
        return match condition("Ready") {
            Some((true, message)) => (Phase::Complete, message),
            Some((false, message)) => (Phase::Progressing, message),
            None => (Phase::Progressing, "nothing is known yet".to_owned()),
        };
    };
    let message = rollout.message.clone();
    match rollout.phase {
        RolloutPhase::Complete => (
            Phase::Complete,
            format!("revision {} has been everywhere", rollout.revision),
        ),
        RolloutPhase::Progressing => (Phase::Progressing, message),
        RolloutPhase::Waiting => (Phase::Waiting, message),
        RolloutPhase::Stalled => (Phase::Stalled, message),
    }
}

fn rollout_of(object: &DynamicObject) -> Result<Option<RolloutStatus>> {
    let told = object.data["status"].get("rollout");
    let told = told.filter(|told| !told.is_null()).cloned();
    let read = told.map(serde_json::from_value).transpose();
    read.with_context(|| format!("{}: status.rollout", object.name_any()))
}

/// Approves exactly the step that waits, of the revision that the status speaks of.
async fn approve(found: &Found) -> Result<()> {
    let waiting = rollout_of(&found.object)?.filter(|status| status.phase == RolloutPhase::Waiting);
    let Some(status) = waiting else {
        bail!(
            "{}: no step of a rollout waits for approval: {}",
            found.what(),
            Standing::of(&found.object)?.words().trim_end()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: Value, expected: (Phase, &str)) {
        let object = json!({"apiVersion": "types.kubefed.io/v1beta1", "kind": "FederatedDeployment",
            "metadata": {"name": "web", "generation": 2}, "status": status});
        let object = serde_json::from_value(object).expect("an object");
        let standing = Standing::of(&object).expect("a status");
        assert_eq!((standing.phase, standing.words().trim_end()), expected);
    }

    #[test]
    fn what_the_status_says_is_how_the_change_stands() {
        let ready = |status: &str| json!([{"type": "Ready", "status": status, "message": "m"}]);
        let stalled = json!([{"type": "Ready", "status": "False", "message": "m"},
            {"type": "Stalled", "status": "True", "message": "refused"}]);
        let rollout = |phase: &str| json!({"revision": "r", "step": 1, "steps": 2, "phase": phase, "message": "step 1"});
        let unseen = "the controller has not seen the change yet";
        for (seen, conditions, rollout, expected) in [
            (1, ready("True"), Value::Null, (Phase::Progressing, unseen)),
            (
                2,
                Value::Null,
                Value::Null,
                (Phase::Progressing, "nothing is known yet"),
            ),
            (2, ready("True"), Value::Null, (Phase::Complete, "m")),
            (2, ready("False"), Value::Null, (Phase::Progressing, "m")),
            (
                2,
                stalled.clone(),
                Value::Null,
                (Phase::Stalled, "stalled; refused"),
            ),
            (
                2,
                stalled,
                rollout("Progressing"),
                (Phase::Stalled, "stalled; refused"),
            ),
            (
                2,
                ready("False"),
                rollout("Stalled"),
                (Phase::Stalled, "stalled; step 1"),
            ),
            (
                2,
                ready("False"),
                rollout("Waiting"),
                (Phase::Waiting, "step 1"),
            ),
            (
                2,
                ready("False"),
                rollout("Progressing"),
                (Phase::Progressing, "step 1"),
            ),
            (
                2,
                ready("False"),
                rollout("Complete"),
                (Phase::Complete, "revision r has been everywhere"),
            ),
        ] {
            let status = json!({"observedGeneration": seen, "conditions": conditions,
                "rollout": rollout});
            check(status, expected);
        }
    }
}
