//! What happens to a service, as Events on it: `kubectl describe` tells the story.

use crate::context::Context;
use crate::events::{About, Tone};
use std::collections::BTreeMap;
use steering::{BranchState, ServiceStatus, Standing};

/// Tells what is other than before; the first sight of a service is no story.
pub(super) fn tell(context: &Context, before: Option<&ServiceStatus>, now: &ServiceStatus) {
    let Some(before) = before else { return };
    let Some(service) = context.host.global_service(&now.service) else {
        return;
    };
    let about = About::of(&*service);
    for line in lines(before, now) {
        context
            .events
            .tell_turn(&about, line.tone, line.reason, &line.note);
    }
}

/// A sentence of the story.
struct Line {
    tone: Tone,
    reason: &'static str,
    note: String,
}

fn lines(before: &ServiceStatus, now: &ServiceStatus) -> Vec<Line> {
    let known: BTreeMap<_, _> = before
        .endpoints
        .iter()
        .map(|it| (&it.endpoint, it))
        .collect();
    let mut lines = Vec::new();
    for endpoint in &now.endpoints {
        let id = &endpoint.endpoint;
        let was = known.get(id).map(|it| it.standing);
        let (tone, reason) = match endpoint.standing {
            same if was == Some(same) => continue,
            Standing::Healthy => (Tone::Normal, "EndpointHealthy"),
            Standing::Degraded => (Tone::Warning, "EndpointDegraded"),
            Standing::Down => (Tone::Warning, "EndpointDown"),
            Standing::Excluded => (Tone::Normal, "EndpointExcluded"),
            Standing::Unknown => continue,
        };
        let note = format!("{} {}: {}", id.cluster, id.target, endpoint.reason);
        lines.push(Line { tone, reason, note });
    }
    for branch in &now.branches {
        let was = before.branches.iter().find(|it| it.name == branch.name);
        let was = was.map(|it| it.state);
        if was == Some(branch.state) {
            continue;
        }
        let (tone, reason) = match branch.state {
            BranchState::Active => (Tone::Normal, "BranchActive"),
            BranchState::Unable => (Tone::Warning, "BranchUnable"),
            BranchState::Waiting => (Tone::Warning, "BranchWaits"),
            BranchState::Standby => continue,
        };
        let note = format!("{}: {}", branch.name, branch.reason);
        lines.push(Line { tone, reason, note });
    }
    lines
}
