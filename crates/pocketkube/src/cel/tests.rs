//! Evaluations beside those of upstream, and what they come to.

use super::{Program, Scope, Shape, value_of};
use kube_cel::cel::Value as Cel;
use serde_json::{Value, json};

/// What upstream says of rules: `testdata/cel_costs.go` made it.
const RECORDED: &str = include_str!("../../testdata/cel_costs.jsonl");
/// It ends at the first key that fits, and upstream visits keys in an order of chance.
const BY_CHANCE: &str = "self.groups.exists(g, g == 'a')";

#[test]
fn rules_cost_what_they_cost_upstream() {
    let mut wrong = Vec::new();
    for line in RECORDED.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let Some(actual) = case["actual"].as_u64() else {
            continue;
        };
        let rule = case["rule"].as_str().unwrap();
        if rule == BY_CHANCE {
            continue;
        }
        let mut scope = Scope::default();
        scope.bind("self", Shape::of(&case["schema"]).value(&case["object"]));
        let outcome = Program::compile(rule).unwrap().run(&scope);
        if outcome.cost != actual || !matches!(outcome.found, Ok(Cel::Bool(_))) {
            wrong.push(format!(
                "{rule}: {outcome:?} and not {actual} on {}",
                case["object"]
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn check(text: &str, expected: &str) {
    let object = json!({
        "name": "web", "none": null, "list": [1, 2, 3], "map": {"a": "x", "b": "y"},
        "deep": {"er": {"est": 7}},
    });
    let mut scope = Scope::default();
    scope.bind("self", value_of(&object));
    let found = Program::compile(text).map(|program| program.run(&scope).found);
    let found = match found {
        Ok(Ok(value)) => format!("{value:?}"),
        Ok(Err(problem)) => problem.to_string(),
        Err(problem) => problem,
    };
    assert_eq!(found, expected, "{text}");
}

#[test]
fn optional_paths_end_where_nothing_is() {
    check("self.?deep.er.est.orValue(1)", "Int(7)");
    check("self.?deep.?wider.est.orValue(1)", "Int(1)");
    check("self.map[?'c'].orValue('z')", r#"String("z")"#);
    check("self.list[?7].hasValue()", "Bool(false)");
    check("has(self.?deep.wider)", "Bool(false)");
    check("self.?none.?below.hasValue()", "Bool(false)");
    check("[?self.?name, ?self.?nothing].size()", "Int(1)");
    check("{?'a': self.?name, ?'b': self.?nothing}.size()", "Int(1)");
    check(
        "self.?name.optMap(n, n + n).orValue('')",
        r#"String("webweb")"#,
    );
    check("self.?nothing.optMap(n, n + n).hasValue()", "Bool(false)");
    check(
        "self.?deep.optFlatMap(d, d.?er).optMap(e, e.est).value()",
        "Int(7)",
    );
    check("self.?name.or(self.?nothing).value()", r#"String("web")"#);
}

#[test]
fn macros_of_two_variables_see_places_and_values() {
    check("self.list.all(i, x, x == i + 1)", "Bool(true)");
    check("self.map.exists(k, v, k == 'b' && v == 'y')", "Bool(true)");
    check("self.list.existsOne(i, x, i == x)", "Bool(false)");
    check(
        "self.list.transformList(i, x, i > 0, x * 2)",
        "List([Int(4), Int(6)])",
    );
    check("self.map.transformMap(k, v, v + k)['a']", r#"String("xa")"#);
    check(
        "self.map.transformMapEntry(k, v, {v: k})['y']",
        r#"String("b")"#,
    );
    check(
        "self.list.transformMapEntry(i, x, {'same': x})",
        "insert failed: key same already exists",
    );
    check("self.list.all(i, i, true)", "duplicate variable name: i");
}

#[test]
fn failures_are_told_as_the_server_tells_them() {
    check("self.nothing == 1", "no such key: nothing");
    check("self.list[5] == 1", "index out of bounds: 5");
    check("self.name < 5", "no such overload");
    check("self.list[0] / 0 == 1", "division by zero");
    check("9223372036854775807 + self.list[0] > 0", "integer overflow");
    check("self.nothing == 1 || true", "Bool(true)");
    check("self.list.exists(x, self.list[x] == 3)", "Bool(true)");
    check("optional.none().value()", "optional.none() dereference");
}

#[test]
fn an_evaluation_ends_where_it_costs_too_much() {
    let mut scope = Scope::default();
    let many: Vec<u32> = (0..2000).collect();
    scope.bind("self", value_of(&json!(many)));
    let program = Program::compile("self.all(x, self.all(y, x + y >= 0)) || true").unwrap();
    let outcome = program.run(&scope);
    let problem = outcome.found.unwrap_err().to_string();
    assert_eq!(problem, "operation cancelled: actual cost limit exceeded");
    assert!(outcome.cost > 1_000_000, "{}", outcome.cost);
}

#[test]
fn what_a_loop_makes_is_made_in_place() {
    let mut scope = Scope::default();
    let many: Vec<u32> = (0..60_000).collect();
    scope.bind("self", value_of(&json!(many)));
    let outcome = Program::compile("self.map(x, x).size()")
        .unwrap()
        .run(&scope);
    assert_eq!(outcome.found.unwrap(), Cel::Int(60_000));
}
