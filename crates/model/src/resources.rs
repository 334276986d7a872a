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
pub fn quantity_millis(text: &str) -> Option<i64> {
    let digits = |c: char| c.is_ascii_digit() || matches!(c, '.' | '+' | '-');
    let end = text.find(|c| !digits(c)).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let number: f64 = number
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite())?;
    let scale = match suffix {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024_f64,
        "Mi" => 1024_f64.powi(2),
        "Gi" => 1024_f64.powi(3),
        "Ti" => 1024_f64.powi(4),
        "Pi" => 1024_f64.powi(5),
        "Ei" => 1024_f64.powi(6),
        other => 10_f64.powi(other.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    // Up to 2^53 thousandths, which is 8 TiB in bytes, this is exact; beyond, to 15 digits.
    // What is off a whole number by the error of a product only is that number.
    let millis = number * scale * 1000.0;
    let millis = match millis.round() {
        near if (millis - near).abs() <= 1e-9 * near.abs().max(1.0) => near,
        _ => millis.ceil(),
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast from f64 saturates, which is what is wanted of absurd amounts"
    )]
    Some(millis as i64)
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
            ("0.1", Some(100)),
            ("100u", Some(1)),
            ("1k", Some(1_000_000)),
            ("1e3", Some(1_000_000)),
            ("2Gi", Some(2 * 1024 * 1024 * 1024 * 1000)),
            ("1E", Some(i64::MAX)),
            ("", None),
            ("many", None),
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
