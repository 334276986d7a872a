//! Types of expressions before any object is there: what `github.com/google/cel-go/checker` does,
//! with the functions of the server (`functions.txt`) and its words.

mod calls;
mod functions;
mod kind;
mod places;

pub(crate) use kind::{Fields, Kind};

use kind::{Known, Unknown};
use kube_cel::cel::common::ast::{
    ComprehensionExpr, EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, MapExpr, SelectExpr,
};

/// Names that stand for types.
const TYPES: [&str; 8] = [
    "bool",
    "bytes",
    "double",
    "int",
    "null_type",
    "string",
    "type",
    "uint",
];

/// The type that an expression gives, where it can name `variables`.
///
/// # Errors
///
/// What does not fit, with the places, as the server shows it.
pub(crate) fn kind_of(text: &str, variables: &[(&str, Kind)]) -> Result<Kind, String> {
    let expression = super::parse(text).map_err(|problem| problem.replace("\n| ", "\n | "))?;
    let named = variables
        .iter()
        .map(|(name, kind)| ((*name).to_owned(), kind.clone()));
    let mut checker = Checker {
        scope: named.collect(),
        ..Checker::default()
    };
    let kind = checker.check(&expression);
    if checker.faults.is_empty() {
        checker.faults = checker.bad_literals;
    }
    match checker.faults.as_slice() {
        [] => Ok(checker.known.resolved(&kind, Unknown::Dyn)),
        faults => Err(places::shown(text, faults)),
    }
}

/// A fault, and the expression that has it.
type Fault = (u64, String);

#[derive(Debug, Default)]
struct Checker {
    /// Variables, the innermost last.
    scope: Vec<(String, Kind)>,
    known: Known,
    variables: usize,
    faults: Vec<Fault>,
    /// Told only when all types fit.
    bad_literals: Vec<Fault>,
    /// The expression around what a macro wrote.
    around: u64,
}

impl Checker {
    fn check(&mut self, expression: &IdedExpr) -> Kind {
        let outer = self.around;
        if expression.id != 0 {
            self.around = expression.id;
        }
        let kind = match &expression.expr {
            Expr::Literal(literal) => of_literal(literal),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => self.list(list),
            Expr::Map(map) => self.map(map),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Struct(message) => self.undeclared(&message.type_name),
            Expr::Unspecified => Kind::Dyn,
        };
        self.around = outer;
        kind
    }

    /// Where an expression is.
    fn id(&self, expression: &IdedExpr) -> u64 {
        match expression.id {
            0 => self.around,
            id => id,
        }
    }

    fn refuse(&mut self, why: String) -> Kind {
        self.faults.push((self.around, why));
        Kind::Error
    }

    fn undeclared(&mut self, name: &str) -> Kind {
        self.refuse(format!(
            "undeclared reference to '{name}' (in container '')"
        ))
    }

    fn mismatch(&mut self, at: u64, wanted: &Kind, found: &Kind) -> Kind {
        self.faults
            .push((at, format!("expected type '{wanted}' but found '{found}'")));
        Kind::Error
    }

    fn variable(&mut self) -> Kind {
        self.variables += 1;
        Kind::Variable(self.variables)
    }

    fn resolved(&self, kind: &Kind) -> Kind {
        self.known.resolved(kind, Unknown::Kept)
    }

    fn found(&self, name: &str) -> Option<&Kind> {
        let named = self.scope.iter().rev().find(|(known, _)| known == name);
        named.map(|(_, kind)| kind)
    }

    fn name(&mut self, name: &str) -> Kind {
        if let Some(kind) = self.found(name) {
            return kind.clone();
        }
        match name {
            "list" => Kind::of("type", Kind::of("list", Kind::Dyn)),
            "map" => Kind::of("type", Kind::map(Kind::Dyn, Kind::Dyn)),
            _ if TYPES.contains(&name) => Kind::of("type", Kind::plain(name)),
            _ => self.undeclared(name),
        }
    }

    fn select(&mut self, select: &SelectExpr) -> Kind {
        if let Expr::Select(inner) = &select.operand.expr
            && let Expr::Ident(google) = &inner.operand.expr
            && (google.as_str(), inner.field.as_str()) == ("google", "protobuf")
        {
            match select.field.as_str() {
                "Duration" => return Kind::of("type", Kind::plain("duration")),
                "Timestamp" => return Kind::of("type", Kind::plain("timestamp")),
                _ => {}
            }
        }
        let field = self.field(&select.operand, &select.field);
        match select.test {
            true => Kind::plain("bool"),
            false => self.resolved(&field),
        }
    }

