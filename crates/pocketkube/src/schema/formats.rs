//! String formats that schemas may ask for, as the server's `strfmt` checks them.

use regex::Regex;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;

/// Whether a string has a format. Formats that the server does not know allow everything.
pub(super) fn matches_format(format: &str, text: &str) -> bool {
    match format {
        "date-time" | "datetime" => is_date_time(text),
        "date" => text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10,
        "duration" => is_duration(text),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(text),
        "mac" => matches(text, Known::Mac),
        "uuid" => matches(text, Known::Uuid),
        "uuid3" | "uuid4" | "uuid5" => matches(text, Known::Uuid),
        "email" => matches(text, Known::Email),
        "hostname" => matches(text, Known::Hostname),
        "uri" => matches(text, Known::Uri),
        "byte" => {
            use base64::Engine as _;
            base64::engine::general_purpose::STANDARD
                .decode(text)
                .is_ok()
        }
        _ => true,
    }
}

/// Whether a string is an RFC 3339 time.
pub(super) fn is_date_time(text: &str) -> bool {
    matches(text, Known::DateTime) && text.parse::<jiff::Timestamp>().is_ok()
}

/// A whole-second time in UTC, as `metav1.Time` writes it; `None` keeps what was given.
pub(super) fn canonical_time(text: &str) -> Option<String> {
    if text.len() > 20 && text.contains('.') {
        return None;
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// Go durations (`1h30m`) and the words that `strfmt` knows (`3 days`).
fn is_duration(text: &str) -> bool {
    text == "0" || matches(text, Known::GoDuration) || matches(text, Known::WordDuration)
}

fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else {
        return false;
    };
    let Ok(length) = length.parse::<u8>() else {
        return false;
    };
    match address.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(_)) => length <= 32,
        Ok(std::net::IpAddr::V6(_)) => length <= 128,
        Err(_) => false,
    }
}

#[derive(Clone, Copy)]
enum Known {
    DateTime,
    GoDuration,
    WordDuration,
    Mac,
    Uuid,
    Email,
    Hostname,
    Uri,
}

fn matches(text: &str, known: Known) -> bool {
    static COMPILED: OnceLock<Vec<Regex>> = OnceLock::new();
    const PATTERNS: [&str; 8] = [
        r"^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$",
        r"^[+-]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)((\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))*$",
        r"(?i)^(\d+)\s*(nanos|nanosecond|nanoseconds|micros|microsecond|microseconds|millis|millisecond|milliseconds|sec|second|seconds|min|minute|minutes|hr|hour|hours|day|days|week|weeks|wk|d|w)$",
        r"^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$",
        r"(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$",
        r"^[^@\s]+@[^@\s]+$",
        r"^([a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?)(\.[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?)*\.?$",
        r"^([a-zA-Z][a-zA-Z0-9+.-]*:\S+|/\S*)$",
    ];
    let compiled = COMPILED.get_or_init(|| {
        PATTERNS
            .iter()
            .map(|p| Regex::new(p).expect("a constant pattern compiles"))
            .collect()
    });
    compiled[known as usize].is_match(text)
}
