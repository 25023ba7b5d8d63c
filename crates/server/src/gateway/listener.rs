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
use tower::ServiceExt as _;

use super::admission::{Admission, Place};
use super::{Gateway, tcp};
use crate::limits::ClientAddress;

/// How long a request's header may take.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest header of a request, in bytes; what hyper buffers of one at most.
const HEADER_BYTES: usize = 32 * 1024;
/// The first pause after an error of `accept`; it doubles up to the next constant.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Serves HTTP, and what it is upgraded to, until the node drains.
pub(crate) async fn serve_http(gateway: Gateway, admission: Arc<Admission>, listener: TcpListener, app: Router) {
    accept(&gateway.clone(), &admission, listener, |stream, address, place| {
        gateway.spawn(http(gateway.clone(), stream, address, place, app.clone()));
    })
    .await;
}

/// Serves the TCP protocol until the node drains.
pub(crate) async fn serve_tcp(gateway: Gateway, admission: Arc<Admission>, listener: TcpListener) {
    accept(&gateway.clone(), &admission, listener, |stream, _address, place| {
        gateway.spawn(tcp::serve(gateway.clone(), stream, place));
    })
    .await;
}

async fn accept(
    gateway: &Gateway,
    admission: &Arc<Admission>,
    listener: TcpListener,
    serve: impl Fn(TcpStream, ClientAddress, Place),
) {
    let mut pause = FIRST_PAUSE;
    loop {
        let next = async {
            let vacancy = admission.vacancy().await;
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
                let address = ClientAddress::of(address.ip());
                // Without a place the socket is dropped: whoever floods is not worth an answer.
                if let Some(place) = vacancy.take(address) {
                    serve(stream, address, place);
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

async fn http(gateway: Gateway, stream: TcpStream, address: ClientAddress, place: Place, app: Router) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(place.clone());
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
