//! Kinds: everything that differs between one kind and the next, as pure functions on objects.
//!
//! A [`Kind`] answers, for built-in and for custom kinds alike: how a body is decoded, which
//! defaults it gets, what a write may not change, what is wrong with it, which of its fields
//! selectors see, and which fields no field manager can own.

mod convert;
mod crd;
mod custom;
mod defaults;
mod documents;
mod facts;
mod hooks;
mod immutable;
mod lifecycle;
mod metadata;
mod openapi;
mod prepare;
pub(crate) mod selectors;
mod table_of_kinds;
mod validate;

pub use convert::convert;
#[cfg(test)]
pub(crate) mod recorded;

pub use custom::custom_kinds;
pub(crate) use custom::embedded_meta;
pub use documents::definitions;
pub(crate) use validate::{is_reached_from_outside, label_value_faults};

use crate::apply::FieldSet;
use crate::cluster::Part;
use crate::resource::{Origin, Resource};
use crate::schema::{self, Rules, Schema};
use crate::status::Cause;
use hooks::Hooks;
use serde_json::Value;
use std::sync::{Arc, OnceLock};

/// One served version of a kind, with everything that is particular to it.
#[derive(Debug)]
pub struct Kind {
    /// What discovery says of it.
    pub resource: Arc<Resource>,
    /// Subresources served besides `status` and `scale`: `binding`, `eviction`, `token`, …
    pub extra_subresources: Vec<&'static str>,
    hooks: &'static Hooks,
    schema: OnceLock<Arc<Schema>>,
    rules: Option<Rules>,
    selectable: Vec<String>,
    open_api: Option<Value>,
}

/// All built-in kinds, made once for the process and shared by all clusters.
pub fn built_in() -> &'static [Arc<Kind>] {
    static KINDS: OnceLock<Vec<Arc<Kind>>> = OnceLock::new();
    KINDS.get_or_init(table_of_kinds::build)
}

/// A built-in kind by the parts of its path.
pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Arc<Kind>> {
    built_in().iter().find(|kind| {
        let resource = &kind.resource;
        resource.plural == plural && resource.group == group && resource.version == version
    })
}

impl Kind {
    /// Its schema, built at first use.
    pub fn schema(&self) -> &Arc<Schema> {
        self.schema
            .get_or_init(|| openapi::schema_of(&self.resource))
    }

    /// Name of its OpenAPI definition, for instance `io.k8s.api.apps.v1.Deployment`.
    pub fn definition_name(&self) -> String {
        openapi::definition_name(&self.resource)
    }

    /// The OpenAPI schema of a custom kind, as its definition gives it.
    pub fn open_api(&self) -> Option<&Value> {
        self.open_api.as_ref()
    }

    /// Makes a body sent by a client an object of this kind: fields that nobody knows are dropped
    /// and returned as `unknown field "spec.foo"`, nulls and zero values are treated as the
    /// server's own types treat them.
    ///
    /// # Errors
    ///
    /// The message of the 400 that the server answers when a field has a wrong type (built-in
    /// kinds only; custom kinds say so in [`Kind::validate_create`]).
    pub fn decode(&self, object: &mut Value) -> Result<Vec<String>, String> {
        if self.is_custom() {
            let mut unknown = custom::decode_metadata(object).map_err(|why| self.unfit(&why))?;
            unknown.extend(schema::unknown_fields(self.schema(), object));
            schema::prune(self.schema(), object);
            schema::drop_null_defaults(self.schema(), object);
            return Ok(unknown);
        }
        schema::decode(self.schema(), object).map_err(|why| self.unfit(&why))
    }

    /// Fills in what the server defaults. Idempotent.
    pub fn default(&self, object: &mut Value) {
        if self.is_custom() {
            schema::fill_defaults(self.schema(), object);
        }
        (self.hooks.default)(object);
        if !self.is_custom() {
            schema::write_zeros(self.schema(), object);
        }
    }

    /// Prepares an object that is about to be created: status is dropped, generation set.
    pub fn prepare_create(&self, object: &mut Value) {
        lifecycle::prepare_create(self, object);
    }

    /// Changes what the server keeps by itself in an updated object; nobody owns that.
    pub fn finish_update(&self, part: Part, new: &mut Value, old: &Value) {
        lifecycle::finish_update(self, part, new, old);
    }

    /// Prepares an object that is about to replace `old`: parts that the request does not reach
    /// are taken from `old`, and generation moves when the spec does.
    pub fn prepare_update(&self, part: Part, new: &mut Value, old: &Value) {
        lifecycle::prepare_update(self, part, new, old);
    }

    /// What is wrong with a new object.
    pub fn validate_create(&self, object: &Value) -> Vec<Cause> {
        let mut causes = metadata::validate(self, object);
        self.validate_body(object, None, &mut causes);
        causes
    }

    /// What is wrong with a change.
    pub fn validate_update(&self, part: Part, new: &Value, old: &Value) -> Vec<Cause> {
        let mut causes = metadata::validate_update(self, new, old);
        match part {
            Part::Main => {
                self.validate_body(new, Some(old), &mut causes);
                (self.hooks.validate_update)(new, old, &mut causes);
            }
            Part::Status if self.is_custom() => self.validate_body(new, Some(old), &mut causes),
            Part::Status if self.resource.kind == "Service" => {
                validate::service_status(new, &mut causes);
            }
            Part::Status => {}
            Part::Scale => (self.hooks.validate)(new, &mut causes),
        }
        causes
    }

    /// The value of a field that field selectors may name; `None` when they may not.
    pub fn selectable(&self, object: &Value, label: &str) -> Option<String> {
        selectors::value(self, object, label)
    }

    /// Whether field selectors may name a field.
    pub fn has_selector(&self, label: &str) -> bool {
        selectors::known(self, label)
    }

    /// Fields that no manager can own by writing to a part.
    pub fn ignored(&self, part: Part) -> FieldSet {
        lifecycle::ignored(self, part)
    }

    /// Whether a CustomResourceDefinition defines it.
    pub fn is_custom(&self) -> bool {
        matches!(self.resource.origin, Origin::Custom { .. })
    }

    fn unfit(&self, why: &str) -> String {
        let (kind, version) = (&self.resource.kind, &self.resource.version);
        format!("{kind} in version {version:?} cannot be handled as a {kind}: {why}")
    }

    fn validate_body(&self, new: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
        if self.is_custom() {
            let found = schema::validate(self.schema(), new, old);
            let is_unfit = found.iter().any(hides_rules);
            causes.extend(found);
            causes.extend(custom::scale_faults(&self.resource, new));
            match &self.rules {
                Some(_) if is_unfit => causes.push(rules_not_checked()),
                Some(rules) => causes.extend(schema::validate_rules(rules, new, old)),
                None => {}
            }
        }
        (self.hooks.validate)(new, causes);
    }
}

/// Whether a fault is of the kind that rules cannot be evaluated on.
fn hides_rules(cause: &Cause) -> bool {
    const HIDING: [&str; 5] = [
        "FieldValueTypeInvalid",
        "FieldValueRequired",
        "FieldValueNotSupported",
        "FieldValueTooLong",
        "FieldValueTooMany",
    ];
    HIDING.contains(&cause.reason.as_str())
}

fn rules_not_checked() -> Cause {
    let why = "some validation rules were not checked because the object was invalid; correct the \
               existing errors to complete validation";
    Cause::invalid("<nil>", &Value::Null, why)
}
