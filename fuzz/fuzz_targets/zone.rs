//! Any text as a zone: it is read and published, or refused; and what checks it agrees.
#![no_main]

use libfuzzer_sys::fuzz_target;
use meridian_dns::{Name, Severity, SnapshotBuilder, Zone, check, read_records};

fuzz_target!(|text: &str| {
    let origin = Name::parse("example.org").expect("a name");
    let frame = Zone {
        origin: origin.clone(),
        records: Vec::new(),
    };
    let findings = check(text, &frame, 300);
    let wrong = findings.iter().any(|it| it.severity == Severity::Error);
    let published = read_records(text, &origin, 300).and_then(|records| {
        let mut builder = SnapshotBuilder::new();
        builder.zone(&Zone { origin, records })?;
        Ok(builder.build(1))
    });
    assert_eq!(published.is_err(), wrong, "{findings:?}");
});
