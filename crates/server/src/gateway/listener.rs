//! Accept loops: a permit first, then a connection; errors back off, and one bad connection costs nobody else anything.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONNECTION, HeaderMap, HeaderValue};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tower::ServiceExt as _;
use tracing::Span;

use super::entrance::{Arrival, Entered, Entrance};
use super::websocket::refuse;
use super::{Gateway, connection_span, tcp};
use crate::failure::Failure;
use crate::limits::ClientAddress;
use crate::metrics::EntranceLabels;

/// Largest header of a request, in bytes; what hyper buffers of one at most.
const HEADER_BYTES: usize = 32 * 1024;
/// The first pause after an error of `accept`; it doubles up to the next constant.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Serves HTTP, and what it is upgraded to, until the node drains.
pub(crate) async fn serve_http(gateway: Gateway, entrance: Entrance, listener: TcpListener, app: Router) {
    let entrance = Arc::new(entrance);
    accept(&gateway, &entrance, listener, |arrival| {
        let (gateway_, entrance, app) = (gateway.clone(), entrance.clone(), app.clone());
        gateway.spawn(Span::none(), async move {
            // Boxed: what a handshake needs is not to be held as long as the connection lives.
            if let Some(entered) = Box::pin(entrance.pass(arrival)).await {
                http(gateway_, entrance, entered, app).await;
            }
        });
    })
    .await;
}

/// Serves the TCP protocol until the node drains.
pub(crate) async fn serve_tcp(gateway: Gateway, entrance: Entrance, listener: TcpListener) {
    let entrance = Arc::new(entrance);
    accept(&gateway, &entrance, listener, |arrival| {
        let (gateway_, entrance) = (gateway.clone(), entrance.clone());
        let span = connection_span();
        gateway.spawn(span.clone(), async move {
            if let Some(Entered { socket, place, .. }) = Box::pin(entrance.pass(arrival)).await {
                drop(entrance);
                tcp::serve(gateway_, socket, place, span).await;
            }
        });
    })
    .await;
}

async fn accept(gateway: &Gateway, entrance: &Entrance, listener: TcpListener, serve: impl Fn(Arrival)) {
    let mut pause = FIRST_PAUSE;
    loop {
        let next = async {
            let vacancy = entrance.admission.vacancy().await;
            (vacancy, listener.accept().await)
        };
        let Some((Some(vacancy), accepted)) = gateway.draining.run_until_cancelled(next).await else { return };
        match accepted {
            Ok((stream, address)) => {
                pause = FIRST_PAUSE;
                // Without it, pipelined requests wait for each other's acknowledgements.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY was not set");
                }
                // Without a place the socket is dropped: whoever floods is not worth an answer.
                if let Some(arrival) = entrance.arrive(stream, address.ip(), vacancy) {
                    serve(arrival);
                }
            }
            Err(error) => {
                tracing::warn!(%error, ?pause, "a connection could not be accepted; waiting");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

async fn http(gateway: Gateway, entrance: Arc<Entrance>, entered: Entered, app: Router) {
    let Entered { socket, peer, place } = entered;
    let header_within = gateway.node.config.limits.header_within;
    let service = service_fn(move |mut request: Request<Incoming>| {
        let client = client(&entrance, request.headers(), peer);
        let (place, app) = (place.clone(), app.clone());
        async move {
            let address = match client {
                Ok(address) => address,
                Err(refused) => return Ok(refused),
            };
            request.extensions_mut().insert(place);
            request.extensions_mut().insert(address);
            app.oneshot(request.map(Body::new)).await
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_within)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        biased;
        result = connection.as_mut() => result,
        () = gateway.draining.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}

/// Who asks: the other end of the connection or, if that is a trusted proxy, whom it names. What it says that cannot be
/// read is answered, and the connection is closed.
fn client(entrance: &Entrance, headers: &HeaderMap, peer: IpAddr) -> Result<ClientAddress, Response> {
    let Entrance { proxies, metrics, .. } = entrance;
    if !proxies.trust(peer) {
        return Ok(ClientAddress::of(peer));
    }
    proxies.client(headers, peer).map(ClientAddress::of).map_err(|_malformed| {
        metrics.entrance_refusals.get_or_create(&EntranceLabels { reason: "forwarded" }).inc();
        let mut response = refuse(&Failure::invalid("What the proxy says of its client's address cannot be read."));
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        response
    })
}
