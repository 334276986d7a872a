//! `Zone.status`: the serial, the same on every replica and never backwards, and whether it serves.

use crate::Error;
use crate::context::Context;
use crate::status::Written;
use api::{Condition, Zone, ZoneStatus};
use kube::runtime::reflector::ObjectRef;
use model::ObjectKey;

/// Writes a zone's status; nothing is said before the engine has looked at the zone.
pub(super) async fn write(
    context: &Context,
    key: &ObjectKey,
    told: Option<steering::ZoneStatus>,
) -> Result<Written, Error> {
    let reference = ObjectRef::new(&key.name).within(&key.namespace);
    let (Some(zone), Some(told)) = (context.host.zones.get(&reference), told) else {
        return Ok(Written::Current);
    };
    let status = summarize(&zone, &told, context.clock.millis() / 1_000);
    context.statuses.write_typed(&*zone, &status).await
}

fn summarize(zone: &Zone, told: &steering::ZoneStatus, now_secs: u64) -> ZoneStatus {
    let before = zone.status.clone().unwrap_or_default();
    let digest = told.told_digest();
    let serial = match before.serial {
        Some(serial) if before.digest.as_deref() == Some(digest.as_str()) => serial,
        last => next_serial(last, now_secs),
    };
    let (status, reason) = if told.served {
        ("True", "ZoneServed")
    } else {
        ("False", "ZoneRefused")
    };
    ZoneStatus {
        observed_generation: zone.metadata.generation.unwrap_or_default(),
        serial: Some(serial),
        digest: Some(digest),
        conditions: vec![Condition {
            r#type: "Served".to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: told.problem.clone(),
            ..Condition::default()
        }],
    }
}

/// At least the unix time, and more than the last one (RFC 1982: a step of less than 2^31 is
/// forwards, so a clock that jumped ahead and back does not turn the serial back).
fn next_serial(last: Option<i64>, now_secs: u64) -> i64 {
    let now = i64::try_from(now_secs).unwrap_or_default() % (1 << 32);
    match last {
        None => now.max(1),
        Some(last) if now > last => now,
        Some(last) => (last + 1) % (1 << 32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(digest: u64) -> steering::ZoneStatus {
        steering::ZoneStatus {
            zone: ObjectKey::new("system", "z"),
            served: true,
            problem: None,
            digest,
        }
    }

    #[test]
    fn a_serial_moves_with_the_digest_and_never_backwards() {
        let mut zone = Zone::new("z", api::ZoneSpec::default());
        let first = summarize(&zone, &told(1), 1_000);
        assert_eq!(first.serial, Some(1_000));
        zone.status = Some(first);
        assert_eq!(
            summarize(&zone, &told(1), 2_000).serial,
            Some(1_000),
            "nothing changed"
        );
        assert_eq!(summarize(&zone, &told(2), 2_000).serial, Some(2_000));
        assert_eq!(
            summarize(&zone, &told(2), 500).serial,
            Some(1_001),
            "the clock went back"
        );
    }
}
