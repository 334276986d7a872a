//! Which form of an answer a client accepts.
//!
//! | entry of `Accept` | form |
//! |---|---|
//! | `application/json` or nothing | the objects |
//! | `application/json;as=Table;g=meta.k8s.io;v=v1` | a table with the kind's columns |
//! | `…;as=PartialObjectMetadata…` | metadata alone |
//! | `…;as=APIGroupDiscoveryList;g=apidiscovery.k8s.io;v=v2` | aggregated discovery |
//! | `application/yaml` | the objects as YAML |

use super::decode::media_type;
use crate::status::Status;

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The objects themselves.
    Whole,
    /// The objects as YAML.
    Yaml,
    /// `meta.k8s.io` Table.
    Table,
    /// `meta.k8s.io` PartialObjectMetadata or its list.
    Metadata,
    /// Aggregated discovery, version 2.
    Discovery,
    /// Aggregated discovery, version 2beta1.
    DiscoveryBeta,
}

/// The first form of `Accept` that there is.
pub(crate) fn form(accept: &str) -> Result<Form, Status> {
    if accept.trim().is_empty() {
        return Ok(Form::Whole);
    }
    accept
        .split(',')
        .find_map(form_of_entry)
        .ok_or_else(not_acceptable)
}

fn not_acceptable() -> Status {
    let message = "406: Not Acceptable\n\nAvailable representations: application/json, \
                   application/yaml, application/json;stream=watch";
    let mut status = Status::plain(406, "NotAcceptable", message);
    status.details = Some(Box::default());
    status
}

/// The first form of `Accept` for kinds that have neither table nor metadata form.
pub(crate) fn discovery_form(accept: &str) -> Form {
    accept
        .split(',')
        .find_map(|entry| match form_of_entry(entry) {
            Some(Form::Table | Form::Metadata) | None => None,
            form => form,
        })
        .unwrap_or(Form::Whole)
}

fn form_of_entry(entry: &str) -> Option<Form> {
    let parameter = |key: &str| {
        entry.split(';').skip(1).find_map(|part| {
            let (name, value) = part.trim().split_once('=')?;
            (name.trim() == key).then(|| value.trim())
        })
    };
    let is_yaml = match media_type(entry) {
        "application/json" | "*/*" | "application/*" => false,
        "application/yaml" => true,
        _ => return None,
    };
    match (parameter("as"), parameter("g"), parameter("v")) {
        (None, _, _) if is_yaml => Some(Form::Yaml),
        (None, _, _) => Some(Form::Whole),
        (Some("Table"), Some("meta.k8s.io"), Some("v1")) => Some(Form::Table),
        (
            Some("PartialObjectMetadata" | "PartialObjectMetadataList"),
            Some("meta.k8s.io"),
            Some("v1"),
        ) => Some(Form::Metadata),
        (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2")) => {
            Some(Form::Discovery)
        }
        (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2beta1")) => {
            Some(Form::DiscoveryBeta)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(accept: &str, expected: Form) {
        assert_eq!(form(accept).unwrap(), expected, "{accept}");
    }

    #[test]
    fn the_first_known_entry_counts() {
        check("", Form::Whole);
        check("*/*", Form::Whole);
        check(
            "application/vnd.kubernetes.protobuf, application/json",
            Form::Whole,
        );
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
        check(kubectl, Form::Table);
        let old = "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        check(old, Form::Whole);
        let metadata = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        check(metadata, Form::Metadata);
        assert_eq!(form("text/html").unwrap_err().code, 406);
    }
}
