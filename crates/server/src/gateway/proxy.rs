//! Where a client really is, behind proxies and balancers: what those say that the operator trusts, and nobody else.
//!
//! A balancer says it once, in a PROXY header (version 2) before everything else; a proxy that speaks HTTP with each
//! request, in a header to which each hop adds the address it heard from. Both are read from the trusted end: the last
//! address that no trusted proxy has is the client's, and what stands before it is anybody's invention.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderName;
use axum::http::header::{FORWARDED, HeaderMap};
use proxy_header::{ParseConfig, ProxyHeader};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::config::{ForwardedBy, IpNet, Proxies};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The first byte of a PROXY header of version 2, with which neither HTTP, TLS nor the TCP protocol begins.
const FIRST_BYTE: u8 = b'\r';
/// Bytes up to and including the length of what follows.
const FIXED_BYTES: usize = 16;
/// Largest header, in bytes. Addresses take 52 at most; the rest is what balancers add about TLS and their networks.
const HEADER_BYTES: usize = 4 * 1024;

/// What should have been a header of a proxy is none.
#[derive(Debug, thiserror::Error)]
#[error("malformed")]
pub(super) struct Malformed;

impl Proxies {
    /// True if what comes from this address is said by a proxy of the operator.
    pub(super) fn trust(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|network: &IpNet| network.contains(&address))
    }

    /// The client of a request that came from the trusted proxy `peer`.
    pub(super) fn client(&self, headers: &HeaderMap, peer: IpAddr) -> Result<IpAddr, Malformed> {
        let name = match self.forwarded_by {
            ForwardedBy::XForwardedFor => X_FORWARDED_FOR,
            ForwardedBy::Forwarded => FORWARDED,
        };
        let mut nearest = peer;
        // Lines go on where the one before ended, so that the last of them is the nearest.
        for line in headers.get_all(name).iter().rev() {
            let line = line.to_str().map_err(|_| Malformed)?;
            for hop in split(line, ',').into_iter().rev() {
                let hop = match self.forwarded_by {
                    ForwardedBy::XForwardedFor => address(hop.trim())?,
                    ForwardedBy::Forwarded => match forwarded_for(hop)? {
                        Some(address) => address,
                        // The proxy keeps its client to itself.
                        None => return Ok(nearest),
                    },
                };
                nearest = hop;
                if !self.trust(hop) {
                    return Ok(hop);
                }
            }
        }
        Ok(nearest)
    }
}

/// Reads the header that a trusted balancer puts before everything else. `None` if it put none there, or speaks for
/// itself, as in a health check.
pub(super) async fn read_header(stream: &mut TcpStream) -> std::io::Result<Option<IpAddr>> {
    let malformed = || std::io::Error::new(std::io::ErrorKind::InvalidData, Malformed);
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 || first != [FIRST_BYTE] {
        return Ok(None);
    }
    let mut header = vec![0; FIXED_BYTES];
    stream.read_exact(&mut header).await?;
    let rest = usize::from(u16::from_be_bytes([header[FIXED_BYTES - 2], header[FIXED_BYTES - 1]]));
    if FIXED_BYTES + rest > HEADER_BYTES {
        return Err(malformed());
    }
    header.resize(FIXED_BYTES + rest, 0);
    stream.read_exact(&mut header[FIXED_BYTES..]).await?;
    let config = ParseConfig { include_tlvs: false, allow_v1: false, allow_v2: true };
    let (header, _) = ProxyHeader::parse(&header, config).map_err(|_| malformed())?;
    Ok(header.proxied_address().map(|address| address.source.ip()))
}

/// The address in one element of `Forwarded` (RFC 7239); `None` for a hidden one.
fn forwarded_for(element: &str) -> Result<Option<IpAddr>, Malformed> {
    let mut found = None;
    for pair in split(element, ';') {
        let (name, value) = pair.split_once('=').ok_or(Malformed)?;
        if name.trim().eq_ignore_ascii_case("for") && found.replace(value.trim()).is_some() {
            return Err(Malformed);
        }
    }
    let Some(node) = found else { return Ok(None) };
    let node = match node.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"').ok_or(Malformed)?,
        None => node,
    };
    if node.starts_with('_') || node.eq_ignore_ascii_case("unknown") {
        return Ok(None);
    }
    address(node).map(Some)
}

/// An address, with or without a port, an IPv6 one with or without its brackets.
fn address(text: &str) -> Result<IpAddr, Malformed> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.map(|address| address.to_canonical()).map_err(|_| Malformed)
}

/// Splits where `separator` does not stand between quotes.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut quoted = false;
    let pieces = text.split(|character| {
        quoted ^= character == '"';
        character == separator && !quoted
    });
    pieces.collect()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn client(forwarded_by: ForwardedBy, lines: &[&'static str]) -> Option<String> {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap()).to_vec();
        let proxies = Proxies { trusted, forwarded_by };
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_static(line));
            headers.append(FORWARDED, HeaderValue::from_static(line));
        }
        proxies.client(&headers, [10, 0, 0, 1].into()).ok().map(|address| address.to_string())
    }

    #[test]
    fn the_client_is_the_last_address_that_is_no_proxys() {
        let x = |lines: &[&'static str]| client(ForwardedBy::XForwardedFor, lines);
        for (lines, expected) in [
            (&[][..], "10.0.0.1"),
            (&["192.0.2.7"], "192.0.2.7"),
            (&["1.2.3.4, 192.0.2.7, 10.0.0.9"], "192.0.2.7"),
            (&["1.2.3.4", "192.0.2.7,10.0.0.9", "fd00::2"], "192.0.2.7"),
            (&["whatever the client says, 192.0.2.7"], "192.0.2.7"),
            (&["10.0.0.8, 10.0.0.9"], "10.0.0.8"),
            (&["192.0.2.7:5000"], "192.0.2.7"),
            (&["[2001:db8::1]:443"], "2001:db8::1"),
            (&["2001:db8::1"], "2001:db8::1"),
            (&["::ffff:192.0.2.7"], "192.0.2.7"),
        ] {
            assert_eq!(x(lines).as_deref(), Some(expected), "{lines:?}");
        }
        for lines in [&["192.0.2.7, "][..], &["192.0.2.7, nobody"], &[""], &["192.0.2.300"]] {
            assert_eq!(x(lines), None, "{lines:?}");
        }
    }

    #[test]
    fn forwarded_is_read_as_its_standard_says() {
        let forwarded = |line| client(ForwardedBy::Forwarded, &[line]);
        for (line, expected) in [
            ("for=192.0.2.7", "192.0.2.7"),
            ("For=\"[2001:db8::1]:4711\";proto=https", "2001:db8::1"),
            ("for=1.2.3.4, for=192.0.2.7;by=203.0.113.43, for=10.0.0.2", "192.0.2.7"),
            ("for=1.2.3.4, for=_hidden, for=10.0.0.2", "10.0.0.2"),
            ("for=unknown", "10.0.0.1"),
            ("proto=https", "10.0.0.1"),
            ("for=1.2.3.4;host=\"a,b;c\", for=192.0.2.7;host=\"a,b;c\"", "192.0.2.7"),
        ] {
            assert_eq!(forwarded(line).as_deref(), Some(expected), "{line}");
        }
        for line in ["192.0.2.7", "for=", "for=\"192.0.2.7", "for=1.2.3.4;for=1.2.3.5", "for=nobody", ""] {
            assert_eq!(forwarded(line), None, "{line}");
        }
    }
}
