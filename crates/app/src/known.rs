//! Names that a shell completes: of types, objects, members, namespaces and contexts.
//!
//! The host that the command line means is asked, within [`DEADLINE`]. Whatever goes wrong is
//! silent: who presses the tabulator gets no name, and no error between his words.

use crate::cli::{self, Cli};
use crate::commands::{federated_type, resource_type};
use crate::kubeconfig;
use anyhow::{Context, Result};
use api::{GlobalService, KubeFedCluster};
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::config::Kubeconfig;
use kube::{Api, Client, ResourceExt};
use std::ffi::{OsStr, OsString};
use std::time::Duration;

/// How long the host may take; a shell waits no longer.
const DEADLINE: Duration = Duration::from_secs(1);
/// Names that are offered at most; a shell shows no more.
const NAMES_MAX: u32 = 500;

/// Federated types.
pub(crate) fn types() -> ArgValueCompleter {
    asking(async |line| {
        let all = federated_type::all(&line.host, &line.args.system_namespace).await?;
        let name = |federated: &federated_type::Federated| {
            let kind = &federated.types.federated.kind;
            Name::new(&federated.name).meaning(kind)
        };
        Ok(all.iter().map(name).collect())
    })
}

/// Types that the host serves.
pub(crate) fn served_types() -> ArgValueCompleter {
    asking(async |line| {
        let all = resource_type::served(&line.host).await?;
        let all = all.iter().filter(|one| !one.is_ours());
        let name = |one: &resource_type::ResourceType| {
            Name::new(&one.full_name()).meaning(&one.resource.kind)
        };
        Ok(all.map(name).collect())
    })
}

/// Federated objects of the type that is on the line.
pub(crate) fn objects() -> ArgValueCompleter {
    asking(async |line| {
        let type_name = line.said("type_name").or_else(|| line.said("subject"));
        let type_name = type_name.context("no type yet")?;
        let system = &line.args.system_namespace;
        let federated = federated_type::find(&line.host, system, &type_name).await?;
        let key = federated.key(&line.namespace(), "");
        let federated = match federated.types.is_namespace() {
            // Each is in its own namespace.
            true => Api::all_with(line.host.clone(), &federated.types.federated),
            false => federated.api(&line.host, &key),
        };
        let found = federated.list_metadata(&some()).await?;
        Ok(found.iter().map(named).collect())
    })
}

/// Plain objects on the host of the type that is on the line.
pub(crate) fn targets() -> ArgValueCompleter {
    asking(async |line| {
        let type_name = line.said("type_name").context("no type yet")?;
        let target = resource_type::find(&line.host, &type_name).await?;
        let api = target.api(&line.host, &line.namespace());
        let found = api.list_metadata(&some()).await?;
        Ok(found.iter().map(named).collect())
    })
}

/// Members.
pub(crate) fn clusters() -> ArgValueCompleter {
    asking(async |line| {
        let namespace = &line.args.system_namespace;
        let clusters = Api::<KubeFedCluster>::namespaced(line.host.clone(), namespace);
        let found = clusters.list_metadata(&some()).await?;
        Ok(found.iter().map(named).collect())
    })
}

/// GlobalServices.
pub(crate) fn services() -> ArgValueCompleter {
    asking(async |line| {
        let services = Api::<GlobalService>::namespaced(line.host.clone(), &line.namespace());
        let found = services.list_metadata(&some()).await?;
        Ok(found.iter().map(named).collect())
    })
}

/// Namespaces of the host.
pub(crate) fn namespaces() -> ArgValueCompleter {
    asking(async |line| {
        let namespaces = Api::<Namespace>::all(line.host.clone());
        let found = namespaces.list_metadata(&some()).await?;
        Ok(found.iter().map(named).collect())
    })
}

/// Contexts of the host's kubeconfig.
pub(crate) fn contexts() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let matches = matches(words());
        let file = matches.as_ref().and_then(host_of);
        let read = match file.and_then(|host| host.kubeconfig) {
            Some(file) => Kubeconfig::read_from(file),
            None => Kubeconfig::read(),
        };
        let contexts = read.map(|read| read.contexts).unwrap_or_default();
        let names = contexts.iter().map(|context| Name::new(&context.name));
        offered(names.collect(), current)
    })
}

/// A name, and what it means.
struct Name {
    name: String,
    meaning: Option<String>,
}

impl Name {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            meaning: None,
        }
    }

    fn meaning(mut self, meaning: &str) -> Self {
        self.meaning = Some(meaning.to_owned());
        self
    }
}

fn named(object: &impl ResourceExt) -> Name {
    Name::new(&object.name_any())
}

