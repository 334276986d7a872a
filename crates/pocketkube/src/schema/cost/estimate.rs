//! The walk over an expression, from the leaves up.

use super::Old;
use super::declared::{Declared, Shape};
use super::range::Range;
use super::types::Type;
use kube_cel::cel::common::ast::operators::{CONDITIONAL, INDEX};
use kube_cel::cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, MapExpr,
    SelectExpr,
};

/// A step from a value to one below.
const ITEMS: &str = "@items";
const KEYS: &str = "@keys";
const VALUES: &str = "@values";

/// What is known of an expression.
#[derive(Debug, Clone)]
pub(super) struct Known<'a> {
    pub(super) cost: Range,
    pub(super) size: Option<Range>,
    /// Of a list or a map that is made: of what size its parts are.
    pub(super) entry: Option<Entry>,
    /// The steps from a variable to the value; empty when it is no part of the object.
    pub(super) path: Vec<String>,
    pub(super) kind: Type<'a>,
}

/// The sizes of the parts of a list or a map.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    holder: Holder,
    pub(super) key: Range,
    pub(super) value: Range,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    List,
    Map,
}

impl Entry {
    pub(super) fn union(self, other: Self) -> Self {
        Self {
            holder: self.holder,
            key: self.key.union(other.key),
            value: self.value.union(other.value),
        }
    }
}

impl Known<'_> {
    pub(super) fn size_or_unknown(&self) -> Range {
        self.size.unwrap_or(Range::UNKNOWN)
    }
}

/// Estimates expressions about values of one schema.
#[derive(Debug)]
pub(super) struct Estimator<'a> {
    root: &'a Declared,
    /// Variables, the innermost last; their cost is not theirs.
    variables: Vec<(String, Known<'a>)>,
}

