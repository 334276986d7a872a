//! Schedules of CronJobs, as the real controller reads them: five fields of numbers, names, ranges,
//! lists and steps, or a descriptor such as `@hourly` or `@every 90m`.
//!
//! As there, a day has to match both day fields if one of them begins with `*` or `?`, else either
//! of them; and local times that a change of clocks skips do not happen.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};

/// Years that are looked through for the next time.
const YEARS_MAX: i16 = 5;
const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const MINUTE: Field = Field::of(0, 59, &[]);
const HOUR: Field = Field::of(0, 23, &[]);
const DAY: Field = Field::of(1, 31, &[]);
const MONTH: Field = Field::of(1, 12, &MONTHS);
const WEEKDAY: Field = Field::of(0, 6, &DAYS);

/// When something happens again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Schedule {
    /// At minutes that fit.
    Fields {
        minutes: Bits,
        hours: Bits,
        days: Bits,
        months: Bits,
        weekdays: Bits,
    },
    /// So long after the last time, in whole seconds.
    Every(SignedDuration),
}

/// Which numbers fit, and whether the field began with `*` or `?`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bits {
    set: u64,
    star: bool,
}

struct Field {
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in the words of the real server.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("empty spec string".to_owned());
        }
        if text.starts_with('@') {
            return described(text);
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let &[minutes, hours, days, months, weekdays] = &fields[..] else {
            let shown = fields.join(" ");
            let count = fields.len();
            return Err(format!(
                "expected exactly 5 fields, found {count}: [{shown}]"
            ));
        };
        Ok(Self::Fields {
            minutes: MINUTE.parse(minutes)?,
            hours: HOUR.parse(hours)?,
            days: DAY.parse(days)?,
            months: MONTH.parse(months)?,
            weekdays: WEEKDAY.parse(weekdays)?,
        })
    }

    /// The first time after `after`, if there is one within some years.
    pub(crate) fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        if let Self::Every(period) = self {
            let whole = Timestamp::from_second(after.as_second()).ok()?;
            return whole.saturating_add(*period).ok();
        }
        let local = zone.to_datetime(after);
        let last_year = local.year() + YEARS_MAX;
        let mut at = local
            .with()
            .second(0)
            .subsec_nanosecond(0)
            .build()
            .ok()?
            .checked_add(1.minute())
            .ok()?;
        while at.year() <= last_year {
            let Some(later) = self.skip(at) else {
                let is_there = !matches!(
                    zone.to_ambiguous_timestamp(at).offset(),
                    AmbiguousOffset::Gap { .. }
                );
                let time = zone.to_ambiguous_timestamp(at).compatible().ok()?;
                if is_there && time > after {
                    return Some(time);
                }
                at = at.checked_add(1.minute()).ok()?;
                continue;
            };
            at = later;
        }
        None
    }

    /// The first moment that may fit after one that does not.
    fn skip(&self, at: DateTime) -> Option<DateTime> {
        let Self::Fields {
            minutes,
            hours,
            months,
            ..
        } = self
        else {
            return None;
        };
        let number = |value: i8| u32::try_from(value).unwrap_or(0);
        let midnight = at.date().to_datetime(jiff::civil::Time::midnight());
        let later = if !months.has(number(at.month())) {
            at.date()
                .first_of_month()
                .to_datetime(jiff::civil::Time::midnight())
                .checked_add(1.month())
        } else if !self.fits_day(at) {
            midnight.checked_add(1.day())
        } else if !hours.has(number(at.hour())) {
            at.with()
                .minute(0)
                .build()
                .and_then(|hour| hour.checked_add(1.hour()))
        } else if !minutes.has(number(at.minute())) {
            at.checked_add(1.minute())
        } else {
            return None;
        };
        Some(later.unwrap_or(DateTime::MAX))
    }

    fn fits_day(&self, at: DateTime) -> bool {
        let Self::Fields { days, weekdays, .. } = self else {
            return true;
        };
        let day = days.has(u32::try_from(at.day()).unwrap_or(0));
        let weekday = at.weekday().to_sunday_zero_offset();
        let weekday = weekdays.has(u32::try_from(weekday).unwrap_or(0));
        if days.star || weekdays.star {
            day && weekday
        } else {
            day || weekday
        }
    }
}

