//! Keeps one connection alive and carries out what the core decides. All of a client's waiting happens here.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use rand::RngExt;
use sparrow_protocol::v1::{self, Entry};
use sparrow_protocol::{Body, Code, Command, Frame};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::cache::{Cache, Change};
use crate::connection::{Link, LinkError};
use crate::core::{Config, Core, Effect};
use crate::error::Error;
use crate::events::{DisconnectReason, Event, Hub, LogOutReason};
use crate::options::Options;
use crate::session::Session;

/// Requests of callers that may wait for the connection's task.
const WAITING_ASKS: usize = 64;
/// A connection that lasted so long was a good one: the next wait begins at the base again.
const GOOD_CONNECTION: Duration = Duration::from_secs(30);
/// From here on, a WebSocket close code says that connecting again is of no use.
const FINAL_CLOSE_CODES: std::ops::RangeInclusive<u16> = 4500..=4999;

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
    pub(crate) websocket_url: String,
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
    let runner = Runner { parts, asks: waiting, connected, rejected: None };
    let task = tokio::spawn(runner.run());
    (Engine { asks, connected: is_connected, answer_within }, task)
}

/// How a connection ended.
enum End {
    /// Somebody closed the client.
    Stopped,
    /// Connecting again is of no use.
    LoggedOut(LogOutReason),
    /// Connect again, after at least this wait.
    Lost { reason: DisconnectReason, wait: Duration },
}

impl End {
    fn lost(reason: DisconnectReason) -> Self {
        Self::Lost { reason, wait: Duration::ZERO }
    }
}

impl From<LinkError> for End {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Closed(code) if FINAL_CLOSE_CODES.contains(&code) => {
                Self::LoggedOut(LogOutReason::Server(code.to_string()))
            }
            LinkError::TimedOut => Self::lost(DisconnectReason::Silence),
            LinkError::Protocol(message) => Self::lost(DisconnectReason::Protocol(message)),
            error @ (LinkError::Network(_) | LinkError::Closed(_)) => {
                Self::lost(DisconnectReason::Network(error.to_string()))
            }
        }
    }
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        match error {
            Error::LoggedOut => Self::LoggedOut(LogOutReason::Unauthenticated),
            error => Self::lost(DisconnectReason::Network(error.to_string())),
        }
    }
}

struct Runner {
    parts: Parts,
    asks: mpsc::Receiver<Ask>,
    connected: watch::Sender<bool>,
    /// A token that the server did not take.
    rejected: Option<String>,
}

impl Runner {
    async fn run(mut self) {
        let timings = self.parts.options.timings;
        let mut backoff = Backoff::new(timings.back_off_base, timings.back_off_max);
        loop {
            let began = Instant::now();
            let end = self.connection().await;
            self.connected.send_replace(false);
            match end {
                End::Stopped => return,
                End::LoggedOut(reason) => {
                    if let Err(error) = self.parts.session.forget().await {
                        tracing::warn!(%error, "cannot remove the tokens that no longer work");
                    }
                    self.parts.hub.emit(Event::LoggedOut { reason });
                    return;
                }
                End::Lost { reason, wait } => {
                    if began.elapsed() >= GOOD_CONNECTION {
                        backoff.reset();
                    }
                    let random = rand::rng().random();
                    let retry_in = backoff.next(random, wait);
                    tracing::debug!(?reason, ?retry_in, "connection lost");
                    self.parts.hub.emit(Event::Disconnected { reason, retry_in });
                    tokio::select! {
                        () = self.parts.stop.cancelled() => return,
                        () = tokio::time::sleep(retry_in) => {}
                    }
                }
            }
        }
    }

    /// One connection from its beginning to its end.
    async fn connection(&mut self) -> End {
        let stop = self.parts.stop.clone();
        let opened = tokio::select! {
            () = stop.cancelled() => return End::Stopped,
            opened = self.open() => opened,
        };
        let (mut link, welcome) = match opened {
            Ok(opened) => opened,
            Err(end) => return end,
        };
        let core = match self.core(&welcome).await {
            Ok(core) => core,
            Err(error) => return error.into(),
        };
        self.connected.send_replace(true);
        self.parts.hub.emit(Event::Connected { server: welcome.server.clone(), epoch: welcome.epoch.clone() });
        let mut live = Live {
            silence: silence(&welcome, self.parts.options.timings.silence),
            parts: &self.parts,
            core,
            callers: HashMap::new(),
            heard: Instant::now(),
            asked: None,
        };
        let end = live.run(&mut link, &mut self.asks).await;
        link.finish().await;
        end
    }

