//! The walk over an expression.

use super::macros::{ACCUMULATOR, MAP_INSERT};
use super::{Scope, VARIABLES, calls, costs, operators, types};
use kube_cel::cel::Value;
use kube_cel::cel::common::ast::operators as op;
use kube_cel::cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, MapExpr,
};
use kube_cel::cel::objects::{Key, Map};
use regex::Regex;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// What making a list costs.
pub(super) const LIST: u64 = 10;
/// What making a map costs.
const MAP: u64 = 30;

/// Why there is no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It cost too much.
    Cost,
    /// What the server says of it.
    Error(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cost => formatter.write_str("operation cancelled: actual cost limit exceeded"),
            Self::Error(why) => formatter.write_str(why),
        }
    }
}

pub(super) type Found = Result<Value, Failure>;

pub(super) fn failure(why: impl Into<String>) -> Failure {
    Failure::Error(why.into())
}

pub(super) fn no_overload() -> Failure {
    failure("no such overload")
}

/// A variable of a loop.
enum Local<'a> {
    Known(Found),
    /// Evaluated when it is first asked for.
    Later(&'a IdedExpr),
}

/// Evaluates expressions and counts what that costs.
pub(super) struct Evaluator<'a> {
    pub(super) scope: &'a Scope<'a>,
    /// Variables of loops, the innermost last.
    locals: Vec<(&'a str, Local<'a>)>,
    cost: u64,
    cost_max: u64,
    /// Patterns that were read before.
    pub(super) patterns: HashMap<String, Regex>,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(scope: &'a Scope<'a>, cost_max: u64) -> Self {
        Self {
            scope,
            locals: Vec::new(),
            cost: 0,
            cost_max,
            patterns: HashMap::new(),
        }
    }

    pub(super) fn cost(&self) -> u64 {
        self.cost
    }

    pub(super) fn charge(&mut self, cost: u64) -> Result<(), Failure> {
        self.cost = self.cost.saturating_add(cost);
        match self.cost > self.cost_max {
            true => Err(Failure::Cost),
            false => Ok(()),
        }
    }

    pub(super) fn evaluate(&mut self, expression: &'a IdedExpr) -> Found {
        match &expression.expr {
            Expr::Literal(literal) => Ok(value_of(literal)),
            Expr::Ident(_) | Expr::Select(_) => self.path(expression),
            Expr::Call(call) => match call.func_name.as_str() {
                op::INDEX | op::OPT_INDEX | op::OPT_SELECT | op::CONDITIONAL => {
                    self.path(expression)
                }
                op::LOGICAL_AND => self.logical(call, false),
                op::LOGICAL_OR => self.logical(call, true),
                _ => self.call(call),
            },
            Expr::List(list) => self.list(list),
            Expr::Map(map) => self.map(map),
            Expr::Comprehension(loops) => {
                let depth = self.locals.len();
                let found = self.comprehension(loops);
                self.locals.truncate(depth);
                found
            }
            Expr::Struct(message) => Err(failure(format!("unknown type: {}", message.type_name))),
            Expr::Unspecified => Err(failure("unspecified expression")),
        }
    }

    /// Whether a name is that of a variable.
    pub(super) fn is_variable(&self, name: &str) -> bool {
        self.locals.iter().any(|(known, _)| *known == name) || self.scope.has(name)
    }

    /// Whether `variables` are named expressions, and no variable of a loop.
    pub(super) fn has_named(&self) -> bool {
        self.scope.variables.is_some() && !self.locals.iter().any(|(name, _)| *name == VARIABLES)
    }

    /// The value of a variable.
    pub(super) fn variable(&mut self, name: &str) -> Found {
        let place = self.locals.iter().rposition(|(known, _)| *known == name);
        let Some(place) = place else {
            let found = self.scope.get(name).cloned();
            let unknown = || failure(format!("undeclared reference to '{name}'"));
            return found.ok_or_else(unknown);
        };
        let start = match &self.locals[place].1 {
            Local::Known(found) => return found.clone(),
            Local::Later(start) => *start,
        };
        // It does not see itself, nor what is within.
        let within = self.locals.split_off(place);
        let found = self.evaluate(start);
        self.locals.extend(within);
        self.locals[place].1 = Local::Known(found.clone());
        found
    }

    /// One side is enough, where it decides; then the other may fail.
    fn logical(&mut self, call: &'a CallExpr, deciding: bool) -> Found {
        let mut problem = None;
        for side in &call.args {
            match self.evaluate(side) {
                Ok(Value::Bool(truth)) if truth == deciding => return Ok(Value::Bool(truth)),
                Ok(Value::Bool(_)) => {}
                Err(Failure::Cost) => return Err(Failure::Cost),
                Ok(_) => problem = problem.or_else(|| Some(no_overload())),
                Err(found) => problem = problem.or(Some(found)),
            }
        }
        problem.map_or(Ok(Value::Bool(!deciding)), Err)
    }

    fn list(&mut self, list: &'a ListExpr) -> Found {
        let mut elements = Vec::with_capacity(list.elements.len());
        for (index, element) in list.elements.iter().enumerate() {
            let element = self.evaluate(element)?;
            if !list.optional_indices.contains(&index) {
                elements.push(element);
                continue;
            }
            let held = types::as_optional(&element).ok_or_else(|| {
                failure("cannot initialize optional list element from non-optional value")
            })?;
            elements.extend(held.cloned());
        }
        if !list.elements.iter().all(is_constant) {
            self.charge(LIST)?;
        }
        Ok(Value::List(Arc::new(elements)))
    }

    fn map(&mut self, map: &'a MapExpr) -> Found {
        let (mut entries, mut are_constant) = (HashMap::with_capacity(map.entries.len()), true);
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else {
                continue;
            };
            are_constant &= is_constant(&entry.key) && is_constant(&entry.value);
            let (key, value) = (self.evaluate(&entry.key)?, self.evaluate(&entry.value)?);
            let key: Key = key
                .try_into()
                .map_err(|_| failure("unsupported key type"))?;
            match entry.optional {
                true => {
                    let held = types::as_optional(&value).ok_or_else(|| {
                        failure("cannot initialize optional entry from non-optional value")
                    })?;
                    entries.extend(held.cloned().map(|value| (key, value)));
                }
                false => {
                    entries.insert(key, value);
                }
            }
        }
        if !are_constant {
            self.charge(MAP)?;
        }
        Ok(Value::Map(Map {
            map: Arc::new(entries),
        }))
    }

    fn comprehension(&mut self, loops: &'a ComprehensionExpr) -> Found {
        let range = self.evaluate(&loops.iter_range)?;
        let start = Local::Later(&loops.accu_init);
        self.locals.push((&loops.accu_var, start));
        let accumulator = self.locals.len() - 1;
        let rounds = rounds(range, loops.iter_var2.is_some())?;
        let unset = || Local::Known(Err(no_overload()));
        self.locals.push((&loops.iter_var, unset()));
        if let Some(second) = &loops.iter_var2 {
            self.locals.push((second, unset()));
        }
        for (first, second) in rounds {
            self.locals[accumulator + 1].1 = Local::Known(Ok(first));
            if let Some(second) = second {
                self.locals[accumulator + 2].1 = Local::Known(Ok(second));
            }
            match self.evaluate(&loops.loop_cond) {
                Ok(Value::Bool(false)) => break,
                Err(Failure::Cost) => return Err(Failure::Cost),
                _ => {}
            }
            let found = self.evaluate(&loops.loop_step);
            if found == Err(Failure::Cost) {
                return found;
            }
            self.locals[accumulator].1 = Local::Known(found);
        }
        self.locals.truncate(accumulator + 1);
        self.evaluate(&loops.result)
    }

    fn call(&mut self, call: &'a CallExpr) -> Found {
        let name = call.func_name.as_str();
        let qualified = match call.target.as_deref() {
            Some(IdedExpr {
                expr: Expr::Ident(library),
                ..
            }) if !self.is_variable(library) => Some(format!("{library}.{name}")),
            _ => None,
        };
        let target = call.target.as_deref().filter(|_| qualified.is_none());
        match (name, target, call.args.as_slice()) {
            (op::NOT_STRICTLY_FALSE, None, [condition]) => return self.not_false(condition),
            ("orValue" | "or", Some(optional), [other]) => {
                let found = self.evaluate(optional)?;
                return match types::as_optional(&found) {
                    Some(Some(_)) if name == "or" => Ok(found),
                    Some(Some(held)) => Ok(held.clone()),
                    Some(None) => self.evaluate(other),
                    None => Err(no_overload()),
                };
            }
            (op::IN, None, [part, whole]) if is_constant(whole) => return self.within(part, whole),
            _ => {}
        }
        let is_folded = target.is_none() && is_constant_call(call);
        let args = self.arguments(call, target)?;
        let function = calls::Function {
            name: qualified.as_deref().unwrap_or(name),
            is_method: target.is_some(),
        };
        let (cost, found) = match operators::apply(function.name, args) {
            operators::Applied::Known(cost, found) => (cost, found),
            operators::Applied::Unknown(args) => {
                let found = self.function(&function, &args);
                (
                    costs::of_function(&function, &args, found.as_ref().ok()),
                    found,
                )
            }
        };
        if !is_folded {
            self.charge(cost)?;
        }
        found
    }

    fn arguments(
        &mut self,
        call: &'a CallExpr,
        target: Option<&'a IdedExpr>,
    ) -> Result<Vec<Value>, Failure> {
        let mut args = Vec::with_capacity(call.args.len() + 1);
        let is_sum = matches!(call.func_name.as_str(), op::ADD | MAP_INSERT);
        for (index, arg) in target.into_iter().chain(&call.args).enumerate() {
            let takes = is_sum && index == 0 && arg.expr == Expr::Ident(ACCUMULATOR.to_owned());
            args.push(match takes {
                true => self.take_accumulator()?,
                false => self.evaluate(arg)?,
            });
        }
        Ok(args)
    }

    /// The result of the innermost loop so far, for the step that replaces it.
    fn take_accumulator(&mut self) -> Found {
        let found = self.variable(ACCUMULATOR);
        let place = self
            .locals
            .iter()
            .rposition(|(name, _)| *name == ACCUMULATOR);
        if let Some(place) = place {
            self.locals[place].1 = Local::Known(Err(no_overload()));
        }
        self.charge(1)?;
        found
    }

    fn not_false(&mut self, condition: &'a IdedExpr) -> Found {
        let found = match self.evaluate(condition) {
            Ok(Value::Bool(truth)) => truth,
            Err(Failure::Cost) => return Err(Failure::Cost),
            _ => true,
        };
        self.charge(1)?;
        Ok(Value::Bool(found))
    }

    /// Whether a value is in a constant list or map: the server looks it up.
    fn within(&mut self, part: &'a IdedExpr, whole: &'a IdedExpr) -> Found {
        let whole = self.evaluate(whole)?;
        if matches!(&whole, Value::List(elements) if elements.is_empty()) {
            return Ok(Value::Bool(false));
        }
        let part = self.evaluate(part)?;
        let is_simple = |value: &Value| {
            use Value as V;
            matches!(
                value,
                V::Bool(_) | V::Int(_) | V::UInt(_) | V::Float(_) | V::String(_)
            )
        };
        let is_free = matches!(&whole, Value::List(elements) if elements.iter().all(is_simple));
        if !is_free {
            self.charge(costs::of_in(&whole))?;
        }
        operators::is_in(&part, &whole)
    }
}

