//! The actor of one session: it owns the carrier, carries out what the session's frames ask for, and minds the clock.
//!
//! It is a poll function rather than a set of channels and tasks, because an idle connection has to cost little: one
//! task, one timer, no buffers. In each turn it writes, or ends, reads, answers loads, and writes what came of that.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use sparrow_protocol::{CloseCode, Format, v1};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tracing::{Instrument as _, Span};

use super::carrier::{Carrier, Received};
use super::connection::{Exit, flood};
use super::handshake::Admitted;
use super::heartbeat::{Beat, Heartbeat};
use super::session::{Effect, Identified, Load};
use super::{Counted, Gateway};
use crate::accounts::Identity;
use crate::faults::{Step, failpoint};
use crate::limits::Bucket;
use crate::messaging::{EndReason, Outgoing, Registered, Session, encode};
use crate::node::Node;

/// Frames read before what they led to is written.
const FRAMES_AT_ONCE: usize = 64;
/// Turns of the loop before other tasks of the thread get theirs.
const TURNS: usize = 16;

/// What reading came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    /// Nothing came; the socket will wake this task.
    Nothing,
    /// Everything that had come.
    Some,
    /// As much as at once is allowed.
    More,
    /// As much as may be unanswered; answers that are written make room.
    Full,
}

/// The connection of a session.
pub(super) struct Actor<'a, C> {
    gateway: &'a Gateway,
    span: &'a Span,
    carrier: &'a mut C,
    format: Format,
    state: Identified,
    /// When the access token stops working.
    expires: Instant,
    /// Completes when the session is to answer what it accepted and leave.
    draining: Pin<Box<WaitForCancellationFutureOwned>>,
    drains: bool,
    heartbeat: Heartbeat,
    timer: Pin<Box<Sleep>>,
    /// What limits the frames of this connection.
    frames: Bucket,
    /// Since when the socket takes nothing although something waits.
    stuck_since: Option<Instant>,
    unflushed: bool,
    /// The load being served, and those that wait for it.
    load: Option<Pin<Box<dyn Future<Output = Bytes> + Send>>>,
    loads: VecDeque<(u32, Load)>,
    _counted: Counted,
    /// Last, so that the session is found until nothing else of it is left.
    _registered: Registered,
}

impl<'a, C: Carrier> Actor<'a, C> {
    /// The actor of a session that was just admitted, on a connection that has used up some of its frames.
    pub(super) fn new(
        gateway: &'a Gateway,
        span: &'a Span,
        carrier: &'a mut C,
        format: Format,
        admitted: Admitted,
        frames: Bucket,
    ) -> Self {
        let Admitted { registered, identity } = admitted;
        let node = &gateway.node;
        let limits = &node.config.limits;
        let now = Instant::now();
        Self {
            gateway,
            span,
            carrier,
            format,
            state: Identified::new(registered.session().clone(), limits.content_bytes),
            expires: expiry(&identity, node.clock.now().millis(), now),
            draining: Box::pin(gateway.draining.clone().cancelled_owned()),
            drains: false,
            heartbeat: Heartbeat::new(limits.ping_after, limits.idle_timeout, rand::random(), now),
            timer: Box::pin(sleep_until(now)),
            frames,
            stuck_since: None,
            unflushed: false,
            load: None,
            loads: VecDeque::new(),
            _counted: Counted::new(&node.metrics.sessions),
            _registered: registered,
        }
    }

