//! The WebSocket carrier: the upgrade at `/v1/ws`, and one frame per message.
//!
//! The upgrade is done here rather than by axum, whose socket gives access neither to the close code that a breach of
//! RFC 6455 demands nor to fragments. Fragments keep the library's write buffer, which never shrinks, small.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::extract::{Request, State};
use axum::http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::{Sink as _, SinkExt as _, Stream as _};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use sparrow_protocol::{Carrier as CarrierKind, CloseCode, Codec, Format};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode as RfcCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};

use super::admission::Place;
use super::carrier::{Carrier, Closing, Lost, Received, linger};
use super::connection::Connection;
use super::socket::Socket;
use super::{Gateway, connection_span};
use crate::failure::Failure;

/// Bytes of the read buffer, which every connection holds as long as it lives.
const READ_BUFFER: usize = 2048;
/// Bytes that are collected before they are written.
const WRITE_BUFFER: usize = 4096;
/// Longest part of a message that goes out in one WebSocket frame.
const FRAGMENT: usize = 16 * 1024;

/// `GET /v1/ws`: answers the upgrade and starts the connection.
pub(crate) async fn upgrade(State(gateway): State<Arc<Gateway>>, mut request: Request) -> Response {
    let accepted = match accept(request.headers()) {
        Ok(accepted) => accepted,
        Err(failure) => return refuse(&failure),
    };
    if let Err(failure) = gateway.origins.check(request.headers()) {
        return refuse(&failure);
    }
    let extensions = request.extensions_mut();
    let (Some(place), Some(on_upgrade)) = (extensions.remove::<Place>(), extensions.remove::<OnUpgrade>()) else {
        return refuse(&Failure::invalid("This connection cannot be upgraded."));
    };
    let place = match extensions.get().map_or(Ok(place.clone()), |address| place.of_client(*address)) {
        Ok(place) => place,
        Err(failure) => return refuse(&failure),
    };
    let hello_due = Instant::now() + gateway.node.config.limits.hello_within;
    let (gateway, codec) = (Gateway::clone(&gateway), accepted.codec);
    let span = connection_span();
    gateway.clone().spawn(span.clone(), async move {
        if let Some(stream) = upgraded(on_upgrade, &gateway, codec).await {
            let format = Format { carrier: CarrierKind::WebSocket, codec };
            Connection::new(gateway, stream, format, hello_due, place, span).run().await;
        }
    });
    accepted.into_response()
}

pub(super) fn refuse(failure: &Failure) -> Response {
    let status = StatusCode::from_u16(failure.code.http_status()).unwrap_or(StatusCode::BAD_REQUEST);
    (status, axum::Json(failure.to_wire())).into_response()
}

/// What was agreed on.
struct Accepted {
    key: String,
    codec: Codec,
    /// True if the client named sub-protocols, so that the answer names one.
    named: bool,
}

impl Accepted {
    fn into_response(self) -> Response {
        let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        if let Ok(key) = HeaderValue::from_str(&self.key) {
            headers.insert(SEC_WEBSOCKET_ACCEPT, key);
        }
        if self.named {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(self.codec.sub_protocol()));
        }
        response
    }
}

fn accept(headers: &HeaderMap) -> Result<Accepted, Failure> {
    if !tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"))
        || !tokens(headers, &UPGRADE).any(|token| token.eq_ignore_ascii_case("websocket"))
    {
        return Err(Failure::invalid("This path speaks WebSocket; ask for an upgrade."));
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(Failure::invalid("Only WebSocket version 13 is spoken here."));
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).ok_or_else(|| Failure::invalid("Sec-WebSocket-Key is missing."))?;
    let codec = Codec::negotiate(tokens(headers, &SEC_WEBSOCKET_PROTOCOL)).ok_or_else(|| {
        Failure::invalid("None of these sub-protocols is known; there are sparrow.v1.proto and sparrow.v1.json.")
    })?;
    let named = headers.contains_key(SEC_WEBSOCKET_PROTOCOL);
    Ok(Accepted { key: derive_accept_key(key.as_bytes()), codec, named })
}

/// The comma-separated tokens of a header, over all its lines.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

