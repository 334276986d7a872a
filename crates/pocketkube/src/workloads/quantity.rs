//! Kubernetes quantities as whole thousandths (`k8s.io/apimachinery/pkg/api/resource`).

/// `500m`, `2`, `1.5Gi`, `3e3` as thousandths, rounded up; absent when it is not a quantity.
pub(crate) fn thousandths(text: &str) -> Option<i128> {
    let digits_end = text
        .find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-'))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits_end);
    let (numerator, denominator) = scale(suffix)?;
    let negative = number.starts_with('-');
    let number = number.trim_start_matches(['+', '-']);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let places = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let scaled = digits.checked_mul(numerator)?.checked_mul(1_000)?;
    let divisor = places.checked_mul(denominator)?;
    let rounded = scaled.checked_add(divisor - 1)? / divisor;
    Some(if negative { -rounded } else { rounded })
}

fn scale(suffix: &str) -> Option<(i128, i128)> {
    let power = |base: i128, exponent: u32| Some((base.checked_pow(exponent)?, 1));
    match suffix {
        "" => Some((1, 1)),
        "n" => Some((1, 1_000_000_000)),
        "u" => Some((1, 1_000_000)),
        "m" => Some((1, 1_000)),
        "k" => power(1_000, 1),
        "M" => power(1_000, 2),
        "G" => power(1_000, 3),
        "T" => power(1_000, 4),
        "P" => power(1_000, 5),
        "E" => power(1_000, 6),
        "Ki" => power(1_024, 1),
        "Mi" => power(1_024, 2),
        "Gi" => power(1_024, 3),
        "Ti" => power(1_024, 4),
        "Pi" => power(1_024, 5),
        "Ei" => power(1_024, 6),
        other => exponent(other.strip_prefix(['e', 'E'])?.parse().ok()?),
    }
}

fn exponent(exponent: i32) -> Option<(i128, i128)> {
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    Some(if exponent < 0 { (1, power) } else { (power, 1) })
}

#[cfg(test)]
mod tests {
    use super::thousandths;

    #[test]
    fn quantities_are_read_in_all_their_forms() {
        for (text, expected) in [
            ("2", Some(2_000)),
            ("500m", Some(500)),
            ("1.5", Some(1_500)),
            ("0.5Gi", Some(536_870_912_000)),
            ("1Ki", Some(1_024_000)),
            ("1k", Some(1_000_000)),
            ("3e3", Some(3_000_000)),
            ("3E-3", Some(3)),
            ("1n", Some(1)),
            ("-1", Some(-1_000)),
            (".5", Some(500)),
            ("", None),
            ("x", None),
            ("1Q", None),
        ] {
            assert_eq!(thousandths(text), expected, "{text}");
        }
    }
}
