//! Clusters that come back: their traffic grows step by step, no faster than their replicas.

use crate::status::Standing;

/// Into how many steps a ramp is cut: each changes answers once.
pub(crate) const STEPS: u64 = 10;

/// A change of ready replicas by less than this part is not followed: answers would flutter.
const HYSTERESIS: u32 = 10;

/// A ramp that is under way: the part that is back, and when the next step is due.
pub(crate) fn step(since_millis: u64, ramp_millis: u64, now: u64) -> Option<(f64, u64)> {
    let until = since_millis.saturating_add(ramp_millis);
    if ramp_millis == 0 || now >= until {
        return None;
    }
    let passed = now.saturating_sub(since_millis) * STEPS / ramp_millis;
    let next = since_millis + ((passed + 1) * ramp_millis).div_ceil(STEPS);
    #[expect(clippy::cast_precision_loss, reason = "there are ten steps")]
    let part = (passed + 1) as f64 / STEPS as f64;
    // The last step is the whole: it begins a step before the end.
    (passed + 1 < STEPS).then_some((part, next.max(now + 1)))
}

/// The number of ready replicas that shares are made from: the one before, until it is off by a tenth.
/// None at all is followed at once.
pub(crate) fn counted(before: Option<u32>, ready: Option<u32>) -> Option<u32> {
    let (Some(counted), Some(ready)) = (before, ready) else {
        return ready;
    };
    let near = ready > 0 && counted.abs_diff(ready).saturating_mul(HYSTERESIS) < counted;
    Some(if near { counted } else { ready })
}

/// Whether a change of standing is a return that a ramp belongs to: after a drain always, after a
/// failure where shares follow capacity.
pub(crate) fn returns(from: Standing, to: Standing, drained: bool, by_capacity: bool) -> bool {
    let back = to == Standing::Healthy;
    let was_away = match from {
        Standing::Degraded | Standing::Excluded => drained,
        Standing::Down => drained || by_capacity,
        Standing::Healthy | Standing::Unknown => false,
    };
    back && was_away
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_has_ten_steps_and_the_last_is_the_whole() {
        assert_eq!(step(1_000, 0, 1_000), None);
        assert_eq!(step(1_000, 10_000, 1_000), Some((0.1, 2_000)));
        assert_eq!(step(1_000, 10_000, 5_500), Some((0.5, 6_000)));
        assert_eq!(step(1_000, 10_000, 9_999), Some((0.9, 10_000)));
        assert_eq!(step(1_000, 10_000, 10_000), None);
        assert_eq!(step(1_000, 10_000, 20_000), None);
    }

    #[test]
    fn ready_replicas_are_followed_by_tenths_and_to_nothing_at_once() {
        for (before, ready, expected) in [
            (None, Some(5), Some(5)),
            (Some(100), Some(95), Some(100)),
            (Some(100), Some(90), Some(90)),
            (Some(100), Some(110), Some(110)),
            (Some(3), Some(2), Some(2)),
            (Some(100), Some(0), Some(0)),
            (Some(0), Some(1), Some(1)),
            (Some(5), None, None),
        ] {
            assert_eq!(counted(before, ready), expected, "{before:?} {ready:?}");
        }
    }
}
