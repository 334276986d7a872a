//! Where things are.

use crate::{ClusterName, Region};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// A point on the earth, in degrees.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Location {
    /// North is positive, -90 to 90.
    pub latitude: f64,
    /// East is positive, -180 to 180.
    pub longitude: f64,
}

impl Location {
    /// Whether both numbers are within their ranges.
    pub fn is_valid(&self) -> bool {
        (-90.0..=90.0).contains(&self.latitude) && (-180.0..=180.0).contains(&self.longitude)
    }
}

/// What steering and planning know of a member's place and standing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterPlace {
    /// The member.
    pub name: ClusterName,
    /// Labels of its KubeFedCluster, for selectors.
    pub labels: std::collections::BTreeMap<String, String>,
    /// Its region, from the spec or from its nodes.
    pub region: Option<Region>,
    /// Its city; two members of one city are one failure domain.
    pub city: Option<String>,
    /// Its zones.
    pub zones: Vec<String>,
    /// Its coordinates; absent, those of its region where they are known.
    pub location: Option<Location>,
    /// Networks of its nodes and Pods: clients with these addresses are where it is.
    #[serde(default)]
    pub networks: Vec<IpNet>,
}

impl ClusterPlace {
    /// The failure domain: city, else region, else the member by itself.
    pub fn failure_domain(&self) -> String {
        match (&self.city, &self.region) {
            (Some(city), _) => format!("city/{city}"),
            (None, Some(region)) => format!("region/{region}"),
            (None, None) => format!("cluster/{}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failure_domain_is_the_city_then_the_region_then_the_member() {
        let mut place = ClusterPlace {
            name: "a".into(),
            labels: Default::default(),
            region: Some("cn-north".into()),
            city: Some("beijing".into()),
            zones: vec![],
            location: None,
            networks: vec![],
        };
        assert_eq!(place.failure_domain(), "city/beijing");
        place.city = None;
        assert_eq!(place.failure_domain(), "region/cn-north");
        place.region = None;
        assert_eq!(place.failure_domain(), "cluster/a");
    }
}
