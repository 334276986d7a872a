//! Processes on a core of their own, and the CPU time they take.

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Fallible;
use crate::world::World;

/// How long one may take to load its database and its names.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that runs; it ends with this value.
pub(crate) struct Running {
    pub(crate) label: &'static str,
    pub(crate) address: SocketAddr,
    process: Child,
}

impl Drop for Running {
    fn drop(&mut self) {
        // What it started first: a parent may start it anew. Each may have ended by itself.
        for id in self.family() {
            let id = i32::try_from(id)
                .ok()
                .and_then(rustix::process::Pid::from_raw);
            if let Some(id) = id {
                let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
            }
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Running {
    pub(crate) fn start(
        label: &'static str,
        address: SocketAddr,
        mut command: Command,
    ) -> Fallible<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let process = command.spawn().map_err(|why| format!("{label}: {why}"))?;
        Ok(Self {
            label,
            address,
            process,
        })
    }

    /// Waits until it answers a name of the world.
    pub(crate) fn await_answer(&self, world: &World) -> Fallible<()> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(self.address)?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let query = world.query(7, 0, [192, 0, 2]);
        let mut reply = [0; 2048];
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            // Refused until it listens.
            let _ = socket.send(&query);
            if let Ok(len) = socket.recv(&mut reply)
                && len > query.len()
                && reply[3] & 0xf == 0
            {
                return Ok(());
            }
        }
        Err(format!("{} does not answer", self.label).into())
    }

    /// Nanoseconds that it and what it started have been on a core.
    pub(crate) fn cpu_nanos(&self) -> Fallible<u64> {
        let mut sum = 0;
        for id in self.family() {
            for task in fs::read_dir(format!("/proc/{id}/task"))? {
                let text = fs::read_to_string(task?.path().join("schedstat"))?;
                let first = text.split_whitespace().next();
                sum += first.ok_or("schedstat is empty")?.parse::<u64>()?;
            }
        }
        Ok(sum)
    }

    /// It and all that descend from it.
    fn family(&self) -> BTreeSet<u32> {
        let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let id = entry.ok()?.file_name().to_str()?.parse().ok()?;
                let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
                // After the name, which may hold anything: the state, then the parent.
                let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?;
                Some((id, parent.parse().ok()?))
            })
            .collect();
        let mut family = BTreeSet::from([self.process.id()]);
        loop {
            let before = family.len();
            let of = |(_, parent): &&(u32, u32)| family.contains(parent);
            let children: Vec<u32> = parents.iter().filter(of).map(|(id, _)| *id).collect();
            family.extend(children);
            if family.len() == before {
                return family;
            }
        }
    }
}

/// Keeps this process on one core.
pub(crate) fn pin_this(core: &str) -> Fallible<()> {
    let id = std::process::id().to_string();
    let pinned = Command::new("taskset")
        .args(["-p", "-c", core, &id])
        .stdout(Stdio::null())
        .status()?;
    match pinned.success() {
        true => Ok(()),
        false => Err("two cores are needed: one for the servers, one to ask from".into()),
    }
}
