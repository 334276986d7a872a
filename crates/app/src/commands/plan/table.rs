//! The plan for people: one block per object, clusters that fare alike together, sums at the end.

use super::report::{Change, Note, Object, Part, Report, Source, Totals};
use crate::output::Colour;
use federation::{ANNOTATION_APPLIED_HASH, ANNOTATION_ORIGIN, FieldChange, FieldValue};
use owo_colors::{AnsiColors, OwoColorize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Letters of a value; what is longer is cut in the middle of its end.
const VALUE_CHARS_MAX: usize = 60;
/// Fields that are shown per block; all of them are in the JSON.
const FIELDS_MAX: usize = 40;
/// Cluster names on one line; of more, how many they are.
const NAMES_MAX: usize = 8;

/// All of it.
pub(super) fn text(report: &Report, colour: Colour) -> String {
    let mut page = Page {
        text: String::new(),
        colour,
    };
    for object in &report.objects {
        page.object(object);
    }
    for note in &report.notes {
        page.note(note);
    }
    for (cluster, why) in &report.silent {
        let line = format!("{cluster} does not answer, so what it holds is not known: {why}");
        page.line(&format!("! {line}"), AnsiColors::Magenta);
    }
    if !report.notes.is_empty() || !report.silent.is_empty() {
        page.text.push('\n');
    }
    page.line(&sums(report), colour_of_sums(&report.totals));
    page.text
}

struct Page {
    text: String,
    colour: Colour,
}

impl Page {
    fn line(&mut self, line: &str, colour: AnsiColors) {
        let line = match self.colour {
            Colour::On if colour != AnsiColors::Default => line.color(colour).to_string(),
            _ => line.to_owned(),
        };
        self.text.push_str(&line);
        self.text.push('\n');
    }

    fn object(&mut self, object: &Object) {
        let (namespace, name) = (&object.key.namespace, &object.key.name);
        let mut head = match &**namespace {
            "" => format!("{} {name}", object.kind),
            namespace => format!("{} {namespace}/{name}", object.kind),
        };
        if self.colour == Colour::On {
            head = head.bold().to_string();
        }
        let source = match &object.source {
            Some(source) => place(source),
            None if object.asked => "on the host".to_owned(),
            None => "on the host; it follows what the files change".to_owned(),
        };
        let host = match object.host {
            Change::Create => "; new on the host",
            Change::Update => "; changes on the host",
            _ => "",
        };
        let _ = writeln!(self.text, "{head}   ({source}{host})");
        if object.deleting {
            let line = "  ! it is being deleted on the host; until that has ended this is the plan";
            self.line(line, AnsiColors::Yellow);
        }
        for (parts, names) in alike(&object.clusters) {
            self.part(parts, &names);
        }
        for share in &object.replicas {
            let (cluster, replicas) = (&share.cluster, share.replicas);
            let _ = writeln!(
                self.text,
                "  replicas {cluster}: {replicas} ({})",
                share.reason
            );
        }
        for problem in &object.replica_problems {
            self.line(&format!("  ! {problem}"), AnsiColors::Yellow);
        }
        for problem in &object.plan.report {
            // What is about a cluster is said there.
            if problem.cluster.as_ref().is_none_or(|cluster| {
                let known = object.clusters.iter();
                known.into_iter().all(|part| part.name != *cluster)
            }) {
                self.line(&format!("  ! {}", problem.message), AnsiColors::Yellow);
            }
        }
        self.text.push('\n');
    }

    fn part(&mut self, part: &Part, names: &[&str]) {
        let (sign, word, colour) = words(part.change);
        let listed = match names.len() > NAMES_MAX {
            true => format!(
                "{} and {} more",
                names[..NAMES_MAX].join(", "),
                names.len() - NAMES_MAX
            ),
            false => names.join(", "),
        };
        self.line(
            &format!("  {sign} {word:<8} {listed}: {}", part.reason),
            colour,
        );
        let shown: Vec<&FieldChange> = part.fields.iter().filter(|it| !is_mark(it)).collect();
        let paths = shown.iter().take(FIELDS_MAX);
        let width = paths.clone().map(|it| it.path.to_string().chars().count());
        let width = width.max().unwrap_or_default().min(VALUE_CHARS_MAX);
        for change in paths {
            let line = format!(
                "      {:<width$}  {}",
                change.path.to_string(),
                values(change)
            );
            self.line(&line, AnsiColors::Default);
        }
        if let Some(more) = shown.len().checked_sub(FIELDS_MAX).filter(|more| *more > 0) {
            let line = format!("      … and {more} more; -o yaml shows all");
            self.line(&line, AnsiColors::Default);
        }
    }

    fn note(&mut self, note: &Note) {
        let line = match (&note.about, &note.source) {
            (Some(about), Some(source)) => format!("{about} ({}): {}", place(source), note.text),
            _ => note.text.clone(),
        };
        self.line(&format!("· {line}"), AnsiColors::Default);
    }
}

fn place(source: &Source) -> String {
    format!("{}, document {}", source.file, source.document)
}

fn words(change: Change) -> (char, &'static str, AnsiColors) {
    match change {
        Change::Create => ('+', "create", AnsiColors::Green),
        Change::Update => ('~', "update", AnsiColors::Yellow),
        Change::Delete => ('-', "delete", AnsiColors::Red),
        Change::Release => ('-', "release", AnsiColors::Red),
        Change::Recreate => ('+', "recreate", AnsiColors::Green),
        Change::Keep => ('=', "keep", AnsiColors::Default),
        Change::Wait => ('!', "wait", AnsiColors::Yellow),
        Change::Unknown => ('?', "unknown", AnsiColors::Magenta),
        Change::Skip => ('.', "skip", AnsiColors::Default),
    }
}

/// Clusters for which the same happens for the same reason; what changes comes first.
fn alike(parts: &[Part]) -> Vec<(&Part, Vec<&str>)> {
    let mut groups: BTreeMap<(Change, &str, String), (&Part, Vec<&str>)> = BTreeMap::new();
    for part in parts {
        let fields: Vec<String> = part.fields.iter().map(full).collect();
        let key = (part.change, part.reason.as_str(), fields.join("\n"));
        let (_, names) = groups.entry(key).or_insert_with(|| (part, Vec::new()));
        names.push(part.name.as_str());
    }
    let mut groups: Vec<(&Part, Vec<&str>)> = groups.into_values().collect();
    groups.sort_by_key(|(part, names)| (part.change, names[0]));
    groups
}

fn full(change: &FieldChange) -> String {
    format!("{} {:?} {:?}", change.path, change.old, change.new)
}

/// Marks of our own that every object bears: they say nothing to a reader.
fn is_mark(change: &FieldChange) -> bool {
    let path = change.path.to_string();
    let ours = [
        format!(".metadata.annotations[{ANNOTATION_ORIGIN}]"),
        format!(".metadata.annotations[{ANNOTATION_APPLIED_HASH}]"),
        format!(".metadata.labels[{}]", federation::LABEL_MANAGED),
        ".metadata.name".to_owned(),
        ".metadata.namespace".to_owned(),
        ".apiVersion".to_owned(),
        ".kind".to_owned(),
    ];
    ours.contains(&path) && change.old == FieldValue::Absent
}

fn values(change: &FieldChange) -> String {
    match (&change.old, &change.new) {
        (FieldValue::Hidden, FieldValue::Hidden) => "changes (values are not shown)".to_owned(),
        (FieldValue::Absent, new) => value(new),
        (old, FieldValue::Absent) => format!("{} → gone", value(old)),
        (old, new) => format!("{} → {}", value(old), value(new)),
    }
}

fn value(value: &FieldValue) -> String {
    match value {
        FieldValue::Absent => "nothing".to_owned(),
        FieldValue::Hidden => "(not shown)".to_owned(),
        FieldValue::Value(value) => shortened(value),
    }
}

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    let length = text.chars().count();
    if length <= VALUE_CHARS_MAX {
        return text;
    }
    let begin: String = text.chars().take(VALUE_CHARS_MAX).collect();
    format!("{begin}… ({length} letters)")
}

