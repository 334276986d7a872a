//! `meridian dns check`: what is wrong with zone files and Zone objects, and where.

use crate::cli::{self, Output};
use crate::manifests;
use crate::output;
use ::dns::{Finding, Name, Severity};
use anyhow::{Context, Result, bail};
use api::Zone;
use serde_json::{Value, json};
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

/// Something is wrong with a zone.
const WRONG: u8 = 1;
/// TTL of records that say none, in zone files without `$TTL`.
const DEFAULT_TTL_SECS: u32 = 300;

/// A finding in a file.
struct Told {
    file: String,
    finding: Finding,
}

/// Runs `meridian dns check`: 0 when every zone can be served, 1 when one cannot.
///
/// # Errors
/// A file cannot be read, or it does not say which zone it is.
pub(crate) fn check(args: &cli::DnsCheck) -> Result<ExitCode> {
    let mut told = Vec::new();
    let mut zones = 0;
    for path in &args.files {
        let (file, text) = read(path)?;
        let checked = if is_manifest(&text) {
            objects(&file, &text)?
        } else {
            let origin = origin(args.origin.as_deref(), path, &text)?;
            vec![zone_file(origin, &text)]
        };
        zones += checked.len();
        told.extend(checked.into_iter().flatten().map(|finding| Told {
            file: file.clone(),
            finding,
        }));
    }
    let errors = told
        .iter()
        .filter(|it| it.finding.severity == Severity::Error)
        .count();
    match args.output {
        Output::Table => output::print(&told.iter().map(line).collect::<String>()),
        form => output::structured(form, &told.iter().map(value).collect::<Vec<_>>())?,
    }
    let warnings = told.len() - errors;
    eprintln!("zones checked: {zones}, errors: {errors}, warnings: {warnings}");
    Ok(match errors {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(WRONG),
    })
}

/// As compilers write it, so that editors find the place.
fn line(told: &Told) -> String {
    let Told { file, finding } = told;
    let place = finding.line.map(|line| format!(":{line}"));
    let place = place.unwrap_or_default();
    format!("{file}{place}: {}: {}\n", finding.severity, finding.message)
}

fn value(told: &Told) -> Value {
    json!({
        "file": told.file,
        "line": told.finding.line,
        "severity": told.finding.severity.to_string(),
        "message": told.finding.message,
    })
}

fn read(path: &Path) -> Result<(String, String)> {
    if path == Path::new("-") {
        let mut text = String::new();
        let reading = std::io::stdin().read_to_string(&mut text);
        reading.context("standard input cannot be read")?;
        return Ok(("standard input".to_owned(), text));
    }
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("{file} cannot be read"))?;
    Ok((file, text))
}

/// Whether it holds objects rather than records.
fn is_manifest(text: &str) -> bool {
    let said = |line: &str| {
        let line = line.trim_start_matches(['-', ' ', '{', '"']);
        line.starts_with("apiVersion")
    };
    text.trim_start().starts_with('{') || text.lines().any(said)
}

/// The zone's origin: as it is told, as `$ORIGIN` says before the first record, or as the file is
/// called.
fn origin(told: Option<&str>, path: &Path, text: &str) -> Result<Name> {
    if let Some(told) = told {
        return Name::parse(told).context("--origin");
    }
    let mut lines = text
        .lines()
        .map(|line| line.split(';').next().unwrap_or_default());
    let first = lines.find(|line| !line.trim().is_empty() && !line.starts_with("$TTL"));
    let said = first
        .and_then(|line| line.strip_prefix("$ORIGIN"))
        .map(str::trim);
    let called = path.file_name().and_then(|name| name.to_str()).map(|name| {
        let name = name.strip_prefix("db.").unwrap_or(name);
        let name = name.strip_suffix(".zone").unwrap_or(name);
        name.strip_suffix(".txt").unwrap_or(name)
    });
    match said.or(called.filter(|name| name.contains('.'))) {
        Some(name) => Ok(Name::parse(name)?),
        None => bail!(
            "{}: which zone is it? Say it with --origin example.org, or with $ORIGIN on the first line",
            path.display()
        ),
    }
}

