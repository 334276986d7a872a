//! Where in its text an expression is.

use super::Fault;
use kube_cel::cel::common::ast::SourceInfo;
use kube_cel::cel::parser::Parser;
use std::sync::Arc;

/// Faults as the server shows them, in the order of their places.
pub(super) fn shown(text: &str, faults: &[Fault]) -> String {
    let source = source(text);
    let place = |id: u64| {
        let offset = source.as_ref().and_then(|source| source.offset_for(id));
        offset.map_or(0, |(start, _)| start as usize)
    };
    let mut placed: Vec<(usize, &str)> = (faults.iter())
        .map(|(id, why)| (place(*id), why.as_str()))
        .collect();
    placed.sort_by_key(|(place, _)| *place);
    let lines: Vec<String> = placed
        .iter()
        .map(|(place, why)| one(text, *place, why))
        .collect();
    lines.join("\n")
}

fn one(text: &str, place: usize, why: &str) -> String {
    let before: String = text.chars().take(place).collect();
    let line = before.matches('\n').count();
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before[start..].chars().count();
    let source = text.lines().nth(line).unwrap_or_default();
    let dots = ".".repeat(column);
    format!(
        "ERROR: <input>:{}:{}: {why}\n | {source}\n | {dots}^",
        line + 1,
        column + 1
    )
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
