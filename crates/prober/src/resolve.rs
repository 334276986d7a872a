//! Addresses of hostnames, from the machine's resolvers: what is to be answered where no alias can be.
//!
//! A stub (RFC 1034 § 5.3.1): it asks one server after the other, over UDP and, when the answer is cut,
//! over TCP (RFC 7766 § 5), from a port and with an identifier of chance (RFC 5452 § 9.2), and follows the
//! aliases in an answer.
//!
//! # Guarantees
//! At most [`LOOKUPS_AT_ONCE_MAX`] lookups run at a time, each for a bounded time; each gives one word.
//! # Assumptions
//! The servers resolve: they follow aliases themselves. One that does not is asked again for the target.
//! # Caveats
//! Nothing is kept here; whoever asks knows when to ask again. What has no room is not asked for.

use hickory_proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::{Semaphore, mpsc};

/// Lookups that run at a time; each is two sockets.
pub const LOOKUPS_AT_ONCE_MAX: usize = 64;
/// Hostnames that wait for their turn.
const WAITING_MAX: usize = 4_096;
/// Lookups whose words wait to be taken.
pub const RESOLVED_MAX: usize = 256;
/// How long one server has for its answer.
const ANSWER_TIME: Duration = Duration::from_secs(2);
/// How long a lookup may take, aliases and all.
const LOOKUP_TIME: Duration = Duration::from_secs(10);
/// How often all servers are asked before it is a failure.
const ROUNDS: usize = 2;
/// Servers that are asked, as the system's resolver does (resolv.conf(5)).
const SERVERS_MAX: usize = 3;
/// Aliases that are followed.
const CHAIN_MAX: usize = 8;
/// What fits into a datagram everywhere (flag day 2020).
const UDP_BYTES_MAX: u16 = 1_232;
/// The TTL of an answer without addresses that does not say one.
const NONE_TTL_SECS: u32 = 60;

/// Whom to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Servers {
    /// These.
    These(Vec<SocketAddr>),
    /// Those that a file like `/etc/resolv.conf` names; it is read at each lookup.
    File(PathBuf),
}

/// What came of a lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The hostname.
    pub hostname: String,
    /// Its IPv4 addresses with their TTL in seconds, or why nobody knows.
    pub v4: Result<(Vec<IpAddr>, u32), String>,
    /// Its IPv6 addresses.
    pub v6: Result<(Vec<IpAddr>, u32), String>,
}

/// A running resolver. It stops when this is dropped.
pub struct Resolver {
    asked: mpsc::Sender<String>,
    under_way: UnderWay,
}

/// Hostnames that wait or are looked up: none is twice.
type UnderWay = Arc<Mutex<HashSet<String>>>;

fn lock(under_way: &UnderWay) -> MutexGuard<'_, HashSet<String>> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Resolver {
    /// Starts without anything to do.
    pub fn start(servers: Servers, results: mpsc::Sender<Resolved>) -> Self {
        let (asked, received) = mpsc::channel(WAITING_MAX);
        let under_way = UnderWay::default();
        tokio::spawn(run(
            Arc::new(servers),
            received,
            results,
            Arc::clone(&under_way),
        ));
        Self { asked, under_way }
    }

    /// Looks these up, each once.
    pub fn ask(&self, hostnames: Vec<String>) {
        for hostname in hostnames {
            let mut under_way = lock(&self.under_way);
            if under_way.contains(&hostname) {
                continue;
            }
            // What has no room is asked for again by whoever needs it.
            if self.asked.try_send(hostname.clone()).is_ok() {
                under_way.insert(hostname);
            }
        }
    }
}

async fn run(
    servers: Arc<Servers>,
    mut asked: mpsc::Receiver<String>,
    results: mpsc::Sender<Resolved>,
    under_way: UnderWay,
) {
    let places = Arc::new(Semaphore::new(LOOKUPS_AT_ONCE_MAX));
    while let Some(hostname) = asked.recv().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let (servers, results) = (Arc::clone(&servers), results.clone());
        let under_way = Arc::clone(&under_way);
        tokio::spawn(async move {
            let resolved = resolve(&servers, hostname).await;
            lock(&under_way).remove(&resolved.hostname);
            drop(place);
            // Nobody takes it any more: nothing is lost.
            let _ = results.send(resolved).await;
        });
    }
}

/// Looks a hostname up once.
pub async fn resolve(servers: &Servers, hostname: String) -> Resolved {
    let addresses = servers.read().await;
    let bounded = async |servers, family| {
        let found = tokio::time::timeout(LOOKUP_TIME, lookup(servers, &hostname, family)).await;
        let late = |_| Err(format!("no answer within {} s", LOOKUP_TIME.as_secs()));
        found.unwrap_or_else(late)
    };
    let (v4, v6) = match &addresses {
        Ok(servers) => tokio::join!(
            bounded(servers, RecordType::A),
            bounded(servers, RecordType::AAAA)
        ),
        Err(why) => (Err(why.clone()), Err(why.clone())),
    };
    Resolved { hostname, v4, v6 }
}

impl Servers {
    async fn read(&self) -> Result<Vec<SocketAddr>, String> {
        match self {
            Self::These(servers) => Ok(servers.clone()),
            Self::File(path) => {
                let text = tokio::fs::read_to_string(path).await;
                let text = text.map_err(|why| format!("{}: {why}", path.display()))?;
                named_in(&text, path)
            }
        }
    }
}

