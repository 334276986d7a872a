//! A program on this machine that prints a member's credential: a kubeconfig's `user.exec`
//! (client.authentication.k8s.io, KEP-541).
//!
//! # Guarantees
//! Only programs that whoever runs meridian has named are run, by the path that was named; none is by
//! default. A run has a deadline, after which the program and what it started are killed, and a bound
//! on what is read of it. No more than [`RUNS_MAX`] run at once, however many members there are.
//! # Assumptions
//! The program asks nobody anything. Who writes members' Secrets chooses its arguments and, within
//! bounds, its environment.
//! # Caveats
//! It sees the environment of this process, where cloud credentials are commonly found. The list of
//! variables that are refused cannot be complete. Programs that hang hold their turns until their
//! deadline, and renewals of other members' credentials wait behind them.

use super::access::{certificates, private_key};
use super::tls::Identity;
use http::HeaderValue;
use k8s_openapi::jiff::Timestamp;
use kube::config::{ExecConfig, ExecInteractiveMode};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long a program may take.
pub(super) const RUN_TIMEOUT: Duration = Duration::from_secs(10);
/// Programs that run at once.
const RUNS_MAX: usize = 8;
/// What is read of its output, and of what it says on stderr.
const OUTPUT_BYTES_MAX: u64 = 64 * 1024;
const COMPLAINT_BYTES_MAX: u64 = 512;
/// The versions of ExecCredential that are spoken.
const VERSIONS: [&str; 2] = [
    "client.authentication.k8s.io/v1",
    "client.authentication.k8s.io/v1beta1",
];

static RUNS: Semaphore = Semaphore::const_new(RUNS_MAX);

/// The programs that kubeconfigs may have run: the command as they name it, and which file that is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecPlugins(BTreeMap<String, PathBuf>);

impl FromIterator<(String, PathBuf)> for ExecPlugins {
    fn from_iter<I: IntoIterator<Item = (String, PathBuf)>>(named: I) -> Self {
        Self(named.into_iter().collect())
    }
}

/// What is run. Its arguments, environment and proxy may be secrets: only its name is shown.
#[derive(Clone)]
pub(super) struct Program {
    version: String,
    name: String,
    path: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    wants_cluster: bool,
    /// What it is told of the cluster, when it wants to know.
    cluster: Value,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Program").field(&self.name).finish()
    }
}

impl Program {
    /// Reads a kubeconfig's `user.exec`; only programs that are named are taken.
    pub(super) fn read(exec: &ExecConfig, plugins: &ExecPlugins) -> Result<Self, String> {
        let name = exec.command.clone().unwrap_or_default();
        let path = plugins.0.get(&name).cloned().ok_or_else(|| {
            format!(
                "user.exec is refused: {name:?} is run only where meridian is started with \
                 --exec-plugin '{name}=/path/to/it'; name it there, or use a token or a client \
                 certificate"
            )
        })?;
        let version = exec.api_version.clone().unwrap_or_default();
        if !VERSIONS.contains(&version.as_str()) {
            return Err(format!(
                "user.exec.apiVersion: {version:?} is none of {}",
                VERSIONS.join(" and ")
            ));
        }
        if exec.interactive_mode == Some(ExecInteractiveMode::Always) {
            return Err(
                "user.exec.interactiveMode: Always wants somebody to ask, and nobody is there"
                    .to_owned(),
            );
        }
        Ok(Self {
            version,
            name,
            path,
            arguments: exec.args.clone().unwrap_or_default(),
            environment: environment(exec)?,
            wants_cluster: exec.provide_cluster_info,
            cluster: Value::Null,
        })
    }

    /// With what `provideClusterInfo` asks for.
    pub(super) fn knowing(mut self, cluster: impl FnOnce() -> Value) -> Self {
        if self.wants_cluster {
            self.cluster = cluster();
        }
        self
    }

    /// As errors name it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Runs it once.
    pub(super) async fn run(&self, limit: Duration) -> Result<Credential, String> {
        let turn = RUNS.acquire().await;
        let _turn = turn.map_err(|closed| closed.to_string())?;
        let mut spec = json!({"interactive": false});
        if !self.cluster.is_null() {
            spec["cluster"] = self.cluster.clone();
        }
        let told = json!({"apiVersion": self.version, "kind": "ExecCredential", "spec": spec});
        let mut child = Command::new(&self.path)
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .env("KUBERNETES_EXEC_INFO", told.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|why| format!("{}: {why}", self.path.display()))?;
        // Whatever is left of it, and of what it started, is killed when this returns.
        let _group = Group::of(child.id());
        let (output, complaint) = (child.stdout.take(), child.stderr.take());
        let ended = async {
            let (output, complaint) = tokio::join!(
                bounded(output, OUTPUT_BYTES_MAX),
                bounded(complaint, COMPLAINT_BYTES_MAX)
            );
            (child.wait().await, output, complaint)
        };
        let Ok((status, output, complaint)) = timeout(limit, ended).await else {
            return Err(format!("no credential within {} ms", limit.as_millis()));
        };
        let status = status.map_err(|why| why.to_string())?;
        if !status.success() {
            let complaint = String::from_utf8_lossy(&complaint);
            return Err(format!("{status}: {}", complaint.trim()));
        }
        self.printed(&output)
    }

