//! Variables, and what is below them: `self.spec.?ports[0]`, `has(self.spec)`, `a ? b : c`.

use super::VARIABLES;
use super::evaluate::{Evaluator, Failure, Found, failure, no_overload};
use super::types;
use kube_cel::cel::Value;
use kube_cel::cel::common::ast::operators as op;
use kube_cel::cel::common::ast::{CallExpr, Expr, IdedExpr};
use kube_cel::cel::objects::{AsKeyRef, KeyRef};

/// A step down.
enum Step<'a> {
    Field(&'a str),
    Index(&'a IdedExpr),
}

/// How a step is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// What is not there is an error.
    Sure,
    /// What is not there is no value.
    Optional,
    /// Whether it is there.
    Test,
}

impl<'a> Evaluator<'a> {
    /// A path from its variable on.
    pub(super) fn path(&mut self, expression: &'a IdedExpr) -> Found {
        if let Expr::Ident(name) = &expression.expr
            && !self.is_variable(name)
            && let Some(named) = types::named(name)
        {
            return Ok(named);
        }
        let is_free = match &expression.expr {
            Expr::Select(select) => select.test || is_conditional(&select.operand),
            _ => is_conditional(expression),
        };
        let found = self.resolve(expression);
        if found == Err(Failure::Cost) {
            return found;
        }
        if !is_free {
            self.charge(1)?;
        }
        found
    }

    /// Likewise, without what its start costs.
    fn resolve(&mut self, expression: &'a IdedExpr) -> Found {
        let (start, steps) = taken_apart(expression);
        let mut steps = steps.into_iter().rev().peekable();
        let mut value = match &start.expr {
            Expr::Ident(name) if name == VARIABLES && self.has_named() => {
                match steps.next_if(|(step, _)| matches!(step, Step::Field(_))) {
                    Some((Step::Field(name), manner)) => self.named(name, manner)?,
                    _ => return Err(no_overload()),
                }
            }
            Expr::Ident(name) => self.variable(name)?,
            Expr::Call(call) if call.func_name == op::CONDITIONAL => self.conditional(call)?,
            _ if steps.peek().is_none() => return self.evaluate(start),
            _ => self.evaluate(start)?,
        };
        let mut is_optional = false;
        if steps.peek().is_some()
            && let Some(held) = types::as_optional(&value)
        {
            let Some(held) = held.cloned() else {
                return Ok(value);
            };
            (value, is_optional) = (held, true);
        }
        for (step, manner) in steps {
            is_optional |= manner == Manner::Optional;
            let manner = match is_optional && manner == Manner::Sure {
                true => Manner::Optional,
                false => manner,
            };
            match self.step(&value, &step, manner)? {
                Some(found) => value = found,
                None if manner == Manner::Test => return Ok(Value::Bool(false)),
                None => return Ok(types::optional(None)),
            }
        }
        match is_optional && !matches!(value, Value::Bool(_) if is_test(expression)) {
            true => Ok(types::optional(Some(value))),
            false => Ok(value),
        }
    }

    /// A named expression.
    fn named(&mut self, name: &str, manner: Manner) -> Found {
        let found = self.scope.variable(name);
        self.charge(1)?;
        match (found, manner) {
            (found, Manner::Test) => Ok(Value::Bool(found.is_some())),
            (Some(found), _) => found,
            (None, _) => Err(no_key(name)),
        }
    }

    /// Neither branch costs more than what is in it.
    fn conditional(&mut self, call: &'a CallExpr) -> Found {
        let [condition, one, other] = call.args.as_slice() else {
            return Err(no_overload());
        };
        let branch = match self.evaluate(condition)? {
            Value::Bool(true) => one,
            Value::Bool(false) => other,
            _ => return Err(no_overload()),
        };
        let is_path = match &branch.expr {
            Expr::Ident(name) => self.is_variable(name),
            Expr::Select(_) => true,
            Expr::Call(call) => matches!(
                call.func_name.as_str(),
                op::INDEX | op::OPT_INDEX | op::OPT_SELECT | op::CONDITIONAL
            ),
            _ => false,
        };
        match is_path {
            true => self.resolve(branch),
            false => self.evaluate(branch),
        }
    }

