//! `sparrow bench`: starts a node of this binary in a process of its own, loads it, and prints what was measured.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use sparrow_loadgen::{Addresses, Target, workload};
use sparrow_protocol as protocol;

use crate::config;

/// Which workload.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Memory of the node for each idle, logged-in connection: the slope between a tenth of the connections and all
    Idle {
        /// Connections; each takes a file descriptor here and one in the node
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=50_000))]
        connections: u32,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Transactions and time that sends take which are written at once
    Burst {
        /// Messages
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
        sends: u32,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Time of one durable send at a time, beside the time of a commit
    Latency {
        /// Messages
        #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(100..))]
        sends: u32,
        #[command(flatten)]
        format: FormatArgs,
    },
}

/// What the connections speak.
#[derive(Debug, Args)]
pub(crate) struct FormatArgs {
    /// What carries the frames
    #[arg(long, value_enum, default_value_t = Carrier::Websocket)]
    carrier: Carrier,
    /// How bodies are written
    #[arg(long, value_enum, default_value_t = Codec::Protobuf)]
    codec: Codec,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Carrier {
    Websocket,
    Tcp,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Codec {
    Protobuf,
    Json,
}

impl FormatArgs {
    fn format(&self) -> protocol::Format {
        let carrier = match self.carrier {
            Carrier::Websocket => protocol::Carrier::WebSocket,
            Carrier::Tcp => protocol::Carrier::Tcp,
        };
        let codec = match self.codec {
            Codec::Protobuf => protocol::Codec::Protobuf,
            Codec::Json => protocol::Codec::Json,
        };
        protocol::Format { carrier, codec }
    }
}

/// Runs a workload; answers what was measured, in a line.
pub(crate) fn run(command: &BenchCommand) -> anyhow::Result<String> {
    crate::serve::raise_descriptor_limit();
    let node = BenchNode::start()?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        match command {
            BenchCommand::Idle { connections, format } => {
                let many = *connections as usize;
                let idle = workload::idle(&node.target, format.format(), many / 10, many).await?;
                Ok(format!(
                    "{:.2} KB resident for each connection: {} KB at {}, {} KB at {}\n",
                    idle.bytes_per_connection() / 1e3,
                    idle.few_bytes / 1_000,
                    idle.few,
                    idle.many_bytes / 1_000,
                    idle.many
                ))
            }
            BenchCommand::Burst { sends, format } => {
                let burst = workload::burst(&node.target, format.format(), *sends as usize).await?;
                Ok(format!("{} sends were acked in {:?} with {} commits\n", burst.sends, burst.took, burst.commits))
            }
            BenchCommand::Latency { sends, format } => {
                let latency = workload::latency(&node.target, format.format(), *sends as usize).await?;
                Ok(format!(
                    "{} durable sends, one at a time: median {:?}, p99 {:?}; median commit {:?}\n",
                    latency.sends, latency.median, latency.p99, latency.median_commit
                ))
            }
        }
    })
}

/// A node with an empty data directory, killed when dropped.
struct BenchNode {
    target: Target,
    child: Child,
    _data: tempfile::TempDir,
}

impl BenchNode {
    fn start() -> anyhow::Result<Self> {
        let data = tempfile::tempdir().context("cannot make a directory for the node's data")?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", "--listen", "127.0.0.1:0", "--tcp-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .arg("--data")
            .arg(data.path())
            .env("SPARROW_LOG", "warn")
            // What is measured is not the hashing of passwords.
            .env("SPARROW_PASSWORD_HASHING_MEMORY_KIB", "8")
            .env("SPARROW_PASSWORD_HASHING_PASSES", "1")
            // Nor is it how a node protects itself from a load generator.
            .envs(config::highest_rates())
            .env("SPARROW_LIMITS_ADDRESS_SESSIONS", "10000000")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("the node has no standard output")?).lines();
        let addresses = Addresses::read(|| lines.next()?.ok());
        let pid = child.id();
        match addresses {
            Some(addresses) => Ok(Self { target: Target { addresses, pid }, child, _data: data }),
            None => {
                child.kill()?;
                child.wait()?;
                anyhow::bail!("the node did not start; its log above says why")
            }
        }
    }
}

impl Drop for BenchNode {
    fn drop(&mut self) {
        // Gone already, or out of our hands: there is nothing more to do about it here.
        drop(self.child.kill().and_then(|()| self.child.wait()));
    }
}
