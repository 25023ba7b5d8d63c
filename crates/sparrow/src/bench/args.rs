//! The flags of `sparrow bench`, and what they mean for each workload.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use sparrow_loadgen::schedule::Burst;
use sparrow_loadgen::{Addresses, Formats, Goal, Load, Target};
use sparrow_protocol as protocol;

use super::profile::Profile;

/// Connections that are asked of a server that was there, if no number is given: its passwords cost what they should.
const SERVER_CONNECTIONS: usize = 100;

/// How long a run is, if nobody says.
const DURATION: Duration = Duration::from_secs(10);

/// What every workload takes.
#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// Sends, pulls or frames per second; where a search begins. Each workload has its own default
    #[arg(long, value_name = "PER SECOND")]
    rate: Option<f64>,
    /// How long the measured part is [default: 10s; for `idle` 30s, which is more than a heartbeat]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) duration: Option<Duration>,
    /// Connections; each takes a file descriptor here and one in the node. Each workload has its own default
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    connections: Option<u32>,
    /// Bytes of a message's text
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    body: u32,
    #[command(flatten)]
    format: FormatArgs,
    /// From which the order of senders and pages is drawn
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Search for the highest rate at which a share of messages is acked and delivered within a time, as `p99=20ms`
    #[arg(long, value_name = "pN=TIME", value_parser = goal)]
    search: Option<Goal>,
    /// Draw the senders by Zipf's law with this exponent, instead of one after the other
    #[arg(long, value_name = "EXPONENT")]
    zipf: Option<f64>,
    /// Send so many times the rate for a time in the middle, as `10x2s`
    #[arg(long, value_name = "FACTORxTIME", value_parser = burst)]
    burst: Option<Burst>,
    /// Do not measure the floor afterwards, so without efficiency
    #[arg(long)]
    no_floor: bool,
    /// Also write the result to a file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    #[command(flatten)]
    pub(super) node: NodeArgs,
}

/// Which node is measured.
#[derive(Debug, Args)]
pub(super) struct NodeArgs {
    /// The limits of the node that is started
    #[arg(long, value_enum, default_value_t = Profile::Bench, conflicts_with = "server")]
    pub(super) profile: Profile,
    /// Measure this server instead of starting one, as `http://127.0.0.1:7700`
    #[arg(long, value_name = "URL")]
    pub(super) server: Option<String>,
    /// Where that server speaks TCP [default: port 7701 of its host]
    #[arg(long, value_name = "IP:PORT", requires = "server")]
    tcp: Option<SocketAddr>,
    /// Where that server has its metrics [default: port 7702 of its host]
    #[arg(long, value_name = "IP:PORT", requires = "server")]
    admin: Option<SocketAddr>,
    /// The process of that server, if it runs on this machine: its memory and processor time are reported
    #[arg(long, requires = "server")]
    pid: Option<u32>,
}

