//! What a database's record says of a place, in any of the usual layouts.
//!
//! | field | MaxMind, DB-IP | flat | IPinfo |
//! |---|---|---|---|
//! | country | `country.iso_code`, `registered_country.iso_code` | `country_code` | `country`, `country_code` |
//! | continent | `continent.code` | `continent_code` | `continent`, `continent_code` |
//! | subdivision | `subdivisions[0].iso_code` | `state1` | `region` |
//! | city | `city.names.en` | `city` | `city` |
//! | system | `autonomous_system_number` | `asn`, `as_number` | `asn` (`AS64500`) |
//! | point | `location.latitude`, `.longitude` | `latitude`, `longitude` (text too) | `lat`, `lng` |

use crate::{
    country::{Continent, CountryCode},
    database::Place,
};
use model::Location;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::{borrow::Cow, fmt};

/// A point with a circle of this radius or wider says no more than its country.
const ACCURACY_RADIUS_KM_MAX: f64 = 1_000.0;

/// How deep a record may nest; MaxMind's deepest is 3.
const DEPTH_MAX: usize = 8;

/// A longer name of a city or a subdivision is none; names of places have a hundred bytes at most. It
/// bounds what a small file makes large: any number of records may name tails of one text.
const NAME_BYTES_MAX: usize = 256;

/// A value of a record, as far as places need it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// Text, borrowed from the file.
    Text(Cow<'a, str>),
    /// Any number.
    Number(f64),
    /// Key and value pairs in the file's order.
    Map(Vec<(Cow<'a, str>, Value<'a>)>),
    /// Values in order.
    List(Vec<Value<'a>>),
    /// A boolean, bytes or nothing.
    Other,
}

impl Value<'_> {
    /// The place that the record tells; nothing, when it tells none.
    pub(crate) fn place(&self) -> Option<Place> {
        let country = [
            &["country", "iso_code"][..],
            &["country_code"],
            &["country"],
            &["registered_country", "iso_code"],
        ]
        .into_iter()
        .find_map(|path| CountryCode::parse(self.text(path)?));
        let continent = [
            &["continent", "code"][..],
            &["continent_code"],
            &["continent"],
        ]
        .into_iter()
        .find_map(|path| Continent::parse(self.text(path)?));
        let vague = self
            .number(&["location", "accuracy_radius"])
            .is_some_and(|radius| radius >= ACCURACY_RADIUS_KM_MAX);
        let place = Place {
            country,
            continent,
            subdivision: self.first_text(&[
                &["subdivisions", "iso_code"],
                &["state1"],
                &["region"],
            ]),
            city: self.first_text(&[&["city", "names", "en"], &["city"]]),
            location: self.location().filter(|_| !(vague && country.is_some())),
        };
        (place.country.is_some() || place.continent.is_some() || place.location.is_some())
            .then_some(place)
    }

    /// The autonomous system that the record tells, as a number or as `AS64500`.
    pub(crate) fn system(&self) -> Option<u32> {
        let paths = [&["autonomous_system_number"][..], &["asn"], &["as_number"]];
        let mut found = paths.into_iter().filter_map(|path| match self.at(path)? {
            Value::Text(text) => text.trim_start_matches(['A', 'a', 'S', 's']).parse().ok(),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the range is checked"
            )]
            Value::Number(number) => (1.0..=f64::from(u32::MAX))
                .contains(number)
                .then_some(*number as u32),
            _ => None,
        });
        found.next()
    }

    fn location(&self) -> Option<Location> {
        [
            (
                &["location", "latitude"][..],
                &["location", "longitude"][..],
            ),
            (&["latitude"], &["longitude"]),
            (&["lat"], &["lng"]),
            (&["lat"], &["lon"]),
        ]
        .into_iter()
        .find_map(|(latitude, longitude)| {
            let location = Location {
                latitude: self.number(latitude)?,
                longitude: self.number(longitude)?,
            };
            location.is_valid().then_some(location)
        })
    }

    fn first_text(&self, paths: &[&[&str]]) -> Option<String> {
        let mut texts = paths.iter().filter_map(|path| self.text(path));
        texts
            .find(|text| (1..=NAME_BYTES_MAX).contains(&text.len()))
            .map(str::to_owned)
    }

    fn text(&self, path: &[&str]) -> Option<&str> {
        match self.at(path)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn number(&self, path: &[&str]) -> Option<f64> {
        match self.at(path)? {
            Value::Number(number) => Some(*number),
            Value::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The value at a path; a list stands for its first element.
    fn at(&self, path: &[&str]) -> Option<&Self> {
        let this = match self {
            Value::List(list) => list.first()?,
            other => other,
        };
        let Some((key, rest)) = path.split_first() else {
            return Some(this);
        };
        match this {
            Value::Map(map) => map.iter().find(|(name, _)| name == key)?.1.at(rest),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor { depth: 0 })
    }
}

struct ValueVisitor {
    depth: usize,
}

impl<'de> serde::de::DeserializeSeed<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of an MMDB record")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Value::Other)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Self::Value, E> {
        Ok(Value::Other)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_u128<E>(self, _: u128) -> Result<Self::Value, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let depth = deeper(self.depth)?;
        let first = list.next_element_seed(ValueVisitor { depth })?;
        // Only the first element of a list is ever asked for.
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::List(first.into_iter().collect()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let depth = deeper(self.depth)?;
        let mut pairs = Vec::new();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            pairs.push((key, map.next_value_seed(ValueVisitor { depth })?));
        }
        Ok(Value::Map(pairs))
    }
}

