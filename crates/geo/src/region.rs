//! Where cloud regions are.

use crate::{Error, Result, country::read_location};
use model::{Location, Region};
use std::collections::BTreeMap;

/// Coordinates and cities of regions that go by a known name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RegionLocations {
    regions: BTreeMap<Region, (String, Location)>,
}

impl RegionLocations {
    /// Reads `name,city,latitude,longitude` lines below a header.
    ///
    /// # Errors
    /// [`Error::Line`] with the first line that is wrong.
    pub fn read(file: &str, text: &str) -> Result<Self> {
        let mut regions = BTreeMap::new();
        for (number, line) in text.lines().enumerate().skip(1) {
            if line.is_empty() {
                continue;
            }
            let wrong = |reason: &str| Error::Line {
                file: file.to_owned(),
                line: number + 1,
                reason: reason.to_owned(),
            };
            let fields: Vec<_> = line.split(',').collect();
            let [name, city, latitude, longitude] = fields[..] else {
                return Err(wrong("not of the form name,city,latitude,longitude"));
            };
            let location = read_location(latitude, longitude)
                .ok_or_else(|| wrong("latitude or longitude is not a number of degrees"))?;
            let old = regions.insert(Region::from(name), (city.to_owned(), location));
            if old.is_some() {
                return Err(wrong("the region is there twice"));
            }
        }
        Ok(Self { regions })
    }

    /// Where a region is, if its name is known.
    pub fn location(&self, region: &Region) -> Option<Location> {
        self.regions.get(region).map(|(_, location)| *location)
    }

    /// The city a region is in, if its name is known.
    pub fn city(&self, region: &Region) -> Option<&str> {
        self.regions.get(region).map(|(city, _)| city.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_of_several_clouds_are_known() {
        let table = include_str!("../../../geo/regions.csv");
        let regions = RegionLocations::read("regions.csv", table).unwrap();
        for (name, city) in [
            ("eu-central-1", "Frankfurt"),
            ("europe-west3", "Frankfurt"),
            ("germanywestcentral", "Frankfurt"),
            ("cn-beijing", "Beijing"),
        ] {
            assert_eq!(regions.city(&name.into()), Some(city));
            assert!(regions.location(&name.into()).is_some());
        }
        assert_eq!(regions.location(&"nowhere".into()), None);
    }
}