/// What the connections speak.
#[derive(Debug, Args)]
pub(crate) struct FormatArgs {
    /// What carries the frames
    #[arg(long, alias = "carrier", value_enum, default_value_t = Transport::Websocket)]
    transport: Transport,
    /// How bodies are written
    #[arg(long, value_enum, default_value_t = CodecArg::Protobuf)]
    codec: CodecArg,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Transport {
    Websocket,
    Tcp,
    /// Half of the connections each
    Mixed,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum CodecArg {
    Protobuf,
    Json,
    /// Half of the connections each
    Mixed,
}

impl FormatArgs {
    pub(super) fn formats(&self) -> Formats {
        let carrier = match self.transport {
            Transport::Websocket => Some(protocol::Carrier::WebSocket),
            Transport::Tcp => Some(protocol::Carrier::Tcp),
            Transport::Mixed => None,
        };
        let codec = match self.codec {
            CodecArg::Protobuf => Some(protocol::Codec::Protobuf),
            CodecArg::Json => Some(protocol::Codec::Json),
            CodecArg::Mixed => None,
        };
        Formats { carrier, codec }
    }
}

impl LoadArgs {
    /// What is asked of a workload with these defaults.
    pub(super) fn load(&self, rate: f64, connections: usize, receipts: bool) -> Load {
        let connections = match self.node.server {
            Some(_) => connections.min(SERVER_CONNECTIONS),
            None => connections,
        };
        Load {
            rate: self.rate.unwrap_or(rate),
            duration: self.duration.unwrap_or(DURATION),
            connections: self.connections.map_or(connections, |connections| connections as usize),
            body: self.body as usize,
            formats: self.format.formats(),
            receipts,
            seed: self.seed,
            search: self.search,
            zipf: self.zipf,
            burst: self.burst,
            floor: !self.no_floor,
        }
    }

    /// What a person should know of the accounts of a server that was there.
    pub(super) fn remark(&self) -> Option<String> {
        let is_default = self.node.server.is_some() && self.connections.is_none();
        is_default.then(|| {
            format!(
                "at most {SERVER_CONNECTIONS} connections, because the passwords of a server that was not started for \
                 this cost their full price; give --connections for more"
            )
        })
    }
}

impl NodeArgs {
    /// The server that was named.
    pub(super) fn target(&self, url: &str) -> anyhow::Result<Target> {
        let host = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        let host = host.with_context(|| format!("--server cannot be `{url}`: give it as `http://HOST:PORT`"))?;
        let http = host.to_socket_addrs().ok().and_then(|mut found| found.find(SocketAddr::is_ipv4));
        let http = http.with_context(|| format!("--server cannot be `{url}`: give a host that is known and a port"))?;
        let beside = |port| SocketAddr::new(http.ip(), port);
        let tcp = self.tcp.unwrap_or_else(|| beside(7701));
        let admin = self.admin.unwrap_or_else(|| beside(7702));
        Ok(Target { addresses: Addresses { http, tcp, admin }, pid: self.pid })
    }
}

/// A time: a number with `ms`, `s` or `min`.
fn time(text: &str) -> Result<Duration, String> {
    let units = [("ms", 0.001), ("min", 60.0), ("s", 1.0)];
    let found = units.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)));
    let seconds = found.and_then(|(amount, seconds)| Some(amount.trim().parse::<f64>().ok()? * seconds));
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.filter(|time| !time.is_zero()).ok_or_else(|| "give a time such as `500ms`, `10s` or `2min`".to_owned())
}

/// `p99=20ms`.
fn goal(text: &str) -> Result<Goal, String> {
    let parts = text.strip_prefix('p').and_then(|rest| rest.split_once('='));
    let percent = parts.and_then(|(percent, _)| percent.parse::<f64>().ok()).filter(|p| (1.0..100.0).contains(p));
    match (percent, parts.and_then(|(_, within)| time(within).ok())) {
        (Some(percent), Some(within)) => Ok(Goal { quantile: percent / 100.0, within }),
        _ => Err("give a goal such as `p99=20ms`".to_owned()),
    }
}

/// `10x2s`.
fn burst(text: &str) -> Result<Burst, String> {
    let parts = text.split_once('x');
    let factor = parts.and_then(|(factor, _)| factor.parse::<f64>().ok()).filter(|factor| *factor > 0.0);
    match (factor, parts.and_then(|(_, lasts)| time(lasts).ok())) {
        (Some(factor), Some(lasts)) => Ok(Burst { factor, lasts }),
        _ => Err("give a burst such as `10x2s`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_goals_and_bursts_are_read_as_they_are_written() {
        assert_eq!(time("1.5s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(time("2min"), Ok(Duration::from_secs(120)));
        assert_eq!(goal("p99.5=20ms"), Ok(Goal { quantile: 0.995, within: Duration::from_millis(20) }));
        assert_eq!(burst("10x2s"), Ok(Burst { factor: 10.0, lasts: Duration::from_secs(2) }));
        for wrong in ["", "0s", "5", "-1s", "NaNs", "s"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
        assert!(goal("99=20ms").is_err() && goal("p100=1s").is_err() && burst("x2s").is_err());
    }
}
