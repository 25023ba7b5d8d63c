//! From a request to types: who asks, the body, path and query parameters. What cannot be read is refused here.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use sparrow_protocol::{ClientMsgId, Code, ConversationId, DeviceId, Seq, json};

use super::state::Api;
use crate::accounts::{Identity, unauthenticated};
use crate::failure::Failure;
use crate::limits::ClientAddress;
use crate::users::UserRef;

/// A body is read on to so many times its limit before the connection is closed on its client.
const DRAIN_FACTOR: usize = 8;

/// Who asks: the account and device whose bearer token the request carries.
pub(super) struct Caller(pub(super) Identity);

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Failure> {
        let token = bearer(&parts.headers).ok_or_else(unauthenticated)?;
        Ok(Self(api.node.accounts.authenticate(token).await?))
    }
}

/// Where the request comes from.
pub(super) struct Peer(pub(super) ClientAddress);

impl FromRequestParts<Arc<Api>> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get().copied().unwrap_or(ClientAddress::UNKNOWN)))
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// A body in the JSON form of its message.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<Api>> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, Failure> {
        if !is_json(request.headers()) {
            return Err(Failure::invalid("Send JSON, with the header `content-type: application/json`."));
        }
        read_json(&read_body(request, api.node.config.limits.http_body_bytes).await?)
    }
}

/// Reads a body, keeping at most `limit` bytes. What is too long is read on for a while and dropped: a connection that
/// is closed while its client still writes loses the answer that says why.
async fn read_body(request: Request, limit: usize) -> Result<Vec<u8>, Failure> {
    let (mut kept, mut dropped) = (Vec::new(), 0);
    let mut chunks = request.into_body().into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Failure::invalid("The body ended before its announced length."))?;
        if dropped == 0 && kept.len() + chunk.len() <= limit {
            kept.extend_from_slice(&chunk);
            continue;
        }
        dropped += kept.len() + chunk.len();
        kept = Vec::new();
        if dropped > limit * DRAIN_FACTOR {
            break;
        }
    }
    if dropped > 0 {
        return Err(Failure::new(Code::TooLarge, format!("A body is at most {limit} bytes long.")));
    }
    Ok(kept)
}

/// What the typed decoder skips is checked too: duplicate keys, depth and Unicode.
fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<Body<T>, Failure> {
    json::check(bytes)
        .map_err(|_| Failure::invalid("The body is not JSON, or not JSON that every reader agrees on."))?;
    serde_json::from_slice(bytes).map(Body).map_err(|error| {
        // The message of the decoder may quote the body; only the place is told.
        let (line, column) = (error.line(), error.column());
        Failure::invalid(format!("The body is not of the right form at line {line}, column {column}; see /docs."))
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(value)) = headers.get(CONTENT_TYPE).map(|value| value.to_str()) else { return false };
    let kind = value.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// One segment of a path.
pub(super) trait Segment: Sized {
    /// Reads it, percent-decoded.
    fn parse(text: &str) -> Result<Self, Failure>;
}

impl Segment for ConversationId {
    fn parse(text: &str) -> Result<Self, Failure> {
        text.parse().map_err(|_| Failure::invalid("The conversation's id is not a number."))
    }
}

impl Segment for DeviceId {
    fn parse(text: &str) -> Result<Self, Failure> {
        text.parse().map_err(|_| Failure::invalid("The device's id is not a number."))
    }
}

impl Segment for UserRef {
    fn parse(text: &str) -> Result<Self, Failure> {
        Self::parse(text)
    }
}

impl Segment for Seq {
    fn parse(text: &str) -> Result<Self, Failure> {
        let seq = text.parse().ok().and_then(Self::new).filter(|seq| *seq >= Self::FIRST);
        seq.ok_or_else(|| Failure::invalid("The seq is not a number from 1 on."))
    }
}

/// The parameters of a path with one of them.
pub(super) struct At<A>(pub(super) A);

/// The parameters of a path with two of them.
pub(super) struct At2<A, B>(pub(super) A, pub(super) B);

impl<A: Segment> FromRequestParts<Arc<Api>> for At<A> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Failure> {
        let [a] = segments(parts, api).await?;
        Ok(Self(A::parse(&a)?))
    }
}

impl<A: Segment, B: Segment> FromRequestParts<Arc<Api>> for At2<A, B> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Failure> {
        let [a, b] = segments(parts, api).await?;
        Ok(Self(A::parse(&a)?, B::parse(&b)?))
    }
}

async fn segments<const N: usize>(parts: &mut Parts, api: &Arc<Api>) -> Result<[String; N], Failure> {
    let malformed = || Failure::invalid("The path is not well-formed; see /docs.");
    let params = RawPathParams::from_request_parts(parts, api).await.map_err(|_| malformed())?;
    let values: Vec<String> = params.iter().map(|(_, value)| value.to_owned()).collect();
    values.try_into().map_err(|_| malformed())
}

/// The query.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Api>> for Params<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Failure> {
        let query = Query::<T>::from_request_parts(parts, api).await;
        query.map(|Query(params)| Self(params)).map_err(|_| Failure::invalid("A query parameter is wrong; see /docs."))
    }
}

/// The `Idempotency-Key` header.
pub(super) struct IdempotencyKey(pub(super) Option<String>);

impl IdempotencyKey {
    const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
    const MAX_LEN: usize = 128;
}

impl FromRequestParts<Arc<Api>> for IdempotencyKey {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Self, Failure> {
        let Some(value) = parts.headers.get(Self::HEADER) else { return Ok(Self(None)) };
        let key = value.to_str().ok().filter(|key| !key.is_empty() && key.len() <= Self::MAX_LEN);
        let key = key.ok_or_else(|| Failure::invalid("An Idempotency-Key has 1 to 128 printable ASCII characters."))?;
        Ok(Self(Some(key.to_owned())))
    }
}

/// The id a client gave a command; empty for none.
pub(super) fn client_msg_id(text: &str) -> Result<Option<ClientMsgId>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| Failure::invalid("clientMsgId is not a UUID; leave it out to get one."))
}