/// What a loop goes over: elements, keys; with two variables indexes and elements, keys and values.
fn rounds(range: Value, are_pairs: bool) -> Result<Rounds, Failure> {
    Ok(match range {
        Value::List(elements) => Box::new((0..elements.len()).map(move |index| {
            let element = elements[index].clone();
            match are_pairs {
                true => (
                    Value::Int(i64::try_from(index).unwrap_or(i64::MAX)),
                    Some(element),
                ),
                false => (element, None),
            }
        })),
        Value::Map(map) => {
            let mut entries: Vec<(Key, Value)> = map
                .map
                .iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            // The order of the real server is that of chance; this one repeats.
            entries.sort_unstable_by(|(one, _), (two, _)| one.cmp(two));
            let pairs = entries.into_iter();
            Box::new(pairs.map(move |(key, value)| (Value::from(key), are_pairs.then_some(value))))
        }
        _ => return Err(no_overload()),
    })
}

type Rounds = Box<dyn Iterator<Item = (Value, Option<Value>)>>;

fn value_of(literal: &LiteralValue) -> Value {
    match literal {
        LiteralValue::Boolean(truth) => Value::Bool(*truth.inner()),
        LiteralValue::Bytes(bytes) => Value::Bytes(Arc::new(bytes.inner().to_vec())),
        LiteralValue::Double(number) => Value::Float(*number.inner()),
        LiteralValue::Int(number) => Value::Int(*number.inner()),
        LiteralValue::Null => Value::Null,
        LiteralValue::String(text) => Value::String(Arc::new(text.inner().to_owned())),
        LiteralValue::UInt(number) => Value::UInt(*number.inner()),
    }
}

/// Whether the server computes it when it compiles, and so charges nothing.
pub(super) fn is_constant(expression: &IdedExpr) -> bool {
    match &expression.expr {
        Expr::Literal(_) => true,
        Expr::List(list) => list.elements.iter().all(is_constant),
        Expr::Map(map) => map.entries.iter().all(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => is_constant(&entry.key) && is_constant(&entry.value),
            EntryExpr::StructField(_) => false,
        }),
        Expr::Call(call) => call.target.is_none() && is_constant_call(call),
        _ => false,
    }
}

fn is_constant_call(call: &CallExpr) -> bool {
    const CONVERSIONS: [&str; 10] = [
        "bool",
        "bytes",
        "double",
        "duration",
        "dyn",
        "int",
        "string",
        "timestamp",
        "type",
        "uint",
    ];
    CONVERSIONS.contains(&call.func_name.as_str())
        && matches!(call.args.as_slice(), [only] if is_constant(only))
}
