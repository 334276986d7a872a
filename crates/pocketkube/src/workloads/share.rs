//! Numbers that may also be given as a percentage of a total (`intstr.GetScaledValueFromIntOrPercent`).

use serde_json::Value;

/// Which way a percentage is rounded.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Round {
    Up,
    Down,
}

/// A number, or a percentage of a total; zero for what is neither.
pub(crate) fn share(value: &Value, total: i64, round: Round) -> i64 {
    if let Some(number) = value.as_i64() {
        return number;
    }
    let percent = value.as_str().and_then(|text| text.strip_suffix('%'));
    let percent = percent.and_then(|text| text.parse::<i64>().ok());
    let hundredths = percent.unwrap_or(0).saturating_mul(total);
    match round {
        Round::Up => hundredths.saturating_add(99) / 100,
        Round::Down => hundredths / 100,
    }
}

#[cfg(test)]
mod tests {
    use super::{Round, share};
    use serde_json::json;

    #[test]
    fn a_percentage_is_rounded_as_it_is_asked_for() {
        assert_eq!(share(&json!("25%"), 10, Round::Up), 3);
        assert_eq!(share(&json!("25%"), 10, Round::Down), 2);
        assert_eq!(share(&json!(7), 10, Round::Down), 7);
        assert_eq!(share(&json!("x"), 10, Round::Up), 0);
    }

    #[test]
    fn a_percentage_that_no_number_holds_ends_at_the_largest() {
        let percent = json!(format!("{}%", i64::MAX));
        assert_eq!(share(&percent, 10, Round::Up), i64::MAX / 100);
        assert_eq!(share(&percent, 10, Round::Down), i64::MAX / 100);
    }
}
