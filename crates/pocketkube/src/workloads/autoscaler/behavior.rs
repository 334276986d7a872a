//! How fast a target may be scaled, and which earlier wishes still hold (KEP-853).

use crate::object::list;
use crate::workloads::step::after_secs;
use jiff::Timestamp;
use serde_json::Value;

/// How long a higher wish holds when nothing is said.
const DOWN_WINDOW_SECS: i64 = 300;
/// Longest window that may be asked for; older memories are no use.
const WINDOW_SECS_MAX: i64 = 3_600;
/// Replicas that a target may always be scaled to when nothing is said.
const SCALE_UP_MIN: i64 = 4;

/// What an autoscaler remembers between looks.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Memory {
    /// Earlier wishes.
    wishes: Vec<(Timestamp, i64)>,
    /// Earlier changes: more is positive.
    changes: Vec<(Timestamp, i64)>,
    /// The spec at the last look.
    spec: Value,
}

/// What bounds a wish.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits<'a> {
    /// `spec.behavior`, or null.
    pub(super) behavior: &'a Value,
    pub(super) current: i64,
    pub(super) min: i64,
    pub(super) max: i64,
    pub(super) now: Timestamp,
}

/// A wish within its bounds, and what the conditions say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Normalized {
    pub(super) replicas: i64,
    /// Reason and message of `AbleToScale`.
    pub(super) able: (&'static str, &'static str),
    /// Status, reason and message of `ScalingLimited`.
    pub(super) limited: (bool, &'static str, &'static str),
}

impl Memory {
    /// Whether the last look saw this spec.
    pub(crate) fn is_about(&self, spec: &Value) -> bool {
        self.spec == *spec
    }

    /// Remembers the spec.
    pub(super) fn see(&mut self, spec: &Value) {
        self.spec = spec.clone();
    }

    /// The first wish is what there is.
    pub(super) fn begin(&mut self, current: i64, now: Timestamp) {
        if self.wishes.is_empty() {
            self.wishes.push((now, current));
        }
    }

    /// Remembers a change.
    pub(super) fn scaled(&mut self, from: i64, to: i64, now: Timestamp) {
        self.changes.push((now, to - from));
        let oldest = after_secs(now, -WINDOW_SECS_MAX);
        self.changes.retain(|(at, _)| *at >= oldest);
    }

    fn wish(&mut self, replicas: i64, now: Timestamp) {
        self.wishes.push((now, replicas));
        let oldest = after_secs(now, -WINDOW_SECS_MAX);
        self.wishes.retain(|(at, _)| *at >= oldest);
    }

    /// Highest or lowest wish of a window.
    fn within(&self, secs: i64, now: Timestamp) -> impl Iterator<Item = i64> {
        let since = after_secs(now, -secs);
        let recent = self.wishes.iter().filter(move |(at, _)| *at > since);
        recent.map(|(_, wish)| *wish)
    }

    /// Replicas when a period began, so that its changes count as one.
    fn at_start_of(&self, secs: i64, current: i64, now: Timestamp) -> i64 {
        let since = after_secs(now, -secs);
        let recent = self.changes.iter().filter(|(at, _)| *at > since);
        current - recent.map(|(_, change)| change).sum::<i64>()
    }
}

/// Brings a wish within what earlier wishes, speed and size allow.
pub(super) fn normalize(memory: &mut Memory, limits: Limits<'_>, wish: i64) -> Normalized {
    let stable = stabilized(memory, limits, wish);
    memory.wish(wish, limits.now);
    let able = match (
        stable == wish,
        wish >= limits.current && limits.behavior.is_object(),
    ) {
        (true, _) => ("ReadyForNewScale", "recommended size matches current size"),
        (false, true) => (
            "ScaleUpStabilized",
            "recent recommendations were lower than current one, applying the lowest recent \
             recommendation",
        ),
        (false, false) => (
            "ScaleDownStabilized",
            "recent recommendations were higher than current one, applying the highest recent \
             recommendation",
        ),
    };
    let (replicas, reason, message) = limited(memory, limits, stable);
    Normalized {
        replicas,
        able,
        limited: (replicas != stable, reason, message),
    }
}

fn stabilized(memory: &Memory, limits: Limits<'_>, wish: i64) -> i64 {
    let Limits {
        behavior,
        current,
        now,
        ..
    } = limits;
    let window = |direction: &str, default: i64| {
        let secs = behavior[direction]["stabilizationWindowSeconds"].as_i64();
        secs.unwrap_or(default)
    };
    let down = memory.within(window("scaleDown", DOWN_WINDOW_SECS), now);
    let highest = down.fold(wish, i64::max);
    if !behavior.is_object() {
        return highest;
    }
    let lowest = memory
        .within(window("scaleUp", 0), now)
        .fold(wish, i64::min);
    current.max(lowest).min(highest)
}

fn limited(memory: &Memory, limits: Limits<'_>, wish: i64) -> (i64, &'static str, &'static str) {
    let fits = (
        wish,
        "DesiredWithinRange",
        "the desired count is within the acceptable range",
    );
    let Limits {
        behavior,
        current,
        min,
        max,
        ..
    } = limits;
    let too_few = (
        min,
        "TooFewReplicas",
        "the desired replica count is less than the minimum replica count",
    );
    let grows = wish > current;
    if !behavior.is_object() && wish < min {
        return too_few;
    }
    if grows || !behavior.is_object() {
        let speed = match behavior {
            Value::Object(_) => fastest(memory, limits, "scaleUp").max(current),
            _ => (2 * current).max(SCALE_UP_MIN),
        };
        let bound = if max > speed {
            (
                speed,
                "ScaleUpLimit",
                "the desired replica count is increasing faster than the maximum scale rate",
            )
        } else {
            (
                max,
                "TooManyReplicas",
                "the desired replica count is more than the maximum replica count",
            )
        };
        return if wish > bound.0 { bound } else { fits };
    }
    if wish < current {
        let speed = fastest(memory, limits, "scaleDown").min(current);
        let bound = if min < speed {
            (
                speed,
                "ScaleDownLimit",
                "the desired replica count is decreasing faster than the maximum scale rate",
            )
        } else {
            too_few
        };
        return if wish < bound.0 { bound } else { fits };
    }
    fits
}

/// Replicas that the policies of a direction allow now.
fn fastest(memory: &Memory, limits: Limits<'_>, direction: &str) -> i64 {
    let rules = &limits.behavior[direction];
    let select = rules["selectPolicy"].as_str().unwrap_or("Max");
    if select == "Disabled" {
        return limits.current;
    }
    let sign = if direction == "scaleUp" { 1 } else { -1 };
    let allowed = list(&rules["policies"]).iter().map(|policy| {
        let period = policy["periodSeconds"].as_i64().unwrap_or(15);
        let start = memory.at_start_of(period, limits.current, limits.now);
        let value = policy["value"].as_i64().unwrap_or(0);
        if policy["type"] == "Percent" {
            let hundredths = start * (100 + sign * value);
            // Up is rounded up, else a small target would never grow; down is rounded down.
            if sign > 0 {
                (hundredths + 99).div_euclid(100)
            } else {
                hundredths / 100
            }
        } else {
            start + sign * value
        }
    });
    // The largest change is the highest number going up, and the lowest going down.
    let highest = (select == "Max") == (sign > 0);
    let found = if highest {
        allowed.max()
    } else {
        allowed.min()
    };
    found.unwrap_or(limits.current)
}
