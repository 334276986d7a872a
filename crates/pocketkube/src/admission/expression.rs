//! Expressions (CEL) of match conditions and policies.

use kube_cel::KubeCelExt;
use kube_cel::cel::objects::{Key, Map};
use kube_cel::cel::{Context, Program, Value as Cel};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// What an expression can name.
pub(super) struct Scope<'a> {
    context: Context<'a>,
    variables: HashMap<Key, Cel>,
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

impl Scope<'_> {
    /// A scope with these names.
    pub(super) fn new(names: &[(&str, &Value)]) -> Self {
        let mut context = Context::default().with_all();
        for (name, value) in names {
            context.add_variable_from_value(*name, cel(value));
        }
        Self {
            context,
            variables: HashMap::new(),
        }
    }

    /// Adds `variables.NAME`, where the expression comes to something.
    pub(super) fn add_variable(&mut self, name: &str, expression: &str) -> Result<(), String> {
        let value = self.run(expression)?;
        self.variables.insert(name.to_owned().into(), value);
        let map = Map {
            map: Arc::new(self.variables.clone()),
        };
        self.context
            .add_variable_from_value("variables", Cel::Map(map));
        Ok(())
    }

    /// Evaluates an expression; an error is what the server says of it.
    pub(super) fn find(&self, expression: &str) -> Result<Found, String> {
        Ok(match self.run(expression)? {
            Cel::Bool(true) => Found::True,
            Cel::Bool(false) => Found::False,
            Cel::String(text) => Found::Text(text.to_string()),
            _ => Found::Other,
        })
    }

    fn run(&self, expression: &str) -> Result<Cel, String> {
        let program = compile(expression)?;
        program.execute(&self.context).map_err(|problem| {
            let problem = problem
                .to_string()
                .replacen("No such key", "no such key", 1);
            format!("expression '{expression}' resulted in error: {problem}")
        })
    }
}

/// Reads an expression.
pub(super) fn compile(expression: &str) -> Result<Program, String> {
    Program::compile(expression).map_err(|problem| format!("compilation failed: {problem}"))
}

/// JSON as expressions see it: whole numbers are `int`.
fn cel(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(truth) => Cel::Bool(*truth),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Cel::Int(whole),
            None => Cel::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Array(elements) => Cel::List(Arc::new(elements.iter().map(cel).collect())),
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| (Key::from(name.clone()), cel(value)));
            Cel::Map(Map {
                map: Arc::new(fields.collect()),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn expressions_see_objects_and_variables() {
        let object = json!({"spec": {"replicas": 3}, "metadata": {"name": "a"}});
        let mut scope = Scope::new(&[("object", &object), ("oldObject", &Value::Null)]);
        assert_eq!(scope.find("object.spec.replicas > 2"), Ok(Found::True));
        assert_eq!(scope.find("oldObject == null"), Ok(Found::True));
        scope.add_variable("name", "object.metadata.name").unwrap();
        let told = scope.find("'it is ' + variables.name");
        assert_eq!(told, Ok(Found::Text("it is a".to_owned())));
        assert!(scope.find("object.nothing == 1").is_err());
    }
}
