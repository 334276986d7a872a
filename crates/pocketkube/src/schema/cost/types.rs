//! The types of expressions, as far as costs depend on them.

use super::declared::{Declared, Shape};

/// The type of an expression.
#[derive(Debug, Clone)]
pub(super) enum Type<'a> {
    /// Known at run time alone.
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    Duration,
    Timestamp,
    /// A type as a value.
    Named,
    List(Box<Type<'a>>),
    Map(Box<Type<'a>>, Box<Type<'a>>),
    Object(&'a Declared),
    Optional(Box<Type<'a>>),
    /// A type of a library.
    Library(Library),
}

/// Types that functions make of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Library {
    Url,
    Ip,
    Cidr,
    Quantity,
    Semver,
    Format,
}

impl<'a> Type<'a> {
    /// The type of values of a schema.
    pub(super) fn of(declared: &'a Declared) -> Self {
        match &declared.shape {
            Shape::Dyn => Self::Dyn,
            Shape::Bool => Self::Bool,
            Shape::Int => Self::Int,
            Shape::Double => Self::Double,
            Shape::Text => Self::Text,
            Shape::Bytes => Self::Bytes,
            Shape::Duration => Self::Duration,
            Shape::Timestamp => Self::Timestamp,
            Shape::List(element) => Self::list(Self::of(element)),
            Shape::Map(value) => Self::Map(Box::new(Self::Text), Box::new(Self::of(value))),
            Shape::Object(_) => Self::Object(declared),
        }
    }

    pub(super) fn list(element: Self) -> Self {
        Self::List(Box::new(element))
    }

    pub(super) fn optional(inner: Self) -> Self {
        match inner {
            Self::Optional(_) => inner,
            inner => Self::Optional(Box::new(inner)),
        }
    }

    /// The type of a field.
    pub(super) fn field(&self, name: &str) -> Self {
        match self {
            Self::Object(Declared {
                shape: Shape::Object(fields),
                ..
            }) => fields.get(name).map_or(Self::Dyn, Self::of),
            Self::Map(_, value) => (**value).clone(),
            Self::Optional(inner) => Self::optional(inner.field(name)),
            _ => Self::Dyn,
        }
    }

    /// The type of what an index finds.
    pub(super) fn element(&self) -> Self {
        match self {
            Self::List(element) => (**element).clone(),
            Self::Map(_, value) => (**value).clone(),
            Self::Optional(inner) => inner.element(),
            _ => Self::Dyn,
        }
    }

    /// The type of a variable that goes over such a value.
    pub(super) fn visited(&self) -> Self {
        match self {
            Self::List(element) => (**element).clone(),
            Self::Map(key, _) => (**key).clone(),
            _ => Self::Dyn,
        }
    }

    /// What an optional holds.
    pub(super) fn held(&self) -> Self {
        match self {
            Self::Optional(inner) => (**inner).clone(),
            _ => Self::Dyn,
        }
    }

    /// Whether all values are of one size.
    pub(super) fn is_scalar(&self) -> bool {
        match self {
            Self::Bool
            | Self::Int
            | Self::Uint
            | Self::Double
            | Self::Duration
            | Self::Timestamp => true,
            Self::Optional(inner) => inner.is_scalar(),
            _ => false,
        }
    }

    /// Whether it may be a text, a list or bytes at run time.
    pub(super) fn is_dyn(&self) -> bool {
        matches!(self, Self::Dyn)
    }

    /// Whether selecting a field of it costs something.
    pub(super) fn has_fields(&self) -> bool {
        matches!(
            self,
            Self::Map(..) | Self::Object(_) | Self::Library(Library::Quantity)
        )
    }

    /// The more telling of two types of one value: that of `[]` tells nothing of its elements.
    #[must_use]
    pub(super) fn or(self, other: Self) -> Self {
        match (&self, &other) {
            (Self::Dyn | Self::Null, _) => other,
            (Self::List(element), Self::List(_)) if element.is_dyn() => other,
            _ => self,
        }
    }
}
