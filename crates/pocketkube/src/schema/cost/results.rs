//! The types of the results of calls.

use super::estimate::{Estimator, Known};
use super::types::{Library, Type};
use kube_cel::cel::common::ast::{Expr, LiteralValue, operators as op};

impl<'a> Estimator<'a> {
    /// The type of what a call gives.
    pub(super) fn result_type(
        &self,
        name: &str,
        target: Option<&Known<'a>>,
        args: &[Known<'a>],
        literals: &[&Expr],
    ) -> Type<'a> {
        if let (op::OPT_SELECT, [holder, _], [_, Expr::Literal(LiteralValue::String(field))]) =
            (name, args, literals)
        {
            return Type::optional(holder.kind.field(field.inner()));
        }
        if let Some(kind) = of_operator(name, args).or_else(|| by_name(name)) {
            return kind;
        }
        let of = |known: Option<&Known<'a>>| known.map_or(Type::Dyn, |known| known.kind.clone());
        match name {
            "sort" | "distinct" | "reverse" | "slice" => of(target),
            "flatten" => match of(target).element() {
                inner @ Type::List(_) => inner,
                _ => of(target),
            },
            "sum" | "min" | "max" => of(target).element(),
            "value" => of(target).held(),
            "orValue" => of(target).held().or(of(args.first())),
            "or" => of(target),
            "optional.of" | "optional.ofNonZeroValue" => Type::optional(of(args.first())),
            "optional.none" => Type::optional(Type::Dyn),
            "ip" if target.is_none() => Type::Library(Library::Ip),
            "ip" => Type::Library(Library::Ip),
            // Of quantities; the other functions of these names give numbers.
            "add" | "sub" => Type::Library(Library::Quantity),
            _ => Type::Dyn,
        }
    }
}

fn of_operator<'a>(name: &str, args: &[Known<'a>]) -> Option<Type<'a>> {
    let kind = |index: usize| {
        args.get(index)
            .map_or(Type::Dyn, |known| known.kind.clone())
    };
    Some(match name {
        op::LOGICAL_AND
        | op::LOGICAL_OR
        | op::LOGICAL_NOT
        | op::NOT_STRICTLY_FALSE
        | op::EQUALS
        | op::NOT_EQUALS
        | op::LESS
        | op::LESS_EQUALS
        | op::GREATER
        | op::GREATER_EQUALS
        | op::IN => Type::Bool,
        op::CONDITIONAL => kind(1).or(kind(2)),
        op::ADD => match (kind(0), kind(1)) {
            (Type::Duration, Type::Timestamp) => Type::Timestamp,
            (left, right) => left.or(right),
        },
        op::SUBSTRACT => match (kind(0), kind(1)) {
            (Type::Timestamp, Type::Timestamp) => Type::Duration,
            (left, right) => left.or(right),
        },
        op::MULTIPLY | op::DIVIDE | op::MODULO => kind(0).or(kind(1)),
        op::NEGATE => kind(0),
        op::INDEX => match kind(0) {
            held @ Type::Optional(_) => Type::optional(held.element()),
            holder => holder.element(),
        },
        op::OPT_INDEX => Type::optional(kind(0).element()),
        _ => return None,
    })
}

fn by_name<'a>(name: &str) -> Option<Type<'a>> {
    Some(match name {
        "size" | "int" | "indexOf" | "lastIndexOf" | "getFullYear" | "getMonth" | "getDate"
        | "getDayOfMonth" | "getDayOfWeek" | "getDayOfYear" | "getHours" | "getMinutes"
        | "getSeconds" | "getMilliseconds" | "compareTo" | "asInteger" | "sign"
        | "prefixLength" | "family" | "major" | "minor" | "patch" => Type::Int,
        "uint" => Type::Uint,
        "double" | "asApproximateFloat" => Type::Double,
        "contains"
        | "startsWith"
        | "endsWith"
        | "matches"
        | "isSorted"
        | "hasValue"
        | "bool"
        | "isURL"
        | "isIP"
        | "isCIDR"
        | "isQuantity"
        | "isSemver"
        | "isInteger"
        | "isGreaterThan"
        | "isLessThan"
        | "containsIP"
        | "containsCIDR"
        | "ip.isCanonical"
        | "isUnspecified"
        | "isLoopback"
        | "isLinkLocalMulticast"
        | "isLinkLocalUnicast"
        | "isGlobalUnicast"
        | "sets.contains"
        | "sets.intersects"
        | "sets.equivalent" => Type::Bool,
        "string"
        | "lowerAscii"
        | "upperAscii"
        | "substring"
        | "trim"
        | "replace"
        | "join"
        | "find"
        | "charAt"
        | "format"
        | "strings.quote"
        | "getScheme"
        | "getHost"
        | "getHostname"
        | "getPort"
        | "getEscapedPath"
        | "jsonpatch.escapeKey" => Type::Text,
        "split" | "findAll" => Type::list(Type::Text),
        "lists.range" => Type::list(Type::Int),
        "getQuery" => Type::Map(Box::new(Type::Text), Box::new(Type::list(Type::Text))),
        "bytes" => Type::Bytes,
        "duration" => Type::Duration,
        "timestamp" => Type::Timestamp,
        "type" => Type::Named,
        "url" => Type::Library(Library::Url),
        "cidr" | "masked" => Type::Library(Library::Cidr),
        "quantity" => Type::Library(Library::Quantity),
        "semver" => Type::Library(Library::Semver),
        "format.named" | "format.dns1123Label" => Type::Library(Library::Format),
        "validate" => Type::optional(Type::list(Type::Text)),
        _ => return None,
    })
}