    fn printed(&self, output: &[u8]) -> Result<Credential, String> {
        // What was printed may hold a credential: it is told by nobody.
        let read: Result<ExecCredential, _> = serde_json::from_slice(output);
        let read = read.map_err(|_| "what it printed is no ExecCredential".to_owned())?;
        if (read.kind.as_str(), &read.api_version) != ("ExecCredential", &self.version) {
            return Err(format!(
                "it printed a {} of {:?}, and an ExecCredential of {:?} was asked for",
                read.kind, read.api_version, self.version
            ));
        }
        let status = read.status.unwrap_or_default();
        let header = status.token.filter(|token| !token.is_empty()).map(bearer);
        let identity = identity(status.client_certificate_data, status.client_key_data)?;
        if header.is_none() && identity.is_none() {
            return Err("what it printed has neither a token nor a client certificate".to_owned());
        }
        Ok(Credential {
            header: header.transpose()?,
            identity,
            ends: status.expiration_timestamp,
        })
    }
}

/// Variables that decide which code runs, in loaders, shells and interpreters.
const CODE: [&str; 14] = [
    "PATH",
    "IFS",
    "ENV",
    "BASH_ENV",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "NODE_OPTIONS",
    "NODE_PATH",
    "PERL5OPT",
    "PERL5LIB",
    "RUBYOPT",
    "RUBYLIB",
    "JAVA_TOOL_OPTIONS",
];
/// Variables that decide who is sent, or believed with, this process's own cloud credentials.
const WAY: [&str; 8] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
];

/// Cannot be complete: a program may heed any variable. Proxies are heeded in either case.
fn is_refused(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let loaders = ["LD_", "DYLD_"];
    loaders.iter().any(|prefix| name.starts_with(prefix))
        || CODE.contains(&name.as_str())
        || WAY.contains(&name.as_str())
}

/// What it is given besides this process's environment.
fn environment(exec: &ExecConfig) -> Result<Vec<(String, String)>, String> {
    let mut environment = Vec::new();
    for variable in exec.env.iter().flatten() {
        match (variable.get("name"), variable.get("value")) {
            (Some(name), _) if is_refused(name) => {
                return Err(format!("user.exec.env: {name} is not taken"));
            }
            (Some(name), Some(value)) => environment.push((name.clone(), value.clone())),
            _ => return Err("user.exec.env: each has a name and a value".to_owned()),
        }
    }
    Ok(environment)
}

fn bearer(token: String) -> Result<HeaderValue, String> {
    let header = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut header =
        header.map_err(|_| "the token has a character that no token has".to_owned())?;
    header.set_sensitive(true);
    Ok(header)
}

fn identity(chain: Option<String>, key: Option<String>) -> Result<Option<Identity>, String> {
    match (chain, key) {
        (Some(chain), Some(key)) => {
            let chain = certificates(chain.as_bytes());
            let chain = chain.map_err(|why| format!("clientCertificateData: {why}"))?;
            let key = private_key(key.as_bytes());
            Ok(Some((
                chain,
                key.map_err(|_| "clientKeyData: no private key in PEM".to_owned())?,
            )))
        }
        (None, None) => Ok(None),
        _ => Err("clientCertificateData and clientKeyData are printed together".to_owned()),
    }
}

