//! Tables that a real control plane made, made again.

use super::{Include, table};
use crate::kinds::custom_kinds;
use crate::kinds::recorded::{differences, kind_of};
use serde_json::{Value, json};

#[test]
fn tables_are_those_of_a_real_server() {
    let parse = |text: &str| serde_json::from_str::<Value>(text).expect("recorded JSON");
    let custom = custom_kinds(&parse(include_str!("../../testdata/columns.json")));
    let recorded = parse(include_str!("../../testdata/tables.json"));
    let mut wrong = Vec::new();
    for real in recorded.as_array().expect("a list of tables") {
        let path = real["path"].as_str().expect("a path");
        let kind = kind_of(path, &custom);
        let rows = real["rows"].as_array().expect("rows");
        let objects = rows.iter().map(|row| &row["object"]);
        let now_secs = real["now"].as_i64().expect("a time");
        let ours = table(&kind.resource, objects, Include::None, now_secs, json!({}));
        let mut found = Vec::new();
        let columns = ours["columnDefinitions"]
            .as_array()
            .expect("columns")
            .iter();
        let shown = |c: &Value| {
            let (name, priority) = (&c["name"], &c["priority"]);
            json!({ "name": name, "type": c["type"], "format": c["format"], "priority": priority })
        };
        let columns: Value = columns.map(shown).collect();
        differences("columns", &columns, &real["columns"], &mut found);
        for (row, real) in ours["rows"].as_array().expect("rows").iter().zip(rows) {
            let at = format!("{}", real["object"]["metadata"]["name"]);
            differences(&at, &row["cells"], &real["cells"], &mut found);
        }
        if !found.is_empty() {
            wrong.push(format!("{path}\n  {}", found.join("\n  ")));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} tables:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
