//! What calls cost: those of the language. Those of libraries are in [`super::library`].

use super::estimate::{Entry, Estimator, Known};
use super::range::Range;
use super::types::Type;
use kube_cel::cel::common::ast::Expr;
use kube_cel::cel::common::ast::operators::{
    ADD, CONDITIONAL, EQUALS, GREATER, GREATER_EQUALS, IN, LESS, LESS_EQUALS, LOGICAL_AND,
    LOGICAL_OR, NOT_EQUALS,
};

/// Reading a byte of a text.
pub(super) const TRAVERSAL: f64 = 0.1;
/// Using a byte of a pattern, against the reading of a text.
pub(super) const PATTERN: f64 = 0.25;

/// What a call costs, and how large its result is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) cost: Range,
    pub(super) size: Option<Range>,
    pub(super) entry: Option<Entry>,
}

impl Found {
    pub(super) fn cost(cost: Range) -> Self {
        Self {
            cost,
            size: None,
            entry: None,
        }
    }

    pub(super) fn sized(cost: Range, size: Range) -> Self {
        Self {
            size: Some(size),
            ..Self::cost(cost)
        }
    }

    /// Of a function that is one of several, as long as types are not known.
    fn union(self, other: Self) -> Self {
        let size = match (self.size, other.size) {
            (Some(one), Some(two)) => Some(one.union(two)),
            (one, two) => one.or(two),
        };
        Self {
            cost: self.cost.union(other.cost),
            size,
            entry: self.entry.or(other.entry),
        }
    }
}

impl<'a> Estimator<'a> {
    /// The cost of a call with its arguments, without its target.
    pub(super) fn function(
        &self,
        name: &str,
        target: Option<&Known<'a>>,
        args: &[Known<'a>],
        literals: &[&Expr],
    ) -> Found {
        let arguments = args
            .iter()
            .fold(Range::exactly(0), |sum, arg| sum.plus(arg.cost));
        let found = match (name, args) {
            // The second side may never be looked at.
            (LOGICAL_AND | LOGICAL_OR, [left, right]) => {
                let max = left.cost.plus(right.cost).max;
                return Found::cost(Range::new(left.cost.min, max));
            }
            (CONDITIONAL, [condition, one, other]) => return conditional(condition, one, other),
            _ => self
                .of_lists(name, target, args, literals)
                .or_else(|| self.of_library(name, target, args, literals))
                .or_else(|| of_language(name, target, args)),
        };
        let found = found.unwrap_or(Found::cost(Range::exactly(1)));
        Found {
            cost: found.cost.plus(arguments),
            ..found
        }
    }
}

fn conditional(condition: &Known<'_>, one: &Known<'_>, other: &Known<'_>) -> Found {
    let entry = match (one.entry, other.entry) {
        (Some(one), Some(other)) => Some(one.union(other)),
        _ => None,
    };
    Found {
        cost: condition.cost.plus(one.cost.union(other.cost)),
        size: Some(one.size_or_unknown().union(other.size_or_unknown())),
        entry,
    }
}

/// Functions whose cost depends on sizes; the others cost one.
fn of_language(name: &str, target: Option<&Known<'_>>, args: &[Known<'_>]) -> Option<Found> {
    let read = |known: &Known<'_>| known.size_or_unknown().scaled(TRAVERSAL);
    let one = Found::cost(Range::exactly(1));
    Some(match (name, target, args) {
        ("startsWith" | "endsWith", Some(_), [part]) => Found::cost(read(part)),
        ("contains", Some(text), [part]) => Found::cost(read(text).times(read(part))),
        ("matches", Some(text), [pattern]) => {
            let pattern = pattern.size_or_unknown().scaled(PATTERN);
            Found::cost(read_once_more(text.size_or_unknown()).times(pattern))
        }
        ("format", Some(text), _) => Found::cost(read(text)),
        ("strings.quote", None, [text]) => {
            let size = text.size_or_unknown();
            let quoted = Range::new(
                size.min.saturating_add(2),
                size.max.saturating_mul(2).saturating_add(2),
            );
            Found::sized(read(text), quoted)
        }
        ("bytes", None, [text]) if may_be(text, &Type::Text) => {
            let size = text.size_or_unknown();
            Found::sized(read(text), Range::new(size.min, size.max.saturating_mul(4)))
        }
        ("string", None, [bytes]) if may_be(bytes, &Type::Bytes) => {
            let size = bytes.size_or_unknown();
            let found = Found::sized(read(bytes), Range::new(size.min / 4, size.max));
            match bytes.kind.is_dyn() {
                true => one.union(found),
                false => found,
            }
        }
        (IN, None, [_, list]) => match list.kind {
            Type::List(_) => Found::cost(list.size_or_unknown()),
            Type::Dyn => one.union(Found::cost(list.size_or_unknown())),
            _ => one,
        },
        (ADD, None, [left, right]) => sum(left, right),
        (EQUALS | NOT_EQUALS, None, [left, right]) => compared(left, right),
        (LESS | LESS_EQUALS | GREATER | GREATER_EQUALS, None, [left, right]) => {
            let is_text = |known: &Known<'_>| matches!(known.kind, Type::Text | Type::Bytes);
            match (&left.kind, &right.kind) {
                _ if is_text(left) || is_text(right) => compared(left, right),
                (Type::Dyn, Type::Dyn) => one.union(compared(left, right)),
                _ => one,
            }
        }
        _ => return None,
    })
}

/// Reading a text of that size; an empty one costs something too, because a pattern does.
pub(super) fn read_once_more(size: Range) -> Range {
    size.plus(Range::exactly(1)).scaled(TRAVERSAL)
}

fn may_be(known: &Known<'_>, kind: &Type<'_>) -> bool {
    known.kind.is_dyn() || std::mem::discriminant(&known.kind) == std::mem::discriminant(kind)
}

fn sum(left: &Known<'_>, right: &Known<'_>) -> Found {
    let size = left.size_or_unknown().plus(right.size_or_unknown());
    let entry = match (left.entry, right.entry) {
        (Some(left), Some(right)) => Some(left.union(right)),
        _ => None,
    };
    let of_texts = Found::sized(size.scaled(TRAVERSAL), size);
    let of_lists = Found::sized(Range::exactly(1), size);
    let found = match (&left.kind, &right.kind) {
        (Type::Text | Type::Bytes, _) | (_, Type::Text | Type::Bytes) => of_texts,
        (Type::List(_), _) | (_, Type::List(_)) => of_lists,
        (Type::Dyn, Type::Dyn) => of_texts.union(of_lists),
        _ => return Found::cost(Range::exactly(1)),
    };
    Found { entry, ..found }
}

/// As far as the shorter one.
fn compared(left: &Known<'_>, right: &Known<'_>) -> Found {
    let most = left.size_or_unknown().max.min(right.size_or_unknown().max);
    Found::cost(Range::new(most.min(1), most).scaled(TRAVERSAL))
}
