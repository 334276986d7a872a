//! Counters that every thread has for itself, added up when they are scraped.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use dns::{Name, Reply, ReplyClass, Transport, ZONES_NUMBERED_MAX};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// What the server counts. Register once; servers share it.
#[derive(Clone)]
pub struct DnsMetrics {
    threads: Arc<Threads>,
    zones: Arc<ArcSwap<BTreeMap<Name, u16>>>,
    tap_lost: Arc<AtomicU64>,
}

impl DnsMetrics {
    /// Registers:
    ///
    /// | metric | labels |
    /// |---|---|
    /// | `dns_replies_total` | `transport`, `class` (a reply's class; `dropped`: none was sent) |
    /// | `dns_responses_total` | `transport`, `rcode` |
    /// | `dns_zone_responses_total` | `zone`, `transport`, `rcode`; only what was counted |
    /// | `dns_replies_unsent_total` | – (the socket had no room) |
    /// | `dns_tap_lost_total` | – (exchanges for which dnstap had no room) |
    /// | `dns_connections` | `transport` (open now) |
    /// | `dns_connections_refused_total` | `transport` (over a limit) |
    pub fn new(registry: &mut Registry) -> Self {
        let threads = Arc::new(Threads::default());
        let this = Self {
            threads,
            zones: Arc::default(),
            tap_lost: Arc::default(),
        };
        registry.register_collector(Box::new(Scrape(this.clone())));
        this
    }

    /// How many replies of this class were given over this transport, up to now.
    pub fn replies(&self, transport: Transport, class: ReplyClass) -> u64 {
        self.threads.sum(|counters| {
            if counters.transport == transport {
                counters.replies(class)
            } else {
                0
            }
        })
    }

    /// Where exchanges are counted that dnstap had no room for.
    pub(crate) fn tap_lost(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.tap_lost)
    }

    /// Says what the zones are called that replies have the numbers of.
    pub(crate) fn name_zones(&self, numbers: &Arc<BTreeMap<Name, u16>>) {
        if !Arc::ptr_eq(&self.zones.load(), numbers) {
            self.zones.store(Arc::clone(numbers));
        }
    }

    /// Counters for one thread or listener.
    pub(crate) fn counters(&self, transport: Transport) -> Arc<Counters> {
        let counters = Arc::new(Counters::new(transport));
        self.threads.lock().push(Arc::clone(&counters));
        counters
    }
}

impl fmt::Debug for DnsMetrics {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "DnsMetrics")
    }
}

/// One thread's counters, in cache lines of their own. Many may read; for UDP one thread writes.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Counters {
    transport: Transport,
    replies: [AtomicU64; ReplyClass::ALL.len()],
    /// By the number of the zone, 0 for none, and in each by [`RCODES`].
    rcodes: Box<[[AtomicU64; RCODES.len()]]>,
    unsent: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) connections_refused: AtomicU64,
}

