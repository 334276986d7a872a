//! Serves one zone file: `serve ADDRESS ORIGIN FILE`, until Ctrl-C. For trying out clients.

use std::error::Error;
use std::sync::Arc;

use dns::{Name, Secrets, SnapshotBuilder, Transport, Zone, read_records};
use meridian_dns_server::{DnsMetrics, DnsServer, Options};
use prometheus_client::registry::Registry;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, origin, file] = arguments.as_slice() else {
        return Err("usage: serve ADDRESS ORIGIN FILE".into());
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
    let options = Options::new(vec![address.parse()?], secrets);
    let handle = DnsServer::start(&options, Arc::new(builder.build(1)), &metrics)?;
    eprintln!("listening on {:?}", handle.local_addrs(Transport::Udp));
    tokio::signal::ctrl_c().await?;
    handle.stop().await;
    Ok(())
}
