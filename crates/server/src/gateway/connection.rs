//! The life of one connection, for both carriers and codecs: `Hello`, the session, and the one way out.

use std::future::poll_fn;

use sparrow_protocol::{CloseCode, Code, DeviceId, Format, v1};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{Instrument as _, Span};

use super::actor::Actor;
use super::admission::Place;
use super::carrier::{Carrier, Closing, Lost, Received};
use super::handshake::{Admitted, admit};
use super::session::{Dismissal, Unidentified};
use super::{Counted, Gateway};
use crate::failure::Failure;
use crate::limits::Bucket;
use crate::messaging::encode;

/// The time over which clients that a shutdown sends away are spread, in milliseconds.
const RECONNECT_SPREAD_MS: std::ops::Range<u32> = 500..5_000;

/// A connection before and after `Hello`.
pub(super) struct Connection<C> {
    gateway: Gateway,
    carrier: C,
    format: Format,
    hello_due: Instant,
    frames: Bucket,
    place: Place,
    span: Span,
    _counted: Counted,
}

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum Exit {
    /// Nothing more comes from the client.
    Lost(Lost),
    /// The server ends it.
    Dismissed(Dismissal),
}

impl From<Lost> for Exit {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

impl From<CloseCode> for Exit {
    fn from(code: CloseCode) -> Self {
        Self::Dismissed(Dismissal::new(code))
    }
}

impl<C: Carrier> Connection<C> {
    /// A connection whose client has to say `Hello` until `hello_due`. Boxed, because a future that is handed a value
    /// holds room for it twice.
    pub(super) fn new(
        gateway: Gateway,
        carrier: C,
        format: Format,
        hello_due: Instant,
        place: Place,
        span: Span,
    ) -> Box<Self> {
        let counted = Counted::new(&gateway.node.metrics.connections);
        let frames = gateway.node.limits.new_connection();
        Box::new(Self { gateway, carrier, format, hello_due, frames, place, span, _counted: counted })
    }

    /// Serves the connection to its end.
    pub(super) async fn run(mut self: Box<Self>) {
        // Boxed: what a log-in needs is not to be held as long as the session lives.
        let span = self.span.clone();
        let exit = match Box::pin(self.identify().instrument(span)).await {
            Ok(admitted) => {
                let device = admitted.identity.device;
                self.span.record("user", admitted.identity.user.get()).record("device", device.get());
                let mut actor = Box::new(Actor::new(
                    &self.gateway,
                    &self.span,
                    &mut self.carrier,
                    self.format,
                    admitted,
                    self.frames,
                ));
                let exit = poll_fn(|cx| actor.poll(cx)).await;
                drop(actor);
                self.note_seen(device).await;
                exit
            }
            Err(exit) => exit,
        };
        let span = self.span.clone();
        Box::pin(self.leave(exit).instrument(span)).await;
    }

    /// Notes when the device was last here; when all leave at once, `Server::shutdown` has done so in one write.
    async fn note_seen(&self, device: DeviceId) {
        let node = &self.gateway.node;
        if self.gateway.draining.is_cancelled() {
            return;
        }
        if let Err(error) = node.store.devices_seen(vec![device], node.clock.now()).await {
            tracing::debug!(%error, "it was not noted when a device was last seen");
        }
    }

    async fn identify(&mut self) -> Result<Admitted, Exit> {
        let limit = self.gateway.node.config.limits.hello_frame_bytes;
        let draining = self.gateway.draining.clone();
        let limits = self.gateway.node.limits.clone();
        let first_frame = async {
            loop {
                let received = poll_fn(|cx| self.carrier.poll_receive(cx, limit)).await?;
                limits.frame(&mut self.frames, Instant::now()).map_err(flood)?;
                if let Received::Frame(bytes) = received {
                    return Ok::<_, Exit>(bytes);
                }
            }
        };
        let bytes = tokio::select! {
            biased;
            () = draining.cancelled() => return Err(CloseCode::Shutdown.into()),
            received = timeout_at(self.hello_due, first_frame) => match received {
                Ok(received) => received?,
                Err(_elapsed) => return Err(CloseCode::HelloTimeout.into()),
            },
        };
        let (request, hello) = Unidentified::on_frame(self.format.decode(bytes)).map_err(Exit::Dismissed)?;
        let admitted = timeout_at(self.hello_due, admit(&self.gateway, &self.place, self.format, request, hello)).await;
        admitted.map_err(|_elapsed| Exit::from(CloseCode::Overloaded))?.map_err(Exit::Dismissed)
    }

    /// The one way out: says why as well as the client can still be told, and closes.
    async fn leave(mut self: Box<Self>, exit: Exit) {
        let limits = &self.gateway.node.config.limits;
        tracing::debug!(?exit, "connection ends");
        let (dismissal, closing) = match exit {
            Exit::Lost(Lost::Gone) => (None, Closing::Left),
            Exit::Lost(Lost::Violation(code)) => (None, Closing::Rfc(code)),
            Exit::Lost(Lost::TooLarge) => {
                let failure =
                    Failure::new(Code::TooLarge, "The frame is larger than allowed; see the limits in Welcome.");
                let code = CloseCode::TooLarge;
                (Some(Dismissal::with(code, 0, failure)), Closing::Code(code))
            }
            Exit::Lost(Lost::Truncated) => {
                let failure = Failure::invalid("The frame is shorter than its header.");
                let code = CloseCode::ProtocolError;
                (Some(Dismissal::with(code, 0, failure)), Closing::Code(code))
            }
            Exit::Dismissed(dismissal) => {
                let closing = Closing::Code(dismissal.code);
                (Some(dismissal), closing)
            }
        };
        if let Some((_, failure)) = dismissal.as_ref().and_then(|dismissal| dismissal.error.as_ref()) {
            self.gateway.node.metrics.errors.get_or_create(&failure.code.into()).inc();
        }
        let (write_timeout, format) = (limits.write_timeout, self.format);
        let said = timeout(write_timeout, async {
            if let Some(dismissal) = dismissal.filter(|dismissal| dismissal.code != CloseCode::Slow) {
                say(&mut self.carrier, format, &dismissal).await?;
            }
            Ok::<_, Lost>(())
        });
        if !matches!(said.await, Ok(Ok(()))) {
            return;
        }
        if timeout(write_timeout, self.carrier.close(closing)).await.is_err() {
            tracing::debug!("the client did not take its close frame");
        }
    }
}

/// The end of a connection that sends more frames than allowed.
pub(super) fn flood(failure: Failure) -> Exit {
    Exit::Dismissed(Dismissal::with(CloseCode::Policy, 0, failure))
}

async fn say<C: Carrier>(carrier: &mut C, format: Format, dismissal: &Dismissal) -> Result<(), Lost> {
    let error = dismissal.error.as_ref().map(|(request, failure)| encode(format, *request, &failure.to_wire()));
    let goodbye = v1::Goodbye {
        reason: dismissal.code.as_str().to_owned(),
        reconnect_after_ms: if dismissal.code.reconnect() { rand::random_range(RECONNECT_SPREAD_MS) } else { 0 },
        node: String::new(),
        reconnect: dismissal.code.reconnect(),
    };
    for frame in error.into_iter().chain([encode(format, 0, &goodbye)]) {
        poll_fn(|cx| carrier.poll_ready(cx)).await?;
        carrier.start_send(frame)?;
    }
    poll_fn(|cx| carrier.poll_flush(cx)).await
}