async fn upgraded(on_upgrade: OnUpgrade, gateway: &Gateway, codec: Codec) -> Option<WebSocketFrames> {
    let limits = &gateway.node.config.limits;
    let upgraded = match timeout(limits.hello_within, on_upgrade).await {
        Ok(Ok(upgraded)) => upgraded,
        Ok(Err(_)) | Err(_) => return None,
    };
    let parts = match upgraded.downcast::<TokioIo<Socket>>() {
        Ok(parts) => parts,
        Err(_) => {
            tracing::error!("an upgraded connection is not the socket it was made of");
            return None;
        }
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(Some(limits.client_frame_bytes))
        .max_frame_size(Some(limits.client_frame_bytes));
    let stream = parts.io.into_inner();
    let read = parts.read_buf.to_vec();
    let socket = WebSocketStream::from_partially_read(stream, read, Role::Server, Some(config)).await;
    Some(WebSocketFrames { socket, codec, rest: Bytes::new(), too_big: false })
}

/// Frames over WebSocket.
pub(super) struct WebSocketFrames {
    socket: WebSocketStream<Socket>,
    codec: Codec,
    /// What is left of a message that goes out in fragments.
    rest: Bytes,
    /// True once the client announced a message beyond what WebSocket itself was told to take.
    too_big: bool,
}

impl WebSocketFrames {
    fn send_part(&mut self, opcode: Data) -> Result<(), Lost> {
        let part = self.rest.split_to(self.rest.len().min(FRAGMENT));
        let frame = Frame::message(part, OpCode::Data(opcode), self.rest.is_empty());
        Pin::new(&mut self.socket).start_send(Message::Frame(frame)).map_err(|_| Lost::Gone)
    }
}

impl Carrier for WebSocketFrames {
    fn poll_receive(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<Result<Received, Lost>> {
        let message = match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
            Some(Ok(message)) => message,
            Some(Err(error)) => {
                self.too_big = matches!(error, Error::Capacity(_));
                return Poll::Ready(Err(lost(&error)));
            }
            None => return Poll::Ready(Err(Lost::Gone)),
        };
        let frame = match (message, self.codec) {
            (Message::Text(text), Codec::Json) => Bytes::from(text),
            (Message::Binary(bytes), Codec::Protobuf) => bytes,
            (Message::Text(_) | Message::Binary(_), _) => {
                return Poll::Ready(Err(Lost::Violation(RfcCode::Unsupported.into())));
            }
            (Message::Ping(_) | Message::Pong(_) | Message::Frame(_), _) => return Poll::Ready(Ok(Received::Alive)),
            (Message::Close(_), _) => return Poll::Ready(Err(Lost::Gone)),
        };
        if frame.len() > limit {
            return Poll::Ready(Err(Lost::TooLarge));
        }
        Poll::Ready(Ok(Received::Frame(frame)))
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        loop {
            ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(|_| Lost::Gone)?;
            if self.rest.is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.send_part(Data::Continue)?;
        }
    }

    fn start_send(&mut self, frame: Bytes) -> Result<(), Lost> {
        self.rest = frame;
        self.send_part(match self.codec {
            Codec::Protobuf => Data::Binary,
            Codec::Json => Data::Text,
        })
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        ready!(self.poll_ready(cx))?;
        Pin::new(&mut self.socket).poll_flush(cx).map_err(|_| Lost::Gone)
    }

    async fn close(mut self, closing: Closing) {
        let (code, reason) = match closing {
            // RFC 6455 has a code of its own for it.
            Closing::Code(CloseCode::TooLarge) if self.too_big => (RfcCode::Size.into(), CloseCode::TooLarge.as_str()),
            Closing::Code(code) => (code.number(), code.as_str()),
            Closing::Rfc(code) => (code, ""),
            Closing::Left => {
                // Answers the client's own close frame, if it sent one.
                if self.socket.flush().await.is_ok() {
                    linger(self.socket.get_mut()).await;
                }
                return;
            }
        };
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        if self.socket.send(Message::Close(Some(frame))).await.is_ok() && closing != Closing::Code(CloseCode::Slow) {
            linger(self.socket.get_mut()).await;
        }
    }
}

fn lost(error: &Error) -> Lost {
    match error {
        Error::Capacity(_) => Lost::TooLarge,
        Error::Utf8(_) => Lost::Violation(RfcCode::Invalid.into()),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Lost::Gone,
        Error::Protocol(_) => Lost::Violation(RfcCode::Protocol.into()),
        _ => Lost::Gone,
    }
}
