//! The JSON paths of printer columns: fields, indices, wildcards and filters by equality.

use serde_json::Value;

/// All values at a path such as `.status.conditions[?(@.type=="Ready")].status`.
pub(super) fn find<'a>(object: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut found = vec![object];
    let mut rest = path.trim().trim_start_matches('{').trim_end_matches('}');
    rest = rest.strip_prefix('$').unwrap_or(rest);
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let Some((inside, after)) = bracket(after) else {
                return Vec::new();
            };
            found = found
                .into_iter()
                .flat_map(|value| pick(value, inside))
                .collect();
            rest = after;
            continue;
        }
        let name = rest.strip_prefix('.').unwrap_or(rest);
        let (name, after) = field(name);
        rest = after;
        if name.is_empty() {
            continue;
        }
        found = match name.as_str() {
            "*" => found.into_iter().flat_map(children).collect(),
            name => found
                .into_iter()
                .filter_map(|value| value.get(name))
                .collect(),
        };
    }
    found.retain(|value| !value.is_null());
    found
}

/// A value as a cell of text shows it.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The next name of a path; `\.` is a dot within it.
fn field(path: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = path.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            '.' | '[' => return (name, &path[index..]),
            c => name.push(c),
        }
    }
    (name, "")
}

/// What is between brackets, minding quotes, and what follows.
fn bracket(path: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (index, c) in path.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, ']') => return Some((&path[..index], &path[index + 1..])),
            _ => {}
        }
    }
    None
}

fn pick<'a>(value: &'a Value, inside: &str) -> Vec<&'a Value> {
    if inside == "*" {
        return children(value);
    }
    if let Some(filter) = inside
        .strip_prefix("?(")
        .and_then(|rest| rest.strip_suffix(')'))
    {
        return children(value)
            .into_iter()
            .filter(|child| holds(child, filter))
            .collect();
    }
    let unquoted = inside.trim_matches(|c| c == '\'' || c == '"');
    if unquoted != inside {
        return value.get(unquoted).into_iter().collect();
    }
    let Ok(index) = inside.parse::<i64>() else {
        return Vec::new();
    };
    let elements = value.as_array().map_or(&[][..], Vec::as_slice);
    let place = if index < 0 {
        elements.len() as i64 + index
    } else {
        index
    };
    usize::try_from(place)
        .ok()
        .and_then(|place| elements.get(place))
        .into_iter()
        .collect()
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(elements) => elements.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    }
}

fn holds(value: &Value, filter: &str) -> bool {
    let (left, right, wanted) = match (filter.split_once("=="), filter.split_once("!=")) {
        (Some((left, right)), _) => (left, right, true),
        (_, Some((left, right))) => (left, right, false),
        _ => return !find(value, filter.trim().trim_start_matches('@')).is_empty(),
    };
    let found = find(value, left.trim().trim_start_matches('@'));
    let right = right.trim().trim_matches(|c| c == '\'' || c == '"');
    found
        .first()
        .is_some_and(|value| (shown(value) == right) == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_of_printer_columns_find_what_they_name() {
        let object = json!({
            "metadata": { "labels": { "a.b/c": "x" } },
            "spec": { "n": 3, "list": ["a", "b"] },
            "status": { "conditions": [
                { "type": "Ready", "status": "True" },
                { "type": "Other", "status": "False" },
            ] },
        });
        let table = [
            (".spec.n", vec!["3"]),
            (".spec.list[0]", vec!["a"]),
            (".spec.list[-1]", vec!["b"]),
            (".spec.list[*]", vec!["a", "b"]),
            (
                ".status.conditions[?(@.type==\"Ready\")].status",
                vec!["True"],
            ),
            (
                ".status.conditions[?(@.type=='Other')].status",
                vec!["False"],
            ),
            (".metadata.labels.a\\.b/c", vec!["x"]),
            (".metadata.labels['a.b/c']", vec!["x"]),
            (".spec.missing.deep", vec![]),
        ];
        for (path, expected) in table {
            let found: Vec<String> = find(&object, path).into_iter().map(shown).collect();
            assert_eq!(found, expected, "{path}");
        }
    }
}
