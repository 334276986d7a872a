//! What is wrong with a zone's text, and what is served but hardly meant: all of it, each with its
//! line.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::error::Error;
use crate::name::Name;
use crate::record::{Record, RecordType, compressible};
use crate::zone::{CompiledZone, Zone, record_problem, together_problem};
use crate::zone_text::{Located, read_all};

/// Something to tell about a zone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The line, counted from 1; none when it is about the zone as a whole.
    pub line: Option<usize>,
    /// How bad it is.
    pub severity: Severity,
    /// What it is, and what to do.
    pub message: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The zone is not served.
    Error,
    /// It is served, but hardly as it was meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// Checks the text of a zone. `frame` is what the zone has besides: its origin, and the SOA and NS
/// records that an object's fields say. Findings come in the order of their lines.
pub fn check(text: &str, frame: &Zone, default_ttl_secs: u32) -> Vec<Finding> {
    let (located, errors) = read_all(text, &frame.origin, default_ttl_secs);
    let mut findings: Vec<Finding> = errors.into_iter().map(unreadable).collect();
    let mut checked = Checked::new(frame);
    for it in located {
        match record_problem(&frame.origin, &it.record) {
            Some(problem) => findings.push(error(Some(it.line), problem)),
            None => checked.add(it),
        }
    }
    findings.extend(checked.together());
    if findings.is_empty() {
        let whole = Zone {
            origin: frame.origin.clone(),
            records: checked.records(),
        };
        let compiled = CompiledZone::compile(&whole);
        findings.extend(compiled.err().map(|why| checked.place(why)));
        // With records missing, what seems to lead nowhere may be one of them.
        findings.extend(checked.strange());
    }
    findings.append(&mut checked.repeated);
    findings.sort();
    findings
}

fn unreadable(why: Error) -> Finding {
    match why {
        Error::Text { line, problem } => error(Some(line), problem),
        other => error(None, other.to_string()),
    }
}

fn error(line: Option<usize>, message: String) -> Finding {
    Finding {
        line,
        severity: Severity::Error,
        message,
    }
}

fn warning(line: Option<usize>, message: String) -> Finding {
    Finding {
        severity: Severity::Warning,
        ..error(line, message)
    }
}

/// Records with their lines, sound each for itself.
struct Checked<'f> {
    frame: &'f Zone,
    sets: BTreeMap<Name, BTreeMap<RecordType, Vec<Located>>>,
    repeated: Vec<Finding>,
}

impl<'f> Checked<'f> {
    fn new(frame: &'f Zone) -> Self {
        let mut this = Self {
            frame,
            sets: BTreeMap::new(),
            repeated: Vec::new(),
        };
        for record in &frame.records {
            // Line 0 is that of the frame.
            let record = record.clone();
            this.add(Located { line: 0, record });
        }
        this
    }

    fn add(&mut self, it: Located) {
        let types = self.sets.entry(it.record.owner.clone()).or_default();
        let set = types.entry(it.record.record_type).or_default();
        let Record {
            owner, record_type, ..
        } = &it.record;
        // The fields of an object say its SOA; the text's is left out.
        let framed = set.first().is_some_and(|first| first.line == 0);
        if *record_type == RecordType::SOA && framed {
            let message = "the SOA record is left out: the object's fields say it".to_owned();
            self.repeated.push(warning(Some(it.line), message));
            return;
        }
        if let Some(first) = set
            .first()
            .filter(|first| first.record.ttl_secs != it.record.ttl_secs)
            && first.line > 0
        {
            let message = format!(
                "{owner} {record_type} has another TTL than on line {}: the least is served for \
                 all of them (RFC 2181 § 5.2)",
                first.line
            );
            self.repeated.push(warning(Some(it.line), message));
        }
        let twin = set.iter().find(|known| known.record.data == it.record.data);
        if let Some(twin) = twin.filter(|twin| twin.line > 0) {
            let message = format!("{owner} {record_type} repeats line {}", twin.line);
            self.repeated.push(warning(Some(it.line), message));
        }
        set.push(it);
    }