fn named_in(text: &str, path: &Path) -> Result<Vec<SocketAddr>, String> {
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let word = (words.next()? == "nameserver").then(|| words.next())??;
        Some(SocketAddr::new(word.parse().ok()?, 53))
    });
    let servers: Vec<_> = servers.take(SERVERS_MAX).collect();
    if servers.is_empty() {
        return Err(format!("{} names no nameserver", path.display()));
    }
    Ok(servers)
}

/// One family, over all aliases.
async fn lookup(
    servers: &[SocketAddr],
    hostname: &str,
    record_type: RecordType,
) -> Result<(Vec<IpAddr>, u32), String> {
    let name = Name::from_ascii(hostname).map_err(|why| format!("not a host name: {why}"))?;
    let mut name = name.to_lowercase();
    name.set_fqdn(true);
    let mut ttl_secs = u32::MAX;
    for _ in 0..CHAIN_MAX {
        let answer = ask_all(servers, &name, record_type).await?;
        let found = read(&answer, &name);
        ttl_secs = ttl_secs.min(found.ttl_secs);
        if !found.addresses.is_empty() || found.leads_to == name {
            return Ok((found.addresses, ttl_secs));
        }
        // The server left the rest of the chain to whoever asks.
        name = found.leads_to;
    }
    Err(format!("more than {CHAIN_MAX} aliases, the last to {name}"))
}

struct Read {
    addresses: Vec<IpAddr>,
    ttl_secs: u32,
    /// The end of the chain of aliases.
    leads_to: Name,
}

/// Addresses at the end of the aliases that begin at a name.
fn read(answer: &Message, name: &Name) -> Read {
    let mut leads_to = name.clone();
    let mut ttl_secs = u32::MAX;
    for _ in 0..CHAIN_MAX {
        let mut records = answer.answers.iter().filter(|it| it.name == leads_to);
        let alias = records.find_map(|it| match &it.data {
            RData::CNAME(target) => Some((target.0.to_lowercase(), it.ttl)),
            _ => None,
        });
        let Some((target, ttl)) = alias else { break };
        ttl_secs = ttl_secs.min(ttl);
        leads_to = target;
    }
    let records = answer.answers.iter().filter(|it| it.name == leads_to);
    let found = records.filter_map(|it| Some((it.data.ip_addr()?, it.ttl)));
    let (addresses, ttls): (Vec<IpAddr>, Vec<u32>) = found.unzip();
    // RFC 2308 § 5: for how long there is nothing.
    let nothing = answer.authorities.iter().find_map(|it| match &it.data {
        RData::SOA(soa) => Some(it.ttl.min(soa.minimum)),
        _ => None,
    });
    let last = match ttls.iter().min() {
        Some(least) => *least,
        None if leads_to == *name => nothing.unwrap_or(NONE_TTL_SECS),
        None => u32::MAX,
    };
    // A chain of which only the end says that there is nothing ends there.
    let ended = nothing.is_some() && addresses.is_empty();
    Read {
        addresses,
        ttl_secs: ttl_secs
            .min(last)
            .min(nothing.filter(|_| ended).unwrap_or(u32::MAX)),
        leads_to: if ended { name.clone() } else { leads_to },
    }
}

/// One question, to one server after the other.
async fn ask_all(
    servers: &[SocketAddr],
    name: &Name,
    record_type: RecordType,
) -> Result<Message, String> {
    let mut failure = "no resolver is named".to_owned();
    for server in servers.iter().cycle().take(servers.len() * ROUNDS) {
        let asked = tokio::time::timeout(ANSWER_TIME, ask(*server, name, record_type)).await;
        failure = match asked {
            Ok(Ok(answer)) => match answer.metadata.response_code {
                ResponseCode::NoError | ResponseCode::NXDomain => return Ok(answer),
                code => format!("{code} from {server}"),
            },
            Ok(Err(why)) => format!("{server}: {why}"),
            Err(_) => format!("no answer from {server}"),
        };
    }
    Err(failure)
}

async fn ask(server: SocketAddr, name: &Name, record_type: RecordType) -> io::Result<Message> {
    let mut query = Message::query();
    query.metadata.id = rand::random();
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(name.clone(), record_type));
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_BYTES_MAX);
    query.set_edns(edns);
    let bytes = query.to_vec().map_err(io::Error::other)?;
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    // The system hands in what comes from there, and nothing else.
    socket.connect(server).await?;
    socket.send(&bytes).await?;
    let mut buffer = [0; UDP_BYTES_MAX as usize];
    loop {
        let length = socket.recv(&mut buffer).await?;
        match Message::from_vec(&buffer[..length]) {
            Ok(answer) if answers(&answer, &query) && answer.metadata.truncation => {
                return ask_whole(server, &bytes, &query).await;
            }
            Ok(answer) if answers(&answer, &query) => return Ok(answer),
            // Somebody else's guess: the answer may still come.
            _ => {}
        }
    }
}

async fn ask_whole(server: SocketAddr, bytes: &[u8], query: &Message) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    stream
        .write_all(&[&length.to_be_bytes(), bytes].concat())
        .await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    let answer = Message::from_vec(&answer).map_err(io::Error::other)?;
    if !answers(&answer, query) {
        return Err(io::Error::other("it answers something else"));
    }
    Ok(answer)
}

/// Whether a message is the answer to a query (RFC 5452 § 9.1).
fn answers(answer: &Message, query: &Message) -> bool {
    answer.metadata.message_type == MessageType::Response
        && answer.metadata.id == query.metadata.id
        && answer.queries == query.queries
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
