//! Overrides that a person gives to a replica itself: `meridian override --at FOLDER`.
//!
//! ```text
//! command ──Override──► STATE_DIR/admin.sock ──► the owner of the engine: refused, or in force
//!         ◄──answer───                            │
//!                               STATE_DIR/given/*.json ──► the host, when it is back
//! ```
//!
//! # Guarantees
//! What was answered with yes is on disk, and outlives a restart. It is taken to the host, once.
//! # Assumptions
//! Who may open the socket, which only the process's own user may, may force its answers.
//! # Caveats
//! Each replica has to be told; those that were not learn of it from the host.

use crate::own_socket;
use anyhow::{Context, Result, bail};
use api::Override;
use controller::dns_role::write_back;
use kube::{Client, ResourceExt};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;
use steering::{Event, OverrideSpec};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

/// The socket's name in the folder of state.
const SOCKET: &str = "admin.sock";
/// The folder of what was given and the host does not know.
const FOLDER: &str = "given";
/// No override is longer.
const REQUEST_BYTES_MAX: u64 = 64 * 1024;
/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks for the host, and after an error of the listening socket.
const AGAIN: Duration = Duration::from_secs(3);
/// What an answer begins with.
const YES: &str = "yes ";
const NO: &str = "no ";

/// A person's word, and where the answer goes.
pub(crate) struct Given {
    pub(crate) wanted: OverrideSpec,
    pub(crate) reply: oneshot::Sender<Result<String, String>>,
}

/// Gives an override to the replica with this folder of state; what it answers.
///
/// # Errors
/// Nobody is there, or it refuses.
pub(crate) async fn give(folder: &Path, object: &Override) -> Result<String> {
    let path = folder.join(SOCKET);
    let asking = async {
        let mut stream = UnixStream::connect(&path).await?;
        let line = serde_json::to_string(object)? + "\n";
        stream.write_all(line.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, anyhow::Error>(answer)
    };
    let answer = timeout(PATIENCE, asking).await.context("no answer")?;
    let answer = answer.with_context(|| {
        format!(
            "no replica listens at {}; name the --state-dir of one that runs here",
            path.display()
        )
    })?;
    match (answer.strip_prefix(YES), answer.strip_prefix(NO)) {
        (Some(said), _) => Ok(said.to_owned()),
        (None, Some(why)) => bail!("{why}"),
        _ => bail!("it went away without an answer"),
    }
}

/// The folder of what was given to this replica.
#[derive(Clone, Debug)]
pub(crate) struct GivenFolder {
    state: PathBuf,
}

impl GivenFolder {
    /// In the folder of state, which is there.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn in_folder(state: &Path) -> Result<Self> {
        let folder = state.join(FOLDER);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self {
            state: state.to_owned(),
        })
    }

    /// What was given before this process began, as events.
    pub(crate) fn events(&self) -> Vec<Event> {
        let wanted = self.read().into_iter().filter_map(|(path, object)| {
            let read = object.read();
            read.inspect_err(|why| tracing::warn!("{}: {why}", path.display()))
                .ok()
        });
        wanted
            .map(|wanted| Event::OverrideApplied(Box::new(wanted)))
            .collect()
    }

    /// Takes what people give, and takes it to the host, until it is dropped; the owner of the engine decides.
    pub(crate) async fn run(self, asked: mpsc::Sender<Given>, host: Client) {
        tokio::join!(self.listen(asked), self.write_back(host));
    }

    async fn listen(&self, asked: mpsc::Sender<Given>) {
        let listener = match own_socket::listen(&self.state, SOCKET) {
            Ok(listener) => listener,
            Err(why) => {
                tracing::warn!("{why:#}: 'meridian override --at' will not find this process");
                return;
            }
        };
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let served = timeout(PATIENCE, self.serve(stream, &asked)).await;
                    if let Ok(Err(why)) = served {
                        tracing::warn!("an override was not taken: {why:#}");
                    }
                }
                Err(why) => {
                    tracing::warn!(%why, "nobody can give overrides");
                    sleep(AGAIN).await;
                }
            }
        }
    }

    async fn serve(&self, stream: UnixStream, asked: &mpsc::Sender<Given>) -> Result<()> {
        let (read, mut write) = stream.into_split();
        let mut line = String::new();
        let mut read = BufReader::new(read.take(REQUEST_BYTES_MAX));
        read.read_line(&mut line).await?;
        let answer = match self.take(&line, asked).await {
            Ok(said) => format!("{YES}{said}"),
            Err(why) => format!("{NO}{why:#}"),
        };
        write.write_all(answer.as_bytes()).await?;
        Ok(())
    }

    async fn take(&self, line: &str, asked: &mpsc::Sender<Given>) -> Result<String> {
        let object: Override = serde_json::from_str(line).context("no Override")?;
        let wanted = object.read()?;
        let (reply, answer) = oneshot::channel();
        asked.send(Given { wanted, reply }).await?;
        let said = answer.await?.map_err(anyhow::Error::msg)?;
        self.write(&object)
            .context("it is in force, and would not outlive a restart")?;
        tracing::warn!(
            name = object.name_any(),
            "an override was given here: {said}"
        );
        Ok(said)
    }

    /// Takes what was given to the host, whenever that is there.
    async fn write_back(&self, host: Client) {
        loop {
            for (path, object) in self.read() {
                match write_back(&host, &written(object)).await {
                    Ok(()) => {
                        tracing::info!(file = %path.display(), "the host knows what was given here");
                        if let Err(why) = fs::remove_file(&path) {
                            tracing::warn!("{}: {why}", path.display());
                        }
                    }
                    Err(why) => tracing::debug!(why, "what was given here waits for the host"),
                }
            }
            sleep(AGAIN).await;
        }
    }

    fn read(&self) -> Vec<(PathBuf, Override)> {
        let listed = fs::read_dir(self.state.join(FOLDER));
        let files = listed.into_iter().flatten().flatten();
        let mut found: Vec<_> = files
            .map(|file| file.path())
            .filter(|path| path.extension().is_some_and(|it| it == "json"))
            .filter_map(|path| {
                let text = fs::read(&path).ok()?;
                let object = serde_json::from_slice(&text);
                let object = object.inspect_err(|why| tracing::warn!("{}: {why}", path.display()));
                Some((path, object.ok()?))
            })
            .collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }

    /// Aside, fsync, rename: a reader sees all of it or nothing.
    fn write(&self, object: &Override) -> Result<()> {
        let folder = self.state.join(FOLDER);
        let namespace = object.namespace().unwrap_or_default();
        let path = folder.join(format!("{namespace}.{}.json", object.name_any()));
        let aside = path.with_extension("new");
        let mut file = File::create(&aside)?;
        file.write_all(&serde_json::to_vec(object)?)?;
        file.sync_all()?;
        fs::rename(&aside, &path)?;
        File::open(&folder)?.sync_all()?;
        Ok(())
    }
}

/// As the host takes it: when it was created is the host's to say.
fn written(mut object: Override) -> Override {
    object.metadata.creation_timestamp = None;
    object
}
