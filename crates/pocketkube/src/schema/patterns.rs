//! Patterns of schemas: Go's syntax, read by a library whose classes are Unicode's.

use regex::{Regex, RegexBuilder};

/// Bytes that a compiled pattern may take; lengths of names in bounds like `{0,253}` need some.
const COMPILED_BYTES_MAX: usize = 32 << 20;

/// Compiles a pattern so that it matches what Go's `regexp` matches: `\d`, `\w` and `\s` are
/// ASCII there.
pub(crate) fn compile(source: &str) -> Result<Regex, regex::Error> {
    let mut text = String::with_capacity(source.len());
    let mut chars = source.chars();
    let mut is_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match (chars.next(), is_class) {
                (Some('d'), false) => text.push_str("[0-9]"),
                (Some('d'), true) => text.push_str("0-9"),
                (Some('w'), false) => text.push_str("[0-9A-Za-z_]"),
                (Some('w'), true) => text.push_str("0-9A-Za-z_"),
                (Some('s'), false) => text.push_str(r"[\t\n\f\r ]"),
                (Some('s'), true) => text.push_str(r"\t\n\f\r "),
                (Some('D'), false) => text.push_str("[^0-9]"),
                (Some('W'), false) => text.push_str("[^0-9A-Za-z_]"),
                (Some('S'), false) => text.push_str(r"[^\t\n\f\r ]"),
                (Some(escaped), _) => text.extend(['\\', escaped]),
                (None, _) => text.push('\\'),
            },
            // In Go an opening bracket within a class is itself.
            '[' if is_class && !chars.as_str().starts_with(':') => text.push_str("\\["),
            '[' => {
                is_class = true;
                text.push('[');
                for first in ['^', ']'] {
                    if chars.as_str().starts_with(first) {
                        chars.next();
                        text.push_str(if first == ']' { "\\]" } else { "^" });
                    }
                }
            }
            ']' if is_class => {
                is_class = text.ends_with(":") && text.contains("[:");
                text.push(']');
            }
            // Set operations that Go does not have.
            '&' | '~' if is_class => text.extend(['\\', c]),
            c => text.push(c),
        }
    }
    RegexBuilder::new(&text)
        .size_limit(COMPILED_BYTES_MAX)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_go() {
        let table = [
            (r"^\d+$", "12", true),
            (r"^\d+$", "١٢", false),
            (r"^[\w.-]+$", "a_b-c.d", true),
            (r"^\w+$", "é", false),
            (r"^[^\s]+$", "ab", true),
            (r"^[]a]+$", "]a", true),
            (r"^[[a]+$", "[a", true),
            (r"^[[:alpha:]]+$", "ab", true),
            (r"^[[:alpha:]0-9]+$", "ab1", true),
            (r"^[a&&b]+$", "a&b", true),
            (r"^(a|b\/c)$", "b/c", true),
            (r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", "a-b", true),
            (r"^.{0,1000}$", "anything", true),
        ];
        for (pattern, text, expected) in table {
            let regex = compile(pattern).expect("a pattern of Go compiles");
            assert_eq!(regex.is_match(text), expected, "{pattern} on {text}");
        }
    }
}
