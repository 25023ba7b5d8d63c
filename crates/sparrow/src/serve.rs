//! `sparrow serve`: the life of a node's process. What the node does is in `sparrow-server`.

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sparrow_server::Server;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{self, ConfigArgs};

/// Runs a node until it is told to end, or fails. A second signal ends the process where it stands.
pub(crate) fn run(args: &ConfigArgs) -> anyhow::Result<()> {
    let settings = config::load(args)?.settings;
    crate::logging::start(&settings);
    raise_descriptor_limit();
    sparrow_server::faults::arm().map_err(anyhow::Error::msg)?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the node's threads")?;
    runtime.block_on(async {
        let mut ends = Ends::new()?;
        // What an operator sends after replacing a file.
        let mut hang_up = signal(SignalKind::hangup())?;
        let data = settings.node.data.clone();
        let server = Server::start(settings.node).await?;
        announce(&server, &data);
        loop {
            tokio::select! {
                () = ends.next() => break,
                _ = hang_up.recv() => server.reload_certificates(),
                task = server.failed() => {
                    anyhow::bail!("the node has failed ({task}); start it again, and report its log")
                }
            }
        }
        tracing::info!("shutting down; a second signal ends the process at once");
        tokio::select! {
            () = server.shutdown() => Ok(()),
            () = ends.next() => anyhow::bail!("ended by a second signal"),
        }
    })
}

/// The signals by which an operator ends a process.
struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Says where the node listens, in lines that programs read, and how to try it. In one write, so that a reader who
/// leaves after the lines it wanted breaks nothing.
fn announce(server: &Server, data: &std::path::Path) {
    let addresses = server.addresses();
    let program = std::env::args().next().unwrap_or_else(|| "sparrow".to_owned());
    let scheme = if server.speaks_tls() { "https" } else { "http" };
    let chat = format!("{program} chat --server {scheme}://{} --register --user", addresses.http);
    let text = format!(
        "listening {scheme}://{}\n\
         listening tcp {}\n\
         listening admin http://{}\n\
         data {}\n\
         \n\
         Chat with yourself, in two other terminals:\n\
         \x20 {chat} ann\n\
         \x20 {chat} bob\n",
        addresses.http,
        addresses.tcp,
        addresses.admin,
        data.display()
    );
    if let Err(error) = crate::print(&text) {
        tracing::warn!(%error, "standard output is closed");
    }
}

/// Lets the process hold as many connections as the system allows it: each takes a file descriptor, and the usual soft
/// limit of 1,024 is there for programs that use `select`.
pub(crate) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%error, "cannot raise the limit of file descriptors");
    }
}