impl<'a> Estimator<'a> {
    pub(super) fn new(root: &'a Declared, old: Old) -> Self {
        let variable = |name: &str, kind: Type<'a>| {
            let known = Known {
                cost: Range::exactly(0),
                size: None,
                entry: None,
                path: vec![name.to_owned()],
                kind,
            };
            (name.to_owned(), known)
        };
        let old = match old {
            Old::Value => Type::of(root),
            Old::Optional => Type::optional(Type::of(root)),
        };
        let variables = vec![variable("self", Type::of(root)), variable("oldSelf", old)];
        Self { root, variables }
    }

    pub(super) fn estimate(&mut self, expression: &IdedExpr) -> Known<'a> {
        match &expression.expr {
            Expr::Literal(literal) => self.literal(literal),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => self.list(list),
            Expr::Map(map) => self.map(map),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Struct(message) => {
                let mut cost = Range::exactly(40);
                for entry in &message.entries {
                    if let EntryExpr::StructField(field) = &entry.expr {
                        cost = cost.plus(self.estimate(&field.value).cost);
                    }
                }
                self.known(cost, None, Vec::new(), Type::Dyn)
            }
            Expr::Unspecified => self.known(Range::exactly(0), None, Vec::new(), Type::Dyn),
        }
    }

    /// Whether a name is that of a variable.
    pub(super) fn is_variable(&self, name: &str) -> bool {
        self.variables.iter().any(|(known, _)| known == name)
    }

    /// The most elements or bytes of what a path leads to.
    pub(super) fn size_at(&self, path: &[String]) -> Option<Range> {
        let (_, steps) = path.split_first()?;
        let mut at = self.root;
        for step in steps {
            at = match (&at.shape, step.as_str()) {
                (Shape::List(element), ITEMS | VALUES) => element,
                (Shape::Map(value), ITEMS | VALUES) => value,
                // Upstream's type of keys has no limit of its own.
                (Shape::Map(_), KEYS) => return Some(Range::exactly(0)),
                (Shape::Object(fields), field) => fields.get(field)?,
                _ => return None,
            };
        }
        Some(Range::new(0, at.elements_max))
    }

    /// What a value has below, by path.
    pub(super) fn items_size(&self, path: &[String]) -> Range {
        if path.is_empty() {
            return Range::UNKNOWN;
        }
        let below: Vec<String> = path.iter().cloned().chain([ITEMS.to_owned()]).collect();
        self.size_at(&below).unwrap_or(Range::UNKNOWN)
    }

    /// An expression whose size follows from where it is, else from what it is.
    pub(super) fn known(
        &self,
        cost: Range,
        size: Option<Range>,
        path: Vec<String>,
        kind: Type<'a>,
    ) -> Known<'a> {
        let by_type = || kind.is_scalar().then(|| Range::exactly(1));
        let size = size.or_else(|| self.size_at(&path)).or_else(by_type);
        Known {
            cost,
            size,
            entry: None,
            path,
            kind,
        }
    }

    fn literal(&self, literal: &LiteralValue) -> Known<'a> {
        let (size, kind) = match literal {
            LiteralValue::String(text) => (text.inner().chars().count(), Type::Text),
            LiteralValue::Bytes(bytes) => (bytes.inner().len(), Type::Bytes),
            LiteralValue::Boolean(_) => (1, Type::Bool),
            LiteralValue::Double(_) => (1, Type::Double),
            LiteralValue::Int(_) => (1, Type::Int),
            LiteralValue::UInt(_) => (1, Type::Uint),
            LiteralValue::Null => (1, Type::Null),
        };
        let size = Some(Range::exactly(size as u64));
        self.known(Range::exactly(0), size, Vec::new(), kind)
    }

    fn name(&self, name: &str) -> Known<'a> {
        let cost = Range::exactly(1);
        let variable = self.variables.iter().rev().find(|(known, _)| known == name);
        let Some((_, variable)) = variable else {
            // The name of a type.
            return self.known(cost, None, vec![name.to_owned()], Type::Named);
        };
        let mut known = self.known(cost, None, variable.path.clone(), variable.kind.clone());
        known.size = known.size.or(variable.size);
        known.entry = variable.entry;
        known
    }

    fn select(&mut self, select: &SelectExpr) -> Known<'a> {
        let operand = self.estimate(&select.operand);
        if select.test {
            return self.known(operand.cost, None, Vec::new(), Type::Bool);
        }
        let mut cost = operand.cost;
        if operand.kind.has_fields() {
            cost = cost.plus(Range::exactly(1));
        }
        let kind = operand.kind.field(&select.field);
        let mut path = operand.path;
        path.push(select.field.clone());
        self.known(cost, None, path, kind)
    }

    fn list(&mut self, list: &ListExpr) -> Known<'a> {
        let mut cost = Range::exactly(10);
        let mut element = Type::Dyn;
        let mut value = union_start(list.elements.is_empty());
        for expression in &list.elements {
            let known = self.estimate(expression);
            cost = cost.plus(known.cost);
            value = value.union(known.size_or_unknown());
            element = element.or(known.kind);
        }
        let size = Some(Range::exactly(list.elements.len() as u64));
        let mut known = self.known(cost, size, Vec::new(), Type::list(element));
        known.entry = Some(Entry {
            holder: Holder::List,
            key: Range::exactly(1),
            value,
        });
        known
    }

    fn map(&mut self, map: &MapExpr) -> Known<'a> {
        let mut cost = Range::exactly(30);
        let (mut key_kind, mut value_kind) = (Type::Dyn, Type::Dyn);
        let mut key_size = union_start(map.entries.is_empty());
        let mut value_size = key_size;
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else {
                continue;
            };
            let (key, value) = (self.estimate(&entry.key), self.estimate(&entry.value));
            cost = cost.plus(key.cost).plus(value.cost);
            key_size = key_size.union(key.size_or_unknown());
            value_size = value_size.union(value.size_or_unknown());
            (key_kind, value_kind) = (key_kind.or(key.kind), value_kind.or(value.kind));
        }
        let size = Some(Range::exactly(map.entries.len() as u64));
        let kind = Type::Map(Box::new(key_kind), Box::new(value_kind));
        let mut known = self.known(cost, size, Vec::new(), kind);
        known.entry = Some(Entry {
            holder: Holder::Map,
            key: key_size,
            value: value_size,
        });
        known
    }

    fn comprehension(&mut self, loops: &ComprehensionExpr) -> Known<'a> {
        let range = self.estimate(&loops.iter_range);
        let start = self.estimate(&loops.accu_init);
        let mut cost = range.cost.plus(start.cost);
        self.variables.push((loops.accu_var.clone(), start.clone()));
        self.variables
            .push((loops.iter_var.clone(), self.visited(&range)));
        let condition = self.estimate(&loops.loop_cond);
        let step = self.estimate(&loops.loop_step);
        self.variables.pop();
        let result = self.estimate(&loops.result);
        self.variables.pop();
        cost = cost.plus(result.cost);
        let rounds = range.size_or_unknown();
        cost = cost.plus(rounds.times(step.cost.plus(condition.cost)));
        let kind = result.kind.or(step.kind);
        match &loops.accu_init.expr {
            Expr::Literal(_) => self.known(cost, start.size, Vec::new(), kind),
            Expr::List(_) | Expr::Map(_) => {
                let mut known = self.known(cost, Some(rounds), Vec::new(), kind);
                known.entry = step.entry;
                known
            }
            _ => self.known(cost, None, Vec::new(), kind),
        }
    }

    /// The variable that goes over a list or over the keys of a map.
    fn visited(&self, range: &Known<'a>) -> Known<'a> {
        let is_list = match range.entry {
            Some(entry) => entry.holder == Holder::List,
            None => matches!(range.kind, Type::List(_)),
        };
        let mut path = range.path.clone();
        path.push(if is_list { ITEMS } else { KEYS }.to_owned());
        let size = range.entry.map(|entry| match is_list {
            true => entry.value,
            false => entry.key,
        });
        Known {
            cost: Range::exactly(0),
            size,
            entry: None,
            path,
            kind: range.kind.visited(),
        }
    }

    fn call(&mut self, call: &CallExpr) -> Known<'a> {
        let args: Vec<Known<'a>> = call.args.iter().map(|arg| self.estimate(arg)).collect();
        let (name, target) = match &call.target {
            None => (call.func_name.clone(), None),
            Some(target) => match &target.expr {
                // A function of a library: `sets.contains(…)`.
                Expr::Ident(library) if !self.is_variable(library) => {
                    (format!("{library}.{}", call.func_name), None)
                }
                _ => (call.func_name.clone(), Some(self.estimate(target))),
            },
        };
        if name == "dyn"
            && let [arg] = args.as_slice()
        {
            let cost = arg.cost.plus(Range::exactly(1));
            let mut known = self.known(cost, arg.size, Vec::new(), Type::Dyn);
            known.entry = arg.entry;
            return known;
        }
        let literals: Vec<&Expr> = call.args.iter().map(|arg| &arg.expr).collect();
        let found = self.function(&name, target.as_ref(), &args, &literals);
        let before = target
            .as_ref()
            .map_or(Range::exactly(0), |known| known.cost);
        let cost = before.plus(found.cost);
        let kind = self.result_type(&name, target.as_ref(), &args, &literals);
        let (mut size, mut path) = (found.size, Vec::new());
        if name == INDEX
            && let Some(holder) = args.first()
        {
            size = holder.entry.map(|entry| entry.value);
            path.clone_from(&holder.path);
            let is_map = matches!(holder.kind, Type::Map(..));
            path.push(if is_map { VALUES } else { ITEMS }.to_owned());
        }
        let mut known = self.known(cost, size, path, kind);
        if name == CONDITIONAL || found.entry.is_some() {
            known.entry = found.entry;
        }
        known
    }
}

/// What the sizes of the parts of something that is made begin with.
fn union_start(is_empty: bool) -> Range {
    match is_empty {
        true => Range::exactly(0),
        false => Range::EMPTY,
    }
}