    fn records(&self) -> Vec<Record> {
        self.all().map(|it| it.record.clone()).collect()
    }

    fn all(&self) -> impl Iterator<Item = &Located> {
        self.sets
            .values()
            .flat_map(|types| types.values().flatten())
    }

    /// What may not stand together at one name.
    fn together(&self) -> Vec<Finding> {
        let problem = |(name, types): (&Name, &BTreeMap<RecordType, Vec<Located>>)| {
            let records = types.values().flatten();
            let line = records.clone().map(|it| it.line).max();
            let problem = together_problem(&self.frame.origin, name, records.map(|it| &it.record))?;
            Some(error(line.filter(|line| *line > 0), problem))
        };
        self.sets.iter().filter_map(problem).collect()
    }

    /// An error of the whole zone, at the line of the name that it speaks of first.
    fn place(&self, why: Error) -> Finding {
        let Error::Zone { problem, .. } = why else {
            return error(None, why.to_string());
        };
        let named = problem.split_whitespace().find_map(|word| {
            let types = self.sets.get(&Name::parse(word).ok()?)?;
            types.values().flatten().map(|it| it.line).max()
        });
        error(named.filter(|line| *line > 0), problem)
    }

    /// What is served but hardly meant.
    fn strange(&self) -> Vec<Finding> {
        let cuts: BTreeSet<&Name> = self
            .sets
            .iter()
            .filter(|(name, types)| {
                **name != self.frame.origin && types.contains_key(&RecordType::NS)
            })
            .map(|(name, _)| name)
            .collect();
        let mut found = Vec::new();
        for it in self.all().filter(|it| it.line > 0) {
            let told = self
                .target_problem(&it.record)
                .or_else(|| self.hidden(&it.record, &cuts));
            found.extend(told.map(|message| warning(Some(it.line), message)));
        }
        found
    }

    /// A target that leads nowhere: most often a final dot was forgotten.
    fn target_problem(&self, record: &Record) -> Option<String> {
        let (prefix, _) = match record.record_type {
            RecordType::SRV => (6, 1),
            RecordType::SOA => return None,
            other => compressible(other)?,
        };
        let target = Name::from_wire(record.data.get(prefix..)?).ok()?;
        let origin = &self.frame.origin;
        if !target.is_within(origin) || target == *origin {
            return None;
        }
        let Record {
            owner, record_type, ..
        } = record;
        let doubled = target.to_string();
        let suffix = format!(".{origin}{origin}");
        if doubled.ends_with(&suffix) && !self.exists(&target) {
            return Some(format!(
                "{owner} {record_type} leads to {target}, which does not exist: end the name with \
                 a dot, or leave {origin} out"
            ));
        }
        let strict = matches!(record_type.0, 2 | 15 | 33);
        if strict
            && self
                .sets
                .get(&target)
                .is_some_and(|it| it.contains_key(&RecordType::CNAME))
        {
            return Some(format!(
                "{owner} {record_type} leads to {target}, which is an alias: name its target \
                 instead (RFC 2181 § 10.3)"
            ));
        }
        (strict && !self.exists(&target)).then(|| {
            format!(
                "{owner} {record_type} leads to {target}, which has no records here: add its \
                 addresses, unless it is steered"
            )
        })
    }

    /// Whether something may answer for a name: itself, a wildcard or a delegation above.
    fn exists(&self, name: &Name) -> bool {
        let above = |above: Name| {
            let types = self.sets.get(&above);
            let cut = types.is_some_and(|types| {
                let redirects = types.contains_key(&RecordType::DNAME);
                redirects || types.contains_key(&RecordType::NS)
            });
            let wildcard = above
                .child("*")
                .ok()
                .is_some_and(|it| self.sets.contains_key(&it));
            (cut && above != self.frame.origin) || wildcard
        };
        self.sets.contains_key(name) || name.ancestry().skip(1).any(above)
    }

