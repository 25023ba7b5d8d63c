//! Accept loops: a permit first, then a connection; errors back off, and one bad connection costs nobody else anything.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt as _;

use super::{Gateway, tcp};
use crate::limits::ClientAddress;

/// Connections that one listener has open at once; beyond, new ones wait in the backlog.
pub(crate) const CONNECTIONS: usize = 100_000;
/// How long a request's header may take.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest header of a request, in bytes; what hyper buffers of one at most.
const HEADER_BYTES: usize = 32 * 1024;
/// The first pause after an error of `accept`; it doubles up to the next constant.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A place among a listener's connections; held by the connection wherever it goes.
#[derive(Debug, Clone)]
pub(crate) struct Permit {
    _permit: Arc<OwnedSemaphorePermit>,
}

/// Serves HTTP, and what it is upgraded to, until the node drains.
pub(crate) async fn serve_http(gateway: Gateway, listener: TcpListener, app: Router) {
    accept(&gateway.clone(), listener, |stream, address, permit| {
        gateway.spawn(http(gateway.clone(), stream, address, permit, app.clone()));
    })
    .await;
}

/// Serves the TCP protocol until the node drains.
pub(crate) async fn serve_tcp(gateway: Gateway, listener: TcpListener) {
    accept(&gateway.clone(), listener, |stream, _address, permit| {
        let connection = tcp::serve(gateway.clone(), stream);
        gateway.spawn(async move {
            let _permit = permit;
            connection.await;
        });
    })
    .await;
}

async fn accept(gateway: &Gateway, listener: TcpListener, serve: impl Fn(TcpStream, ClientAddress, Permit)) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut pause = FIRST_PAUSE;
    loop {
        let next = async {
            let permit = places.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let Some((Ok(permit), accepted)) = gateway.draining.run_until_cancelled(next).await else { return };
        match accepted {
            Ok((stream, address)) => {
                pause = FIRST_PAUSE;
                // Without it, pipelined requests wait for each other's acknowledgements.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY was not set");
                }
                serve(stream, ClientAddress::of(address.ip()), Permit { _permit: Arc::new(permit) });
            }
            Err(error) => {
                tracing::warn!(%error, ?pause, "a connection could not be accepted; waiting");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

async fn http(gateway: Gateway, stream: TcpStream, address: ClientAddress, permit: Permit, app: Router) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(permit.clone());
        request.extensions_mut().insert(address);
        app.clone().oneshot(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
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
