//! The node that is loaded: where it listens, what it counts, how much memory it holds.

use std::net::SocketAddr;

use crate::{Api, BenchError};

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
            http = http.or(after("listening http://"));
            tcp = tcp.or(after("listening tcp "));
            admin = admin.or(after("listening admin http://"));
        }
    }
}

/// A node on this machine.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Where it listens.
    pub addresses: Addresses,
    /// Its process.
    pub pid: u32,
}

impl Target {
    /// The value of a counter, gauge, or a histogram's sum or count.
    pub async fn metric(&self, name: &str) -> Result<f64, BenchError> {
        let text = Api::new(self.addresses.admin)?.text("/metrics").await?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.ok_or_else(|| BenchError::NoMetric(name.to_owned()))
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
        let path = format!("/proc/{}/status", self.pid);
        let status = std::fs::read_to_string(&path).map_err(BenchError::NoProc)?;
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
        kib.map(|kib: u64| kib * 1024).ok_or_else(|| BenchError::NoProc(std::io::ErrorKind::InvalidData.into()))
    }
}