    /// Data below a delegation that is no glue, or not the parent's at it.
    fn hidden(&self, record: &Record, cuts: &BTreeSet<&Name>) -> Option<String> {
        let Record {
            owner, record_type, ..
        } = record;
        let cut = owner.ancestry().find(|above| cuts.contains(above))?;
        let address = matches!(*record_type, RecordType::A | RecordType::AAAA);
        let parents = matches!(*record_type, RecordType::NS | RecordType::DS);
        if (owner == &cut && parents) || address {
            return None;
        }
        Some(format!(
            "{owner} {record_type} is not served: {cut} is delegated; have its servers hold it"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "@ SOA ns1 host 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.53\n";

    fn found(text: &str) -> Vec<String> {
        let frame = Zone {
            origin: Name::parse("example.org").unwrap(),
            records: Vec::new(),
        };
        let tell = |it: Finding| match it.line {
            Some(line) => format!("{line}: {}: {}", it.severity, it.message),
            None => format!("{}: {}", it.severity, it.message),
        };
        check(text, &frame, 300).into_iter().map(tell).collect()
    }

    /// After three lines that are right.
    fn check_lines(text: &str, expected: &[&str]) {
        let found = found(&format!("{HEAD}{text}"));
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found} is not {expected}");
        }
    }

    #[test]
    fn a_zone_that_is_right_gives_nothing_to_tell() {
        check_lines(
            "www A 192.0.2.1\nalias CNAME www\nout MX 5 mail.example.net.\n",
            &[],
        );
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        check_lines(
            "www A 192.0.2.256\nx NOPE 1\nok A 192.0.2.1\nother.net. A 192.0.2.1\n\
             two CNAME www\ntwo A 192.0.2.1\n",
            &[
                "4: error: www.example.org. A",
                "5: error: \"NOPE\" is no record type",
                "7: error: other.net. A lies outside the zone",
                "9: error: two.example.org. has a CNAME record and other data",
            ],
        );
    }

    #[test]
    fn a_circle_is_told_at_one_of_its_names() {
        check_lines(
            "a CNAME b\nb CNAME a\n",
            &["4: error: CNAME circle: a.example.org."],
        );
    }

    #[test]
    fn a_zone_without_a_start_is_told_as_a_whole() {
        assert_eq!(found("www A 192.0.2.1"), ["error: it has no SOA record"]);
    }

    #[test]
    fn what_is_hardly_meant_is_a_warning() {
        check_lines(
            "www CNAME www2.example.org\nmx MX 5 alias\nalias CNAME ns1\nmx2 MX 5 nowhere\n\
             t 60 A 192.0.2.1\nt 61 A 192.0.2.2\nt 60 A 192.0.2.1\n\
             sub NS ns.sub\nns.sub A 192.0.2.1\nsub DS 1 13 2 0102\nsub TXT x\n",
            &[
                "4: warning: www.example.org. CNAME leads to www2.example.org.example.org.",
                "5: warning: mx.example.org. MX leads to alias.example.org., which is an alias",
                "7: warning: mx2.example.org. MX leads to nowhere.example.org., which has no",
                "9: warning: t.example.org. A has another TTL",
                "10: warning: t.example.org. A repeats line 8",
                "14: warning: sub.example.org. TXT is not served: sub.example.org. is delegated",
            ],
        );
    }

    #[test]
    fn what_an_object_says_stands_before_the_text() {
        let origin = Name::parse("example.org").unwrap();
        let records = crate::read_records(HEAD, &origin, 300).unwrap();
        let frame = Zone { origin, records };
        let found = check("@ SOA ns1 host 9 2 3 4 5\nwww A 192.0.2.1\n", &frame, 300);
        let [only] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!((only.line, only.severity), (Some(1), Severity::Warning));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "([a-z@$.*\\\\\"();0-9 ]{0,12}( |\n|A |NS |CNAME |\t)){0,12}") {
            found(&text);
            found(&format!("{HEAD}{text}"));
        }
    }
}