impl Counters {
    fn new(transport: Transport) -> Self {
        Self {
            transport,
            replies: Default::default(),
            rcodes: (0..=ZONES_NUMBERED_MAX)
                .map(|_| Default::default())
                .collect(),
            unsent: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            connections_refused: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(crate) fn count(&self, reply: &Reply) {
        self.each(reply, add);
    }

    /// The same by the one thread that counts here: nothing has to be locked, and the processor may begin with
    /// the next query meanwhile.
    #[inline]
    pub(crate) fn count_alone(&self, reply: &Reply) {
        self.each(reply, |counter| {
            counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        });
    }

    /// Every counter that a reply adds to.
    #[inline]
    fn each(&self, reply: &Reply, add: impl Fn(&AtomicU64)) {
        add(&self.replies[reply.class as usize]);
        if reply.len > 0
            && let Some(zone) = self.rcodes.get(usize::from(reply.zone))
        {
            add(&zone[place(reply.rcode)]);
        }
    }

    /// Counts what has no reply of its own here.
    #[inline]
    pub(crate) fn count_class(&self, class: ReplyClass) {
        add(&self.replies[class as usize]);
    }

    pub(crate) fn count_unsent(&self, replies: usize) {
        self.unsent.fetch_add(replies as u64, Ordering::Relaxed);
    }

    fn replies(&self, class: ReplyClass) -> u64 {
        self.replies[class as usize].load(Ordering::Relaxed)
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The codes that replies have: 0 to 10, 16 and 23.
const RCODES: [&str; 13] = [
    "NOERROR",
    "FORMERR",
    "SERVFAIL",
    "NXDOMAIN",
    "NOTIMP",
    "REFUSED",
    "YXDOMAIN",
    "YXRRSET",
    "NXRRSET",
    "NOTAUTH",
    "NOTZONE",
    "BADVERS",
    "BADCOOKIE",
];

/// Where a code stands among these.
#[inline]
fn place(rcode: u16) -> usize {
    match rcode {
        0..=10 => usize::from(rcode),
        16 => 11,
        _ => 12,
    }
}

#[derive(Debug, Default)]
struct Threads(Mutex<Vec<Arc<Counters>>>);

impl Threads {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Counters>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sum(&self, value: impl Fn(&Counters) -> u64) -> u64 {
        self.lock().iter().map(|counters| value(counters)).sum()
    }
}

/// The transports that have connections.
const CONNECTED: [Transport; 4] = [
    Transport::Tcp,
    Transport::Tls,
    Transport::Https,
    Transport::Quic,
];

#[derive(Debug)]
struct Scrape(DnsMetrics);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Replies by transport and class";
        let mut replies =
            encoder.encode_descriptor("dns_replies", help, None, MetricType::Counter)?;
        for transport in Transport::ALL {
            for class in ReplyClass::ALL {
                let labels = [("transport", transport.label()), ("class", class.label())];
                let count = self.of(transport, |counters| counters.replies(class));
                ConstCounter::new(count).encode(replies.encode_family(&labels)?)?;
            }
        }
        self.encode_rcodes(&mut encoder)?;
        self.encode_zones(&mut encoder)?;
        let relaxed = Ordering::Relaxed;
        let unsent = self.0.threads.sum(|counters| counters.unsent.load(relaxed));
        let help = "Replies that the socket had no room for";
        let metric =
            encoder.encode_descriptor("dns_replies_unsent", help, None, MetricType::Counter)?;
        ConstCounter::new(unsent).encode(metric)?;
        let help = "Exchanges for which dnstap had no room";
        let metric = encoder.encode_descriptor("dns_tap_lost", help, None, MetricType::Counter)?;
        ConstCounter::new(self.0.tap_lost.load(relaxed)).encode(metric)?;
        let help = "Connections over a limit";
        let name = "dns_connections_refused";
        let mut refused = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for transport in CONNECTED {
            let labels = [("transport", transport.label())];
            let count = self.of(transport, |counters| {
                counters.connections_refused.load(relaxed)
            });
            ConstCounter::new(count).encode(refused.encode_family(&labels)?)?;
        }
        let help = "Connections that are open";
        let mut open =
            encoder.encode_descriptor("dns_connections", help, None, MetricType::Gauge)?;
        for transport in CONNECTED {
            let labels = [("transport", transport.label())];
            let count = self.of(transport, |counters| counters.connections.load(relaxed));
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            ConstGauge::new(count).encode(open.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

impl Scrape {
    fn encode_rcodes(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Replies by transport and code";
        let counter = MetricType::Counter;
        let mut responses = encoder.encode_descriptor("dns_responses", help, None, counter)?;
        for transport in Transport::ALL {
            for (place, rcode) in RCODES.iter().enumerate() {
                let labels = [("transport", transport.label()), ("rcode", *rcode)];
                let count = self.of(transport, |counters| {
                    let zones = counters.rcodes.iter();
                    zones.map(|it| it[place].load(Ordering::Relaxed)).sum()
                });
                ConstCounter::new(count).encode(responses.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    /// Zones are many, so that only what was counted is told.
    fn encode_zones(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Replies by zone, transport and code";
        let counter = MetricType::Counter;
        let mut responses = encoder.encode_descriptor("dns_zone_responses", help, None, counter)?;
        let zones = self.0.zones.load();
        for (origin, number) in zones.iter() {
            let zone = origin.to_string();
            let zone = zone.trim_end_matches('.');
            let zone = if zone.is_empty() { "." } else { zone };
            for transport in Transport::ALL {
                for (place, rcode) in RCODES.iter().enumerate() {
                    let count = self.of(transport, |counters| {
                        counters.rcodes[usize::from(*number)][place].load(Ordering::Relaxed)
                    });
                    if count > 0 {
                        let transport = transport.label();
                        let labels = [("zone", zone), ("transport", transport), ("rcode", *rcode)];
                        ConstCounter::new(count).encode(responses.encode_family(&labels)?)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The sum over the counters of one transport.
    fn of(&self, transport: Transport, value: impl Fn(&Counters) -> u64) -> u64 {
        self.0.threads.sum(|counters| {
            if counters.transport == transport {
                value(counters)
            } else {
                0
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(class: ReplyClass, rcode: u16, zone: u16) -> Reply {
        Reply {
            len: 12,
            class,
            origin: dns::Origin::Claimed,
            rcode,
            zone,
        }
    }

    #[test]
    fn counters_of_all_threads_are_added_up_when_scraped() {
        let mut registry = Registry::default();
        let metrics = DnsMetrics::new(&mut registry);
        for _ in 0..3 {
            let counters = metrics.counters(Transport::Udp);
            counters.count_alone(&reply(ReplyClass::Steered, 0, 1));
            counters.count_unsent(2);
        }
        let tcp = metrics.counters(Transport::Tcp);
        tcp.count(&reply(ReplyClass::Static, 0, 1));
        tcp.count(&reply(ReplyClass::NxDomain, 3, 1));
        tcp.count(&reply(ReplyClass::BadCookie, 23, 0));
        let name = Name::parse("example.org").unwrap();
        metrics.name_zones(&Arc::new(BTreeMap::from([(name, 1)])));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "dns_replies_total{transport=\"udp\",class=\"steered\"} 3",
            "dns_replies_total{transport=\"tcp\",class=\"static\"} 1",
            "dns_replies_total{transport=\"tcp\",class=\"referral\"} 0",
            "dns_responses_total{transport=\"tcp\",rcode=\"BADCOOKIE\"} 1",
            "dns_responses_total{transport=\"udp\",rcode=\"NOERROR\"} 3",
            "dns_zone_responses_total{zone=\"example.org\",transport=\"udp\",rcode=\"NOERROR\"} 3",
            "dns_zone_responses_total{zone=\"example.org\",transport=\"tcp\",rcode=\"NXDOMAIN\"} 1",
            "dns_replies_unsent_total 6",
            "dns_connections{transport=\"tls\"} 0",
            "dns_connections_refused_total{transport=\"tcp\"} 0",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} in {text}");
        }
        assert_eq!(metrics.replies(Transport::Udp, ReplyClass::Steered), 3);
    }
}
