//! The geographic data of a process: files that the operator names, or what the binary carries.
//!
//! # Guarantees
//! A file that changes is read anew within [`LOOK_AGAIN`], away from whoever answers; one that does not
//! read then leaves what was there, and a metric counts it.
//! # Assumptions
//! A file is replaced, not written in place; half of one is read as broken, and again when it is whole.

use anyhow::{Context, Result};
use geo::{Countries, Database, DatabaseFile, RegionLocations};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use steering::{Event, Line};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

/// Between two looks at the files. They are mounted as links that change, which no notice tells.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// The operator's files.
#[derive(Clone, Debug, Default)]
pub(crate) struct GeoFiles {
    /// Databases; the built-in one when empty.
    pub(crate) databases: Vec<PathBuf>,
    /// Lines: names for lists of autonomous systems and prefixes.
    pub(crate) lines: Option<PathBuf>,
}

/// A line as its file has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedLine {
    #[serde(default)]
    asn: BTreeSet<u32>,
    #[serde(default)]
    networks: Vec<ipnet::IpNet>,
}

impl GeoFiles {
    /// Reads everything, as events of the engine.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub(crate) fn read(&self, countries: &Countries) -> Result<Vec<Event>> {
        let mut events = vec![Event::Database(database(&self.databases, countries)?)];
        if let Some(path) = &self.lines {
            events.push(Event::Lines(lines(path)?));
        }
        Ok(events)
    }

    /// What tells that a file is another than before.
    fn stamps(&self) -> Vec<Option<(SystemTime, u64)>> {
        let stamp = |path: &PathBuf| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        self.databases
            .iter()
            .chain(&self.lines)
            .map(stamp)
            .collect()
    }
}

/// Reads the files anew whenever they change, until nobody takes events.
pub(crate) async fn follow(
    files: GeoFiles,
    countries: Countries,
    events: mpsc::Sender<Event>,
    failures: Counter,
) {
    let countries = Arc::new(countries);
    let mut known = files.stamps();
    let mut look = interval(LOOK_AGAIN);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !events.is_closed() {
        look.tick().await;
        let now = files.stamps();
        if now == known {
            continue;
        }
        known = now;
        let (files, countries) = (files.clone(), Arc::clone(&countries));
        let reading = tokio::task::spawn_blocking(move || files.read(&countries));
        match reading.await {
            Ok(Ok(read)) => {
                tracing::info!("geographic files were read anew");
                for event in read {
                    if events.send(event).await.is_err() {
                        return;
                    }
                }
            }
            Ok(Err(why)) => {
                failures.inc();
                tracing::warn!(why = format!("{why:#}"), "what was read before stays");
            }
            Err(why) => tracing::error!(%why, "reading geographic files ended"),
        }
    }
}

/// The metric of files that did not read.
pub(crate) fn failures(registry: &mut Registry) -> Counter {
    let failures = Counter::default();
    let help = "Geographic files that changed and did not read; what was read before stays";
    registry.register("meridian_geo_reload_failures", help, failures.clone());
    failures
}

fn lines(path: &Path) -> Result<BTreeMap<String, Line>> {
    let what = || format!("--geo-lines {}", path.display());
    let text = std::fs::read_to_string(path).with_context(what)?;
    let read: BTreeMap<String, NamedLine> = serde_saphyr::from_str(&text).with_context(what)?;
    let line = |line: NamedLine| Line {
        systems: line.asn,
        networks: line.networks,
    };
    Ok(read
        .into_iter()
        .map(|(name, it)| (name, line(it)))
        .collect())
}

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

    #[test]
    fn lines_are_names_for_systems_and_prefixes_and_a_misspelled_field_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("lines.yaml");
        let text = "telecom: {asn: [4134, 4812], networks: [202.96.0.0/12]}\n";
        std::fs::write(&file, text).expect("written");
        let read = lines(&file).expect("right");
        assert_eq!(read["telecom"].systems.len(), 2);
        std::fs::write(&file, "telecom: {asns: [1]}\n").expect("written");
        let error = format!("{:#}", lines(&file).expect_err("misspelled"));
        assert!(
            error.contains("lines.yaml") && error.contains("asns"),
            "{error}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_changes_is_read_anew_and_one_that_breaks_leaves_what_was_there() {
        let (countries, _) = places().expect("the tables are whole");
        let folder = tempfile::tempdir().expect("a folder");
        let (file, database) = (
            folder.path().join("lines.yaml"),
            folder.path().join("c.mmdb"),
        );
        std::fs::write(&file, "one: {asn: [1]}\n").expect("written");
        std::fs::write(&database, BUILT_IN[0].bytes).expect("written");
        let files = GeoFiles {
            databases: vec![database.clone()],
            lines: Some(file.clone()),
        };
        let (sender, mut events) = mpsc::channel(8);
        let failures = Counter::default();
        let following = tokio::spawn(follow(files, countries, sender, failures.clone()));
        tokio::task::yield_now().await;
        std::fs::write(&file, "one: {asn: [1]}\ntwo: {asn: [2]}\n").expect("written");
        assert!(matches!(events.recv().await, Some(Event::Database(_))));
        let Some(Event::Lines(lines)) = events.recv().await else {
            panic!("lines follow");
        };
        assert_eq!(lines.len(), 2);
        std::fs::write(&database, "half").expect("written");
        while failures.get() == 0 {
            tokio::time::advance(LOOK_AGAIN).await;
            tokio::task::yield_now().await;
        }
        assert!(events.try_recv().is_err(), "nothing is taken back");
        following.abort();
    }
}
