//! Serves one zone file: `serve ADDRESS ORIGIN FILE [CERTIFICATE KEY]`, until Ctrl-C; with a
//! certificate over TLS, HTTPS and QUIC as well. For trying out clients.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use dns::{Identity, Name, Secrets, SnapshotBuilder, Transport, Zone, read_records};
use meridian_dns_server::{CertificateFiles, DnsMetrics, DnsServer, Encrypted, Options};
use prometheus_client::registry::Registry;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, origin, file, certificate @ ..] = arguments.as_slice() else {
        return Err("usage: serve ADDRESS ORIGIN FILE [CERTIFICATE KEY]".into());
    };
    let origin = Name::parse(origin)?;
    let records = read_records(&std::fs::read_to_string(file)?, &origin, 300)?;
    let mut builder = SnapshotBuilder::new();
    builder.zone(&Zone { origin, records })?;
    let metrics = DnsMetrics::new(&mut Registry::default());
    let secrets = Secrets {
        current: [0; 16],
        other: None,
    };
    let mut options = Options::new(vec![address.parse()?], secrets);
    options.identity = Identity::new(Some("serve"), None)?;
    if let [certificate, key] = certificate {
        let any = SocketAddr::new(options.listen[0].ip(), 0);
        options.encrypted = Some(Encrypted {
            certificate: CertificateFiles {
                certificate: certificate.into(),
                key: key.into(),
            },
            tls: vec![any],
            https: vec![any],
            quic: vec![any],
        });
    }
    let handle = DnsServer::start(&options, Arc::new(builder.build(1)), &metrics)?;
    for transport in Transport::ALL {
        for address in handle.local_addrs(transport) {
            eprintln!("{} {address}", transport.label());
        }
    }
    tokio::signal::ctrl_c().await?;
    handle.stop().await;
    Ok(())
}
