//! What an expression may cost at most, before any object is there: the estimate of
//! `github.com/google/cel-go/checker/cost.go` with the functions of
//! `k8s.io/apiserver/pkg/cel/library/cost.go`.
//!
//! | step | cost |
//! |---|---|
//! | a name, a field of an object or a map | 1 |
//! | a literal, `has()` | 0 |
//! | a list, a map, a message that is made | 10, 30, 40 |
//! | reading a text | 0.1 a byte |
//! | matching a pattern | 0.1 a byte, times 0.25 a byte of the pattern |
//! | a loop | what a round costs, times the most elements |
//! | every other call | 1 |

mod calls;
mod declared;
mod estimate;
mod library;
mod range;
mod results;
#[cfg(test)]
mod tests;
mod types;
mod walk;

pub(super) use declared::{Declared, Shape, Whole};
pub(super) use walk::excesses;

/// The most that an expression may cost; `None` for one that does not parse.
fn cost_max(expression: &str, root: &Declared, old: Old) -> Option<u64> {
    let expression = crate::cel::parse(expression).ok()?;
    let mut estimator = estimate::Estimator::new(root, old);
    Some(estimator.estimate(&expression).cost.max)
}

/// What `oldSelf` is in an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Old {
    /// A value of the same type as `self`.
    Value,
    /// An optional one.
    Optional,
}
