//! Expressions (CEL) with the server's meter: rules of custom kinds, policies, match conditions.
//!
//! `cel` reads them and its functions, with those of `kube-cel`, do what they do there; the walk
//! over an expression is here, because it is what is charged. It is charged as
//! `github.com/google/cel-go/interpreter/runtimecost.go` charges it, with the functions of
//! `k8s.io/apiserver/pkg/cel/library/cost.go`: the costs in `testdata/cel_costs.jsonl` were
//! recorded there.
//!
//! | step | cost |
//! |---|---|
//! | a variable; a field, an index, a key; `has()` without its last variable | 1 |
//! | a constant, also a list or a map of constants; `&&`, `||`, `?:`, `orValue` | 0 |
//! | a list, a map | 10, 30 |
//! | reading a text | 0.1 a character |
//! | every other call | 1 |

mod calls;
pub(crate) mod check;
mod costs;
mod evaluate;
mod limits;
mod macros;
mod operators;
mod paths;
mod shape;
#[cfg(test)]
mod tests;
mod types;

pub(crate) use evaluate::Failure;
pub(crate) use shape::{Shape, escaped, value_of};
pub(crate) use types::optional;

use evaluate::Evaluator;
use kube_cel::cel::Value;
use kube_cel::cel::common::ast::IdedExpr;
use kube_cel::cel::parser::Parser;
use std::collections::HashMap;
use std::sync::Mutex;

/// The most that one evaluation may cost: about a tenth of a second of the real server.
const COST_MAX: u64 = 1_000_000;

/// Reads an expression, with its macros written out.
pub(crate) fn parse(text: &str) -> Result<IdedExpr, String> {
    limits::check(text)?;
    let parser = Parser::new().enable_optional_syntax(true);
    let mut expression = parser.parse(text).map_err(|problem| problem.to_string())?;
    macros::expand(&mut expression)?;
    Ok(expression)
}

/// An expression that can be evaluated.
#[derive(Debug)]
pub(crate) struct Program {
    expression: IdedExpr,
}

/// What an evaluation came to, and what it cost.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) found: Result<Value, Failure>,
    pub(crate) cost: u64,
}

impl Program {
    pub(crate) fn compile(text: &str) -> Result<Self, String> {
        Ok(Self {
            expression: parse(text)?,
        })
    }

    /// Evaluates it, as far as the limit of one evaluation goes.
    pub(crate) fn run(&self, scope: &Scope<'_>) -> Outcome {
        let mut evaluator = Evaluator::new(scope, COST_MAX);
        let found = evaluator.evaluate(&self.expression);
        Outcome {
            found,
            cost: evaluator.cost(),
        }
    }

    /// Whether it names a variable.
    pub(crate) fn names(&self, variable: &str) -> bool {
        self.expression.references().has_variable(variable)
    }
}

/// What expressions can name.
#[derive(Debug, Default)]
pub(crate) struct Scope<'a> {
    values: Vec<(&'static str, Value)>,
    variables: Option<Variables<'a>>,
}

/// Named expressions, evaluated when they are first asked for.
#[derive(Debug)]
struct Variables<'a> {
    programs: Vec<(&'a str, Result<Program, String>)>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    found: HashMap<String, Result<Value, Failure>>,
    /// What was spent on them since it was last asked.
    cost: u64,
}

/// What an expression calls the named expressions.
const VARIABLES: &str = "variables";

impl<'a> Scope<'a> {
    /// Adds a value, or replaces it.
    pub(crate) fn bind(&mut self, name: &'static str, value: Value) {
        self.values.retain(|(known, _)| *known != name);
        self.values.push((name, value));
    }

    /// Adds `variables`, each of which can name those before it.
    pub(crate) fn define(&mut self, named: impl Iterator<Item = (&'a str, &'a str)>) {
        let programs = named.map(|(name, text)| (name, Program::compile(text)));
        self.variables = Some(Variables {
            programs: programs.collect(),
            state: Mutex::default(),
        });
    }

    /// What named expressions have cost since it was last asked.
    pub(crate) fn spent_on_variables(&self) -> u64 {
        self.variables
            .as_ref()
            .map_or(0, |variables| std::mem::take(&mut variables.lock().cost))
    }

    fn get(&self, name: &str) -> Option<&Value> {
        let named = self.values.iter().find(|(known, _)| *known == name);
        named.map(|(_, value)| value)
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some() || (name == VARIABLES && self.variables.is_some())
    }

    /// The value of a named expression; none when there is none of that name.
    fn variable(&self, name: &str) -> Option<Result<Value, Failure>> {
        let variables = self.variables.as_ref()?;
        let (_, program) = variables
            .programs
            .iter()
            .find(|(known, _)| *known == name)?;
        if let Some(found) = variables.lock().found.get(name) {
            return Some(found.clone());
        }
        let found = match program {
            Ok(program) => {
                let outcome = program.run(self);
                variables.lock().cost += outcome.cost;
                outcome.found.map_err(|problem| {
                    let start = format!("composited variable {name:?} fails to evaluate");
                    Failure::Error(format!("{start}: {problem}"))
                })
            }
            Err(problem) => {
                let start = format!("composited variable {name:?} fails to compile");
                Err(Failure::Error(format!("{start}: {problem}")))
            }
        };
        let mut state = variables.lock();
        state.found.insert(name.to_owned(), found.clone());
        Some(found)
    }
}

impl Variables<'_> {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
