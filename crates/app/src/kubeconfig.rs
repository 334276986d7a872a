//! Kubeconfigs: which cluster a command speaks to, and clear words when it cannot.

use crate::cli;
use anyhow::{Context, Result};
use base64::Engine as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::path::Path;
use std::time::Duration;

/// Until a connection to the host is made or given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How to reach the host.
///
/// # Errors
/// Names the file and what is wrong with it.
pub(crate) async fn host(args: &cli::Host) -> Result<Config> {
    let context = args.context.as_deref();
    match (&args.kubeconfig, context) {
        (Some(file), _) => from_file(file, context).await,
        (None, Some(_)) => {
            let kubeconfig = Kubeconfig::read().context("the default kubeconfig")?;
            with_context(kubeconfig, context, "the default kubeconfig").await
        }
        (None, None) => Config::infer().await.context(
            "no host cluster: give --kubeconfig, set KUBECONFIG, or run in a pod of the host",
        ),
    }
}

/// A client for a command: who waits at a terminal is told at once when there is no answer.
///
/// # Errors
/// Its certificates do not parse.
pub(crate) fn client(mut config: Config) -> Result<Client> {
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    Ok(Client::try_from(config)?)
}

/// How to reach a cluster that joins: the context that is given, else the one named as the member,
/// else the current one.
///
/// # Errors
/// Names the file and what is wrong with it.
pub(crate) async fn member(
    file: Option<&Path>,
    context: Option<&str>,
    name: &str,
) -> Result<Config> {
    let (kubeconfig, what) = match file {
        Some(file) => (read(file)?, file.display().to_string()),
        None => {
            let what = "the default kubeconfig";
            (Kubeconfig::read().context(what)?, what.to_owned())
        }
    };
    let named = kubeconfig
        .contexts
        .iter()
        .any(|context| context.name == name);
    let context = context.or(named.then_some(name));
    with_context(kubeconfig, context, &what).await
}

/// A certificate as PEM (RFC 7468).
pub(crate) fn pem_of(der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .filter_map(|line| std::str::from_utf8(line).ok())
        .collect();
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    )
}

async fn from_file(file: &Path, context: Option<&str>) -> Result<Config> {
    with_context(read(file)?, context, &file.display().to_string()).await
}

fn read(file: &Path) -> Result<Kubeconfig> {
    Kubeconfig::read_from(file).with_context(|| {
        format!(
            "{} is not a kubeconfig that can be used; kubectl --kubeconfig shows the same",
            file.display()
        )
    })
}

async fn with_context(kubeconfig: Kubeconfig, context: Option<&str>, what: &str) -> Result<Config> {
    let known: Vec<String> = kubeconfig
        .contexts
        .iter()
        .map(|context| context.name.clone())
        .collect();
    let options = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .with_context(|| match context {
            Some(context) => {
                format!(
                    "{what}: context {context:?} cannot be used; its contexts are {}",
                    known.join(", ")
                )
            }
            None => format!("{what}: its current context cannot be used"),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_kubeconfig_that_does_not_parse_is_named() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "apiVersion: v1\nkind: [").expect("written");
        let error = format!(
            "{:#}",
            member(Some(file.path()), None, "a")
                .await
                .expect_err("broken")
        );
        assert!(
            error.contains(&file.path().display().to_string()),
            "{error}"
        );
    }

    #[tokio::test]
    async fn an_unknown_context_is_answered_with_those_that_exist() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let text = "apiVersion: v1\nkind: Config\nclusters: []\nusers: []\n\
                    contexts: [{name: eu, context: {cluster: c, user: u}}]\n";
        std::fs::write(file.path(), text).expect("written");
        let error = format!(
            "{:#}",
            member(Some(file.path()), Some("us"), "a")
                .await
                .expect_err("unknown")
        );
        assert!(
            error.contains("\"us\"") && error.contains("contexts are eu"),
            "{error}"
        );
    }

    #[test]
    fn pem_has_lines_of_64() {
        let pem = pem_of(&[7; 100]);
        assert!(pem.starts_with("-----BEGIN CERTIFICATE-----\n"));
        assert!(pem.lines().all(|line| line.len() <= 64));
    }
}