    /// What is below a value; none where nothing is and nothing need be.
    fn step(
        &mut self,
        value: &Value,
        step: &Step<'a>,
        manner: Manner,
    ) -> Result<Option<Value>, Failure> {
        let key = match step {
            Step::Field(name) => Value::String(std::sync::Arc::new((*name).to_owned())),
            Step::Index(index) => match &index.expr {
                Expr::Ident(_) | Expr::Select(_) => self.resolve(index)?,
                _ => {
                    let key = self.evaluate(index)?;
                    // A path that begins with what is computed.
                    if !matches!(index.expr, Expr::Literal(_) | Expr::Call(_)) {
                        self.charge(1)?;
                    }
                    key
                }
            },
        };
        let found = below(value, &key);
        // What is not there is not charged where it need not be.
        if found.is_ok() || manner != Manner::Optional {
            self.charge(1)?;
        }
        match (manner, found) {
            (Manner::Test, found) => Ok(Some(Value::Bool(found.is_ok()))),
            (Manner::Optional, found) => Ok(found.ok()),
            (Manner::Sure, found) => found.map(Some),
        }
    }
}

fn below(value: &Value, key: &Value) -> Found {
    match value {
        Value::Map(map) => {
            let found = KeyRef::try_from(key).ok().and_then(|key| {
                let key: &dyn AsKeyRef = &key;
                map.get(key).cloned()
            });
            found.ok_or_else(|| no_key(&shown(key)))
        }
        Value::List(elements) => {
            let index = match key {
                Value::Int(index) => usize::try_from(*index).ok(),
                Value::UInt(index) => usize::try_from(*index).ok(),
                Value::Float(index) => whole(*index),
                _ => return Err(no_overload()),
            };
            let found = index.and_then(|index| elements.get(index).cloned());
            found.ok_or_else(|| failure(format!("index out of bounds: {}", shown(key))))
        }
        _ => Err(no_key(&shown(key))),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is a whole number, and not negative; one too large is not in the list"
)]
fn whole(number: f64) -> Option<usize> {
    (number >= 0.0 && number.fract() == 0.0).then_some(number as usize)
}

fn no_key(key: &str) -> Failure {
    failure(format!("no such key: {key}"))
}

fn shown(key: &Value) -> String {
    match key {
        Value::String(text) => text.as_ref().clone(),
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        _ => String::new(),
    }
}

fn is_test(expression: &IdedExpr) -> bool {
    matches!(&expression.expr, Expr::Select(select) if select.test)
}

fn is_conditional(expression: &IdedExpr) -> bool {
    let (start, _) = taken_apart(expression);
    matches!(&start.expr, Expr::Call(call) if call.func_name == op::CONDITIONAL)
}

/// Where a path begins, and its steps, the last first.
fn taken_apart(expression: &IdedExpr) -> (&IdedExpr, Vec<(Step<'_>, Manner)>) {
    let (mut at, mut steps) = (expression, Vec::new());
    loop {
        match &at.expr {
            Expr::Select(select) => {
                let manner = if select.test {
                    Manner::Test
                } else {
                    Manner::Sure
                };
                steps.push((Step::Field(select.field.as_str()), manner));
                at = &select.operand;
            }
            Expr::Call(call) => {
                let manner = match call.func_name.as_str() {
                    op::INDEX => Manner::Sure,
                    op::OPT_INDEX | op::OPT_SELECT => Manner::Optional,
                    _ => return (at, steps),
                };
                let [holder, index] = call.args.as_slice() else {
                    return (at, steps);
                };
                steps.push((Step::Index(index), manner));
                at = holder;
            }
            _ => return (at, steps),
        }
    }
}
