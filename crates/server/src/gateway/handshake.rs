//! From a `Hello` to a session that others can find, and the `Welcome` that goes first.

use sparrow_protocol::{CloseCode, Code, Format, limits, v1};
use sparrow_store::StoreError;

use super::Gateway;
use super::admission::Place;
use super::session::Dismissal;
use crate::accounts::Identity;
use crate::config::Limits;
use crate::failure::Failure;
use crate::messaging::{Bounds, NewSession, Registered, Session};

/// How the server names itself.
const SERVER: &str = concat!("sparrow/", env!("CARGO_PKG_VERSION"));

/// A client that was let in.
pub(super) struct Admitted {
    /// Its session; `Welcome` waits in its queue already.
    pub(super) registered: Registered,
    /// Whose token it was.
    pub(super) identity: Identity,
}

/// Checks the token and makes the session findable: pushes flow from here on, after the `Welcome`.
pub(super) async fn admit(
    gateway: &Gateway,
    place: &Place,
    format: Format,
    request: u32,
    hello: v1::Hello,
) -> Result<Admitted, Dismissal> {
    let dismiss = |failure: Failure| {
        let code = match failure.code {
            Code::Unauthenticated => CloseCode::Unauthenticated,
            Code::Internal => CloseCode::Internal,
            _ => CloseCode::Overloaded,
        };
        Dismissal::with(code, request, failure)
    };
    let node = &gateway.node;
    let mark = node.messaging.revocation_mark();
    let identity = node.accounts.authenticate(&hello.token).await.map_err(dismiss)?;
    node.limits.session(identity.user).map_err(dismiss)?;
    place.begin_session().map_err(dismiss)?;
    let generation = match node.store.begin_session(identity.device, node.clock.now()).await {
        Ok(Some(generation)) => generation,
        Ok(None) => return Err(Dismissal::new(CloseCode::Revoked)),
        // Whoever only reads needs no room. Of two sessions with one generation the later one stays.
        Err(StoreError::StorageFull) => identity.generation,
        Err(error) => return Err(dismiss(error.into())),
    };
    let epoch = node.store.epoch().await.map_err(|error| dismiss(error.into()))?;

    let limits = &node.config.limits;
    let session = Session::new(NewSession {
        user: identity.user,
        device: identity.device,
        generation,
        format,
        pushes: !hello.no_pushes,
        visibility: identity.visibility,
        errors: node.metrics.errors.clone(),
        bounds: Bounds { frames: limits.session_queue_frames, bytes: limits.session_queue_bytes },
    });
    session.outbound.accept_request();
    session.reply(request, &welcome(&identity, epoch, limits, node.clock.now().millis()));
    let registered = node.messaging.register(session);
    // A device revoked since its token was checked may have been missed above, and is not missed any more from here.
    if node.messaging.revocation_mark() != mark {
        node.accounts.authenticate(&hello.token).await.map_err(dismiss)?;
    }
    Ok(Admitted { registered, identity })
}

fn welcome(identity: &Identity, epoch: String, limits: &Limits, server_time: i64) -> v1::Welcome {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    v1::Welcome {
        server: SERVER.to_owned(),
        features: Vec::new(),
        limits: Some(v1::Limits {
            content_bytes: count(limits.content_bytes),
            client_frame_bytes: count(limits.client_frame_bytes),
            server_frame_bytes: count(limits::SERVER_FRAME_BYTES),
            unanswered_requests: count(limits.unanswered_requests),
            pull_entries: count(limits::PULL_ENTRIES),
            silence_ms: u32::try_from(limits::SERVER_SILENCE.as_millis()).unwrap_or(u32::MAX),
        }),
        server_time,
        epoch,
        user_id: identity.user.get(),
        user_name: identity.name.clone(),
        device_id: identity.device.get(),
    }
}