/// What a program printed.
pub(super) struct Credential {
    pub(super) header: Option<HeaderValue>,
    pub(super) identity: Option<Identity>,
    pub(super) ends: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredential {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    status: Option<ExecStatus>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecStatus {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    expiration_timestamp: Option<Timestamp>,
}

/// A program and what it started.
struct Group(Option<Pid>);

impl Group {
    fn of(leader: Option<u32>) -> Self {
        let leader = leader.and_then(|leader| i32::try_from(leader).ok());
        Self(leader.and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // One that has ended whole is not there any more.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Reads to the end, and keeps no more than a bound.
async fn bounded(stream: Option<impl AsyncRead + Unpin>, max: u64) -> Vec<u8> {
    let mut kept = Vec::new();
    if let Some(mut stream) = stream {
        // What breaks off in the middle does not read as a credential.
        let _ = (&mut stream).take(max).read_to_end(&mut kept).await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "client.authentication.k8s.io/v1";

    fn exec(script: &str) -> ExecConfig {
        serde_json::from_value(json!({"apiVersion": V1, "command": "sign-in",
            "args": ["-c", script], "interactiveMode": "Never",
            "env": [{"name": "WHO", "value": "lisbon"}]}))
        .unwrap()
    }

    fn plugins() -> ExecPlugins {
        [("sign-in".to_owned(), PathBuf::from("/bin/sh"))]
            .into_iter()
            .collect()
    }

    fn program(script: &str) -> Program {
        Program::read(&exec(script), &plugins()).unwrap()
    }

    async fn refused(script: &str) -> String {
        match program(script).run(Duration::from_secs(5)).await {
            Ok(_) => panic!("it was taken"),
            Err(said) => said,
        }
    }

    fn printing(status: &str) -> String {
        format!(
            "printf %s '{{\"apiVersion\":\"{V1}\",\"kind\":\"ExecCredential\",\"status\":{status}}}'"
        )
    }

    #[test]
    fn only_what_was_named_is_run_and_nothing_else_decides_its_code() {
        let said = Program::read(&exec("true"), &ExecPlugins::default()).unwrap_err();
        assert!(said.contains("--exec-plugin 'sign-in=/path"), "{said}");
        let changed = |change: Value| {
            let mut exec = json!({"apiVersion": V1, "command": "sign-in"});
            json_patch::merge(&mut exec, &change);
            let exec = serde_json::from_value(exec).unwrap();
            Program::read(&exec, &plugins()).unwrap_err()
        };
        for name in [
            "LD_PRELOAD",
            "PATH",
            "BASH_ENV",
            "PYTHONPATH",
            "https_proxy",
        ] {
            let said = changed(json!({"env": [{"name": name, "value": "/tmp/a"}]}));
            assert_eq!(said, format!("user.exec.env: {name} is not taken"));
        }
        let said = changed(json!({"apiVersion": "client.authentication.k8s.io/v1alpha1"}));
        assert!(said.contains("is none of"), "{said}");
        let said = changed(json!({"interactiveMode": "Always"}));
        assert!(said.contains("nobody is there"), "{said}");
    }

    #[test]
    fn what_a_program_is_given_is_not_shown() {
        let shown = format!("{:?}", program("echo secret"));
        assert_eq!(shown, "Program(\"sign-in\")");
    }

    #[tokio::test]
    async fn a_program_is_told_of_the_cluster_when_it_wants_to_know() {
        let script = "case \"$KUBERNETES_EXEC_INFO\" in \
            *'\"server\":\"https://lisbon\"'*) token=knowing-$WHO;; *) token=blind-$WHO;; esac; \
            echo \"{\\\"apiVersion\\\":\\\"client.authentication.k8s.io/v1\\\",\
            \\\"kind\\\":\\\"ExecCredential\\\",\\\"status\\\":{\\\"token\\\":\\\"$token\\\"}}\"";
        for (wants, expected) in [
            (true, "Bearer knowing-lisbon"),
            (false, "Bearer blind-lisbon"),
        ] {
            let mut exec = exec(script);
            exec.provide_cluster_info = wants;
            let program = Program::read(&exec, &plugins()).unwrap();
            let program = program.knowing(|| json!({"server": "https://lisbon"}));
            let printed = program.run(RUN_TIMEOUT).await.ok().unwrap();
            assert_eq!(printed.header.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn what_goes_wrong_is_told_and_what_was_printed_is_not() {
        for (script, expected) in [
            (
                "echo not signed in >&2; exit 3".to_owned(),
                "exit status: 3: not signed in",
            ),
            ("echo secret".to_owned(), "no ExecCredential"),
            (printing("{}"), "neither a token nor a client certificate"),
            (
                printing("{\"clientKeyData\":\"secret\"}"),
                "printed together",
            ),
            (
                printing("{\"clientCertificateData\":\"secret\",\"clientKeyData\":\"secret\"}"),
                "clientCertificateData: ",
            ),
            (printing("{\"token\":\"secret\\n\"}"), "a character"),
            (
                "echo '{\"apiVersion\":\"v1\",\"kind\":\"Secret\"}'".to_owned(),
                "it printed a Secret of \"v1\"",
            ),
            ("head -c 200000 /dev/zero".to_owned(), "no ExecCredential"),
        ] {
            let said = refused(&script).await;
            assert!(said.contains(expected), "{script}: {said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }

    #[tokio::test]
    async fn a_program_that_does_not_end_is_killed_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", mark.display());
        let limit = Duration::from_millis(500);
        let said = program(&script).run(limit).await.err().unwrap();
        assert_eq!(said, "no credential within 500 ms");
        let pid = std::fs::read_to_string(&mark).unwrap();
        let running = format!("/proc/{}/cmdline", pid.trim());
        // Dead, or dead and not yet collected: either has no command line.
        let ended = timeout(Duration::from_secs(5), async {
            while std::fs::read(&running).is_ok_and(|line| !line.is_empty()) {
                tokio::task::yield_now().await;
            }
        });
        ended.await.unwrap();
    }
}