    /// Connects and says hello.
    async fn open(&mut self) -> Result<(Link, v1::Welcome), End> {
        let token = self.parts.session.access_token(self.rejected.as_deref()).await?;
        self.rejected = None;
        let mut link = Link::connect(&self.parts.websocket_url, &self.parts.options).await?;
        let options = &self.parts.options;
        let hello = v1::Hello {
            token: token.clone(),
            client: options.client_name.clone(),
            version: options.client_version.clone(),
            features: Vec::new(),
            no_pushes: !options.receive,
        };
        link.send(Command::Hello, 1, &hello.encode_to_vec())?;
        let answer = timeout(options.timings.answer, link.receive()).await;
        let frame = answer.map_err(|_| End::lost(DisconnectReason::Silence))??;
        let broken = || End::lost(DisconnectReason::Protocol("no welcome".to_owned()));
        match frame.command {
            Some(Command::Welcome) => Ok((link, frame.parse().map_err(|_| broken())?)),
            Some(Command::Error) => {
                let error: v1::Error = frame.parse().map_err(|_| broken())?;
                if error.code == Code::Unauthenticated.as_str() {
                    self.rejected = Some(token);
                }
                let wait = Duration::from_millis(error.retry_after_ms.into());
                Err(End::Lost { reason: DisconnectReason::Refused(error.code), wait })
            }
            Some(Command::Goodbye) => Err(goodbye(&frame)),
            _ => Err(broken()),
        }
    }

    /// The core of a connection that was welcomed; first sees to it that the cache belongs to the same epoch.
    async fn core(&self, welcome: &v1::Welcome) -> Result<Core, Error> {
        let cache = &self.parts.cache;
        let mut snapshot = cache.snapshot().await?;
        if snapshot.epoch != welcome.epoch {
            cache.apply(vec![Change::Epoch(welcome.epoch.clone())]).await?;
            // Of a first epoch nothing is lost, but whoever watches learns of every later one.
            let first = snapshot.epoch.is_empty();
            snapshot = cache.snapshot().await?;
            snapshot.comparing |= !first;
        }
        let options = &self.parts.options;
        let config = Config {
            user_id: self.parts.user_id,
            start: options.start,
            receive: options.receive,
            timings: options.timings,
            seed: rand::rng().random(),
        };
        Ok(Core::new(config, snapshot, welcome.limits.unwrap_or_default(), Instant::now()))
    }
}

/// The server knows best how long it may be silent; a test may be less patient.
fn silence(welcome: &v1::Welcome, at_most: Duration) -> Duration {
    match welcome.limits.map_or(0, |limits| limits.silence_ms) {
        0 => at_most,
        ms => Duration::from_millis(ms.into()).min(at_most),
    }
}

fn goodbye(frame: &Frame) -> End {
    let Ok(goodbye) = frame.parse::<v1::Goodbye>() else {
        return End::lost(DisconnectReason::Protocol("a goodbye that cannot be read".to_owned()));
    };
    if !goodbye.reconnect {
        return End::LoggedOut(LogOutReason::Server(goodbye.reason));
    }
    let wait = Duration::from_millis(goodbye.reconnect_after_ms.into());
    End::Lost { reason: DisconnectReason::Goodbye(goodbye.reason), wait }
}

/// A connection that was welcomed.
struct Live<'a> {
    parts: &'a Parts,
    core: Core,
    callers: HashMap<u32, oneshot::Sender<Frame>>,
    silence: Duration,
    heard: Instant,
    /// When the first request was sent since something was heard last.
    asked: Option<Instant>,
}

/// What happened.
enum Happened {
    Stop,
    Frame(Result<Frame, LinkError>),
    Ask(Option<Ask>),
    OutboxGrew,
    Time,
}

