//! Where meridian and Knot send the same clients, and why not everywhere to the same site.
//!
//! Knot's map goes by the continent of a country. meridian goes by distance: from the country's middle
//! to each site. A difference is explained when each says what its own rule says of the country that
//! the database knows; any other ends the run.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use geo::FoundPlace;

use crate::world::{Chance, SITES, Site, World};
use crate::{Fallible, say};

/// Client networks that are asked for.
const CLIENTS: usize = 1000;
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks both, and says what differs.
pub(crate) fn run(world: &World, ours: SocketAddr, knot: SocketAddr) -> Fallible<()> {
    let mut chance = Chance(17);
    let mut same = 0;
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for number in 0..CLIENTS {
        let network = chance.network();
        let query = world.query(number as u16, chance.next() as usize, network);
        let (we, they) = (ask(ours, &query)?, ask(knot, &query)?);
        if we == they {
            same += 1;
            continue;
        }
        let client = Ipv4Addr::new(network[0], network[1], network[2], 0);
        let reason = explain(world, client, we, they)?;
        *reasons.entry(reason).or_default() += 1;
    }
    say(&format!(
        "meridian and Knot, {CLIENTS} client networks: {same} sent to the same site; the others:"
    ));
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (reason, count) in reasons {
        say(&format!("{count:>5}  {reason}"));
    }
    Ok(())
}

/// Why the two differ; an error when their rules do not explain it.
fn explain(world: &World, client: Ipv4Addr, we: Ipv4Addr, they: Ipv4Addr) -> Fallible<String> {
    let unexplained = || format!("{client}: meridian says {we}, Knot {they}, for no known reason");
    let found = world.database.lookup(IpAddr::V4(client));
    let (we, they) = (site(we)?, site(they)?);
    let Some(country) = found.place.country else {
        let is_default = they.name == "frankfurt";
        let told = format!("of no known country: Knot's default is {}", they.name);
        return is_default
            .then_some(told)
            .ok_or_else(|| unexplained().into());
    };
    let continent = world.continent(country.as_str()).unwrap_or("none");
    let by_continent = SITES.iter().find(|it| it.continents.contains(&continent));
    let nearest = nearest(&found).ok_or_else(unexplained)?;
    let both = by_continent.map(|it| it.name) == Some(they.name) && nearest.0.name == we.name;
    let told = format!(
        "{}: of {continent}, so Knot says {}; {} is nearer ({:.0} km, not {:.0} km)",
        country.as_str(),
        they.name,
        we.name,
        nearest.1,
        distance(&found, they).ok_or_else(unexplained)?
    );
    both.then_some(told).ok_or_else(|| unexplained().into())
}

/// Measured here, apart from the table that meridian compiles.
fn nearest(found: &FoundPlace) -> Option<(&'static Site, f64)> {
    let by_distance = SITES
        .iter()
        .map(|site| Some((site, distance(found, site)?)));
    let known: Option<Vec<_>> = by_distance.collect();
    known?.into_iter().min_by(|a, b| a.1.total_cmp(&b.1))
}

/// On a sphere: half the chord's square gives the angle (haversine).
fn distance(found: &FoundPlace, site: &Site) -> Option<f64> {
    let (from, to) = (found.location?, site.location);
    let half = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
    let across = from.latitude.to_radians().cos() * to.latitude.to_radians().cos();
    let chord = half(to.latitude - from.latitude) + across * half(to.longitude - from.longitude);
    Some(2.0 * 6371.0 * chord.sqrt().asin())
}

fn site(address: Ipv4Addr) -> Fallible<&'static Site> {
    let found = SITES.iter().find(|site| site.address == address);
    found.ok_or_else(|| format!("{address} is no site").into())
}

/// The one address of the answer.
fn ask(server: SocketAddr, query: &[u8]) -> Fallible<Ipv4Addr> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(query)?;
    let mut reply = [0; 2048];
    let len = socket.recv(&mut reply)?;
    let message = hickory_proto::op::Message::from_vec(&reply[..len])?;
    let addresses: Vec<Ipv4Addr> = message
        .answers
        .iter()
        .filter_map(|record| record.data.ip_addr())
        .filter_map(|address| match address {
            IpAddr::V4(v4) => Some(v4),
            IpAddr::V6(_) => None,
        })
        .collect();
    match addresses[..] {
        [one] => Ok(one),
        _ => Err(format!("{server} gives {} addresses", addresses.len()).into()),
    }
}
