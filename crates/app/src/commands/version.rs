//! `meridian version`: which version this is.

use crate::cli::{self, Output};
use crate::output;
use anyhow::Result;
use serde_json::json;

/// Prints it.
///
/// # Errors
/// None for what is JSON.
pub(crate) fn print(args: &cli::Version) -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    if args.output == Output::Table {
        output::print(&format!("meridian {version}\n"));
        return Ok(());
    }
    output::structured(
        args.output,
        &json!({"name": "meridian", "version": version}),
    )
}