impl Live<'_> {
    async fn run(&mut self, link: &mut Link, asks: &mut mpsc::Receiver<Ask>) -> End {
        loop {
            if let Err(end) = self.perform(link).await {
                return end;
            }
            let happened = tokio::select! {
                biased;
                () = self.parts.stop.cancelled() => Happened::Stop,
                frame = link.receive() => Happened::Frame(frame),
                ask = asks.recv(), if self.core.has_room() => Happened::Ask(ask),
                () = self.parts.cache.outbox_grew() => Happened::OutboxGrew,
                () = tokio::time::sleep_until(self.next_wake()) => Happened::Time,
            };
            let now = Instant::now();
            match happened {
                Happened::Stop | Happened::Ask(None) => return End::Stopped,
                Happened::Frame(Err(error)) => return error.into(),
                Happened::Frame(Ok(frame)) => {
                    self.heard = now;
                    if frame.command == Some(Command::Goodbye) {
                        return goodbye(&frame);
                    }
                    self.core.frame(&frame, now);
                    self.asked = self.core.awaits_answer().then_some(now);
                }
                Happened::Ask(Some(ask)) => self.ask(ask),
                Happened::OutboxGrew => self.core.outbox_grew(),
                Happened::Time if self.is_silent(now) => return End::lost(DisconnectReason::Silence),
                Happened::Time => self.core.tick(now),
            }
        }
    }

    fn ask(&mut self, ask: Ask) {
        match ask.reply {
            None => self.core.tell(ask.command, ask.body),
            Some(reply) => {
                let id = self.core.ask(ask.command, ask.body);
                self.callers.insert(id, reply);
            }
        }
    }

    fn deadline(&self) -> Instant {
        let heard_by = self.heard + self.silence;
        self.asked.map_or(heard_by, |asked| heard_by.min(asked + self.parts.options.timings.answer))
    }

    fn is_silent(&self, now: Instant) -> bool {
        now >= self.deadline()
    }

    fn next_wake(&self) -> Instant {
        let deadline = self.deadline();
        self.core.next_wake().map_or(deadline, |wake| wake.min(deadline))
    }

    /// Carries out what the core wants until it wants nothing. What has to be written down is, before anything is said
    /// about it to the server or to the program.
    async fn perform(&mut self, link: &Link) -> Result<(), End> {
        loop {
            let effects = self.core.take_effects();
            if effects.is_empty() {
                return Ok(());
            }
            let (writes, others): (Vec<_>, Vec<_>) =
                effects.into_iter().partition(|effect| matches!(effect, Effect::Persist(_)));
            if !writes.is_empty() {
                let changes = writes.into_iter().filter_map(|effect| match effect {
                    Effect::Persist(change) => Some(change),
                    _ => None,
                });
                self.parts.cache.apply(changes.collect()).await?;
            }
            for effect in others {
                self.carry_out(effect, link).await?;
            }
        }
    }

    async fn carry_out(&mut self, effect: Effect, link: &Link) -> Result<(), End> {
        match effect {
            Effect::Persist(change) => self.parts.cache.apply(vec![change]).await?,
            Effect::Send { command, id, body } => {
                if id != 0 && self.asked.is_none() && command != Command::Pong {
                    self.asked = Some(Instant::now());
                }
                link.send(command, id, &body)?;
            }
            Effect::Emit(event) => self.parts.hub.emit(event),
            Effect::LoadOutbox { after, limit } => {
                let messages = self.parts.cache.outbox_after(after, limit).await?;
                self.core.loaded(messages, limit);
            }
            Effect::Compare => {
                let lost = self.parts.cache.take_lost(self.parts.user_id).await?;
                self.parts.hub.emit(Event::EpochChanged { lost });
            }
            Effect::Answer { id, frame } => {
                if let Some(caller) = self.callers.remove(&id) {
                    // The caller may have stopped waiting.
                    drop(caller.send(frame));
                }
            }
            Effect::Disconnect { reason, wait } => return Err(End::Lost { reason, wait }),
        }
        Ok(())
    }
}

/// The entries before a seq: what the cache has, and older ones from the server while there is a connection.
pub(crate) async fn history(
    engine: &Engine,
    cache: &Cache,
    conversation: i64,
    before_seq: i64,
    limit: u32,
) -> Result<Vec<Entry>, Error> {
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    if wanted == 0 || before_seq == 1 {
        return Ok(Vec::new());
    }
    loop {
        let Some(saved) = cache.saved(conversation).await? else {
            return pull_before(engine, conversation, before_seq, limit).await.map(|page| page.entries);
        };
        let before = if before_seq > 0 { before_seq.min(saved.position + 1) } else { saved.position + 1 };
        let kept = cache.before(conversation, before, limit).await?;
        let begins = saved.oldest <= saved.state.floor.max(1);
        if kept.len() >= wanted || begins || !engine.is_connected() {
            return Ok(kept);
        }
        let page = pull_before(engine, conversation, saved.oldest, limit).await?;
        if page.covered_to < page.covered_from || page.covered_from >= saved.oldest {
            return Ok(kept);
        }
        cache.add_older(conversation, page.entries, page.covered_from).await?;
    }
}

async fn pull_before(engine: &Engine, conversation: i64, before: i64, limit: u32) -> Result<v1::PullPage, Error> {
    // 0 asks for the head, which is what `before == 0` means here too.
    let to_seq = before.saturating_sub(1).max(0);
    engine.request(&v1::Pull { conversation_id: conversation, from_seq: 0, to_seq, limit, backward: true }).await
}
