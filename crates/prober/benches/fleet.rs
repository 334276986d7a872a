//! What 10,000 endpoints cost that are probed every 5 s: CPU, how evenly probes come, how many run at once.
//!
//! `just bench-probes` starts a server that answers `200`, in a process of its own, at as many loopback addresses as there
//! are endpoints, and the prober in this one. After two intervals, four are measured. Beside it, for the ratio, a client
//! that does the least that such a probe can do: connect, write a request, read until the end, 2,000 times a second.
//!
//! | figure | bound |
//! |---|---|
//! | CPU of the prober, all threads | a quarter of a core |
//! | results in the fullest 100 ms, of the mean | 1.5 |
//! | connections at once | as many as the prober may have |
//!
//! It ends with one line of JSON, and fails when a bound is not kept.

use meridian_prober::{PROBES_AT_ONCE_MAX, Prober, RESULTS_MAX};
use model::{EndpointId, HttpProbe, ObjectKey, Probe, ProbeKind, ProbeSchedule, Target};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval, timeout};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const ENDPOINTS: u32 = 10_000;
const INTERVAL: Duration = Duration::from_secs(5);
const MEASURED: Duration = Duration::from_secs(20);
const BUCKET: Duration = Duration::from_millis(100);
/// How the plain client keeps its rate: so many at a time, so often.
const BURST: u32 = 20;
const BURST_EVERY: Duration = Duration::from_millis(10);
const CORES_MAX: f64 = 0.25;
const PEAK_MAX: f64 = 1.5;
const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    match std::env::args().nth(1).as_deref() {
        Some("serve") => runtime.block_on(serve()),
        _ => runtime.block_on(measure()),
    }
}

async fn measure() -> Result<()> {
    let (mut server, mut said, port) = start_server()?;
    let probed = probe_fleet(port).await;
    let at_once = line(&mut said, &mut server)?;
    let plain_micros = plain_client(port).await?;
    server.kill()?;
    server.wait()?;

    let probed = probed?;
    let mut out = io::stdout();
    writeln!(
        out,
        "{} results, {} of them failures",
        probed.results, probed.failures
    )?;
    writeln!(
        out,
        "CPU {:.3} of a core, {:.0} µs a probe",
        probed.cores, probed.micros
    )?;
    writeln!(out, "a plain client: {plain_micros:.0} µs a request")?;
    writeln!(out, "fullest {BUCKET:?}: {:.2} of the mean", probed.peak)?;
    writeln!(out, "at most {at_once} connections at once")?;
    let kept = probed.cores <= CORES_MAX
        && probed.peak <= PEAK_MAX
        && at_once <= PROBES_AT_ONCE_MAX
        && probed.failures == 0;
    writeln!(
        out,
        r#"{{"endpoints":{ENDPOINTS},"interval_secs":{},"results":{},"failures":{},"cores":{:.3},"micros_per_probe":{:.0},"plain_micros":{plain_micros:.0},"ratio":{:.2},"peak_of_mean":{:.2},"at_once":{at_once},"kept":{kept}}}"#,
        INTERVAL.as_secs(),
        probed.results,
        probed.failures,
        probed.cores,
        probed.micros,
        probed.micros / plain_micros,
        probed.peak,
    )?;
    match kept {
        true => Ok(()),
        false => Err("a bound was not kept".into()),
    }
}

struct Probed {
    results: usize,
    failures: usize,
    cores: f64,
    micros: f64,
    peak: f64,
}

async fn probe_fleet(port: u16) -> Result<Probed> {
    let (sender, mut results) = mpsc::channel(RESULTS_MAX);
    let prober = Prober::start(7, sender);
    prober.set((0..ENDPOINTS).map(|number| probe(number, port)).collect());
    let warm = Instant::now() + 2 * INTERVAL;
    while let Ok(Some(_)) = tokio::time::timeout_at(warm, results.recv()).await {}
    let (begun, before) = (Instant::now(), cpu()?);
    let mut buckets = vec![0_usize; (MEASURED.as_millis() / BUCKET.as_millis()) as usize];
    let mut failures = 0;
    while let Ok(Some(result)) = tokio::time::timeout_at(begun + MEASURED, results.recv()).await {
        let at = begun.elapsed().as_millis() / BUCKET.as_millis();
        if let Some(bucket) = buckets.get_mut(at as usize) {
            *bucket += 1;
        }
        failures += usize::from(result.failure.is_some());
    }
    let used = cpu()? - before;
    let count: usize = buckets.iter().sum();
    let mean = count as f64 / buckets.len() as f64;
    let fullest = buckets.iter().copied().max().unwrap_or_default();
    Ok(Probed {
        results: count,
        failures,
        cores: used / MEASURED.as_secs_f64(),
        micros: used * 1e6 / count as f64,
        peak: fullest as f64 / mean,
    })
}

