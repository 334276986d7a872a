//! The conditions of a KubeFedCluster, with KubeFed's types, reasons and messages.
//!
//! | standing | Ready | Offline |
//! |---|---|---|
//! | Ready | True, ClusterReady | – |
//! | NotReady | False, ClusterNotReady | False, ClusterReachable |
//! | Offline | – | True, ClusterNotReachable |

use super::thresholds::{Finding, Standing};
use api::Condition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use model::ClusterName;

/// The longest message: a member may answer with a page.
const MESSAGE_CHARS_MAX: usize = 512;

/// The conditions of a member for a standing and the finding that made it; transition times are
/// kept where a status did not change.
pub(crate) fn conditions(
    name: &ClusterName,
    (standing, finding): (Standing, &Finding),
    before: &[Condition],
    now: &Time,
) -> Vec<Condition> {
    let message = message(name, finding);
    let wanted: &[(&str, &str, &str, &str)] = match standing {
        // A member in doubt keeps its conditions; only its probe time moves.
        Standing::Ready => &[("Ready", "True", "ClusterReady", "/readyz responded with ok")],
        Standing::NotReady => &[
            ("Ready", "False", "ClusterNotReady", message.as_str()),
            (
                "Offline",
                "False",
                "ClusterReachable",
                "cluster is reachable",
            ),
        ],
        Standing::Offline => &[("Offline", "True", "ClusterNotReachable", message.as_str())],
    };
    wanted
        .iter()
        .map(|wanted| condition(*wanted, before, now))
        .collect()
}

/// The conditions of a member whose KubeFedCluster or Secret cannot be used.
pub(crate) fn malformed(why: &str, before: &[Condition], now: &Time) -> Vec<Condition> {
    let wanted = ("ConfigMalformed", "True", "ClusterConfigMalformed", why);
    vec![condition(wanted, before, now)]
}

fn condition(
    (kind, status, reason, message): (&str, &str, &str, &str),
    before: &[Condition],
    now: &Time,
) -> Condition {
    let same = before
        .iter()
        .find(|before| before.r#type == kind && before.status == status);
    let since = same.and_then(|same| same.last_transition_time.clone());
    Condition {
        r#type: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.chars().take(MESSAGE_CHARS_MAX).collect()),
        last_probe_time: Some(now.clone()),
        last_transition_time: Some(since.unwrap_or_else(|| now.clone())),
        ..Condition::default()
    }
}

fn message(name: &ClusterName, finding: &Finding) -> String {
    match finding {
        Finding::Healthy => "/readyz responded with ok".to_owned(),
        Finding::NotOk(said) => format!("/readyz responded without ok: {said}"),
        Finding::Unauthorized => format!(
            "/readyz responded with 401 Unauthorized: the credentials in the member's Secret have \
             expired or were revoked; make new ones with 'meridian join {name}'"
        ),
        Finding::Unreachable(why) => format!("cluster is not reachable: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(secs: i64) -> Time {
        Time(k8s_openapi::jiff::Timestamp::from_second(secs).expect("a time"))
    }

    #[test]
    fn a_transition_time_moves_only_when_the_status_does() {
        let ready = conditions(
            &"a".into(),
            (Standing::Ready, &Finding::Healthy),
            &[],
            &time(1),
        );
        let later = conditions(
            &"a".into(),
            (Standing::Ready, &Finding::Healthy),
            &ready,
            &time(9),
        );
        assert_eq!(later[0].last_transition_time, Some(time(1)));
        assert_eq!(later[0].last_probe_time, Some(time(9)));
        let lost = Finding::Unreachable("connection refused".into());
        let offline = conditions(&"a".into(), (Standing::Offline, &lost), &later, &time(20));
        assert_eq!(
            offline.len(),
            1,
            "KubeFed leaves Ready out when a cluster is offline"
        );
        assert_eq!(offline[0].r#type, "Offline");
        assert_eq!(offline[0].last_transition_time, Some(time(20)));
    }

    #[test]
    fn the_member_s_own_words_are_in_the_message() {
        let found = Finding::NotOk("[-]etcd failed".into());
        let conditions = conditions(&"a".into(), (Standing::NotReady, &found), &[], &time(1));
        assert!(
            conditions[0]
                .message
                .as_deref()
                .is_some_and(|said| said.contains("etcd"))
        );
    }
    #[test]
    fn credentials_that_are_refused_come_with_what_to_do() {
        let found = (Standing::NotReady, &Finding::Unauthorized);
        let conditions = conditions(&"lisbon".into(), found, &[], &time(1));
        let message = conditions[0].message.as_deref().unwrap_or_default();
        assert!(message.contains("meridian join lisbon"), "{message}");
    }
}
