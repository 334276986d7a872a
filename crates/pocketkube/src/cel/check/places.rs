//! Where in its text an expression is.

use super::Fault;
use kube_cel::cel::common::ast::SourceInfo;
use kube_cel::cel::parser::Parser;
use std::sync::Arc;

/// Faults that are shown, as `common/errors.go` of cel-go has it: each shows its line again.
const FAULTS_MAX: usize = 100;

/// The longest line that a fault shows, as `common/error.go` there has it.
const LINE_BYTES_MAX: usize = 16_384;

/// The first faults that were found, as the server shows them: in the order of their places.
pub(super) fn shown(text: &str, faults: &[Fault]) -> String {
    let source = source(text);
    let place = |id: u64| {
        let offset = source.as_ref().and_then(|source| source.offset_for(id));
        offset.map_or(0, |(start, _)| start as usize)
    };
    let mut placed: Vec<(usize, &str)> = (faults.iter().take(FAULTS_MAX))
        .map(|(id, why)| (place(*id), why.as_str()))
        .collect();
    placed.sort_by_key(|(place, _)| *place);
    let mut lines: Vec<String> = placed
        .iter()
        .map(|(place, why)| one(text, *place, why))
        .collect();
    if let Some(more @ 1..) = faults.len().checked_sub(FAULTS_MAX) {
        lines.push(format!("{more} more errors were truncated"));
    }
    lines.join("\n")
}

fn one(text: &str, place: usize, why: &str) -> String {
    let before: String = text.chars().take(place).collect();
    let line = before.matches('\n').count();
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before[start..].chars().count();
    let source = text.lines().nth(line).unwrap_or_default();
    let told = format!("ERROR: <input>:{}:{}: {why}", line + 1, column + 1);
    if source.len() > LINE_BYTES_MAX {
        return told;
    }
    let dots = ".".repeat(column);
    format!("{told}\n | {source}\n | {dots}^")
}

/// The parser tells places only of what it refuses, so it is given a bracket too many.
fn source(text: &str) -> Option<Arc<SourceInfo>> {
    let parser = Parser::new().enable_optional_syntax(true);
    let refused = parser.parse(&format!("{text}\n)")).err()?;
    refused
        .errors
        .into_iter()
        .find_map(|error| error.source_info)
}

#[cfg(test)]
mod tests {
    use super::super::kind_of;

    #[test]
    fn the_first_hundred_faults_are_shown_with_lines_that_are_not_too_long() {
        let problem = kind_of(&vec!["x"; 250].join("||"), &[]).unwrap_err();
        assert_eq!(problem.matches("ERROR").count(), 100);
        assert_eq!(problem.matches("\n | x||x").count(), 100);
        assert!(problem.ends_with("\n150 more errors were truncated"));
        let problem = kind_of(&vec!["x"; 10_000].join("||"), &[]).unwrap_err();
        assert_eq!(problem.matches("undeclared reference").count(), 100);
        assert!(problem.len() < 10_000, "{} bytes", problem.len());
    }
}
