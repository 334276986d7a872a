//! Ages as people read them.

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// A span of seconds in at most two units: `45s`, `3m20s`, `52m`, `2d3h`, `17d`, `2y34d`.
pub fn age(secs: i64) -> String {
    // A little ahead of us is now; more is a clock that is wrong.
    if secs < -1 {
        return "<invalid>".to_owned();
    }
    let secs = secs.max(0);
    let two = |big: i64, b: &str, small: i64, s: &str| match small {
        0 => format!("{big}{b}"),
        small => format!("{big}{b}{small}{s}"),
    };
    if secs < 2 * MINUTE {
        format!("{secs}s")
    } else if secs < 10 * MINUTE {
        two(secs / MINUTE, "m", secs % MINUTE, "s")
    } else if secs < 3 * HOUR {
        format!("{}m", secs / MINUTE)
    } else if secs < 8 * HOUR {
        two(secs / HOUR, "h", secs % HOUR / MINUTE, "m")
    } else if secs < 2 * DAY {
        format!("{}h", secs / HOUR)
    } else if secs < 8 * DAY {
        two(secs / DAY, "d", secs % DAY / HOUR, "h")
    } else if secs < 2 * YEAR {
        format!("{}d", secs / DAY)
    } else if secs < 8 * YEAR {
        two(secs / YEAR, "y", secs % YEAR / DAY, "d")
    } else {
        format!("{}y", secs / YEAR)
    }
}

/// Seconds since 1970 of an RFC 3339 time.
pub(super) fn seconds(time: &str) -> Option<i64> {
    time.parse::<jiff::Timestamp>()
        .ok()
        .map(jiff::Timestamp::as_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_at_most_two_units() {
        let table = [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (200, "3m20s"),
            (52 * MINUTE + 3, "52m"),
            (3 * HOUR, "3h"),
            (3 * HOUR + 61, "3h1m"),
            (30 * HOUR, "30h"),
            (2 * DAY + 3 * HOUR, "2d3h"),
            (17 * DAY, "17d"),
            (2 * YEAR + 34 * DAY, "2y34d"),
            (9 * YEAR, "9y"),
        ];
        for (secs, expected) in table {
            assert_eq!(age(secs), expected, "{secs}");
        }
    }
}