fn deeper<E: serde::de::Error>(depth: usize) -> Result<usize, E> {
    if depth < DEPTH_MAX {
        Ok(depth + 1)
    } else {
        Err(E::custom(format!("a record nests deeper than {DEPTH_MAX}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(record: &str, country: Option<&str>, point: Option<(f64, f64)>) {
        let value: Value<'_> = serde_json::from_str(record).unwrap();
        let place = value.place();
        let found = place.as_ref().and_then(|place| place.country);
        assert_eq!(found, country.and_then(CountryCode::parse), "{record}");
        let location = place.and_then(|place| place.location);
        assert_eq!(
            location.map(|l| (l.latitude, l.longitude)),
            point,
            "{record}"
        );
    }

    #[test]
    fn every_usual_layout_is_understood() {
        let point = Some((52.5, 13.4));
        check(
            r#"{"country":{"iso_code":"DE"},"continent":{"code":"EU"}}"#,
            Some("DE"),
            None,
        );
        check(
            r#"{"country":{"iso_code":"DE"},"location":{"latitude":52.5,"longitude":13.4}}"#,
            Some("DE"),
            point,
        );
        check(
            r#"{"registered_country":{"iso_code":"DE"}}"#,
            Some("DE"),
            None,
        );
        check(r#"{"country_code":"DE"}"#, Some("DE"), None);
        check(
            r#"{"country_code":"DE","city":"Berlin","latitude":"52.5","longitude":"13.4"}"#,
            Some("DE"),
            point,
        );
        check(
            r#"{"country":"DE","lat":"52.5","lng":"13.4"}"#,
            Some("DE"),
            point,
        );
        check(
            r#"{"country":"Germany","country_code":"DE"}"#,
            Some("DE"),
            None,
        );
    }

    #[test]
    fn an_autonomous_system_is_a_number_or_a_text() {
        for (record, system) in [
            (r#"{"autonomous_system_number":64500}"#, Some(64_500)),
            (r#"{"asn":"AS64501","country":"DE"}"#, Some(64_501)),
            (r#"{"asn":"none"}"#, None),
            (r#"{"asn":-1}"#, None),
        ] {
            let value: Value<'_> = serde_json::from_str(record).unwrap();
            assert_eq!(value.system(), system, "{record}");
        }
    }

    #[test]
    fn what_is_no_place_gives_none() {
        check(r#"{"autonomous_system_number":64500}"#, None, None);
        check(r#"{"country_code":""}"#, None, None);
        check(r#"{"latitude":"200","longitude":"0"}"#, None, None);
        check(r#""DE""#, None, None);
    }

    #[test]
    fn a_point_with_a_very_wide_circle_says_no_more_than_its_country() {
        check(
            r#"{"country":{"iso_code":"US"},
                "location":{"latitude":37.7,"longitude":-97.8,"accuracy_radius":1000}}"#,
            Some("US"),
            None,
        );
    }
}