impl Bits {
    fn has(self, number: u32) -> bool {
        self.set & (1 << number) != 0
    }
}

impl Field {
    const fn of(min: u32, max: u32, names: &'static [&'static str]) -> Self {
        Self { min, max, names }
    }

    fn parse(&self, text: &str) -> Result<Bits, String> {
        let mut bits = Bits {
            set: 0,
            star: false,
        };
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let found = self.range(part)?;
            bits.set |= found.set;
            bits.star |= found.star;
        }
        Ok(bits)
    }

    /// `n`, `n-m`, `*`, each with `/step` or not.
    fn range(&self, text: &str) -> Result<Bits, String> {
        let mut parts = text.split('/');
        let (bounds, step, more) = (parts.next().unwrap_or(""), parts.next(), parts.next());
        let mut ends = bounds.split('-');
        let (low, high, further) = (ends.next().unwrap_or(""), ends.next(), ends.next());
        let star = low == "*" || low == "?";
        let (first, mut last) = if star {
            (self.min, self.max)
        } else {
            if further.is_some() {
                return Err(format!("too many hyphens: {text}"));
            }
            let first = self.number(low)?;
            let last = high.map_or(Ok(first), |high| self.number(high))?;
            (first, last)
        };
        if more.is_some() {
            return Err(format!("too many slashes: {text}"));
        }
        let step = step.map(number).transpose()?;
        if step.is_some() && !star && high.is_none() {
            last = self.max;
        }
        // A step of more than one is no star any more.
        let star = star && step.is_none_or(|step| step <= 1);
        let step = step.unwrap_or(1);
        let (min, max) = (self.min, self.max);
        if first < min {
            return Err(format!(
                "beginning of range ({first}) below minimum ({min}): {text}"
            ));
        }
        if last > max {
            return Err(format!(
                "end of range ({last}) above maximum ({max}): {text}"
            ));
        }
        if first > last {
            return Err(format!(
                "beginning of range ({first}) beyond end of range ({last}): {text}"
            ));
        }
        let step = usize::try_from(step).unwrap_or(0);
        if step == 0 {
            return Err(format!("step of range should be a positive number: {text}"));
        }
        let set = (first..=last)
            .step_by(step)
            .fold(0, |set, number| set | (1 << number));
        Ok(Bits { set, star })
    }

    fn number(&self, text: &str) -> Result<u32, String> {
        let lower = text.to_lowercase();
        match self.names.iter().position(|name| *name == lower) {
            Some(position) => Ok(self.min + u32::try_from(position).unwrap_or(0)),
            None => number(text),
        }
    }
}

fn number(text: &str) -> Result<u32, String> {
    if let Some(rest) = text.strip_prefix('-')
        && let Ok(number) = rest.parse::<u32>()
    {
        return Err(format!("negative number (-{number}) not allowed: {text}"));
    }
    text.parse().map_err(|_| {
        format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")
    })
}

fn described(text: &str) -> Result<Schedule, String> {
    let fields = match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        other => {
            let Some(every) = other.strip_prefix("@every ") else {
                return Err(format!("unrecognized descriptor: {text}"));
            };
            let period = duration(every).ok_or_else(|| {
                format!("failed to parse duration {text}: time: invalid duration {every:?}")
            })?;
            return Ok(Schedule::Every(SignedDuration::from_secs(
                period.as_secs().max(1),
            )));
        }
    };
    Schedule::parse(fields)
}

