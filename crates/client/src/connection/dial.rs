//! Making the stream that a carrier's bytes travel on, with or without TLS.

use std::sync::Arc;

use reqwest::Url;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::MaybeTlsStream;

use super::{LinkError, unreachable};

/// A connected stream.
pub(super) type Stream = MaybeTlsStream<TcpStream>;

/// How a server is reached.
#[derive(Debug, Clone)]
pub(crate) struct Dialer {
    /// Where its WebSocket is.
    pub(crate) websocket: Url,
    /// Set where its listeners speak TLS.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

impl Dialer {
    /// Connects to `host:port`.
    pub(super) async fn dial(&self, address: &str) -> Result<Stream, LinkError> {
        let stream = TcpStream::connect(address).await.map_err(|e| unreachable(&e))?;
        // Nagle's algorithm off: a request must not wait for the acknowledgement of the one before.
        stream.set_nodelay(true).map_err(|e| unreachable(&e))?;
        let Some(config) = &self.tls else { return Ok(MaybeTlsStream::Plain(stream)) };
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|e| unreachable(&e))?;
        match TlsConnector::from(config.clone()).connect(name, stream).await {
            Ok(stream) => Ok(MaybeTlsStream::Rustls(stream)),
            Err(error) if crate::tls::is_untrusted(&error) => {
                tracing::debug!(%error, "the server's certificate is not trusted");
                Err(LinkError::Untrusted)
            }
            Err(error) => Err(unreachable(&error)),
        }
    }

    /// Where the WebSocket listens, as `host:port`.
    pub(super) fn websocket_address(&self) -> String {
        let host = self.websocket.host_str().unwrap_or_default();
        format!("{host}:{}", self.websocket.port_or_known_default().unwrap_or_default())
    }
}
