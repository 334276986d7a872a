//! Great-circle distance, and how bias bends it.

use model::Location;

/// Mean radius of the earth in kilometres (IUGG).
const EARTH_RADIUS_KM: f64 = 6_371.0;

/// The bias, in percent, beyond which a distance would be turned around.
const BIAS_MAX: i8 = 99;

/// Kilometres between two points along the earth's surface (haversine formula).
pub fn distance_km(from: Location, to: Location) -> f64 {
    let (from_latitude, to_latitude) = (from.latitude.to_radians(), to.latitude.to_radians());
    let half_latitude = (to_latitude - from_latitude) / 2.0;
    let half_longitude = (to.longitude - from.longitude).to_radians() / 2.0;
    let chord = half_latitude.sin().powi(2)
        + from_latitude.cos() * to_latitude.cos() * half_longitude.sin().powi(2);
    2.0 * EARTH_RADIUS_KM * chord.sqrt().min(1.0).asin()
}

/// How far something seems with a bias in percent: nearer with a positive one, `d·(1 − b/100)`,
/// farther with a negative one, `d/(1 + b/100)`. Beyond ±99 it is taken as ±99.
pub fn seeming_km(distance: f64, bias: i8) -> f64 {
    let share = f64::from(bias.clamp(-BIAS_MAX, BIAS_MAX)) / 100.0;
    if share >= 0.0 {
        distance * (1.0 - share)
    } else {
        distance / (1.0 + share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(latitude: f64, longitude: f64) -> Location {
        Location {
            latitude,
            longitude,
        }
    }

    #[test]
    fn distances_are_those_of_an_atlas() {
        let (berlin, beijing) = (at(52.52, 13.405), at(39.9, 116.4));
        assert!((distance_km(berlin, beijing) - 7_360.0).abs() < 30.0);
        assert!(distance_km(at(0.0, 179.5), at(0.0, -179.5)) < 112.0);
        assert!((distance_km(at(90.0, 0.0), at(-90.0, 0.0)) - 20_015.0).abs() < 1.0);
        assert!(distance_km(berlin, berlin).abs() < f64::EPSILON);
    }

    #[test]
    fn a_bias_bends_a_distance_by_the_documented_formula() {
        for (bias, expected) in [(0, 100.0), (50, 50.0), (-50, 200.0), (99, 1.0), (127, 1.0)] {
            assert!((seeming_km(100.0, bias) - expected).abs() < 1e-9, "{bias}");
        }
    }
}
