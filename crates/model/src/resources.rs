//! What scheduling counts: processor time, memory and Pods.

use serde::{Deserialize, Serialize};

/// Amounts, of what nodes have or of what Pods ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// Thousandths of a processor.
    pub cpu_millis: i64,
    /// Bytes.
    pub memory_bytes: i64,
    /// Pods.
    pub pods: i64,
}

impl Resources {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.each(other, i64::saturating_add)
    }

    /// What is left when the other is taken, nothing at least.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        self.each(other, |one, other| one.saturating_sub(other).max(0))
    }

    /// The greater of each.
    #[must_use]
    pub fn most(self, other: Self) -> Self {
        self.each(other, i64::max)
    }

    fn each(self, other: Self, of: impl Fn(i64, i64) -> i64) -> Self {
        Self {
            cpu_millis: of(self.cpu_millis, other.cpu_millis),
            memory_bytes: of(self.memory_bytes, other.memory_bytes),
            pods: of(self.pods, other.pods),
        }
    }
}

/// A Kubernetes quantity (`1500m`, `2Gi`, `1e3`) in thousandths, rounded up; `None` when it is none.
/// What is more than an i64 holds is the most that it holds. (pocketkube, which knows nothing of us,
/// reads them for itself.)
pub fn quantity_millis(text: &str) -> Option<i64> {
    let in_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | '+' | '-');
    let end = text.find(|c| !in_number(c)).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (base, exponent): (i32, i32) = match suffix {
        "n" => (10, -9),
        "u" => (10, -6),
        "m" => (10, -3),
        "" => (10, 0),
        "k" => (10, 3),
        "M" => (10, 6),
        "G" => (10, 9),
        "T" => (10, 12),
        "P" => (10, 15),
        "E" => (10, 18),
        "Ki" => (1024, 1),
        "Mi" => (1024, 2),
        "Gi" => (1024, 3),
        "Ti" => (1024, 4),
        "Pi" => (1024, 5),
        "Ei" => (1024, 6),
        other => (10, other.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if !number.contains(|c: char| c.is_ascii_digit()) || fraction.contains(['+', '-', '.']) {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let power = i128::from(base).checked_pow(i32::unsigned_abs(exponent))?;
    let (up, down) = if exponent < 0 { (1, power) } else { (power, 1) };
    let places = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let (scaled, divisor) = (
        digits.checked_mul(up)?.checked_mul(1000)?,
        down.checked_mul(places)?,
    );
    let rounded = scaled.div_euclid(divisor) + i128::from(scaled.rem_euclid(divisor) > 0);
    let most = if rounded < 0 { i64::MIN } else { i64::MAX };
    Some(i64::try_from(rounded).unwrap_or(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_as_kubernetes_writes_them() {
        for (text, expected) in [
            ("0", Some(0)),
            ("2", Some(2000)),
            ("1500m", Some(1500)),
            ("700m", Some(700)),
            ("0.7001", Some(701)),
            ("-1.5", Some(-1500)),
            (".5", Some(500)),
            ("2.", Some(2000)),
            ("1e-3", Some(1)),
            ("1e40", None),
            ("0.1", Some(100)),
            ("100u", Some(1)),
            ("1k", Some(1_000_000)),
            ("1e3", Some(1_000_000)),
            ("2Gi", Some(2 * 1024 * 1024 * 1024 * 1000)),
            ("1E", Some(i64::MAX)),
            ("", None),
            ("many", None),
            (".", None),
            ("-", None),
            ("1.-5", None),
            ("1.2.3", None),
            ("1Zi", None),
        ] {
            assert_eq!(quantity_millis(text), expected, "{text:?}");
        }
    }

    #[test]
    fn nothing_is_less_than_nothing() {
        let one = Resources {
            cpu_millis: 1,
            memory_bytes: 5,
            pods: 1,
        };
        let other = Resources {
            memory_bytes: 2,
            pods: 3,
            ..one
        };
        let left = one.minus(other);
        assert_eq!((left.memory_bytes, left.pods), (3, 0));
        assert_eq!(one.most(other), Resources { pods: 3, ..one });
        assert_eq!(one.plus(other).memory_bytes, 7);
    }
}
