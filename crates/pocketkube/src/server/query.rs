//! Query parameters and delete bodies, read and checked as the real server does.

use super::path::percent_decoded;
use crate::cluster::{
    Admission, DeleteOptions, DryRun, FieldValidation, Force, Preconditions, Propagation,
    WriteOptions,
};
use crate::status::{Cause, Details, Status};
use serde_json::Value;
use std::collections::BTreeMap;
use std::num::IntErrorKind;

/// The parameters of a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    values: BTreeMap<String, Vec<String>>,
}

/// How exactly a list must be of the version asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VersionMatch {
    /// At least that version; the default.
    NotOlderThan,
    /// That very version.
    Exact,
}

impl Query {
    /// Reads `a=b&c`.
    pub(crate) fn parse(text: Option<&str>) -> Self {
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for part in text
            .unwrap_or_default()
            .split('&')
            .filter(|part| !part.is_empty())
        {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let plain = |text: &str| percent_decoded(&text.replace('+', " "));
            values.entry(plain(key)).or_default().push(plain(value));
        }
        Self { values }
    }

    /// The first value of a parameter, empty when absent.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.values
            .get(key)
            .and_then(|all| all.first())
            .map_or("", String::as_str)
    }

    /// A switch: present and neither `false` nor `0`, as Go reads it.
    pub(crate) fn is_on(&self, key: &str) -> bool {
        self.values
            .get(key)
            .and_then(|all| all.first())
            .is_some_and(|value| !matches!(value.to_ascii_lowercase().as_str(), "false" | "0"))
    }

    /// Whether a parameter is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// A number, where there is one; what is below zero sets no limit.
    pub(crate) fn number(&self, key: &str) -> Result<Option<u64>, Status> {
        let number = self.integer(key)?;
        Ok(number.and_then(|number| u64::try_from(number).ok()))
    }

    fn integer(&self, key: &str) -> Result<Option<i64>, Status> {
        if !self.has(key) {
            return Ok(None);
        }
        let text = self.text(key);
        let number = text.parse::<i64>().map_err(|problem| {
            let why = match problem.kind() {
                IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
                _ => "invalid syntax",
            };
            Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: {why}"))
        })?;
        Ok(Some(number))
    }

    /// `resourceVersion`, where there is one; what is wrong with it is an error inside the server,
    /// as upstream has it.
    pub(crate) fn resource_version(&self) -> Result<Option<u64>, Status> {
        match self.text("resourceVersion") {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                let message = format!(
                    "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing \
                     {text:?}: invalid syntax"
                );
                Status::plain(500, "", message)
            }),
        }
    }

    /// `resourceVersion` of a list.
    pub(crate) fn list_version(&self) -> Result<Option<u64>, Status> {
        self.resource_version().map_err(|status| {
            Status::bad_request(format!("invalid resource version: {}", status.message))
        })
    }

    /// Checks the options of a list or watch
    /// (`k8s.io/apimachinery/pkg/apis/meta/internalversion/validation`).
    pub(crate) fn check_list(&self, is_watch: bool) -> Result<(), Status> {
        let causes = if is_watch {
            self.watch_causes()
        } else {
            self.list_causes()
        };
        invalid_options("ListOptions", causes)
    }

    /// How exactly a list must be of the version asked for.
    pub(crate) fn version_match(&self) -> VersionMatch {
        match self.text("resourceVersionMatch") {
            "Exact" => VersionMatch::Exact,
            // Pages of a list with a version are of that very version.
            "" if !self.text("limit").is_empty() && self.has("resourceVersion") => {
                match self.text("resourceVersion") {
                    "" | "0" => VersionMatch::NotOlderThan,
                    _ => VersionMatch::Exact,
                }
            }
            _ => VersionMatch::NotOlderThan,
        }
    }

    /// The options of a write; `kind` is the one that errors name, for instance `CreateOptions`.
    pub(crate) fn write_options(&self, kind: &str) -> Result<WriteOptions, Status> {
        self.checked_options(kind, Vec::new())
    }

    /// The options of a patch; only an apply has `force`.
    pub(crate) fn patch_options(&self, media_type: &str) -> Result<WriteOptions, Status> {
        let mut causes = Vec::new();
        if self.has("force") && media_type != "application/apply-patch+yaml" {
            let why = "may not be specified for non-apply patch";
            causes.push(Cause::forbidden("force", why));
        }
        self.checked_options("PatchOptions", causes)
    }

    fn checked_options(&self, kind: &str, mut causes: Vec<Cause>) -> Result<WriteOptions, Status> {
        let dry_run = self.dry_run(&mut causes);
        let manager = self.text("fieldManager");
        if manager.len() > 128 {
            causes.push(Cause::new(
                "FieldValueTooLong",
                "fieldManager",
                "Too long: may not be more than 128 bytes",
            ));
        }
        causes.extend(unprintable(manager));
        let field_validation = match self.text("fieldValidation") {
            "" | "Warn" => FieldValidation::Warn,
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            other => {
                let allowed = ["", "Ignore", "Strict", "Warn"];
                causes.push(Cause::unsupported(
                    "fieldValidation",
                    &other.into(),
                    &allowed,
                ));
                FieldValidation::Warn
            }
        };
        invalid_options(kind, causes)?;
        Ok(WriteOptions {
            dry_run,
            field_validation,
            admission: Admission::Asked,
        })
    }

    /// The options of an apply besides those of a write.
    pub(crate) fn force(&self) -> Force {
        if self.is_on("force") {
            Force::On
        } else {
            Force::Off
        }
    }

    /// The options of a deletion, from the body where there is one, else from the parameters.
    pub(crate) fn delete_options(&self, body: Option<&Value>) -> Result<DeleteOptions, Status> {
        let mut causes = Vec::new();
        let mut options = DeleteOptions {
            dry_run: self.dry_run(&mut causes),
            admission: Admission::Asked,
            ..DeleteOptions::default()
        };
        let empty = Value::Null;
        let body = body.unwrap_or(&empty);
        check_delete_kind(body)?;
        if let Some(all) = body["dryRun"].as_array()
            && all.iter().any(|entry| entry == "All")
        {
            options.dry_run = DryRun::All;
        }
        options.grace_period_secs = match body["gracePeriodSeconds"].as_i64() {
            Some(period) => Some(period),
            None => self.integer("gracePeriodSeconds")?,
        };
        let policy = match body["propagationPolicy"].as_str() {
            Some(policy) => policy,
            None => self.text("propagationPolicy"),
        };
        let orphans = body["orphanDependents"].as_bool().or_else(|| {
            let asked = self.has("orphanDependents");
            asked.then(|| self.is_on("orphanDependents"))
        });
        options.propagation = match (policy, orphans) {
            ("", Some(true)) => Some(Propagation::Orphan),
            ("", Some(false)) => Some(Propagation::Background),
            ("", None) => None,
            ("Orphan", _) => Some(Propagation::Orphan),
            ("Background", _) => Some(Propagation::Background),
            ("Foreground", _) => Some(Propagation::Foreground),
            (other, _) => {
                let allowed = ["Foreground", "Background", "Orphan", "nil"];
                causes.push(Cause::unsupported(
                    "propagationPolicy",
                    &other.into(),
                    &allowed,
                ));
                None
            }
        };
        if !policy.is_empty() && orphans.is_some() {
            let why = "orphanDependents and deletionPropagation cannot be both set";
            causes.push(Cause::invalid("propagationPolicy", &policy.into(), why));
        }
        let wanted = &body["preconditions"];
        options.preconditions = Preconditions {
            uid: wanted["uid"].as_str().map(str::to_owned),
            resource_version: wanted["resourceVersion"].as_str().map(str::to_owned),
        };
        invalid_options("DeleteOptions", causes)?;
        Ok(options)
    }

    fn dry_run(&self, causes: &mut Vec<Cause>) -> DryRun {
        let Some(all) = self.values.get("dryRun") else {
            return DryRun::Off;
        };
        if all.iter().any(|value| value != "All") {
            let shown: Value = all
                .iter()
                .map(|value| Value::from(value.as_str()))
                .collect();
            causes.push(Cause::unsupported("dryRun", &shown, &["All"]));
        }
        DryRun::All
    }

    fn list_causes(&self) -> Vec<Cause> {
        let mut causes = Vec::new();
        let matching = self.text("resourceVersionMatch");
        let mut forbid = |field: &str, why: &str| causes.push(Cause::forbidden(field, why));
        if !matching.is_empty() {
            if self.text("resourceVersion").is_empty() {
                let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
                forbid("resourceVersionMatch", why);
            }
            if !self.text("continue").is_empty() {
                let why = "resourceVersionMatch is forbidden when continue is provided";
                forbid("resourceVersionMatch", why);
            }
            if matching == "Exact" && self.text("resourceVersion") == "0" {
                let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
                forbid("resourceVersionMatch", why);
            }
        }
        if !matches!(matching, "" | "Exact" | "NotOlderThan") {
            let allowed = ["Exact", "NotOlderThan", ""];
            causes.push(Cause::unsupported(
                "resourceVersionMatch",
                &matching.into(),
                &allowed,
            ));
        }
        if self.has("sendInitialEvents") {
            let why = "sendInitialEvents is forbidden for list";
            causes.push(Cause::forbidden("sendInitialEvents", why));
        }
        causes
    }

    fn watch_causes(&self) -> Vec<Cause> {
        let mut causes = Vec::new();
        let matching = self.text("resourceVersionMatch");
        let has_initial = self.has("sendInitialEvents");
        if has_initial && matching != "NotOlderThan" {
            let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            causes.push(Cause::forbidden("resourceVersionMatch", why));
        }
        if !matching.is_empty() {
            if !has_initial {
                let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents \
                           is provided";
                causes.push(Cause::forbidden("resourceVersionMatch", why));
            }
            if matching != "NotOlderThan" {
                let allowed = ["NotOlderThan"];
                let given = matching.into();
                causes.push(Cause::unsupported("resourceVersionMatch", &given, &allowed));
            }
            if !self.text("continue").is_empty() {
                let why = "resourceVersionMatch is forbidden when continue is provided";
                causes.push(Cause::forbidden("resourceVersionMatch", why));
            }
        }
        causes
    }
}

