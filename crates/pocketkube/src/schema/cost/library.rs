//! What the functions of libraries cost.

use super::calls::{Found, PATTERN, TRAVERSAL, read_once_more};
use super::estimate::{Estimator, Known};
use super::range::Range;
use super::types::{Library, Type};
use kube_cel::cel::common::ast::operators::EQUALS;
use kube_cel::cel::common::ast::{Expr, LiteralValue};

/// The longest pattern behind a named format.
const FORMAT_PATTERN_BYTES: f64 = 128.0;
/// The longest name of a format.
const FORMAT_BYTES_MAX: u64 = 64;
/// What an authorization check costs, so that an expression may have two.
const CHECK: u64 = 350_000;

impl<'a> Estimator<'a> {
    /// Functions of lists and sets (`github.com/google/cel-go/ext`).
    pub(super) fn of_lists(
        &self,
        name: &str,
        target: Option<&Known<'a>>,
        args: &[Known<'a>],
        literals: &[&Expr],
    ) -> Option<Found> {
        let allocating = |factor: f64, size: Range| {
            let cost = size.scaled(factor).plus(Range::exactly(11));
            Some(Found::sized(cost, size))
        };
        match (name, target, args) {
            ("sets.contains" | "sets.intersects" | "sets.equivalent", None, [left, right]) => {
                let factor = if name == "sets.equivalent" { 2.0 } else { 1.0 };
                let size = left.size_or_unknown().times(right.size_or_unknown());
                Some(Found::cost(size.scaled(factor).plus(Range::exactly(1))))
            }
            ("slice", Some(list), [_, _]) => {
                let start = whole_number(literals[0]).unwrap_or(0);
                let end = whole_number(literals[1]).unwrap_or(list.size_or_unknown().max);
                allocating(1.0, Range::exactly(end.wrapping_sub(start)))
            }
            ("lists.range", None, [_]) => {
                let end = whole_number(literals[0]).unwrap_or(u64::MAX);
                allocating(1.0, Range::exactly(end))
            }
            ("reverse", Some(list), []) => allocating(1.0, list.size_or_unknown()),
            ("flatten", Some(list), []) => allocating(1.0, list.size_or_unknown()),
            ("flatten", Some(list), [_]) => {
                let depth = whole_number(literals[0]).unwrap_or(u64::MAX);
                allocating(as_factor(depth), list.size_or_unknown())
            }
            ("distinct", Some(list), []) => {
                let size = list.size_or_unknown();
                allocating(2.0, size.times(size))
            }
            ("sort", Some(list), []) => {
                let size = list.size_or_unknown();
                let is_read = matches!(list.kind.element(), Type::Text | Type::Bytes);
                let factor = if is_read { 2.0 + TRAVERSAL } else { 2.0 };
                allocating(factor, size.times(size))
            }
            _ => None,
        }
    }

    /// Functions of Kubernetes (`k8s.io/apiserver/pkg/cel/library`).
    pub(super) fn of_library(
        &self,
        name: &str,
        target: Option<&Known<'a>>,
        args: &[Known<'a>],
        literals: &[&Expr],
    ) -> Option<Found> {
        let read = |size: Range| size.scaled(TRAVERSAL);
        match (name, target, args) {
            ("check", _, _) => Some(Found::cost(Range::exactly(CHECK))),
            ("isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf", Some(list), _) => {
                Some(Found::cost(self.compared_with_all(list)))
            }
            ("url" | "jsonpatch.escapeKey", None, [text]) => {
                let size = text.size_or_unknown();
                Some(Found::sized(read(size), size))
            }
            ("lowerAscii" | "upperAscii" | "substring" | "trim", Some(text), _) => {
                let size = text.size_or_unknown();
                Some(Found::sized(read(size), size))
            }
            ("replace", Some(text), [old, new, ..]) => Some(replaced(text, old, new)),
            ("split", Some(text), _) => {
                let size = text.size_or_unknown();
                let most = literals.get(1).and_then(|limit| whole_number(limit));
                let parts = Range::new(0, most.unwrap_or(size.max));
                Some(Found::sized(size.scaled(2.0 * TRAVERSAL), parts))
            }
            ("join", Some(list), _) => {
                let size = self.joined(list, args.first());
                Some(Found::sized(read(size), size))
            }
            ("find" | "findAll", Some(text), [pattern, ..]) => {
                let size = text.size_or_unknown();
                let pattern = pattern.size_or_unknown().scaled(PATTERN);
                let cost = read_once_more(size).times(pattern);
                Some(Found::sized(cost, Range::new(0, size.max)))
            }
            _ => of_addresses(name, target, args).or_else(|| of_values(name, args)),
        }
    }

    /// Going once through a list, or a text.
    fn compared_with_all(&self, list: &Known<'a>) -> Range {
        let size = list.size_or_unknown();
        let element = match &list.kind {
            Type::List(element) => element,
            Type::Map(key, _) => key,
            _ => return size.scaled(TRAVERSAL),
        };
        let mut each = Range::exactly(1);
        if matches!(**element, Type::Text | Type::Bytes) {
            each = each.plus(self.items_size(&list.path).scaled(TRAVERSAL));
        }
        size.times(each)
    }

    fn joined(&self, list: &Known<'a>, separator: Option<&Known<'a>>) -> Range {
        let count = list.size_or_unknown();
        let mut size = Range::exactly(0);
        if matches!(list.kind, Type::List(_)) {
            size = count.times(self.items_size(&list.path));
        }
        if let Some(separator) = separator {
            let between = Range::new(count.min.saturating_sub(1), count.max.saturating_sub(1));
            size = size.plus(separator.size_or_unknown().times(between));
        }
        size
    }
}

/// Functions of addresses and networks.
fn of_addresses(name: &str, target: Option<&Known<'_>>, args: &[Known<'_>]) -> Option<Found> {
    let one = Range::exactly(1);
    let cost = match (name, args) {
        ("cidr" | "isIP" | "isCIDR", [text, ..]) => text.size_or_unknown().scaled(TRAVERSAL),
        ("ip", _) if target.is_some() => one,
        ("ip", [text, ..]) => text.size_or_unknown().scaled(TRAVERSAL),
        ("ip.isCanonical", [text, ..]) => text.size_or_unknown().scaled(2.0 * TRAVERSAL),
        ("containsIP" | "containsCIDR", [other, ..]) => {
            // Addresses have four or sixteen bytes, and two are compared.
            let mut cost = Range::new(8, 32).scaled(TRAVERSAL);
            if name == "containsCIDR" {
                cost = cost.plus(Range::new(4, 16).scaled(TRAVERSAL)).plus(one);
            }
            if matches!(other.kind, Type::Text | Type::Dyn) {
                cost = cost.plus(other.size_or_unknown().scaled(TRAVERSAL));
            }
            cost
        }
        _ => return None,
    };
    Some(Found::cost(cost))
}

/// Functions of quantities, versions and formats.
fn of_values(name: &str, args: &[Known<'_>]) -> Option<Found> {
    let cost = match (name, args) {
        ("quantity" | "isQuantity" | "semver" | "isSemver", [text, ..]) => {
            text.size_or_unknown().scaled(TRAVERSAL)
        }
        ("validate", [text, ..]) => {
            let read = text.size_or_unknown().scaled(TRAVERSAL);
            read.scaled(FORMAT_PATTERN_BYTES * PATTERN)
        }
        (EQUALS, [left, right]) => match (&left.kind, &right.kind) {
            (Type::Library(one), Type::Library(other)) if one == other => match one {
                Library::Format => Range::new(1, FORMAT_BYTES_MAX).scaled(TRAVERSAL),
                Library::Url => {
                    let most = right.size.map_or(1, |size| size.max);
                    Range::new(1, most).scaled(TRAVERSAL)
                }
                _ => Range::exactly(1),
            },
            _ => return None,
        },
        _ => return None,
    };
    Some(Found::cost(cost))
}

/// A text with every `old` in it replaced by `new`.
fn replaced(text: &Known<'_>, old: &Known<'_>, new: &Known<'_>) -> Found {
    let [size, old, new] = [text, old, new].map(Known::size_or_unknown);
    // The longest: an empty text is found between all characters.
    let (most, kept_max) = if old.min == 0 {
        (size.max.saturating_add(1), size.max)
    } else if new.max <= old.min {
        (0, size.max)
    } else {
        (size.max.div_ceil(old.min), 0)
    };
    let (least, kept_min) = if old.max == 0 {
        (size.min.saturating_add(1), size.min)
    } else if old.max <= new.min {
        (0, size.min)
    } else {
        (size.min.div_ceil(old.max), 0)
    };
    let result = Range::new(least, most)
        .times(new)
        .plus(Range::new(kept_min, kept_max));
    Found::sized(size.scaled(2.0 * TRAVERSAL), result)
}

fn whole_number(expression: &Expr) -> Option<u64> {
    match expression {
        Expr::Literal(LiteralValue::Int(number)) => u64::try_from(*number.inner()).ok(),
        _ => None,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a depth is small, or without limit"
)]
fn as_factor(depth: u64) -> f64 {
    depth as f64
}