fn some() -> ListParams {
    ListParams::default().limit(NAMES_MAX)
}

/// Those that begin as what is typed.
fn offered(names: Vec<Name>, current: &OsStr) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let fits = names
        .into_iter()
        .filter(|name| name.name.starts_with(&*current));
    fits.map(|name| CompletionCandidate::new(name.name).help(name.meaning.map(Into::into)))
        .collect()
}

/// The line that is being completed, and the host that it means.
struct Line {
    host: Client,
    default_namespace: String,
    args: cli::Host,
    matches: ArgMatches,
}

impl Line {
    async fn read() -> Result<Self> {
        let matches = matches(words()).context("no command")?;
        let args = host_of(&matches).context("not about a host")?;
        let config = kubeconfig::host(&args).await?;
        Ok(Self {
            default_namespace: config.default_namespace.clone(),
            host: kubeconfig::client(config)?,
            args,
            matches,
        })
    }

    /// What is on the line for this argument.
    fn said(&self, argument: &str) -> Option<String> {
        let said = innermost(&self.matches).try_get_one::<String>(argument);
        said.ok().flatten().cloned()
    }

    fn namespace(&self) -> String {
        let said = self.said("namespace");
        said.unwrap_or_else(|| self.default_namespace.clone())
    }
}

/// The words before and after the cursor, the program's name first. A shell's script gives them
/// after `--`; kubectl gives them alone.
fn words() -> Vec<OsString> {
    let mut all: Vec<OsString> = std::env::args_os().collect();
    match all.iter().position(|word| word == "--") {
        Some(at) => all.split_off(at + 1),
        None => all,
    }
}

/// What can be understood of a line that is not finished.
fn matches(words: Vec<OsString>) -> Option<ArgMatches> {
    let command = Cli::command().ignore_errors(true);
    command.try_get_matches_from(words).ok()
}

/// The matches of the last command on the line.
fn innermost(matches: &ArgMatches) -> &ArgMatches {
    let mut at = matches;
    while let Some((_, below)) = at.subcommand() {
        at = below;
    }
    at
}

fn host_of(matches: &ArgMatches) -> Option<cli::Host> {
    let last = innermost(matches);
    // Of a command that is about no host, clap would not say so but panic.
    let about = last.try_contains_id("system_namespace");
    let read = about.is_ok().then(|| cli::Host::from_arg_matches(last));
    read?.ok()
}

/// A completer that asks the host.
fn asking(
    ask: impl AsyncFn(&Line) -> Result<Vec<Name>> + Send + Sync + 'static,
) -> ArgValueCompleter {
    ArgValueCompleter::new(move |current: &OsStr| {
        // It is a flag, and no name begins so.
        if current.to_string_lossy().starts_with('-') {
            return Vec::new();
        }
        let asked = async { ask(&Line::read().await?).await };
        let names = within_deadline(asked).unwrap_or_default();
        offered(names, current)
    })
}

fn within_deadline<T>(asked: impl Future<Output = Result<T>>) -> Option<T> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().ok()?;
    let answered = runtime.block_on(async { tokio::time::timeout(DEADLINE, asked).await });
    // A look-up of the host's name may sit in a thread of its own.
    runtime.shutdown_background();
    answered.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> ArgMatches {
        let words = line.split(' ').map(OsString::from).collect();
        matches(words).expect("a command")
    }

    #[test]
    fn of_a_line_that_is_not_finished_all_is_known_that_is_there() {
        let matches = read("meridian rollout status deployment  -n shop --context eu");
        let host = host_of(&matches).expect("about a host");
        assert_eq!(host.context.as_deref(), Some("eu"));
        assert_eq!(host.system_namespace, api::names::SYSTEM_NAMESPACE);
        let last = innermost(&matches);
        let said = |argument| last.try_get_one::<String>(argument).ok().flatten();
        assert_eq!(said("type_name").map(String::as_str), Some("deployment"));
        assert_eq!(said("namespace").map(String::as_str), Some("shop"));
        assert_eq!(said("no_such_argument"), None);
        assert!(host_of(&read("meridian dns check a.yaml")).is_none());
        assert!(host_of(&read("meridian ")).is_none());
    }

    #[test]
    fn a_host_that_does_not_answer_costs_a_second_and_no_word() {
        let begun = std::time::Instant::now();
        let never = std::future::pending::<Result<()>>();
        assert_eq!(within_deadline(never), None);
        assert!(begun.elapsed() >= DEADLINE);
        assert_eq!(within_deadline(async { Ok(1) }), Some(1));
    }
}