/// The first character that a manager's name may not have.
fn unprintable(manager: &str) -> Option<Cause> {
    let (place, found) = manager
        .char_indices()
        .find(|(_, found)| !is_printable(*found))?;
    let shown: String = manager
        .chars()
        .map(|each| match each {
            '\n' => "\\n".to_owned(),
            '\t' => "\\t".to_owned(),
            '\r' => "\\r".to_owned(),
            '"' | '\\' => format!("\\{each}"),
            each if is_printable(each) => each.to_string(),
            each => match u32::from(each) {
                number @ 0..=0x7f => format!("\\x{number:02x}"),
                number @ 0x80..=0xffff => format!("\\u{number:04x}"),
                number => format!("\\U{number:08x}"),
            },
        })
        .collect();
    let number = u32::from(found);
    let why = format!("invalid character U+{number:04X} (at position {place})");
    let message = format!("Invalid value: \"{shown}\": {why}");
    Some(Cause::new("FieldValueInvalid", "fieldManager", message))
}

/// Go's `unicode.IsPrint`: neither a control nor a format character, nor any space but the plain one.
fn is_printable(found: char) -> bool {
    // A mark is escaped only where it stands first.
    let escaped = format!("a{found}").escape_debug().to_string();
    !found.is_control() && !escaped.contains("\\u{")
}

