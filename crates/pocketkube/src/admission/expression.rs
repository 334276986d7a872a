//! Expressions (CEL) of match conditions and policies, with what they may cost.

use crate::cel::{Program, Scope, value_of};
use kube_cel::cel::Value as Cel;
use serde_json::Value;

/// The most that all match conditions of a webhook or a policy may cost together.
pub(super) const CONDITIONS_COST_MAX: u64 = 2_500_000;
/// The most that all expressions of a policy may cost together.
pub(super) const POLICY_COST_MAX: u64 = 10_000_000;

/// Expressions about the same values, which share a budget.
pub(super) struct Expressions<'a> {
    scope: Scope<'a>,
    budget: u64,
}

/// What an expression came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    True,
    False,
    Text(String),
    /// Something else.
    Other,
}

/// All expressions together cost too much; what the server says of it.
#[derive(Debug, PartialEq)]
pub(super) struct OutOfBudget(pub(super) &'static str);

impl<'a> Expressions<'a> {
    /// Expressions that know these names.
    pub(super) fn new(names: &[(&'static str, &Value)], budget: u64) -> Self {
        let mut scope = Scope::default();
        for (name, value) in names {
            scope.bind(name, value_of(value));
        }
        Self { scope, budget }
    }

    /// Adds `variables.NAME`, evaluated when they are asked for.
    pub(super) fn define(&mut self, named: impl Iterator<Item = (&'a str, &'a str)>) {
        self.scope.define(named);
    }

    /// What each expression comes to, or what the server says of it.
    pub(super) fn find_all<'e>(
        &mut self,
        expressions: impl Iterator<Item = &'e str>,
    ) -> Result<Vec<Result<Found, String>>, OutOfBudget> {
        expressions
            .map(|expression| self.find(expression))
            .collect()
    }

    fn find(&mut self, expression: &str) -> Result<Result<Found, String>, OutOfBudget> {
        let program = match Program::compile(expression) {
            Ok(program) => program,
            Err(problem) => return Ok(Err(format!("compilation failed: {problem}"))),
        };
        let outcome = program.run(&self.scope);
        let cost = outcome.cost.saturating_add(self.scope.spent_on_variables());
        self.budget = self.budget.checked_sub(cost).ok_or(OutOfBudget(
            "validation failed due to running out of cost budget, no further validation rules \
             will be run",
        ))?;
        Ok(match outcome.found {
            Ok(Cel::Bool(true)) => Ok(Found::True),
            Ok(Cel::Bool(false)) => Ok(Found::False),
            Ok(Cel::String(text)) => Ok(Found::Text(text.to_string())),
            Ok(_) => Ok(Found::Other),
            Err(problem) => Err(format!(
                "expression '{expression}' resulted in error: {problem}"
            )),
        })
    }
}

/// Whether all conditions of a webhook or a policy hold.
pub(super) fn all_hold(
    names: &[(&'static str, &Value)],
    conditions: &[Value],
) -> Result<bool, String> {
    let mut expressions = Expressions::new(names, CONDITIONS_COST_MAX);
    let texts = conditions
        .iter()
        .map(|condition| condition["expression"].as_str().unwrap_or_default());
    let found = expressions
        .find_all(texts)
        .map_err(|OutOfBudget(why)| why)?;
    let mut problems = Vec::new();
    for found in found {
        match found {
            Ok(Found::False) => return Ok(false),
            Ok(_) => {}
            Err(problem) => problems.push(problem),
        }
    }
    match problems.as_slice() {
        [] => Ok(true),
        [only] => Err(only.clone()),
        several => Err(format!("[{}]", several.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn expressions_see_objects_and_variables() {
        let object = json!({"spec": {"replicas": 3}, "metadata": {"name": "a"}});
        let names = [("object", &object), ("oldObject", &Value::Null)];
        let mut expressions = Expressions::new(&names, POLICY_COST_MAX);
        let named = [
            ("name", "object.metadata.name"),
            ("told", "'it is ' + variables.name"),
        ];
        expressions.define(named.into_iter());
        let texts = [
            "object.spec.replicas > 2",
            "oldObject == null",
            "variables.told",
        ];
        let found = expressions.find_all(texts.into_iter()).unwrap();
        let told = Ok(Found::Text("it is a".to_owned()));
        assert_eq!(found, [Ok(Found::True), Ok(Found::True), told]);
        let found = expressions
            .find_all(["object.nothing == 1"].into_iter())
            .unwrap();
        assert!(found[0].is_err());
    }
}
