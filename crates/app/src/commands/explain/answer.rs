//! `meridian explain NAME --from ADDRESS`: asks a replica why a client gets its answer.

use crate::cli::{self, Output};
use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use std::time::Duration;

/// A replica answers from memory; longer than this means that it does not.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Runs the command.
///
/// # Errors
/// The replica cannot be reached, or does not serve the name.
pub(super) async fn run(args: cli::Explain) -> Result<()> {
    let from = args.from.context("--from: the address of the client")?;
    let down = args
        .when_down
        .map(|cluster| format!("&when-down={cluster}"))
        .unwrap_or_default();
    let name = args.subject.trim_end_matches('.');
    let url = format!("http://{}/explain?name={name}&from={}{down}", args.at, from);
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let address = url
        .parse()
        .with_context(|| format!("{:?} is not a host name", args.subject))?;
    let response = tokio::time::timeout(TIMEOUT, client.get(address))
        .await
        .with_context(|| format!("{} does not answer; --at names another replica", args.at))?
        .with_context(|| {
            format!(
                "no replica at {}; --at takes the address of its --http-listen",
                args.at
            )
        })?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    if !status.is_success() {
        bail!("{}", String::from_utf8_lossy(&body));
    }
    let answer: Value =
        serde_json::from_slice(&body).context("the replica's answer is not JSON")?;
    crate::output::print(&match args.output {
        Output::Table => answer["text"].as_str().unwrap_or_default().to_owned(),
        Output::Json => format!("{:#}\n", answer["explanation"]),
        Output::Yaml => serde_saphyr::to_string(&answer["explanation"])?,
    });
    Ok(())
}
