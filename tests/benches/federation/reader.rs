//! Another client of a member, which reads while somebody writes.

use futures::future::try_join_all;
use kube::Api;
use kube::api::DynamicObject;
use meridian_tests::sighted::Result;
use std::time::Instant;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Reads under way at any time.
const READS: usize = 4;

/// Reads an object again and again until it is ended.
pub(crate) struct Reader {
    stop: CancellationToken,
    reading: Vec<JoinHandle<Result<Vec<f64>>>>,
}

impl Reader {
    /// Connects, and begins.
    pub(crate) async fn begin(api: &Api<DynamicObject>, name: &str) -> Result<Self> {
        try_join_all((0..READS).map(|_| api.get(name))).await?;
        let stop = CancellationToken::new();
        let reading = std::iter::repeat_with(|| {
            tokio::spawn(read(api.clone(), name.to_owned(), stop.clone()))
        });
        Ok(Self {
            reading: reading.take(READS).collect(),
            stop,
        })
    }

    /// Seconds that each answer took.
    pub(crate) async fn end(self) -> Result<Vec<f64>> {
        self.stop.cancel();
        let mut all = Vec::new();
        for read in try_join_all(self.reading).await? {
            all.extend(read?);
        }
        Ok(all)
    }
}

async fn read(api: Api<DynamicObject>, name: String, stop: CancellationToken) -> Result<Vec<f64>> {
    let mut seconds = Vec::new();
    while !stop.is_cancelled() {
        let began = Instant::now();
        api.get(&name).await?;
        seconds.push(began.elapsed().as_secs_f64());
    }
    Ok(seconds)
}