/// `1h30m10s` as Go writes durations.
fn duration(mut text: &str) -> Option<SignedDuration> {
    let mut total = SignedDuration::ZERO;
    if text.is_empty() {
        return None;
    }
    while !text.is_empty() {
        let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, rest) = text.split_at(unit_at);
        let unit_end = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (unit, rest) = rest.split_at(unit_end);
        let number: i64 = number.parse().ok()?;
        total += match unit {
            "h" => SignedDuration::from_hours(number),
            "m" => SignedDuration::from_mins(number),
            "s" => SignedDuration::from_secs(number),
            "ms" => SignedDuration::from_millis(number),
            _ => return None,
        };
        text = rest;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::Schedule;
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    fn check_in(zone: &str, schedule: &str, after: &str, expected: Option<&str>) {
        let zone = TimeZone::get(zone).unwrap();
        let after: Timestamp = after.parse().unwrap();
        let found = Schedule::parse(schedule).unwrap().next(after, &zone);
        let expected = expected.map(|time| time.parse::<Timestamp>().unwrap());
        assert_eq!(found, expected, "{schedule} after {after}");
    }

    fn check(schedule: &str, after: &str, expected: &str) {
        check_in("UTC", schedule, after, Some(expected));
    }

    #[test]
    fn the_next_time_is_the_first_that_fits() {
        check(
            "0/15 * * * *",
            "2012-07-09T14:45:00Z",
            "2012-07-09T15:00:00Z",
        );
        check(
            "0/15 * * * *",
            "2012-07-09T14:59:59Z",
            "2012-07-09T15:00:00Z",
        );
        check(
            "20-35/15 * * * *",
            "2012-07-09T15:45:00Z",
            "2012-07-09T16:20:00Z",
        );
        check(
            "*/15 * * * *",
            "2012-07-09T23:46:00Z",
            "2012-07-10T00:00:00Z",
        );
        check(
            "30 6-16/4 * * 1-5",
            "2026-11-20T14:31:00Z",
            "2026-11-23T06:30:00Z",
        );
        check("0 0 1 1 *", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
        check(
            "0 0 29 Feb ?",
            "2025-03-01T00:00:00Z",
            "2028-02-29T00:00:00Z",
        );
        check("@weekly", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z");
        check(
            "@every 1h30m",
            "2026-11-21T00:00:00.5Z",
            "2026-11-21T01:30:00Z",
        );
        check_in("UTC", "59 23 31 2 *", "2026-01-01T00:00:00Z", None);
    }

    #[test]
    fn either_day_field_may_fit_unless_one_is_a_star() {
        check(
            "0 0 13 * fri",
            "2026-11-01T00:00:00Z",
            "2026-11-06T00:00:00Z",
        );
        check(
            "0 0 */2 * fri",
            "2026-11-01T00:00:00Z",
            "2026-11-03T00:00:00Z",
        );
        check(
            "0 0 * * fri",
            "2026-11-01T00:00:00Z",
            "2026-11-06T00:00:00Z",
        );
    }

    #[test]
    fn skipped_local_times_do_not_happen() {
        // New York's clocks went from 2:00 to 3:00 on 2026-03-08.
        let zone = "America/New_York";
        check_in(
            zone,
            "30 2 * * *",
            "2026-03-07T12:00:00Z",
            Some("2026-03-09T06:30:00Z"),
        );
        check_in(
            zone,
            "0 12 * * *",
            "2026-03-08T00:00:00Z",
            Some("2026-03-08T16:00:00Z"),
        );
    }

    #[test]
    fn a_wrong_schedule_says_what_is_wrong() {
        for (text, expected) in [
            ("", "empty spec string"),
            ("* * *", "expected exactly 5 fields, found 3: [* * *]"),
            ("60 0 * * *", "end of range (60) above maximum (59): 60"),
            (
                "5-4 0 * * *",
                "beginning of range (5) beyond end of range (4): 5-4",
            ),
            ("0 0 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("1-2-3 0 * * *", "too many hyphens: 1-2-3"),
            (
                "*/0 0 * * *",
                "step of range should be a positive number: */0",
            ),
            (
                "x 0 * * *",
                "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax",
            ),
            ("@never", "unrecognized descriptor: @never"),
        ] {
            assert_eq!(Schedule::parse(text).unwrap_err(), expected, "{text}");
        }
    }
}
