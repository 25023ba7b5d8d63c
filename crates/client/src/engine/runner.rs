//! One connection after another: connecting, saying hello, and how long to wait in between.

use std::time::Duration;

use prost::Message as _;
use rand::RngExt;
use sparrow_protocol::v1;
use sparrow_protocol::{CloseCode, Code, Command, Frame};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use super::live::Live;
use super::{Ask, Parts};
use crate::backoff::Backoff;
use crate::cache::Change;
use crate::connection::{Link, LinkError};
use crate::core::{Config, Core};
use crate::error::Error;
use crate::events::{DisconnectReason, Event, LogOutReason};

/// A connection that lasted so long was a good one: the next wait begins at the base again.
const GOOD_CONNECTION: Duration = Duration::from_secs(30);
/// From here on, a WebSocket close code says that connecting again is of no use.
const FINAL_CLOSE_CODES: std::ops::RangeInclusive<u16> = 4500..=4999;

/// How a connection ended.
pub(super) enum End {
    /// Somebody closed the client.
    Stopped,
    /// Connecting again is of no use.
    LoggedOut(LogOutReason),
    /// Connect again, after at least this wait.
    Lost { reason: DisconnectReason, wait: Duration },
}

impl End {
    pub(super) fn lost(reason: DisconnectReason) -> Self {
        Self::Lost { reason, wait: Duration::ZERO }
    }

    /// The server ended the session with this word and does not want it again. A token that it does not take any more
    /// is renewed first: only if that fails, too, the session is over.
    fn final_word(word: String) -> Self {
        if word == CloseCode::Unauthenticated.as_str() {
            return Self::lost(DisconnectReason::Refused(word));
        }
        Self::LoggedOut(LogOutReason::Server(word))
    }

    /// True if the tokens of the session are worth nothing from now on.
    fn voids_tokens(reason: &LogOutReason) -> bool {
        match reason {
            LogOutReason::Unauthenticated | LogOutReason::Requested => true,
            LogOutReason::Server(word) => word == CloseCode::Revoked.as_str(),
        }
    }
}

impl From<LinkError> for End {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Closed(number) if FINAL_CLOSE_CODES.contains(&number) => {
                let known = CloseCode::ALL.iter().find(|code| code.number() == number);
                Self::final_word(known.map_or_else(|| number.to_string(), |code| code.as_str().to_owned()))
            }
            LinkError::Closed(_) => LinkError::Broken.into(),
            LinkError::TimedOut => Self::lost(DisconnectReason::Silence),
            LinkError::Protocol(message) => Self::lost(DisconnectReason::Protocol(message)),
            LinkError::Untrusted => Self::lost(DisconnectReason::Untrusted),
            LinkError::Unreachable => Self::lost(DisconnectReason::Unreachable),
            LinkError::Broken => Self::lost(DisconnectReason::Network(error.to_string())),
        }
    }
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        match error {
            Error::LoggedOut => Self::LoggedOut(LogOutReason::Unauthenticated),
            Error::Refused(refusal) => {
                Self::Lost { reason: DisconnectReason::Refused(refusal.code), wait: refusal.retry_after }
            }
            Error::Unreachable(_) | Error::NotSparrow(_) => Self::lost(DisconnectReason::Unreachable),
            Error::Untrusted(_) => Self::lost(DisconnectReason::Untrusted),
            error @ (Error::Storage(_) | Error::Damaged(_)) => Self::lost(DisconnectReason::Storage(error.to_string())),
            error => Self::lost(DisconnectReason::Network(error.to_string())),
        }
    }
}

pub(super) struct Runner {
    parts: Parts,
    asks: mpsc::Receiver<Ask>,
    connected: watch::Sender<bool>,
    /// The token of the last connection.
    token: Option<String>,
    /// A token that the server did not take.
    rejected: Option<String>,
}

impl Runner {
    pub(super) fn new(parts: Parts, asks: mpsc::Receiver<Ask>, connected: watch::Sender<bool>) -> Self {
        Self { parts, asks, connected, token: None, rejected: None }
    }

    pub(super) async fn run(mut self) {
        let timings = self.parts.options.timings;
        let mut backoff = Backoff::new(timings.back_off_base, timings.back_off_max);
        loop {
            let began = Instant::now();
            let end = self.connection().await;
            self.connected.send_replace(false);
            match end {
                End::Stopped => return,
                End::LoggedOut(reason) => {
                    if End::voids_tokens(&reason)
                        && let Err(error) = self.parts.session.forget().await
                    {
                        tracing::warn!(%error, "cannot remove the tokens that no longer work");
                    }
                    self.parts.hub.logged_out(reason);
                    return;
                }
                End::Lost { reason, wait } => {
                    if matches!(&reason, DisconnectReason::Refused(code) if code == Code::Unauthenticated.as_str()) {
                        self.rejected = self.token.take();
                    }
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
        self.parts.session.server_says(welcome.server_time);
        let core = match self.core(&welcome).await {
            Ok(core) => core,
            Err(error) => return error.into(),
        };
        self.connected.send_replace(true);
        self.parts.hub.emit(Event::Connected { server: welcome.server.clone(), epoch: welcome.epoch.clone() });
        let silence = silence(&welcome, self.parts.options.timings.silence);
        let mut live = Live::new(&self.parts, core, silence);
        let end = live.run(&mut link, &mut self.asks).await;
        link.finish().await;
        end
    }

    /// Connects and says hello.
    async fn open(&mut self) -> Result<(Link, v1::Welcome), End> {
        let token = self.parts.session.access_token(self.rejected.as_deref()).await?;
        self.rejected = None;
        self.token = Some(token.clone());
        let mut link = Link::connect(&self.parts.dialer, &self.parts.options).await?;
        let options = &self.parts.options;
        let hello = v1::Hello {
            token,
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

pub(super) fn goodbye(frame: &Frame) -> End {
    let Ok(goodbye) = frame.parse::<v1::Goodbye>() else {
        return End::lost(DisconnectReason::Protocol("a goodbye that cannot be read".to_owned()));
    };
    if !goodbye.reconnect {
        return End::final_word(goodbye.reason);
    }
    let wait = Duration::from_millis(goodbye.reconnect_after_ms.into());
    End::Lost { reason: DisconnectReason::Goodbye(goodbye.reason), wait }
}