fn probe(number: u32, port: u16) -> Probe {
    let target = Target::Ip(address(number));
    Probe {
        endpoint: EndpointId {
            service: ObjectKey::new("shop", &format!("shop-{}", number / 3)),
            cluster: format!("cluster-{}", number % 3).as_str().into(),
            target: target.clone(),
        },
        target,
        kind: ProbeKind::Http(HttpProbe {
            port,
            path: "/healthz".to_owned(),
            host: Some("shop.example.org".to_owned()),
            expect_status: Vec::new(),
            expect_body: Some("ok".to_owned()),
        }),
        schedule: ProbeSchedule {
            interval_millis: INTERVAL.as_millis() as u64,
            timeout_millis: 2_000,
        },
    }
}

/// An address of the loopback network for each endpoint: one alone would run out of ports.
fn address(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(0x7f01_0000 + number))
}

/// Microseconds of CPU that a request costs who does nothing else.
async fn plain_client(port: u16) -> Result<f64> {
    let seconds = 5;
    let mut ticks = interval(BURST_EVERY);
    let rounds = seconds * 1_000 / BURST_EVERY.as_millis() as u32;
    let before = cpu()?;
    let mut running = tokio::task::JoinSet::new();
    for round in 0..rounds {
        ticks.tick().await;
        for number in 0..BURST {
            let number = (round * BURST + number) % ENDPOINTS;
            running.spawn(request(SocketAddr::new(address(number), port)));
        }
        while running.try_join_next().is_some() {}
    }
    while running.join_next().await.is_some() {}
    Ok((cpu()? - before) * 1e6 / f64::from(rounds * BURST))
}

async fn request(at: SocketAddr) -> io::Result<usize> {
    let mut stream = TcpStream::connect(at).await?;
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: shop.example.org\r\n\r\n")
        .await?;
    let mut reply = Vec::with_capacity(256);
    stream.read_to_end(&mut reply).await
}

/// Seconds of CPU that this process used (proc_pid_stat(5): fields 14 and 15, in hundredths).
fn cpu() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after = stat.rsplit(')').next().unwrap_or_default();
    let mut fields = after.split_whitespace().skip(11);
    let mut ticks = || -> Result<f64> { Ok(fields.next().ok_or("no such field")?.parse()?) };
    Ok((ticks()? + ticks()?) / 100.0)
}

fn start_server() -> Result<(Child, BufReader<ChildStdout>, u16)> {
    let mut server = Command::new(std::env::current_exe()?)
        .arg("serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = BufReader::new(server.stdout.take().ok_or("no output")?);
    let mut port = String::new();
    said.read_line(&mut port)?;
    Ok((server, said, port.trim().parse()?))
}

/// Asks the server how many connections it had at once.
fn line(said: &mut BufReader<ChildStdout>, server: &mut Child) -> Result<usize> {
    writeln!(server.stdin.as_mut().ok_or("no input")?, "how many")?;
    let mut count = String::new();
    said.read_line(&mut count)?;
    Ok(count.trim().parse()?)
}

async fn serve() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    writeln!(io::stdout(), "{}", listener.local_addr()?.port())?;
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let told = Arc::clone(&most);
    std::thread::spawn(move || {
        for _ in io::stdin().lines() {
            let _ = writeln!(io::stdout(), "{}", told.load(Ordering::Relaxed));
        }
    });
    loop {
        let (stream, _) = listener.accept().await?;
        let now = Arc::clone(&now);
        most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        tokio::spawn(async move {
            let _ = timeout(Duration::from_secs(5), respond(stream)).await;
            now.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn respond(mut stream: TcpStream) -> io::Result<()> {
    let mut request = [0; 1024];
    let mut length = 0;
    while !request[..length].windows(4).any(|it| it == b"\r\n\r\n") {
        match stream.read(&mut request[length..]).await? {
            0 => return Ok(()),
            more => length += more,
        }
    }
    stream.write_all(REPLY).await?;
    stream.shutdown().await
}
