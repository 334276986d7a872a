//! The geographic data of a process: files that the operator names, or what the binary carries.

use anyhow::{Context, Result};
use geo::{Countries, Database, DatabaseFile, RegionLocations};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Centroids of countries, in `geo/`.
const COUNTRIES: &str = include_str!("../../../geo/countries.csv");
/// Coordinates of cloud regions, in `geo/`.
const REGIONS: &str = include_str!("../../../geo/regions.csv");
/// The country database that needs no download, in `geo/`.
const BUILT_IN: [DatabaseFile<'static>; 2] = [
    DatabaseFile {
        name: "built-in country database, IPv4",
        bytes: include_bytes!("../../../geo/iptoasn-country-ipv4.mmdb"),
    },
    DatabaseFile {
        name: "built-in country database, IPv6",
        bytes: include_bytes!("../../../geo/iptoasn-country-ipv6.mmdb"),
    },
];

/// Where countries and cloud regions are.
///
/// # Errors
/// The binary carries a broken table; a test shows that it does not.
pub(crate) fn places() -> Result<(Countries, RegionLocations)> {
    let countries = Countries::read("geo/countries.csv", COUNTRIES)?;
    let regions = RegionLocations::read("geo/regions.csv", REGIONS)?;
    Ok((countries, regions))
}

/// Reads the operator's databases, or the built-in one when none is named.
///
/// # Errors
/// Names the file and what is wrong with it.
pub(crate) fn database(files: &[PathBuf], countries: &Countries) -> Result<Arc<Database>> {
    if files.is_empty() {
        return Ok(Arc::new(Database::read(&BUILT_IN, countries)?));
    }
    let read = |path: &PathBuf| -> Result<(String, Vec<u8>)> {
        let bytes = std::fs::read(path).with_context(|| {
            format!(
                "cannot read the database {} of --geo-database",
                path.display()
            )
        })?;
        Ok((name(path), bytes))
    };
    let contents = files.iter().map(read).collect::<Result<Vec<_>>>()?;
    let files: Vec<DatabaseFile<'_>> = contents
        .iter()
        .map(|(name, bytes)| DatabaseFile { name, bytes })
        .collect();
    Ok(Arc::new(Database::read(&files, countries)?))
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_carries_data_that_knows_beijing_berlin_and_sao_paulo() {
        let (countries, _) = places().expect("the tables are whole");
        let database = database(&[], &countries).expect("the database is whole");
        for (address, country) in [
            ("202.96.0.1", "CN"),
            ("141.20.1.1", "DE"),
            ("200.144.248.1", "BR"),
        ] {
            let found = database.lookup(address.parse().expect("an address"));
            let code = found.place.country.expect("a country");
            assert_eq!(code.as_str(), country, "{address}");
        }
    }

    #[test]
    fn a_database_cut_short_is_named() {
        let (countries, _) = places().expect("the tables are whole");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("cut.mmdb");
        let whole = BUILT_IN[0].bytes;
        std::fs::write(&file, &whole[..whole.len() / 2]).expect("written");
        let error = format!(
            "{:#}",
            database(std::slice::from_ref(&file), &countries).expect_err("cut")
        );
        assert!(error.contains("cut.mmdb"), "{error}");
        let missing = folder.path().join("none.mmdb");
        let error = format!(
            "{:#}",
            database(&[missing], &countries).expect_err("missing")
        );
        assert!(
            error.contains("none.mmdb") && error.contains("--geo-database"),
            "{error}"
        );
    }
}
