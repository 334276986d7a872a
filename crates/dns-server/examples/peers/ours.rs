//! This server with the generated zones, and one whose answers depend on who asks.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use dns::{
    Answer, Choice, Content, Leaf, Name, RecordType, ReplyClass, Secrets, SnapshotBuilder, Steered,
    SteeredRecords, Transport, ViewTable, Zone, read_records,
};
use meridian_dns_server::{CertificateFiles, DnsMetrics, DnsServer, Encrypted, Handle, Options};
use prometheus_client::registry::Registry;

use crate::Fallible;
use crate::zones::Made;

/// The zone with steered names.
pub(crate) const STEERED: &str = "steered.test";
/// The name in the certificate, and the file that has it.
pub(crate) const NAME: &str = "ns.example";
pub(crate) const CERTIFICATE: &str = "tls.crt";

/// A server that runs.
pub(crate) struct Ours {
    handle: Handle,
    metrics: DnsMetrics,
}

/// How often the server was asked for a steered name over UDP.
pub(crate) type Counter = Box<dyn Fn(ReplyClass, Transport) -> u64 + Send>;

impl Ours {
    /// Where a transport is served.
    pub(crate) fn address(&self, transport: Transport) -> SocketAddr {
        self.handle.local_addrs(transport)[0]
    }

    pub(crate) fn plain(&self) -> SocketAddr {
        self.address(Transport::Udp)
    }

    pub(crate) fn tls(&self) -> SocketAddr {
        self.address(Transport::Tls)
    }

    /// Counts replies.
    pub(crate) fn counter(&self) -> Counter {
        let metrics = self.metrics.clone();
        Box::new(move |class, transport| metrics.replies(transport, class))
    }
}

/// Starts it. Nothing is limited: one client asks for all.
pub(crate) fn start(zones: &[Made], folder: &Path) -> Fallible<Ours> {
    let mut builder = SnapshotBuilder::new();
    for zone in zones {
        let origin = Name::parse(&zone.origin)?;
        let records = read_records(&zone.text, &origin, 300)?;
        builder.zone(&Zone { origin, records })?;
    }
    steer(&mut builder)?;
    let any: SocketAddr = "127.0.0.1:0".parse()?;
    let secrets = Secrets {
        current: [7; 16],
        other: None,
    };
    let mut options = Options::new(vec![any], secrets);
    options.rates.errors = None;
    options.rates.nxdomain = None;
    options.connections_per_client_max = options.connections_max;
    options.encrypted = Some(Encrypted {
        certificate: certificate(folder)?,
        tls: vec![any],
        https: vec![any],
        quic: vec![any],
    });
    let metrics = DnsMetrics::new(&mut Registry::default());
    let handle = DnsServer::start(&options, Arc::new(builder.build(1)), &metrics)?;
    Ok(Ours { handle, metrics })
}

fn certificate(folder: &Path) -> Fallible<CertificateFiles> {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
    let files = CertificateFiles {
        certificate: folder.join(CERTIFICATE),
        key: folder.join("tls.key"),
    };
    std::fs::write(&files.certificate, made.cert.pem())?;
    std::fs::write(&files.key, made.signing_key.serialize_pem())?;
    Ok(files)
}

/// `shop`: one answer for each half of the IPv4 addresses; IPv6 has the first.
fn steer(builder: &mut SnapshotBuilder) -> Fallible<()> {
    let origin = Name::parse(STEERED)?;
    let text = "@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 127.0.0.1\n";
    let records = read_records(text, &origin, 300)?;
    builder.zone(&Zone {
        origin: origin.clone(),
        records,
    })?;
    let half = |bits: u32, view: u16| Leaf {
        bits,
        length: 1,
        view,
    };
    let whole = Leaf {
        bits: 0u128,
        length: 0,
        view: 0,
    };
    let views = ViewTable::compile(&[half(0, 0), half(1 << 31, 1)], &[whole])?;
    let answer = |last: u8| {
        let content = Content::Addresses(vec![[192, 0, 2, last].into()]);
        Choice::One(Answer {
            ttl_secs: 300,
            content,
        })
    };
    let steered = Steered {
        views: Arc::new(views),
        records: vec![SteeredRecords::per_view(
            RecordType::A,
            [answer(1), answer(2)],
        )],
        freshness: dns::Freshness::Fresh,
    };
    builder.steer(&origin.child("shop")?, &steered)?;
    Ok(())
}
