//! Every place of a database once, in few bytes: a city database tells of hundreds of thousands.

use crate::{
    country::{Continent, CountryCode},
    database::{NO_PLACE, Place},
};
use model::Location;
use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

/// The number of a text that is not there.
const NO_TEXT: u32 = 0;

/// Places by number; that of [`NO_PLACE`] knows nothing.
#[derive(Debug)]
pub(crate) struct Places {
    all: Vec<Kept>,
    texts: Vec<Arc<str>>,
}

/// A place, borrowed from a database.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KnownPlace<'a> {
    pub(crate) country: Option<CountryCode>,
    pub(crate) continent: Option<Continent>,
    pub(crate) subdivision: Option<&'a str>,
}

/// Places while a database is read: equal ones are found again, also of another file.
#[derive(Debug)]
pub(crate) struct PlacesBuilder {
    places: Places,
    /// The last place of each hash. Two that share one may be kept more often than once.
    known: HashMap<u32, u32>,
    known_texts: HashMap<Arc<str>, u32>,
}

/// A place with its texts by number. Degrees are kept as their bits, which can be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Kept {
    subdivision: u32,
    city: u32,
    country: Option<CountryCode>,
    continent: Option<Continent>,
    point: Point,
    latitude: u64,
    longitude: u64,
}

/// What the point of a place is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Point {
    /// There is none.
    #[default]
    Nowhere,
    /// Its country's or its continent's.
    Wide,
    /// Its own.
    Exact,
}

impl Places {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// A place by its number.
    pub(crate) fn known(&self, number: u32) -> Option<KnownPlace<'_>> {
        let kept = self.all.get(number as usize)?;
        Some(KnownPlace {
            country: kept.country,
            continent: kept.continent,
            subdivision: self.text(kept.subdivision),
        })
    }

    /// A place by its number, with all that is known.
    pub(crate) fn place(&self, number: u32) -> Place {
        let Some(kept) = self.all.get(number as usize) else {
            return Place::default();
        };
        Place {
            country: kept.country,
            continent: kept.continent,
            subdivision: self.text(kept.subdivision).map(str::to_owned),
            city: self.text(kept.city).map(str::to_owned),
            location: kept.location().filter(|_| kept.point == Point::Exact),
        }
    }

    /// The point that distances are measured from.
    pub(crate) fn location(&self, number: u32) -> Option<Location> {
        self.all.get(number as usize)?.location()
    }

    /// Whether a place knows a point nearer than its country's.
    pub(crate) fn is_exact(&self, number: u32) -> bool {
        let kept = self.all.get(number as usize);
        kept.is_some_and(|kept| kept.point == Point::Exact)
    }

    fn text(&self, number: u32) -> Option<&str> {
        let at = (number as usize).checked_sub(1)?;
        self.texts.get(at).map(|text| &**text)
    }
}

impl PlacesBuilder {
    /// One place, of which nothing is known.
    pub(crate) fn new() -> Self {
        Self {
            places: Places {
                all: vec![Kept::default()],
                texts: Vec::new(),
            },
            known: HashMap::new(),
            known_texts: HashMap::new(),
        }
    }

    /// Those that were added.
    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    /// The number of a place; `wide` is its point when it knows none of its own.
    pub(crate) fn add(&mut self, place: &Place, wide: Option<Location>) -> u32 {
        let point = match (place.location, wide) {
            (Some(_), _) => Point::Exact,
            (None, Some(_)) => Point::Wide,
            (None, None) => Point::Nowhere,
        };
        let bits =
            |of: fn(Location) -> f64| place.location.or(wide).map_or(0, |it| of(it).to_bits());
        let kept = Kept {
            subdivision: self.text(place.subdivision.as_deref()),
            city: self.text(place.city.as_deref()),
            country: place.country,
            continent: place.continent,
            point,
            latitude: bits(|it| it.latitude),
            longitude: bits(|it| it.longitude),
        };
        let all = &mut self.places.all;
        let known = self.known.entry(kept.hashed()).or_insert(NO_PLACE);
        if all[*known as usize] != kept {
            all.push(kept);
            *known = u32::try_from(all.len() - 1).expect("MMDB files have less than 2^32 records");
        }
        *known
    }

    /// The places alone, when all files are read.
    pub(crate) fn finish(mut self) -> Places {
        self.places.all.shrink_to_fit();
        self.places.texts.shrink_to_fit();
        self.places
    }

    fn text(&mut self, text: Option<&str>) -> u32 {
        let Some(text) = text else { return NO_TEXT };
        if let Some(known) = self.known_texts.get(text) {
            return *known;
        }
        let text: Arc<str> = text.into();
        self.places.texts.push(Arc::clone(&text));
        let number = u32::try_from(self.places.texts.len()).expect("fewer texts than records");
        self.known_texts.insert(text, number);
        number
    }
}

impl Kept {
    /// The same in every process, so that equal files give equal numbers.
    #[expect(clippy::cast_possible_truncation, reason = "a short hash is wanted")]
    fn hashed(&self) -> u32 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish() as u32
    }

    fn location(&self) -> Option<Location> {
        (self.point != Point::Nowhere).then(|| Location {
            latitude: f64::from_bits(self.latitude),
            longitude: f64::from_bits(self.longitude),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_places_are_kept_once_and_come_back_as_they_were() {
        let here = Some(Location {
            latitude: 52.5,
            longitude: 13.4,
        });
        let berlin = Place {
            country: CountryCode::parse("DE"),
            continent: Some(Continent::Europe),
            subdivision: Some("BE".into()),
            city: Some("Berlin".into()),
            location: here,
        };
        let germany = Place {
            country: CountryCode::parse("DE"),
            ..Place::default()
        };
        let mut builder = PlacesBuilder::new();
        let numbers = [&berlin, &germany, &berlin].map(|place| builder.add(place, here));
        assert_eq!(numbers, [1, 2, 1]);
        let places = builder.finish();
        assert_eq!(places.len(), 3);
        assert_eq!((places.place(1), places.place(2)), (berlin, germany));
        assert_eq!(places.location(2), here);
        assert_eq!(
            [0, 1, 2].map(|at| places.is_exact(at)),
            [false, true, false]
        );
        assert_eq!(
            (places.place(0), places.location(0)),
            (Place::default(), None)
        );
    }
}
