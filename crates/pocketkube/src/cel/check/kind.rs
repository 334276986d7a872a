//! Types of expressions, and which may stand for which (`cel-go/checker/types.go`).

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Display};
use std::sync::Arc;

/// The type of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// Of something that was refused already.
    Error,
    /// Known at run time alone.
    Dyn,
    Null,
    /// `int`, `list(string)`, `kubernetes.Quantity`.
    Named(Arc<str>, Vec<Kind>),
    /// An object of a schema.
    Object(Arc<Fields>),
    /// What a function takes of any type.
    Parameter(char),
    /// What is not known yet.
    Variable(usize),
}

/// The fields of an object, by the names that expressions use.
#[derive(Debug)]
pub(crate) struct Fields {
    pub(crate) name: String,
    pub(crate) fields: BTreeMap<String, Kind>,
}

/// Objects are of one type where they have one name.
impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Kind {
    pub(crate) fn plain(name: &str) -> Self {
        Self::Named(name.into(), Vec::new())
    }

    pub(crate) fn of(name: &str, inner: Self) -> Self {
        Self::Named(name.into(), vec![inner])
    }

    pub(crate) fn map(key: Self, value: Self) -> Self {
        Self::Named("map".into(), vec![key, value])
    }

    pub(super) fn is_loose(&self) -> bool {
        matches!(self, Self::Dyn | Self::Error)
    }

    /// What an optional holds.
    pub(super) fn held(&self) -> Option<&Self> {
        match self {
            Self::Named(name, inner) if &**name == "optional_type" => inner.first(),
            _ => None,
        }
    }

    /// Whether null may stand for it.
    fn is_nullable(&self) -> bool {
        match self {
            Self::Null | Self::Object(_) => true,
            // Types of libraries may be null as well.
            Self::Named(name, _) => {
                matches!(&**name, "duration" | "timestamp" | "any" | "optional_type")
                    || name.contains('.')
            }
            _ => false,
        }
    }

    /// Whether it says no more than another.
    fn is_looser(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dyn | Self::Variable(_), _) => true,
            (_, Self::Dyn | Self::Variable(_)) => false,
            (Self::Named(one, inner), Self::Named(other, others)) if one == other => {
                let mut pairs = inner.iter().zip(others);
                &**one == "type" || pairs.all(|(one, other)| one.is_looser(other))
            }
            _ => self == other,
        }
    }

    pub(super) fn looser_of(self, other: Self) -> Self {
        match self.is_looser(&other) {
            true => self,
            false => other,
        }
    }

    /// With what parameters stand for.
    pub(super) fn with(&self, parameters: &BTreeMap<char, Self>) -> Self {
        match self {
            Self::Parameter(letter) => parameters.get(letter).cloned().unwrap_or(Self::Dyn),
            Self::Named(name, inner) => {
                let inner = inner.iter().map(|kind| kind.with(parameters));
                Self::Named(Arc::clone(name), inner.collect())
            }
            other => other.clone(),
        }
    }
}

/// As the server's messages name it.
impl Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error => out.write_str("!error!"),
            Self::Dyn | Self::Variable(_) | Self::Parameter(_) => out.write_str("dyn"),
            Self::Null => out.write_str("null"),
            Self::Object(fields) => out.write_str(&fields.name),
            Self::Named(name, inner) if inner.is_empty() => out.write_str(name),
            Self::Named(name, inner) => write!(out, "{name}({})", listed(inner)),
        }
    }
}

pub(super) fn listed(kinds: &[Kind]) -> String {
    let names: Vec<String> = kinds.iter().map(Kind::to_string).collect();
    names.join(", ")
}

/// What is known of variables.
#[derive(Debug, Clone, Default)]
pub(super) struct Known(HashMap<usize, Kind>);

impl Known {
    /// A type with what is known put in; what is not is `dyn` where that is asked for.
    pub(super) fn resolved(&self, kind: &Kind, unknown: Unknown) -> Kind {
        match kind {
            Kind::Variable(number) => match (self.0.get(number), unknown) {
                (Some(known), _) => self.resolved(known, unknown),
                (None, Unknown::Dyn) => Kind::Dyn,
                (None, Unknown::Kept) => kind.clone(),
            },
            Kind::Named(name, inner) => {
                let inner = inner.iter().map(|kind| self.resolved(kind, unknown));
                Kind::Named(Arc::clone(name), inner.collect())
            }
            other => other.clone(),
        }
    }

    /// Whether values of one type may stand where another is wanted; what follows for variables is
    /// remembered then.
    pub(super) fn assign(&mut self, given: &Kind, wanted: &Kind) -> bool {
        self.assign_all(std::slice::from_ref(given), std::slice::from_ref(wanted))
    }

    pub(super) fn assign_all(&mut self, given: &[Kind], wanted: &[Kind]) -> bool {
        let mut attempt = self.clone();
        let fits = attempt.all_fit(given, wanted);
        if fits {
            *self = attempt;
        }
        fits
    }

    fn all_fit(&mut self, given: &[Kind], wanted: &[Kind]) -> bool {
        given.len() == wanted.len()
            && (given.iter().zip(wanted)).all(|(given, wanted)| self.fits(given, wanted))
    }

    fn fits(&mut self, given: &Kind, wanted: &Kind) -> bool {
        if let Kind::Variable(number) = wanted {
            match self.bind(*number, given) {
                Bound::Yes => return true,
                Bound::Otherwise => return false,
                Bound::No => {}
            }
        }
        if let Kind::Variable(number) = given {
            return self.bind(*number, wanted) == Bound::Yes;
        }
        match (given, wanted) {
            _ if given.is_loose() || wanted.is_loose() => true,
            (Kind::Null, other) | (other, Kind::Null) => other.is_nullable(),
            (Kind::Named(one, inner), Kind::Named(other, others)) if one == other => {
                &**one == "type" || self.all_fit(inner, others)
            }
            (Kind::Object(one), Kind::Object(other)) => one == other,
            _ => false,
        }
    }

    /// Has a variable stand for a type, if it can.
    fn bind(&mut self, variable: usize, kind: &Kind) -> Bound {
        if *kind == Kind::Variable(variable) {
            return Bound::Yes;
        }
        let Some(known) = self.0.get(&variable).cloned() else {
            if self.mentions(kind, variable) {
                return Bound::No;
            }
            self.0.insert(variable, kind.clone());
            return Bound::Yes;
        };
        if known == *kind {
            return Bound::Yes;
        }
        if !self.fits(kind, &known) {
            return Bound::Otherwise;
        }
        let looser = kind.clone().looser_of(known);
        if !self.mentions(&looser, variable) {
            self.0.insert(variable, looser);
        }
        Bound::Yes
    }

    fn mentions(&self, kind: &Kind, variable: usize) -> bool {
        match kind {
            Kind::Variable(number) if *number == variable => true,
            Kind::Variable(number) => {
                (self.0.get(number)).is_some_and(|known| self.mentions(&known.clone(), variable))
            }
            Kind::Named(_, inner) => inner.iter().any(|kind| self.mentions(kind, variable)),
            _ => false,
        }
    }
}

/// What becomes of variables that stand for nothing yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    Kept,
    Dyn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Yes,
    No,
    /// It stands for another type already.
    Otherwise,
}
