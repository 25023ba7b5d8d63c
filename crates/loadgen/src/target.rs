//! The node that is loaded: where it listens, what it counts, how much memory and processor time it takes.

use std::net::SocketAddr;
use std::time::Duration;

use sparrow_protocol::Carrier;

use crate::{Api, BenchError};

/// Ticks per second of the times in /proc, which the kernel's interface fixes.
const TICKS: u64 = 100;

/// Where a node listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// HTTP and WebSocket.
    pub http: SocketAddr,
    /// The TCP protocol.
    pub tcp: SocketAddr,
    /// Health and metrics.
    pub admin: SocketAddr,
}

impl Addresses {
    /// Finds them among the lines that `sparrow serve` writes to standard output, up to the last that is needed; `None`
    /// if `next` has no more lines before.
    pub fn read(mut next: impl FnMut() -> Option<String>) -> Option<Self> {
        let (mut http, mut tcp, mut admin) = (None, None, None);
        loop {
            if let (Some(http), Some(tcp), Some(admin)) = (http, tcp, admin) {
                return Some(Self { http, tcp, admin });
            }
            let line = next()?;
            let after = |start: &str| line.strip_prefix(start)?.trim().parse().ok();
            http = http.or(after("listening http://")).or(after("listening https://"));
            tcp = tcp.or(after("listening tcp "));
            admin = admin.or(after("listening admin http://"));
        }
    }
}

/// A node.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Where it listens.
    pub addresses: Addresses,
    /// Its process, if it runs on this machine and is known.
    pub pid: Option<u32>,
}

/// What a node used and counted up to a moment; differences say what a run cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sample {
    /// Processor time of its process, user and system.
    pub cpu: Option<Duration>,
    /// Resident memory, in bytes.
    pub resident: Option<u64>,
    /// What `/metrics` says.
    pub counted: Option<Counted>,
}

/// Counters of `/metrics`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counted {
    /// Transactions of the append lane.
    pub commits: f64,
    /// Seconds that they took.
    pub commit_seconds: f64,
    /// Commands that they held.
    pub commands: f64,
}

impl Target {
    /// Where connections of this carrier go.
    pub fn address(&self, carrier: Carrier) -> SocketAddr {
        match carrier {
            Carrier::WebSocket => self.addresses.http,
            Carrier::Tcp => self.addresses.tcp,
        }
    }

    /// Fails with the cure if nobody listens there.
    pub async fn check(&self) -> Result<(), BenchError> {
        let address = self.addresses.http;
        match tokio::net::TcpStream::connect(address).await {
            Ok(_) => Ok(()),
            Err(error) => Err(BenchError::Down { address, error }),
        }
    }

    /// What it used and counted up to now, as far as that can be known.
    pub async fn sample(&self) -> Sample {
        Sample { cpu: self.cpu().ok(), resident: self.resident().ok(), counted: self.counted().await.ok() }
    }

    async fn counted(&self) -> Result<Counted, BenchError> {
        let text = Api::new(self.addresses.admin)?.text("/metrics").await?;
        Ok(Counted {
            commits: value(&text, "sparrow_commit_seconds_count")?,
            commit_seconds: value(&text, "sparrow_commit_seconds_sum")?,
            commands: value(&text, "sparrow_batch_commands_sum")?,
        })
    }

    /// The value of a counter, gauge, or a histogram's sum or count.
    pub async fn metric(&self, name: &str) -> Result<f64, BenchError> {
        value(&Api::new(self.addresses.admin)?.text("/metrics").await?, name)
    }

    /// The buckets of a histogram: upper bound and number of values up to it, in increasing order.
    pub async fn buckets(&self, name: &str) -> Result<Vec<(f64, f64)>, BenchError> {
        let text = Api::new(self.addresses.admin)?.text("/metrics").await?;
        let start = format!("{name}_bucket{{le=\"");
        let bucket = |line: &str| {
            let (bound, count) = line.strip_prefix(&start)?.split_once("\"} ")?;
            Some((bound.parse().ok()?, count.parse().ok()?))
        };
        Ok(text.lines().filter_map(bucket).collect())
    }

    /// Resident memory of the process, in bytes. Read from /proc, so on Linux only.
    pub fn resident(&self) -> Result<u64, BenchError> {
        resident(self.pid.ok_or(BenchError::NoProcess)?)
    }

    /// Processor time of the process so far, user and system, to 10 ms. Read from /proc, so on Linux only.
    pub fn cpu(&self) -> Result<Duration, BenchError> {
        cpu(self.pid.ok_or(BenchError::NoProcess)?)
    }
}

fn value(metrics: &str, name: &str) -> Result<f64, BenchError> {
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    value.ok_or_else(|| BenchError::NoMetric(name.to_owned()))
}

/// Resident memory of a process, in bytes.
fn resident(pid: u32) -> Result<u64, BenchError> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(BenchError::NoProc)?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
    kib.map(|kib: u64| kib * 1024).ok_or_else(|| BenchError::NoProc(std::io::ErrorKind::InvalidData.into()))
}

/// Processor time of a process so far, user and system, to 10 ms.
pub(crate) fn cpu(pid: u32) -> Result<Duration, BenchError> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).map_err(BenchError::NoProc)?;
    let ticks = cpu_ticks(&stat).ok_or_else(|| BenchError::NoProc(std::io::ErrorKind::InvalidData.into()))?;
    Ok(Duration::from_millis(ticks * 1_000 / TICKS))
}

/// The 14th and 15th field; the second, a name in brackets, may hold spaces and brackets.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(ticks()? + ticks()?)
}

/// Fails with the cure if the server is of another version than this program.
pub(crate) fn check_version(server: &str) -> Result<(), BenchError> {
    let ours = env!("CARGO_PKG_VERSION");
    let theirs = server.rsplit_once('/').map_or(server, |(_, version)| version);
    let number = theirs.split(['-', '+', ' ']).next().unwrap_or_default();
    if number == ours { Ok(()) } else { Err(BenchError::Version { server: server.to_owned(), ours }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_whatever_the_process_is_called() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 12345 1 2";
        assert_eq!(cpu_ticks(stat), Some(300));
    }

    #[test]
    fn another_version_is_refused() {
        assert!(check_version(concat!("sparrow/", env!("CARGO_PKG_VERSION"))).is_ok());
        assert!(matches!(check_version("sparrow/999.0.0"), Err(BenchError::Version { .. })));
    }
}
