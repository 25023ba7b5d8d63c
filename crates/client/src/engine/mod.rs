//! The one task that keeps a connection alive. All of a client's waiting happens here; what it means is the core's.
//!
//! Here is the handle with which callers reach the task, and its start.

mod live;
mod runner;

use std::time::Duration;

use bytes::Bytes;
use sparrow_protocol::v1;
use sparrow_protocol::{Body, Command, Frame};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::runner::Runner;
use crate::cache::Cache;
use crate::connection::Dialer;
use crate::error::Error;
use crate::events::Hub;
use crate::options::Options;
use crate::session::Session;

/// Requests of callers that may wait for the connection's task.
const WAITING_ASKS: usize = 64;
/// A caller's request.
struct Ask {
    command: Command,
    body: Bytes,
    /// Absent for what is not answered.
    reply: Option<oneshot::Sender<Frame>>,
}

/// A handle to the connection's task.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    asks: mpsc::Sender<Ask>,
    connected: watch::Receiver<bool>,
    answer_within: Duration,
}

impl Engine {
    /// True while there is a connection.
    pub(crate) fn is_connected(&self) -> bool {
        *self.connected.borrow()
    }

    /// Sends a request, waiting a while for a connection if there is none, and waits for the answer.
    pub(crate) async fn request<M: Body, R: Body>(&self, request: &M) -> Result<R, Error> {
        let (reply, answer) = oneshot::channel();
        let ask = Ask { command: M::COMMAND, body: request.encode_to_vec().into(), reply: Some(reply) };
        let exchange = async {
            let mut connected = self.connected.clone();
            connected.wait_for(|connected| *connected).await.map_err(|_| Error::Closed)?;
            self.asks.send(ask).await.map_err(|_| Error::Closed)?;
            answer.await.map_err(|_| Error::NotConnected)
        };
        let frame = timeout(self.answer_within, exchange).await.map_err(|_| Error::NotConnected)??;
        let unexpected = |_| Error::Protocol("a body that does not fit its command".to_owned());
        match frame.command {
            Some(Command::Error) => Err(Error::Refused(frame.parse::<v1::Error>().map_err(unexpected)?.into())),
            Some(command) if command == R::COMMAND => frame.parse().map_err(unexpected),
            _ => Err(Error::Protocol("an answer of the wrong kind".to_owned())),
        }
    }

    /// Sends something that is not answered and is worth nothing later.
    pub(crate) async fn tell<M: Body>(&self, message: &M) -> Result<(), Error> {
        if !self.is_connected() {
            return Err(Error::NotConnected);
        }
        let ask = Ask { command: M::COMMAND, body: message.encode_to_vec().into(), reply: None };
        self.asks.send(ask).await.map_err(|_| Error::Closed)
    }
}

/// What the engine works with.
pub(crate) struct Parts {
    pub(crate) user_id: i64,
    pub(crate) dialer: Dialer,
    pub(crate) session: Session,
    pub(crate) cache: Cache,
    pub(crate) hub: Hub,
    pub(crate) options: Options,
    pub(crate) stop: CancellationToken,
}

/// Starts the task; it ends when `stop` is cancelled or the device is logged out.
pub(crate) fn start(parts: Parts) -> (Engine, JoinHandle<()>) {
    let (asks, waiting) = mpsc::channel(WAITING_ASKS);
    let (connected, is_connected) = watch::channel(false);
    let answer_within = parts.options.timings.answer;
    let task = tokio::spawn(Runner::new(parts, waiting, connected).run());
    (Engine { asks, connected: is_connected, answer_within }, task)
}