/// 400 for a body that says it is something else than `DeleteOptions`.
fn check_delete_kind(body: &Value) -> Result<(), Status> {
    let kind = body["kind"].as_str().unwrap_or_default();
    if matches!(kind, "" | "DeleteOptions") {
        return Ok(());
    }
    let version = body["apiVersion"].as_str().unwrap_or_default();
    Err(Status::bad_request(format!(
        "no kind {kind:?} is registered for version {version:?} in scheme \
         \"k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27\""
    )))
}

fn invalid_options(kind: &str, causes: Vec<Cause>) -> Result<(), Status> {
    if causes.is_empty() {
        Ok(())
    } else {
        Err(invalid(kind, causes))
    }
}

/// 422 about options.
pub(crate) fn invalid(kind: &str, causes: Vec<Cause>) -> Status {
    let lines: Vec<String> = causes
        .iter()
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect();
    let listed = match lines.as_slice() {
        [one] => one.clone(),
        more => format!("[{}]", more.join(", ")),
    };
    let details = Details {
        group: "meta.k8s.io".to_owned(),
        kind: kind.to_owned(),
        causes,
        ..Details::default()
    };
    Status {
        code: 422,
        reason: "Invalid",
        message: format!("{kind}.meta.k8s.io \"\" is invalid: {listed}"),
        details: Some(Box::new(details)),
    }
}
