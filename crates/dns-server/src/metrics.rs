//! Counters that every thread has for itself, added up when they are scraped.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dns::ReplyClass;
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
    /// | `dns_tcp_connections` | – (open now) |
    /// | `dns_tcp_connections_refused_total` | – (over a limit) |
    pub fn new(registry: &mut Registry) -> Self {
        let threads = Arc::new(Threads::default());
        registry.register_collector(Box::new(Scrape(Arc::clone(&threads))));
        Self { threads }
    }

    /// How many replies of this class were given over this transport, up to now.
    pub fn replies(&self, transport: TransportLabel, class: ReplyClass) -> u64 {
        self.threads.sum(|counters| {
            if counters.transport == transport {
                counters.replies(class)
            } else {
                0
            }
        })
    }

    /// Counters for one thread or listener.
    pub(crate) fn counters(&self, transport: TransportLabel) -> Arc<Counters> {
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

/// How a query came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportLabel {
    /// Datagrams.
    Udp,
    /// Streams without TLS.
    Tcp,
}

impl TransportLabel {
    const ALL: [Self; 2] = [Self::Udp, Self::Tcp];

    fn label(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// One thread's counters, in cache lines of their own. Many may read; for UDP one thread writes.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Counters {
    transport: TransportLabel,
    replies: [AtomicU64; ReplyClass::ALL.len()],
    unsent: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) connections_refused: AtomicU64,
}

impl Counters {
    fn new(transport: TransportLabel) -> Self {
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

#[derive(Debug)]
struct Scrape(Arc<Threads>);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Replies by transport and class";
        let mut replies =
            encoder.encode_descriptor("dns_replies", help, None, MetricType::Counter)?;
        for transport in TransportLabel::ALL {
            for class in ReplyClass::ALL {
                let labels = [("transport", transport.label()), ("class", class.label())];
                let count = self.0.sum(|counters| {
                    if counters.transport == transport {
                        counters.replies(class)
                    } else {
                        0
                    }
                });
                ConstCounter::new(count).encode(replies.encode_family(&labels)?)?;
            }
        }
        let relaxed = Ordering::Relaxed;
        let unsent = self.0.sum(|counters| counters.unsent.load(relaxed));
        let refused = self
            .0
            .sum(|counters| counters.connections_refused.load(relaxed));
        let open = self.0.sum(|counters| counters.connections.load(relaxed));
        for (name, help, count) in [
            (
                "dns_replies_unsent",
                "Replies that the socket had no room for",
                unsent,
            ),
            (
                "dns_tcp_connections_refused",
                "TCP connections over a limit",
                refused,
            ),
        ] {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(count).encode(metric)?;
        }
        let help = "TCP connections that are open";
        let metric =
            encoder.encode_descriptor("dns_tcp_connections", help, None, MetricType::Gauge)?;
        ConstGauge::new(i64::try_from(open).unwrap_or(i64::MAX)).encode(metric)
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
            let counters = metrics.counters(TransportLabel::Udp);
            counters.count(ReplyClass::Steered);
            counters.count_unsent(2);
        }
        metrics
            .counters(TransportLabel::Tcp)
            .count(ReplyClass::Static);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "dns_replies_total{transport=\"udp\",class=\"steered\"} 3",
            "dns_replies_total{transport=\"tcp\",class=\"static\"} 1",
            "dns_replies_total{transport=\"tcp\",class=\"nxdomain\"} 0",
            "dns_replies_unsent_total 6",
            "dns_tcp_connections 0",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} in {text}");
        }
        assert_eq!(metrics.replies(TransportLabel::Udp, ReplyClass::Steered), 3);
    }
}