    /// Does whatever can be done now. Ready when the connection ends.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Exit> {
        match self.turn_until_blocked(cx) {
            Ok(()) => Poll::Pending,
            Err(exit) => Poll::Ready(exit),
        }
    }

    fn turn_until_blocked(&mut self, cx: &mut Context<'_>) -> Result<(), Exit> {
        self.drains = self.drains || self.draining.as_mut().poll(cx).is_ready();
        let mut now = Instant::now();
        for _ in 0..TURNS {
            self.poll_timer(cx, now)?;
            let mut wrote = self.poll_write(cx, now)?;
            let read = self.poll_read(cx, now)?;
            let loaded = self.poll_load(cx);
            if loaded || read != Read::Nothing {
                // Often all that a frame leads to is there already, and the next turn need not be.
                wrote |= self.poll_write(cx, now)?;
            }
            if self.drains && self.is_done() {
                return Err(CloseCode::Shutdown.into());
            }
            if !(loaded || read == Read::More || (read == Read::Full && wrote)) {
                self.arm_timer(cx);
                return Ok(());
            }
            now = Instant::now();
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Hands what waits to the socket. True if anything was written.
    fn poll_write(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<bool, Exit> {
        let mut wrote = false;
        while let Poll::Ready(ready) = self.carrier.poll_ready(cx) {
            ready?;
            let frame = match self.session().outbound.poll_next(cx, now) {
                Poll::Ready(Outgoing::Frame(frame)) => frame,
                Poll::Ready(Outgoing::Resync) => encode(self.format, 0, &v1::Resync {}),
                Poll::Ready(Outgoing::End(reason)) => return Err(close_code(reason).into()),
                Poll::Pending => break,
            };
            failpoint(Step::SocketWrite);
            self.carrier.start_send(frame)?;
            self.unflushed = true;
            wrote = true;
        }
        if self.unflushed {
            match self.carrier.poll_flush(cx) {
                Poll::Ready(flushed) => {
                    flushed?;
                    self.unflushed = false;
                    self.stuck_since = None;
                    self.heartbeat.sent(now);
                }
                Poll::Pending => {
                    self.stuck_since.get_or_insert(now);
                }
            }
        }
        Ok(wrote)
    }

    /// Takes the load in hand further. True if one was answered.
    fn poll_load(&mut self, cx: &mut Context<'_>) -> bool {
        if self.load.is_none()
            && let Some((request, load)) = self.loads.pop_front()
        {
            let load = begin_load(&self.gateway.node, self.state.session(), request, load);
            self.load = Some(Box::pin(load.instrument(self.span.clone())));
        }
        let Some(load) = &mut self.load else { return false };
        let Poll::Ready(answer) = load.as_mut().poll(cx) else { return false };
        #[cfg(feature = "sabotage")]
        self.session().note_synced();
        self.load = None;
        if self.loads.is_empty() {
            self.loads = VecDeque::new();
        }
        self.session().outbound.reply(answer);
        true
    }

    /// Reads frames and does what they ask for.
    fn poll_read(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<Read, Exit> {
        let gateway = self.gateway;
        let limits = &gateway.node.config.limits;
        for frame in 0..FRAMES_AT_ONCE {
            // Beyond the limit the client waits until it has taken its answers, which wake this task.
            if self.drains || self.session().outbound.unanswered() >= limits.unanswered_requests {
                return Ok(Read::Full);
            }
            let Poll::Ready(received) = self.carrier.poll_receive(cx, limits.client_frame_bytes) else {
                return Ok(if frame > 0 { Read::Some } else { Read::Nothing });
            };
            self.heartbeat.received(now);
            gateway.node.limits.frame(&mut self.frames, now).map_err(flood)?;
            if let Received::Frame(bytes) = received? {
                failpoint(Step::GatewayRead);
                let effect = self.state.on_frame(self.format.decode(bytes));
                self.carry_out(effect)?;
            }
        }
        Ok(Read::More)
    }

    fn carry_out(&mut self, effect: Effect) -> Result<(), Exit> {
        let messaging = &self.gateway.node.messaging;
        let session = self.state.session();
        match effect {
            Effect::Nothing => {}
            Effect::Send { request, append } => {
                session.outbound.accept_request();
                messaging.send(session, request, append);
            }
            Effect::Read { request, conversation, seq } => {
                session.outbound.accept_request();
                messaging.session_read(session, request, conversation, seq);
            }
            Effect::Ack(ack) => messaging.ack(session.user, &ack),
            Effect::Signal(job) => {
                if job.request != 0 {
                    session.outbound.accept_request();
                }
                messaging.signal(job);
            }
            Effect::Load { request, load } => {
                session.outbound.accept_request();
                self.loads.push_back((request, load));
            }
            Effect::Pong { request } => {
                session.outbound.accept_request();
                session.reply(request, &v1::Pong {});
            }
            Effect::Refuse { request, failure } => {
                session.outbound.accept_request();
                session.refuse(request, &failure);
            }
            Effect::Dismiss(dismissal) => return Err(Exit::Dismissed(dismissal)),
        }
        Ok(())
    }

    /// Does what the clock asks for, if the timer has gone off.
    fn poll_timer(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<(), Exit> {
        if self.timer.as_mut().poll(cx).is_pending() {
            return Ok(());
        }
        if now >= self.expires {
            return Err(CloseCode::Unauthenticated.into());
        }
        if self.stuck_since.is_some_and(|since| now >= since + self.write_timeout()) {
            return Err(CloseCode::Slow.into());
        }
        match self.heartbeat.due(now) {
            Beat::Dead => return Err(CloseCode::Idle.into()),
            // A client that takes nothing is left to the write time limit.
            Beat::Ping if self.stuck_since.is_none() => {
                self.session().outbound.accept_request();
                self.session().outbound.reply(encode(self.format, 0, &v1::Ping {}));
            }
            Beat::Ping | Beat::Wait => {}
        }
        let deadline = self.deadline();
        self.timer.as_mut().reset(deadline);
        Ok(())
    }

    /// Makes sure that the timer goes off in time. One that goes off early is cheaper than setting it with every frame.
    fn arm_timer(&mut self, cx: &mut Context<'_>) {
        let deadline = self.deadline();
        if deadline < self.timer.deadline() {
            self.timer.as_mut().reset(deadline);
        }
        // A timer that was set has to be polled once to wake this task.
        if self.timer.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    fn deadline(&self) -> Instant {
        let stuck = self.stuck_since.map(|since| since + self.write_timeout());
        let resync = self.session().outbound.due();
        [stuck, resync].into_iter().flatten().fold(self.heartbeat.next().min(self.expires), Instant::min)
    }

    /// True if everything that was accepted is answered and written.
    fn is_done(&self) -> bool {
        !self.unflushed && self.load.is_none() && self.loads.is_empty() && self.session().outbound.is_idle()
    }

    fn session(&self) -> &Session {
        self.state.session()
    }

    fn write_timeout(&self) -> Duration {
        self.gateway.node.config.limits.write_timeout
    }
}

fn begin_load(
    node: &Node,
    session: &Arc<Session>,
    request: u32,
    load: Load,
) -> impl Future<Output = Bytes> + Send + use<> {
    let (messaging, errors) = (node.messaging.clone(), node.metrics.errors.clone());
    let (session, user, format) = (session.clone(), session.user, session.format);
    async move {
        let answer = match load {
            Load::Pull(pull) => {
                messaging.session_pull(user, pull, format.codec).await.map(|page| encode(format, request, &page))
            }
            Load::Presence(subscribe) => {
                messaging.watch(&session, subscribe).await.map(|states| encode(format, request, &states))
            }
            Load::Sync(sync) => messaging.sync(user, sync).await.map(|page| encode(format, request, &page)),
        };
        answer.unwrap_or_else(|failure| {
            errors.get_or_create(&failure.code.into()).inc();
            encode(format, request, &failure.to_wire())
        })
    }
}

fn close_code(reason: EndReason) -> CloseCode {
    match reason {
        EndReason::Revoked => CloseCode::Revoked,
        EndReason::Replaced => CloseCode::Replaced,
        EndReason::Overloaded => CloseCode::Overloaded,
    }
}

/// When the token of a session stops working, on the clock of timers.
fn expiry(identity: &Identity, now_ms: i64, now: Instant) -> Instant {
    let left = identity.expires.millis().saturating_sub(now_ms);
    now + Duration::from_millis(u64::try_from(left).unwrap_or(0))
}
