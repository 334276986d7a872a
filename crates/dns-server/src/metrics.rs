//! Counters that every thread has for itself, added up when they are scraped.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dns::{ReplyClass, Transport};
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
}

impl DnsMetrics {
    /// Registers:
    ///
    /// | metric | labels |
    /// |---|---|
    /// | `dns_replies_total` | `transport`, `class` (a reply's class; `dropped`: none was sent) |
    /// | `dns_replies_unsent_total` | – (the socket had no room) |
    /// | `dns_connections` | `transport` (open now) |
    /// | `dns_connections_refused_total` | `transport` (over a limit) |
    pub fn new(registry: &mut Registry) -> Self {
        let threads = Arc::new(Threads::default());
        registry.register_collector(Box::new(Scrape(Arc::clone(&threads))));
        Self { threads }
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
    unsent: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) connections_refused: AtomicU64,
}

impl Counters {
    fn new(transport: Transport) -> Self {
        Self {
            transport,
            replies: Default::default(),
            unsent: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            connections_refused: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(crate) fn count(&self, class: ReplyClass) {
        self.replies[class as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_unsent(&self, replies: usize) {
        self.unsent.fetch_add(replies as u64, Ordering::Relaxed);
    }

    fn replies(&self, class: ReplyClass) -> u64 {
        self.replies[class as usize].load(Ordering::Relaxed)
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
struct Scrape(Arc<Threads>);

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
        let relaxed = Ordering::Relaxed;
        let unsent = self.0.sum(|counters| counters.unsent.load(relaxed));
        let help = "Replies that the socket had no room for";
        let metric =
            encoder.encode_descriptor("dns_replies_unsent", help, None, MetricType::Counter)?;
        ConstCounter::new(unsent).encode(metric)?;
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
    /// The sum over the counters of one transport.
    fn of(&self, transport: Transport, value: impl Fn(&Counters) -> u64) -> u64 {
        self.0.sum(|counters| {
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

    #[test]
    fn counters_of_all_threads_are_added_up_when_scraped() {
        let mut registry = Registry::default();
        let metrics = DnsMetrics::new(&mut registry);
        for _ in 0..3 {
            let counters = metrics.counters(Transport::Udp);
            counters.count(ReplyClass::Steered);
            counters.count_unsent(2);
        }
        metrics.counters(Transport::Tcp).count(ReplyClass::Static);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "dns_replies_total{transport=\"udp\",class=\"steered\"} 3",
            "dns_replies_total{transport=\"tcp\",class=\"static\"} 1",
            "dns_replies_total{transport=\"tcp\",class=\"nxdomain\"} 0",
            "dns_replies_unsent_total 6",
            "dns_connections{transport=\"tls\"} 0",
            "dns_connections_refused_total{transport=\"tcp\"} 0",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} in {text}");
        }
        assert_eq!(metrics.replies(Transport::Udp, ReplyClass::Steered), 3);
    }
}
