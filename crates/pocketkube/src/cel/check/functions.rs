//! The functions that expressions can call, with the types that they take.

use super::kind::Kind;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// One way to call a function.
#[derive(Debug)]
pub(super) struct Overload {
    pub(super) style: Style,
    /// A method's first is what it is called on.
    pub(super) takes: Vec<Kind>,
    pub(super) gives: Kind,
}

/// Whether a function is called on something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Function,
    Method,
}

impl Overload {
    /// The letters for which any type may stand.
    pub(super) fn parameters(&self) -> BTreeSet<char> {
        let mut found = BTreeSet::new();
        self.takes
            .iter()
            .chain([&self.gives])
            .for_each(|kind| letters(kind, &mut found));
        found
    }
}

fn letters(kind: &Kind, found: &mut BTreeSet<char>) {
    match kind {
        Kind::Parameter(letter) => drop(found.insert(*letter)),
        Kind::Named(_, inner) => inner.iter().for_each(|kind| letters(kind, found)),
        _ => {}
    }
}

/// The overloads of a function; none when there is no such function.
pub(super) fn overloads(name: &str) -> Option<&'static [Overload]> {
    static TABLE: LazyLock<BTreeMap<&str, Vec<Overload>>> = LazyLock::new(|| {
        let lines = include_str!("functions.txt").lines();
        let lines = lines.filter(|line| !line.starts_with('#'));
        let entry = |line: &'static str| {
            let (name, overloads) = line.split_once(' ')?;
            Some((name, overloads.split(' ').filter_map(overload).collect()))
        };
        lines.filter_map(entry).collect()
    });
    TABLE.get(name).map(Vec::as_slice)
}

/// Reads `list(A).(int)->A` or `(string)->int`.
fn overload(text: &str) -> Option<Overload> {
    let (takes, gives) = text.split_once(")->")?;
    let (style, first, others) = match takes.strip_prefix('(') {
        Some(others) => (Style::Function, None, others),
        None => {
            let (first, others) = takes.split_once(".(")?;
            (Style::Method, Some(first), others)
        }
    };
    let first = first.into_iter().filter_map(|text| kinds(text).pop());
    let takes = first.chain(kinds(others)).collect();
    let gives = kinds(gives).pop()?;
    Some(Overload {
        style,
        takes,
        gives,
    })
}

/// Reads types with commas between.
fn kinds(text: &str) -> Vec<Kind> {
    let mut found = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, byte) in text.bytes().chain([b',']).enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b',' if depth == 0 => {
                found.extend(kind(&text[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    found
}

fn kind(text: &str) -> Option<Kind> {
    let (name, inner) = match text.split_once('(') {
        Some((name, inner)) => (name, kinds(inner.strip_suffix(')')?)),
        None => (text, Vec::new()),
    };
    let mut characters = name.chars();
    match (characters.next()?, characters.next()) {
        (letter, None) if letter.is_ascii_uppercase() => Some(Kind::Parameter(letter)),
        _ if name == "dyn" => Some(Kind::Dyn),
        _ => Some(Kind::Named(name.into(), inner)),
    }
}
