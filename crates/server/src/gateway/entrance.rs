//! What a connection passes before it may speak: the header of its balancer, a place, and the TLS handshake.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::admission::{Admission, Place, Vacancy};
use super::proxy;
use super::socket::Socket;
use crate::config::Proxies;
use crate::limits::ClientAddress;
use crate::metrics::{EntranceLabels, Metrics};

/// The way into one listener.
#[derive(Clone)]
pub(crate) struct Entrance {
    /// The places there are.
    pub(crate) admission: Arc<Admission>,
    /// Whose word on addresses is taken.
    pub(crate) proxies: Arc<Proxies>,
    /// What to shake hands with; none where the listener speaks plainly.
    pub(crate) tls: Option<TlsAcceptor>,
    /// How long all of it may take.
    pub(crate) within: Duration,
    /// Where who is turned away is counted.
    pub(crate) metrics: Arc<Metrics>,
}

/// A socket that was accepted and has not yet passed the entrance.
pub(super) struct Arrival {
    stream: TcpStream,
    peer: IpAddr,
    held: Held,
}

/// A proxy's connection is counted when it is known for whom it speaks.
enum Held {
    Place(Place),
    Vacancy(Vacancy),
}

/// A connection that may speak.
pub(super) struct Entered {
    /// Its socket.
    pub(super) socket: Socket,
    /// Who is at its other end: the client, or a trusted proxy that names the client with each request.
    pub(super) peer: IpAddr,
    /// Its place.
    pub(super) place: Place,
}

/// Why a connection was turned away.
enum Turned {
    Full,
    Proxy(std::io::Error),
    Tls(std::io::Error),
}

impl Entrance {
    /// Takes a connection in, unless its address has too many. What has to be waited for is [`Entrance::pass`]'s.
    pub(super) fn arrive(&self, stream: TcpStream, peer: IpAddr, vacancy: Vacancy) -> Option<Arrival> {
        let held = if self.proxies.trust(peer) {
            Held::Vacancy(vacancy)
        } else {
            Held::Place(vacancy.take(Some(ClientAddress::of(peer)))?)
        };
        Some(Arrival { stream, peer, held })
    }

    /// Lets a connection through, or closes it.
    pub(super) async fn pass(&self, arrival: Arrival) -> Option<Entered> {
        let reason = match timeout(self.within, self.steps(arrival)).await {
            Ok(Ok(entered)) => return Some(entered),
            Ok(Err(Turned::Full)) => return None,
            Ok(Err(Turned::Proxy(error))) => {
                tracing::debug!(%error, "what came from a trusted proxy is no PROXY header");
                "proxy"
            }
            Ok(Err(Turned::Tls(error))) => {
                tracing::debug!(%error, "no TLS handshake");
                "tls"
            }
            Err(_elapsed) => "late",
        };
        self.metrics.entrance_refusals.get_or_create(&EntranceLabels { reason }).inc();
        None
    }

    async fn steps(&self, arrival: Arrival) -> Result<Entered, Turned> {
        let Arrival { mut stream, mut peer, held } = arrival;
        let place = match held {
            Held::Place(place) => place,
            Held::Vacancy(vacancy) => {
                if let Some(client) = proxy::read_header(&mut stream).await.map_err(Turned::Proxy)? {
                    peer = client;
                }
                // A proxy speaks for many: it is its clients that are counted.
                let address = (!self.proxies.trust(peer)).then(|| ClientAddress::of(peer));
                vacancy.take(address).ok_or(Turned::Full)?
            }
        };
        let socket = match &self.tls {
            None => Socket::Plain(stream),
            Some(tls) => Socket::Tls(Box::new(tls.accept(stream).await.map_err(Turned::Tls)?)),
        };
        Ok(Entered { socket, peer, place })
    }
}
