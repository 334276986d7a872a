//! Countries, their continents, and a point that stands for each.

use crate::{Error, Result};
use model::Location;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// A country's code, ISO 3166-1 alpha-2.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CountryCode([u8; 2]);

/// A continent, by the codes that databases use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Continent {
    /// AF.
    Africa,
    /// AN.
    Antarctica,
    /// AS.
    Asia,
    /// EU.
    Europe,
    /// NA.
    NorthAmerica,
    /// OC.
    Oceania,
    /// SA.
    SouthAmerica,
}

/// A point for each country, near where most of its people live, and its continent.
#[derive(Clone, Debug, PartialEq)]
pub struct Countries {
    countries: BTreeMap<CountryCode, (Continent, Location)>,
}

impl CountryCode {
    /// A code from two letters of any case.
    pub fn parse(text: &str) -> Option<Self> {
        match text.as_bytes() {
            &[a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Some(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => None,
        }
    }

    /// The code, in capitals.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a code is two ASCII letters")
    }
}

impl fmt::Display for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<CountryCode> for String {
    fn from(code: CountryCode) -> Self {
        code.as_str().to_owned()
    }
}

impl TryFrom<String> for CountryCode {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is not a country's code of two letters"))
    }
}

impl Continent {
    /// The continent with this code of two letters.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_uppercase().as_str() {
            "AF" => Self::Africa,
            "AN" => Self::Antarctica,
            "AS" => Self::Asia,
            "EU" => Self::Europe,
            "NA" => Self::NorthAmerica,
            "OC" => Self::Oceania,
            "SA" => Self::SouthAmerica,
            _ => return None,
        })
    }
}

impl Countries {
    /// Reads `code,continent,latitude,longitude` lines below a header.
    ///
    /// # Errors
    /// [`Error::Line`] with the first line that is wrong.
    pub fn read(file: &str, text: &str) -> Result<Self> {
        let mut countries = BTreeMap::new();
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
            let [code, continent, latitude, longitude] = fields[..] else {
                return Err(wrong("not of the form code,continent,latitude,longitude"));
            };
            let code = CountryCode::parse(code)
                .ok_or_else(|| wrong("the code is not two letters (ISO 3166-1 alpha-2)"))?;
            let continent = Continent::parse(continent)
                .ok_or_else(|| wrong("the continent is none of AF AN AS EU NA OC SA"))?;
            let location = read_location(latitude, longitude)
                .ok_or_else(|| wrong("latitude or longitude is not a number of degrees"))?;
            if countries.insert(code, (continent, location)).is_some() {
                return Err(wrong("the country is there twice"));
            }
        }
        Ok(Self { countries })
    }

    /// The point that stands for a country.
    pub fn location(&self, country: CountryCode) -> Option<Location> {
        self.countries.get(&country).map(|(_, location)| *location)
    }

    /// The continent of a country.
    pub fn continent(&self, country: CountryCode) -> Option<Continent> {
        self.countries
            .get(&country)
            .map(|(continent, _)| *continent)
    }

    /// The middle of a continent: the mean of its countries' points on the sphere.
    pub fn continent_location(&self, continent: Continent) -> Option<Location> {
        let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
        for (_, point) in self.countries.values().filter(|(of, _)| *of == continent) {
            let (latitude, longitude) = (point.latitude.to_radians(), point.longitude.to_radians());
            x += latitude.cos() * longitude.cos();
            y += latitude.cos() * longitude.sin();
            z += latitude.sin();
        }
        let flat = x.hypot(y);
        (flat.hypot(z) > 0.0).then(|| Location {
            latitude: z.atan2(flat).to_degrees(),
            longitude: y.atan2(x).to_degrees(),
        })
    }

    /// How many countries there are.
    pub fn len(&self) -> usize {
        self.countries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.countries.is_empty()
    }

    /// The countries' codes, in order.
    pub fn codes(&self) -> impl Iterator<Item = CountryCode> + '_ {
        self.countries.keys().copied()
    }
}

/// A location from two numbers in text, if both are within their ranges.
pub(crate) fn read_location(latitude: &str, longitude: &str) -> Option<Location> {
    let location = Location {
        latitude: latitude.trim().parse().ok()?,
        longitude: longitude.trim().parse().ok()?,
    };
    location.is_valid().then_some(location)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = include_str!("../../../geo/countries.csv");

    #[test]
    fn the_table_has_every_country_once_and_each_on_its_continent() {
        let countries = Countries::read("countries.csv", TABLE).unwrap();
        assert_eq!(
            countries.len(),
            250,
            "249 of ISO 3166-1, and XK as databases use it"
        );
        for (code, continent) in [("BR", Continent::SouthAmerica), ("NA", Continent::Africa)] {
            let code = CountryCode::parse(code).unwrap();
            assert_eq!(countries.continent(code), Some(continent));
        }
        let europe = countries.continent_location(Continent::Europe).unwrap();
        assert!((40.0..60.0).contains(&europe.latitude), "{europe:?}");
        assert!((0.0..30.0).contains(&europe.longitude), "{europe:?}");
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (line, reason) in [
            ("DEU,EU,1,1", "two letters"),
            ("DE,EU,91,1", "degrees"),
            ("DE,XX,1,1", "continent"),
            ("DE,EU,1", "form"),
            ("DE,EU,1,1\nDE,EU,1,1", "twice"),
        ] {
            let text = format!("code,continent,latitude,longitude\n{line}\n");
            let error = Countries::read("c.csv", &text).unwrap_err().to_string();
            assert!(error.starts_with("c.csv:"), "{error}");
            assert!(error.contains(reason), "{error}");
        }
    }
}