/// The last line.
fn sums(report: &Report) -> String {
    let totals = &report.totals;
    let mut words = match totals.changes() {
        0 => match (report.objects.is_empty(), report.names.is_empty()) {
            (true, true) => "Nothing to plan: no federated object is in the files".to_owned(),
            (true, false) | (false, _) => "Nothing would change in any member".to_owned(),
        },
        _ => {
            let mut parts = vec![
                format!("{} to create", totals.create),
                format!("{} to update", totals.update),
                format!("{} to delete", totals.delete),
            ];
            if totals.release > 0 {
                parts.push(format!("{} to release", totals.release));
            }
            let clusters = count(totals.clusters, "cluster");
            format!("{} in {clusters}", parts.join(", "))
        }
    };
    if totals.wait > 0 {
        let _ = write!(words, "; {} waiting", totals.wait);
    }
    if totals.unknown_clusters > 0 {
        let unknown = count(totals.unknown_clusters, "cluster");
        let _ = write!(words, "; {unknown} unknown");
    }
    if totals.changes() == 0 && totals.on_host > 0 {
        let on_host = count(totals.on_host, "federated object");
        let _ = write!(words, "; {on_host} would change on the host");
    }
    words.push('.');
    words
}

fn colour_of_sums(totals: &Totals) -> AnsiColors {
    match (totals.unknown_clusters, totals.delete + totals.release) {
        (1.., _) => AnsiColors::Magenta,
        (0, 1..) => AnsiColors::Red,
        (0, 0) => AnsiColors::Default,
    }
}

fn count(number: usize, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        number => format!("{number} {thing}s"),
    }
}
