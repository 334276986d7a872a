//! What is said on a line: reports, each as its length in four bytes and JSON. Both ends say their newest, when the
//! line opens and whenever it changes.

use model::ObserverName;
use prometheus_client::metrics::counter::Counter;
use std::convert::Infallible;
use std::io;
use std::time::Duration;
use steering::{Event, ProbeReportValue, REPORT_LIFE_MILLIS};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

/// No report is longer: 10,000 endpoints take 3 MiB.
const REPORT_BYTES_MAX: u32 = 16 * 1024 * 1024;
/// How long the other end may take for one.
const SAY_TIME: Duration = Duration::from_secs(5);
/// Who says nothing for so long is heard no more either.
const SILENCE: Duration = Duration::from_millis(REPORT_LIFE_MILLIS);

/// This observer's end of its lines.
#[derive(Clone)]
pub(super) struct End {
    pub(super) reports: watch::Receiver<Option<ProbeReportValue>>,
    pub(super) events: mpsc::Sender<Event>,
    /// Counts what came.
    pub(super) told: Counter,
}

/// An open line to an observer.
pub(super) struct Line<S> {
    name: ObserverName,
    hear: ReadHalf<S>,
    say: WriteHalf<S>,
}

impl<S: AsyncRead + AsyncWrite> Line<S> {
    /// A line to the observer of this name, which it has proved to be.
    pub(super) fn new(stream: S, name: ObserverName) -> Self {
        let (hear, say) = split(stream);
        Self { name, hear, say }
    }

    /// Says and hears reports until the line ends; why it did.
    pub(super) async fn talk(self, end: End) -> String {
        let End {
            reports,
            events,
            told,
        } = end;
        let Self { name, hear, say } = self;
        let ended = tokio::select! {
            ended = tell(say, reports) => ended,
            ended = listen(hear, &name, events, told) => ended,
        };
        let Err(why) = ended;
        why.to_string()
    }
}

async fn tell<S: AsyncWrite>(
    mut say: WriteHalf<S>,
    mut reports: watch::Receiver<Option<ProbeReportValue>>,
) -> io::Result<Infallible> {
    reports.mark_changed();
    loop {
        let gone = |_| io::Error::other("this observer stops");
        reports.changed().await.map_err(gone)?;
        let Some(newest) = reports.borrow_and_update().clone() else {
            continue;
        };
        let json = serde_json::to_vec(&newest)?;
        let length = u32::try_from(json.len()).unwrap_or(u32::MAX);
        if length > REPORT_BYTES_MAX {
            return Err(io::Error::other("this observer's report is too long"));
        }
        let saying = async {
            say.write_all(&length.to_be_bytes()).await?;
            say.write_all(&json).await?;
            say.flush().await
        };
        timeout(SAY_TIME, saying).await??;
    }
}

async fn listen<S: AsyncRead>(
    mut hear: ReadHalf<S>,
    name: &ObserverName,
    events: mpsc::Sender<Event>,
    told: Counter,
) -> io::Result<Infallible> {
    loop {
        let length = timeout(SILENCE, hear.read_u32()).await??;
        if length > REPORT_BYTES_MAX {
            return Err(io::Error::other("its report is too long"));
        }
        let mut json = Vec::new();
        // What is not sent takes no memory.
        let whole = (&mut hear).take(u64::from(length));
        timeout(SAY_TIME, { whole }.read_to_end(&mut json)).await??;
        let report: ProbeReportValue = serde_json::from_slice(&json)?;
        if report.observer != *name {
            let whose = report.observer;
            return Err(io::Error::other(format!("it speaks for {whose}")));
        }
        told.inc();
        let stops = |_| io::Error::other("this observer stops");
        let event = Event::Reported(Box::new(report));
        events.send(event).await.map_err(stops)?;
    }
}
