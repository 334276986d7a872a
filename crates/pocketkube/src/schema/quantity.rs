//! Resource quantities in canonical form, as `resource.Quantity` writes them.

/// Nano, the finest that a quantity holds.
const SCALE: i128 = 1_000_000_000;

/// A quantity as the server writes it: `1.5` is `1500m`, `1000m` is `1`, `1024Mi` is `1Gi`.
/// `None` when the text is no quantity.
pub fn canonical_quantity(text: &str) -> Option<String> {
    let (number, suffix) = split(text)?;
    let nano = parse_number(number)?;
    match suffix {
        Suffix::Binary(power) => {
            let value = nano.checked_mul(1024_i128.checked_pow(power)?)?;
            if value % SCALE != 0 || power == 0 {
                return decimal(value);
            }
            Some(binary(value / SCALE))
        }
        Suffix::Decimal(exponent) => decimal(shift(nano, exponent)?),
        Suffix::Exponent(exponent) => {
            let value = shift(nano, exponent)?;
            exponential(value)
        }
    }
}

/// A quantity as a number of thousandths, rounded up; for comparing and summing.
pub(crate) fn milli(text: &str) -> Option<i128> {
    let (number, suffix) = split(text)?;
    let nano = parse_number(number)?;
    let value = match suffix {
        Suffix::Binary(power) => nano.checked_mul(1024_i128.checked_pow(power)?)?,
        Suffix::Decimal(exponent) | Suffix::Exponent(exponent) => shift(nano, exponent)?,
    };
    Some(value.div_euclid(1_000_000) + i128::from(value.rem_euclid(1_000_000) > 0))
}

enum Suffix {
    Binary(u32),
    Decimal(i32),
    Exponent(i32),
}

fn split(text: &str) -> Option<(&str, Suffix)> {
    let end = text
        .char_indices()
        .find(|(i, c)| !(c.is_ascii_digit() || *c == '.' || (*i == 0 && matches!(c, '+' | '-'))))
        .map_or(text.len(), |(i, _)| i);
    let (number, suffix) = text.split_at(end);
    let parsed = match suffix {
        "Ki" => Suffix::Binary(1),
        "Mi" => Suffix::Binary(2),
        "Gi" => Suffix::Binary(3),
        "Ti" => Suffix::Binary(4),
        "Pi" => Suffix::Binary(5),
        "Ei" => Suffix::Binary(6),
        "n" => Suffix::Decimal(-9),
        "u" => Suffix::Decimal(-6),
        "m" => Suffix::Decimal(-3),
        "" => Suffix::Decimal(0),
        "k" => Suffix::Decimal(3),
        "M" => Suffix::Decimal(6),
        "G" => Suffix::Decimal(9),
        "T" => Suffix::Decimal(12),
        "P" => Suffix::Decimal(15),
        "E" => Suffix::Decimal(18),
        other => Suffix::Exponent(other.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    Some((number, parsed))
}

/// The number in billionths, rounded up.
fn parse_number(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: i128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut value = whole.checked_mul(SCALE)?;
    let mut unit = SCALE / 10;
    for digit in fraction.bytes() {
        value += i128::from(digit - b'0') * unit;
        unit /= 10;
    }
    Some(if negative { -value } else { value })
}

fn shift(nano: i128, exponent: i32) -> Option<i128> {
    let factor = 10_i128.checked_pow(exponent.unsigned_abs())?;
    if exponent >= 0 {
        return nano.checked_mul(factor);
    }
    Some(nano.div_euclid(factor) + i128::from(nano.rem_euclid(factor) > 0))
}

fn decimal(nano: i128) -> Option<String> {
    const SUFFIXES: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
    if nano == 0 {
        return Some("0".to_owned());
    }
    let (mut value, mut index) = (nano, 0);
    while value % 1000 == 0 && index + 1 < SUFFIXES.len() {
        value /= 1000;
        index += 1;
    }
    Some(format!("{value}{}", SUFFIXES[index]))
}

fn binary(whole: i128) -> String {
    const SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if whole == 0 {
        return "0".to_owned();
    }
    let (mut value, mut index) = (whole, 0);
    while value % 1024 == 0 && index + 1 < SUFFIXES.len() {
        value /= 1024;
        index += 1;
    }
    format!("{value}{}", SUFFIXES[index])
}

fn exponential(nano: i128) -> Option<String> {
    if nano == 0 {
        return Some("0".to_owned());
    }
    let (mut value, mut exponent) = (nano, -9);
    while value % 1000 == 0 {
        value /= 1000;
        exponent += 3;
    }
    Some(if exponent == 0 {
        value.to_string()
    } else {
        format!("{value}e{exponent}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_written_as_the_server_writes_them() {
        let table = [
            ("1.5", Some("1500m")),
            ("1000m", Some("1")),
            ("100m", Some("100m")),
            ("1024Mi", Some("1Gi")),
            ("1.5Gi", Some("1536Mi")),
            ("0.5Gi", Some("512Mi")),
            ("1000", Some("1k")),
            ("0", Some("0")),
            ("-2", Some("-2")),
            ("1e3", Some("1e3")),
            ("12E6", Some("12e6")),
            ("64Mi", Some("64Mi")),
            ("", None),
            ("a lot", None),
            ("1.2.3", None),
            ("5Zi", None),
        ];
        for (text, expected) in table {
            assert_eq!(canonical_quantity(text).as_deref(), expected, "{text}");
        }
    }
}