    fn field(&mut self, operand: &IdedExpr, name: &str) -> Kind {
        let operand = self.check(operand);
        let operand = self.resolved(&operand);
        let holder = operand.held().unwrap_or(&operand);
        let found = match holder {
            Kind::Named(map, inner) if &**map == "map" => inner[1].clone(),
            Kind::Object(object) => match object.fields.get(name) {
                Some(kind) => kind.clone(),
                None => self.refuse(format!("undefined field '{name}'")),
            },
            Kind::Variable(_) => {
                self.known.assign(&Kind::Dyn, holder);
                Kind::Dyn
            }
            loose if loose.is_loose() => Kind::Dyn,
            other => {
                self.refuse(format!("type '{other}' does not support field selection"));
                Kind::Dyn
            }
        };
        match operand.held() {
            Some(_) => Kind::of("optional_type", found),
            None => found,
        }
    }

    fn list(&mut self, list: &ListExpr) -> Kind {
        let mut elements = None;
        for (index, expression) in list.elements.iter().enumerate() {
            let mut kind = self.check(expression);
            if list.optional_indices.contains(&index)
                && let Some(held) = self.resolved(&kind).held()
            {
                kind = held.clone();
            }
            elements = Some(self.joined(expression, elements, kind));
        }
        let elements = elements.unwrap_or_else(|| self.variable());
        Kind::of("list", elements)
    }

    fn map(&mut self, map: &MapExpr) -> Kind {
        let (mut keys, mut values) = (None, None);
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else {
                continue;
            };
            let key = self.check(&entry.key);
            keys = Some(self.joined(&entry.key, keys, key));
            let mut value = self.check(&entry.value);
            if entry.optional
                && let Some(held) = self.resolved(&value).held()
            {
                value = held.clone();
            }
            values = Some(self.joined(&entry.value, values, value));
        }
        let keys = keys.unwrap_or_else(|| self.variable());
        let values = values.unwrap_or_else(|| self.variable());
        Kind::map(keys, values)
    }

    /// The type of elements, with one more.
    fn joined(&mut self, expression: &IdedExpr, others: Option<Kind>, kind: Kind) -> Kind {
        let Some(others) = others else { return kind };
        if self.known.assign(&others, &kind) {
            return others.looser_of(kind);
        }
        self.mismatch(self.id(expression), &others, &kind)
    }

    fn comprehension(&mut self, loops: &ComprehensionExpr) -> Kind {
        let range = self.check(&loops.iter_range);
        let range = self.resolved(&range);
        let start = self.check(&loops.accu_init);
        let visited = self.visited(
            &range,
            self.id(&loops.iter_range),
            loops.iter_var2.is_some(),
        );
        let depth = self.scope.len();
        self.scope.push((loops.accu_var.clone(), start.clone()));
        let outer = self.scope.len();
        self.scope.push((loops.iter_var.clone(), visited.0));
        if let Some(second) = &loops.iter_var2 {
            self.scope.push((second.clone(), visited.1));
        }
        for (part, wanted) in [
            (&loops.loop_cond, &Kind::plain("bool")),
            (&loops.loop_step, &start),
        ] {
            let kind = self.check(part);
            if !self.known.assign(&kind, wanted) {
                let (wanted, kind) = (self.resolved(wanted), self.resolved(&kind));
                self.mismatch(self.id(part), &wanted, &kind);
            }
        }
        self.scope.truncate(outer);
        let result = self.check(&loops.result);
        self.scope.truncate(depth);
        self.resolved(&result)
    }

    /// The types of the variables that go over a range.
    fn visited(&mut self, range: &Kind, at: u64, has_two: bool) -> (Kind, Kind) {
        match range {
            Kind::Named(name, inner) => match (&**name, inner.as_slice(), has_two) {
                ("list", [element], false) => (element.clone(), Kind::Error),
                ("list", [element], true) => (Kind::plain("int"), element.clone()),
                ("map", [key, value], _) => (key.clone(), value.clone()),
                _ => self.no_range(range, at),
            },
            Kind::Variable(_) => {
                self.known.assign(&Kind::Dyn, range);
                (Kind::Dyn, Kind::Dyn)
            }
            loose if loose.is_loose() => (Kind::Dyn, Kind::Dyn),
            _ => self.no_range(range, at),
        }
    }

    fn no_range(&mut self, range: &Kind, at: u64) -> (Kind, Kind) {
        let why = format!(
            "expression of type '{range}' cannot be range of a comprehension (must be list, map, \
             or dynamic)"
        );
        self.faults.push((at, why));
        (Kind::Error, Kind::Error)
    }
}

fn of_literal(literal: &LiteralValue) -> Kind {
    Kind::plain(match literal {
        LiteralValue::Boolean(_) => "bool",
        LiteralValue::Bytes(_) => "bytes",
        LiteralValue::Double(_) => "double",
        LiteralValue::Int(_) => "int",
        LiteralValue::String(_) => "string",
        LiteralValue::UInt(_) => "uint",
        LiteralValue::Null => return Kind::Null,
    })
}
