//! Starts clusters and prints their kubeconfigs: `cargo run --example fleet -- a b`.

use pocketkube::{Error, Fleet, FleetOptions};
use std::io::Write;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    if names.is_empty() {
        names.push("one".to_owned());
    }
    let fleet = Fleet::start(FleetOptions::named(names)).await?;
    let mut out = std::io::stdout().lock();
    for cluster in fleet.clusters() {
        let path = cluster
            .kubeconfig_path()
            .expect("a fleet writes kubeconfigs");
        // Whoever closed the pipe does not want to know.
        let _ = writeln!(out, "export KUBECONFIG={}", path.display());
    }
    let _ = writeln!(
        out,
        "# faults and request counts: {}/pocketkube/clusters",
        fleet.control_url()
    );
    drop(out);
    let _ = tokio::signal::ctrl_c().await;
    Ok(())
}
