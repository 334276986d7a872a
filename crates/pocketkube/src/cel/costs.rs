//! What calls cost, once their arguments are known.

use super::calls::{Function, of_library};
use super::types;
use kube_cel::cel::Value;

/// Reading a character of a text.
const TRAVERSAL: f64 = 0.1;
/// Using a character of a pattern, against the reading of a text.
const PATTERN: f64 = 0.25;
/// What an authorization check costs, so that an expression may have two.
const CHECK: u64 = 350_000;
/// A call that makes a list.
const ALLOCATING: u64 = 1 + super::evaluate::LIST;

/// How large a value is: characters, bytes, elements, entries; one for all others.
pub(super) fn size(value: &Value) -> u64 {
    let size = match value {
        Value::String(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(elements) => elements.len(),
        Value::Map(map) => map.map.len(),
        Value::Opaque(opaque) => match opaque.runtime_type_name() {
            "net.IP" => return address_bytes(value),
            "net.CIDR" => return prefix_bytes(value),
            _ => return types::as_optional(value).flatten().map_or(1, size),
        },
        _ => 1,
    };
    size as u64
}

fn address_bytes(address: &Value) -> u64 {
    match called("family", address) {
        Some(Value::Int(6)) => 16,
        _ => 4,
    }
}

fn prefix_bytes(network: &Value) -> u64 {
    match called("prefixLength", network) {
        Some(Value::Int(bits)) => u64::try_from(bits).unwrap_or(0).div_ceil(8),
        _ => 1,
    }
}

fn called(name: &str, value: &Value) -> Option<Value> {
    let function = Function {
        name,
        is_method: true,
    };
    of_library(&function, std::slice::from_ref(value)).ok()
}

/// `==`; of values that libraries make it costs one.
pub(super) fn of_equality(one: &Value, other: &Value) -> u64 {
    match one {
        Value::Opaque(_) if types::as_optional(one).is_none() => 1,
        _ => of_comparison(one, other),
    }
}

/// As far as the shorter one.
pub(super) fn of_comparison(one: &Value, other: &Value) -> u64 {
    read(size(one).min(size(other)), TRAVERSAL)
}

/// `<` and the like read texts.
pub(super) fn of_order(one: &Value, other: &Value) -> u64 {
    match one {
        Value::String(_) | Value::Bytes(_) => of_comparison(one, other),
        _ => 1,
    }
}

pub(super) fn of_sum(one: &Value, other: &Value) -> u64 {
    match one {
        Value::String(_) | Value::Bytes(_) => read(size(one) + size(other), TRAVERSAL),
        _ => 1,
    }
}

pub(super) fn of_in(whole: &Value) -> u64 {
    match whole {
        Value::List(elements) => elements.len() as u64,
        _ => 1,
    }
}

/// A function of a library.
pub(super) fn of_function(function: &Function<'_>, args: &[Value], result: Option<&Value>) -> u64 {
    let of_size = |index: usize, factor: f64| read(args.get(index).map_or(1, size), factor);
    let pattern = |text: usize, pattern: usize| {
        let text = read(args.get(text).map_or(1, size).saturating_add(1), TRAVERSAL);
        text.saturating_mul(of_size(pattern, PATTERN))
    };
    match function.name {
        "check" => CHECK,
        "startsWith" | "endsWith" | "format" | "strings.quote" => of_size(0, TRAVERSAL),
        "bytes" if matches!(args, [Value::String(_)]) => of_size(0, TRAVERSAL),
        "string" if matches!(args, [Value::Bytes(_)]) => of_size(0, TRAVERSAL),
        "contains" => of_size(0, TRAVERSAL).saturating_mul(of_size(1, TRAVERSAL)),
        "matches" | "find" | "findAll" => pattern(0, 1),
        "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" => {
            args.first().map_or(0, traversed)
        }
        "url"
        | "lowerAscii"
        | "upperAscii"
        | "substring"
        | "trim"
        | "jsonpatch.escapeKey"
        | "cidr"
        | "isIP"
        | "isCIDR"
        | "quantity"
        | "isQuantity"
        | "semver"
        | "isSemver" => of_size(0, TRAVERSAL),
        "ip" if !function.is_method => of_size(0, TRAVERSAL),
        "replace" | "split" | "ip.isCanonical" => of_size(0, 2.0 * TRAVERSAL),
        "join" => read(result.map_or(1, size), 2.0 * TRAVERSAL),
        "containsIP" | "containsCIDR" => contained(function.name, args),
        "validate" => {
            let text = read(args.get(1).map_or(1, size).saturating_add(1), TRAVERSAL);
            text.saturating_mul(read(args.first().map_or(1, format_pattern), PATTERN))
        }
        "sets.contains" | "sets.intersects" => 1 + product(args),
        "sets.equivalent" => 1 + product(args).saturating_mul(2),
        "slice" | "lists.range" | "reverse" => ALLOCATING.saturating_add(result.map_or(1, size)),
        "flatten" => flattened(args),
        "distinct" | "sort" => compared_with_each_other(args),
        _ => 1,
    }
}

fn product(args: &[Value]) -> u64 {
    args.iter().map(size).fold(1, u64::saturating_mul)
}

fn flattened(args: &[Value]) -> u64 {
    let depth = match args.get(1) {
        Some(Value::Int(depth)) => u64::try_from(*depth).unwrap_or(0),
        _ => 1,
    };
    let size = args.first().map_or(0, size);
    ALLOCATING.saturating_add(size.saturating_mul(depth))
}

fn compared_with_each_other(args: &[Value]) -> u64 {
    let Some(Value::List(elements)) = args.first() else {
        return ALLOCATING;
    };
    let factor = match elements.first() {
        Some(Value::String(_) | Value::Bytes(_)) => 2.0 + TRAVERSAL,
        _ => 2.0,
    };
    let size = elements.len() as u64;
    ALLOCATING.saturating_add(scaled(size.saturating_mul(size), factor).1)
}

fn contained(name: &str, args: &[Value]) -> u64 {
    let network = args.first().map_or(1, size);
    let mut cost = read(network.saturating_mul(2), TRAVERSAL);
    if name == "containsCIDR" {
        cost += read(network, TRAVERSAL) + 1;
    }
    if let Some(text @ Value::String(_)) = args.get(1) {
        cost += read(size(text), TRAVERSAL);
    }
    cost
}

/// Going once through a value and what is in it.
fn traversed(value: &Value) -> u64 {
    match value {
        Value::String(text) => scaled(text.len() as u64, TRAVERSAL).1,
        Value::Bytes(bytes) => scaled(bytes.len() as u64, TRAVERSAL).1,
        Value::List(elements) => elements.iter().map(traversed).sum(),
        Value::Map(map) => {
            let entries = map.map.iter();
            let costs = entries.map(|(key, value)| traversed(&key.into()) + traversed(value));
            costs.sum()
        }
        _ => 1,
    }
}

/// How long the pattern of a named format is at most (`library/format.go`).
fn format_pattern(format: &Value) -> u64 {
    // Its name is known to nobody but to who prints it.
    let shown = format!("{format:?}");
    const LENGTHS: [(&str, u64); 7] = [
        ("Subdomain", 60),
        ("QualifiedName", 60),
        ("LabelValue", 40),
        ("Uri", 1103),
        ("Uuid", 70),
        ("Byte", 84),
        ("Date", 71),
    ];
    let known = LENGTHS.iter().find(|(name, _)| shown.contains(name));
    known.map_or(30, |(_, length)| *length)
}

fn read(size: u64, factor: f64) -> u64 {
    scaled(size, factor).0
}

/// Rounded up, and down.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "upstream computes it so"
)]
fn scaled(size: u64, factor: f64) -> (u64, u64) {
    let product = size as f64 * factor;
    (product.ceil() as u64, product as u64)
}