fn zone_file(origin: Name, text: &str) -> Vec<Finding> {
    let frame = ::dns::Zone {
        origin,
        records: Vec::new(),
    };
    ::dns::check(text, &frame, DEFAULT_TTL_SECS)
}

/// Each Zone among the objects of a file.
fn objects(file: &str, text: &str) -> Result<Vec<Vec<Finding>>> {
    let mut after = 0;
    let mut checked = Vec::new();
    for manifest in manifests::read(file, text)? {
        if manifest.kind() != "Zone" {
            continue;
        }
        // Where its records begin: objects come in the order of the text.
        let start = records_line(text, after);
        after = start.unwrap_or(after);
        let place = manifest.place();
        let about = |problem: String| {
            vec![Finding {
                line: None,
                severity: Severity::Error,
                message: problem,
            }]
        };
        let zone: Zone = match serde_json::from_value(manifest.object.clone()) {
            Ok(zone) => zone,
            Err(why) => {
                checked.push(about(format!("{place}: {why}")));
                continue;
            }
        };
        let frame = zone.read().map_err(|why| why.to_string());
        let frame =
            frame.and_then(|spec| Ok((steering::zone_frame(&spec)?, spec.default_ttl_secs)));
        let findings = match frame {
            Ok((frame, ttl_secs)) => ::dns::check(&zone.spec.records, &frame, ttl_secs),
            Err(problem) => about(format!("{place}: {problem}")),
        };
        let move_to = |finding: Finding| Finding {
            line: finding.line.zip(start).map(|(line, start)| line + start),
            ..finding
        };
        checked.push(findings.into_iter().map(move_to).collect());
    }
    if checked.is_empty() {
        bail!("{file} holds no Zone: give a zone file, or a manifest of kind Zone");
    }
    Ok(checked)
}

/// The line, counted from 1, after which the next block of records begins.
fn records_line(text: &str, after: usize) -> Option<usize> {
    let block = |line: &str| {
        let rest = line.trim_start().strip_prefix("records:");
        rest.is_some_and(|rest| rest.trim_start().starts_with('|'))
    };
    let lines = text.lines().enumerate().skip(after);
    lines
        .filter(|(_, line)| block(line))
        .map(|(at, _)| at + 1)
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_is_told_said_or_in_the_files_name() {
        let of = |told, path: &str, text| {
            origin(told, Path::new(path), text)
                .map(|name| name.to_string())
                .ok()
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            of(Some("a.org"), "b.org.zone", "$ORIGIN c.org."),
            some("a.org.")
        );
        assert_eq!(
            of(None, "b.org.zone", "; c\n$TTL 60\n$ORIGIN c.org. ; d\n"),
            some("c.org.")
        );
        assert_eq!(of(None, "/x/b.org.zone", "@ NS ns"), some("b.org."));
        assert_eq!(of(None, "db.b.org", "@ NS ns"), some("b.org."));
        assert_eq!(of(None, "zone", "@ NS ns"), None);
    }

    #[test]
    fn lines_of_records_in_an_object_are_lines_of_the_file() {
        let text = "apiVersion: gslb.meridian.dev/v1alpha1\nkind: Zone\nmetadata: {name: z}\nspec:\n  \
                    domain: example.org\n  nameServers: [{name: ns1.example.org, addresses: [192.0.2.53]}]\n  \
                    records: |\n    www A 192.0.2.1\n    bad A 192.0.2.256\n";
        let checked = objects("z.yaml", text).expect("it reads");
        let lines: Vec<_> = checked.iter().flatten().map(|it| it.line).collect();
        assert_eq!(lines, [Some(9)]);
    }
}
