//! The file by which a running fleet is found, and talking to it.

use anyhow::{Context, Result, bail, ensure};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A fleet answers from memory; longer than this means that it does not.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where a running fleet is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    /// Its control address.
    control: String,
}

impl State {
    /// Of a fleet that is reached at an address.
    pub(super) fn new(control: String) -> Self {
        Self { control }
    }

    /// The state of a folder; none when there is none.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>> {
        let path = file(folder);
        match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .with_context(|| format!("{} is no state of a fleet; remove it", path.display())),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(cause).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// The state of a fleet that runs.
    pub(super) async fn running(folder: &Path) -> Result<Self> {
        let shown = folder.display();
        let Some(state) = Self::read(folder)? else {
            bail!(
                "no fleet runs in {shown}; start one with 'meridian fleet up --dir {shown}', or \
                 name its folder with --dir"
            );
        };
        state.clusters().await.with_context(|| {
            format!("the fleet of {shown} is gone; start it anew with 'meridian fleet up'")
        })?;
        Ok(state)
    }

    /// Leaves it in the folder of the kubeconfigs.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let path = file(folder);
        std::fs::write(&path, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Takes it away, and the folder if nothing else is in it.
    pub(super) fn remove(folder: &Path) {
        // What stays is found to be stale.
        let _ = std::fs::remove_file(file(folder));
        let _ = std::fs::remove_dir(folder);
    }

    /// The names of the clusters.
    pub(super) async fn clusters(&self) -> Result<Vec<String>> {
        let listed = self
            .ask(Method::GET, "/pocketkube/clusters", &Value::Null)
            .await?;
        let clusters = listed["clusters"].as_array();
        let clusters = clusters.context("what answers is no fleet")?;
        let names = clusters
            .iter()
            .filter_map(|cluster| cluster["name"].as_str());
        Ok(names.map(str::to_owned).collect())
    }

    /// Asks the fleet for something.
    pub(super) async fn ask(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let control = &self.control;
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let request = Request::builder()
            .method(method)
            .uri(format!("{control}{path}"))
            .body(Full::from(body.to_string()))?;
        let answer = async {
            let response = client.request(request).await?;
            let is_done = response.status().is_success();
            let body = response.into_body().collect().await?.to_bytes();
            anyhow::Ok((is_done, body))
        };
        let (is_done, body) = tokio::time::timeout(TIMEOUT, answer)
            .await
            .map_err(anyhow::Error::from)
            .flatten()
            .with_context(|| format!("nothing answers at {control}"))?;
        let value: Value = serde_json::from_slice(&body)
            .with_context(|| format!("what answers at {control} is no fleet"))?;
        ensure!(
            is_done,
            "{}",
            value["error"].as_str().unwrap_or("the fleet refuses")
        );
        Ok(value)
    }
}

fn file(folder: &Path) -> PathBuf {
    folder.join("fleet.json")
}
