//! A watch that is open.

use std::time::Duration;

use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::Value;

use crate::answer::{Answer, Look};
use crate::world::Request;

/// An event that has not come by then does not come.
const EVENT_SECS_MAX: u64 = 60;

/// Reads the events of one watch, line by line.
pub(crate) struct Watch {
    request: Request,
    line: String,
    body: Body,
    buffer: Vec<u8>,
    ended: bool,
}

/// One event: `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK` or `ERROR`, and its object.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) kind: String,
    pub(crate) object: Value,
}

impl Watch {
    pub(crate) async fn open(request: Request) -> Self {
        let request = request.header("Accept-Encoding", "identity");
        let line = request.line();
        let body = Self::body(&request).await;
        Self {
            request,
            line,
            body,
            buffer: Vec::new(),
            ended: false,
        }
    }

    async fn body(request: &Request) -> Body {
        let line = request.line();
        let response = request.clone().open().await;
        if response.status() != 200 {
            let answer = Answer::read(line.clone(), response).await;
            panic!("{line}: {}: {}", answer.status, answer.text());
        }
        response.into_body()
    }

    /// The next event; the watch must not end.
    pub(crate) async fn next(&mut self) -> Event {
        match self.read().await {
            Some(event) => event,
            None => panic!("{}: the watch ended, or stayed silent", self.line),
        }
    }

    /// The next event but bookmarks.
    pub(crate) async fn next_change(&mut self) -> Event {
        loop {
            let event = self.next().await;
            if event.kind != "BOOKMARK" {
                return event;
            }
        }
    }

    /// The next event but bookmarks, or nothing when none comes.
    pub(crate) async fn poll(&mut self) -> Option<Event> {
        loop {
            let event = self.read().await?;
            if event.kind != "BOOKMARK" {
                return Some(event);
            }
        }
    }

    /// Asserts that the next change is `kind` of the object `name`, and returns the object.
    pub(crate) async fn sees(&mut self, kind: &str, name: &str) -> Value {
        let event = self.next_change().await;
        let found = (event.kind.as_str(), event.object.text("/metadata/name"));
        assert_eq!(found, (kind, name), "{}: {:#}", self.line, event.object);
        event.object
    }

    /// All events up to the watch's end.
    pub(crate) async fn rest(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(line) = self.next_line().await {
            events.push(Event::parse(&line));
        }
        events
    }

    /// Whether the server has ended it.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    async fn read(&mut self) -> Option<Event> {
        loop {
            let event = Event::parse(&self.next_line().await?);
            // A server whose cache lags behind its store asks to be asked again, as clients do.
            if event.kind != "ERROR" || event.object.text("/reason") != "Timeout" {
                return Some(event);
            }
            self.body = Self::body(&self.request).await;
        }
    }

    async fn next_line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(end + 1);
                return Some(std::mem::replace(&mut self.buffer, rest));
            }
            let limit = Duration::from_secs(EVENT_SECS_MAX);
            let Some(frame) = tokio::time::timeout(limit, self.body.frame()).await.ok()? else {
                self.ended = true;
                return None;
            };
            if let Ok(data) = frame.unwrap().into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }
}

impl Event {
    fn parse(line: &[u8]) -> Self {
        let mut event: Value = serde_json::from_slice(line).unwrap();
        let object = event["object"].take();
        Self {
            kind: event.text("/type").to_owned(),
            object,
        }
    }
}
