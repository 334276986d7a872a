//! Schemas of what schemars does not know: Kubernetes' times, durations, selectors, byte strings.

use schemars::{Schema, SchemaGenerator, json_schema};

/// RFC 3339, required.
pub(crate) fn required_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time"})
}

/// Base64, as Go's `[]byte`.
pub(crate) fn bytes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "byte", "nullable": true})
}

/// Go's duration, as `metav1.Duration`: `300ms`, `10s`, `1m30s`.
pub(crate) fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "nullable": true,
        "maxLength": 32,
        "pattern": r"^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$"
    })
}

/// An object of any shape.
pub(crate) fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "nullable": true,
        "x-kubernetes-preserve-unknown-fields": true
    })
}

/// A list of conditions, keyed by type so that each has its own owner (KEP-1623).
pub(crate) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 32,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status"],
            "properties": {
                "type": {"type": "string", "maxLength": 316},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
                "reason": {"type": "string", "maxLength": 1024, "nullable": true},
                "message": {"type": "string", "maxLength": 32768, "nullable": true},
                "observedGeneration": {"type": "integer", "format": "int64", "nullable": true},
                "lastProbeTime": {"type": "string", "format": "date-time", "nullable": true},
                "lastUpdateTime": {"type": "string", "format": "date-time", "nullable": true},
                "lastTransitionTime": {"type": "string", "format": "date-time", "nullable": true}
            }
        }
    })
}
