//! Watches that tell when something was seen to change: no clock is polled.

use futures::future::try_join_all;
use futures::stream::select_all;
use futures::{Stream, StreamExt};
use kube::Api;
use kube::api::DynamicObject;
use kube::runtime::watcher::{Config, Error, Event, watcher};
use std::collections::HashSet;
use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Nothing that is measured takes that long.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a watch may end with.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Watches that have begun, each waiting for so many objects to change.
pub struct Sighted {
    complete: Vec<JoinHandle<Result<Span>>>,
}

/// When the first and the last of the objects were seen.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// The first of any watch.
    pub first: Instant,
    /// The last of the last watch.
    pub last: Instant,
}

impl Sighted {
    /// Begins to watch, and returns once all is listed that is there already. From then
    /// on, an object that was written counts once.
    ///
    /// # Errors
    /// When a watch cannot begin.
    pub async fn written(
        apis: impl IntoIterator<Item = Api<DynamicObject>>,
        objects: usize,
    ) -> Result<Self> {
        let begin = |api| Box::pin(names_of_objects(api, |_| true)) as Names;
        Self::begin(apis.into_iter().map(begin), objects).await
    }

    /// The same, where those count that are as wanted.
    ///
    /// # Errors
    /// When a watch cannot begin.
    pub async fn objects(
        apis: impl IntoIterator<Item = Api<DynamicObject>>,
        objects: usize,
        is_so: impl Fn(&DynamicObject) -> bool + Clone + Send + 'static,
    ) -> Result<Self> {
        let begin = |api| Box::pin(names_of_objects(api, is_so.clone())) as Names;
        Self::begin(apis.into_iter().map(begin), objects).await
    }

    /// The same of several collections as if they were one: an object counts wherever it is as
    /// wanted first.
    ///
    /// # Errors
    /// When a watch cannot begin.
    pub async fn merged(
        apis: impl IntoIterator<Item = Api<DynamicObject>>,
        objects: usize,
        is_so: impl Fn(&DynamicObject) -> bool + Clone + Send + 'static,
    ) -> Result<Self> {
        let mut watches = Vec::new();
        for api in apis {
            let mut events: Names = Box::pin(names_of_objects(api, is_so.clone()));
            until_listed(&mut events).await?;
            watches.push(events);
        }
        let merged: Names = Box::pin(select_all(watches));
        let complete = vec![tokio::spawn(until_all(merged, objects))];
        Ok(Self { complete })
    }

    async fn begin(watches: impl Iterator<Item = Names>, objects: usize) -> Result<Self> {
        let mut complete = Vec::new();
        for mut events in watches {
            until_listed(&mut events).await?;
            complete.push(tokio::spawn(until_all(events, objects)));
        }
        Ok(Self { complete })
    }

    /// When the objects were seen, once all of them are.
    ///
    /// # Errors
    /// When a watch ends, or the objects never come.
    pub async fn all(self) -> Result<Span> {
        let all = timeout(PATIENCE, try_join_all(self.complete)).await;
        let spans = all.map_err(|_| "not every object was ever seen")??;
        let mut whole: Option<Span> = None;
        for span in spans {
            let span = span?;
            whole = Some(whole.map_or(span, |whole| Span {
                first: whole.first.min(span.first),
                last: whole.last.max(span.last),
            }));
        }
        Ok(whole.ok_or("nothing was watched")?)
    }
}

/// A watch of one collection that tells the name of every object when it is written.
///
/// # Errors
/// When it cannot begin.
pub async fn told(api: Api<DynamicObject>) -> Result<mpsc::UnboundedReceiver<(String, Instant)>> {
    let mut events: Names = Box::pin(names_of_objects(api, |_| true));
    until_listed(&mut events).await?;
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(event)) = events.next().await {
            if let Event::Apply(Some(name)) = event
                && tell.send((name, Instant::now())).is_err()
            {
                return;
            }
        }
    });
    Ok(told)
}

type NameEvent = std::result::Result<Event<Option<String>>, Error>;
type Names = Pin<Box<dyn Stream<Item = NameEvent> + Send>>;

fn names_of_objects(
    api: Api<DynamicObject>,
    is_so: impl Fn(&DynamicObject) -> bool + Send + 'static,
) -> impl Stream<Item = NameEvent> + Send {
    let name = move |object: DynamicObject| match is_so(&object) {
        true => object.metadata.name,
        false => None,
    };
    watcher(api, Config::default()).map(move |event| Ok(named(event?, &name)))
}

fn named<K>(event: Event<K>, name: impl Fn(K) -> Option<String>) -> Event<Option<String>> {
    match event {
        Event::Apply(object) => Event::Apply(name(object)),
        Event::Delete(_) => Event::Delete(None),
        Event::Init => Event::Init,
        Event::InitApply(_) => Event::InitApply(None),
        Event::InitDone => Event::InitDone,
    }
}

async fn until_listed(events: &mut Names) -> Result<()> {
    while let Some(event) = events.next().await {
        if let Event::InitDone = event? {
            return Ok(());
        }
    }
    Err("a watch ended".into())
}

async fn until_all(mut events: Names, objects: usize) -> Result<Span> {
    let mut seen = HashSet::new();
    let mut first = None;
    while seen.len() < objects {
        if let Event::Apply(Some(name)) = events.next().await.ok_or("a watch ended")?? {
            first.get_or_insert_with(Instant::now);
            seen.insert(name);
        }
    }
    let last = Instant::now();
    let first = first.unwrap_or(last);
    Ok(Span { first, last })
}
