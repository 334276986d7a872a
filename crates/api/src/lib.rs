//! The custom resources: structs, schemas, validation, conversion.
