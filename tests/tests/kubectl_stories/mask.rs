//! What two servers may say differently: times, uids, versions, addresses, random names.

use std::sync::LazyLock;

use regex::Regex;

/// Patterns and what they become, in this order.
static MASKS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    let masks = [
        // Times as the API writes them, as `describe` does, and as `diff` does.
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
        (
            r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}",
            "TIME",
        ),
        (
            r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? [+-]\d{4}( UTC)?",
            "TIME",
        ),
        (
            r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "UID",
        ),
        (r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "TOKEN"),
        (r"\b127\.0\.0\.1:\d+", "SERVER"),
        (r"\b\d{1,3}(\.\d{1,3}){3}\b", "ADDRESS"),
        (
            r#"((resourceVersion\\?"?|Resource Version)(:| =) *\\?"?)\d+"#,
            "${1}VERSION",
        ),
        // The heads of kubectl's own log lines.
        (r"\bE\d{4} \d\d:\d\d:\d\d\.\d+ +[0-9A-Z-]+ ", "LOG "),
        // Ports of nodes.
        (r"\b3[0-2]\d{3}\b", "NODE-PORT"),
        // Temporary files.
        (r"/(LIVE|MERGED)-\d+/", "/$1/"),
        (r"kubectl-edit-\w+", "kubectl-edit"),
        // Hashes of templates, which are decimal digits as `SafeEncodeString` writes them, and the
        // random ends of generated names.
        (
            r"\b[4-9bcdf]{7,10}-[bcdfghjklmnpqrstvwxz2456789]{5}\b",
            "HASH-RANDOM",
        ),
        (r"(-|hash(:| =|=) ?\W?)[4-9bcdf]{7,10}\b", "${1}HASH"),
        (r"-[bcdfghjklmnpqrstvwxz2456789]{5}\b", "-RANDOM"),
        // Names of Events, and of the Jobs of a CronJob.
        (r"\.[0-9a-f]{16}\b", ".EVENT"),
        (r"-\d{8}\b", "-MINUTE"),
        (
            r"\b(\d+[smhd](\d+[smh])?) \(x\d+ over \d+[smhd](\d+[smh])?\)",
            "$1",
        ),
        // Ages in columns, twice since two neighbours share their space.
        (r"(^|  )(\d+[smhd](\d+[smh])?|<invalid>)(  |$)", "${1}AGE$4"),
        (r"(^|  )(\d+[smhd](\d+[smh])?|<invalid>)(  |$)", "${1}AGE$4"),
        (r"\b\d+[smhd](\d+[smh])? ago\b", "AGE ago"),
        // Columns are as wide as what was masked.
        (r"(\S) {2,}", "$1   "),
    ];
    masks
        .into_iter()
        .map(|(pattern, mask)| (Regex::new(pattern).expect("it is a pattern"), mask))
        .collect()
});

/// `line` without what differs from run to run.
pub(crate) fn mask(line: &str) -> String {
    let mut line = line.to_owned();
    for (pattern, mask) in MASKS.iter() {
        if pattern.is_match(&line) {
            line = pattern.replace_all(&line, *mask).into_owned();
        }
    }
    line.truncate(line.trim_end().len());
    line
}
