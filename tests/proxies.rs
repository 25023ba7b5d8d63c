//! Whose word is taken on where a client is: that of the operator's own proxies, and nobody else's.
//!
//! The node trusts 127.0.0.9. Limits by address show which address it has counted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use sparrow_protocol::{Codec, preface, v1};
use sparrow_testkit::{NodeOptions, PASSWORD, TestNode, eventually, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{labelled, options};

const PROXY: u8 = 9;
const STRANGER: u8 = 10;

fn trusting() -> NodeOptions {
    options().set("proxies.trusted", "10.0.0.0/8, 127.0.0.9")
}

/// A connection from one of this machine's many addresses.
async fn dial(last: u8, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

/// The header of a balancer, version 2, for a client at this address; with an extension, as clouds add them.
fn header(client: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x12".to_vec();
    header.extend(client);
    header.extend([192, 0, 2, 200, 0x30, 0x39, 0x1e, 0x14]);
    header.extend([0x05, 0x00, 0x03, 1, 2, 3]);
    header
}

/// True if the node speaks the TCP protocol after these bytes and the preface.
async fn is_let_in(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    drop(stream.write_all(&[bytes, &preface::encode(Codec::Protobuf)[..]].concat()).await);
    let mut theirs = [0; preface::PREFACE_BYTES];
    within("an answer or the end", stream.read_exact(&mut theirs)).await.is_ok()
}

/// One request over a connection of its own; the status, and whether the connection was closed after it.
async fn request(from: u8, to: SocketAddr, before: &[u8], head: &str, body: &str) -> (u16, bool) {
    let mut stream = dial(from, to).await;
    let request = format!("{head}Host: node\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(&[before, request.as_bytes()].concat()).await.unwrap();
    let mut answer = Vec::new();
    within("an answer", async {
        while !answer.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            if stream.read_buf(&mut answer).await.unwrap_or(0) == 0 {
                break;
            }
        }
    })
    .await;
    let text = String::from_utf8_lossy(&answer).to_lowercase();
    let status = text.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, text.contains("connection: close"))
}

/// Makes an account; the status tells whether the address may make one more.
async fn register(node: &TestNode, from: u8, name: &str, before: &[u8], headers: &str) -> u16 {
    let body = v1::RegisterRequest { name: name.to_owned(), password: PASSWORD.to_owned(), ..Default::default() };
    let body = serde_json::to_string(&body).unwrap();
    let head = format!("POST /v1/accounts HTTP/1.1\r\nContent-Type: application/json\r\n{headers}");
    request(from, node.http(), before, &head, &body).await.0
}

#[tokio::test]
async fn a_balancers_header_names_the_client_and_a_strangers_does_not() {
    let node = trusting().set("limits.address_connections", "2").set("limits.hello_within", "60 s").start().await;
    let mut held = Vec::new();
    for (client, expected) in [(7, true), (7, true), (7, false), (8, true), (8, true), (8, false)] {
        let mut stream = dial(PROXY, node.tcp()).await;
        assert_eq!(is_let_in(&mut stream, &header([192, 0, 2, client])).await, expected, "{client}");
        held.push(stream);
    }
    assert_eq!(labelled(&node, "sparrow_limited_total", "limiter", "address_connections").await, 2);
    // The balancer itself, which looks whether the node lives, is not limited.
    for bytes in [&b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"[..], b"", b"", b""] {
        let mut stream = dial(PROXY, node.tcp()).await;
        assert!(is_let_in(&mut stream, bytes).await);
        held.push(stream);
    }
    let mut stranger = dial(STRANGER, node.tcp()).await;
    assert!(!is_let_in(&mut stranger, &header([192, 0, 2, 99])).await);
}

#[tokio::test]
async fn a_malformed_header_of_a_balancer_is_cut() {
    let node = trusting().set("limits.handshake_within", "500 ms").start().await;
    let fixed = &b"\r\n\r\n\0\r\nQUIT\n"[..];
    let malformed = [
        b"\r\n\r\n\0\r\nQUIX\n\x21\x11\x00\x0c________________".to_vec(),
        [fixed, b"\x31\x11\x00\x0c", &[0; 12]].concat(),
        [fixed, b"\x21\x41\x00\x0c", &[0; 12]].concat(),
        [fixed, b"\x21\x11\x00\x04", &[0; 4]].concat(),
        [fixed, b"\x21\x11\xff\xff", &[0; 12]].concat(),
    ];
    for bytes in &malformed {
        for to in [node.tcp(), node.http()] {
            let mut stream = dial(PROXY, to).await;
            assert!(!is_let_in(&mut stream, bytes).await, "{bytes:?}");
        }
    }
    let refused = async |reason| labelled(&node, "sparrow_entrance_refusals_total", "reason", reason).await;
    assert_eq!(refused("proxy").await, 10);
    // One that never ends.
    let mut stream = dial(PROXY, node.tcp()).await;
    stream.write_all(&fixed[..5]).await.unwrap();
    assert_eq!(within("the end", stream.read(&mut [0; 8])).await.unwrap_or(0), 0);
    eventually("the late one", async || (refused("late").await == 1).then_some(())).await;
    assert_eq!(register(&node, STRANGER, "ann", b"", "").await, 201);
}

#[tokio::test]
async fn a_proxys_request_is_its_clients_and_a_strangers_its_own() {
    let node = trusting().set("rates.registrations_per_hour", "2").start().await;
    let mut number = 0;
    let mut register = async |from, before: &[u8], headers: &str| {
        number += 1;
        register(&node, from, &format!("user{number}"), before, headers).await
    };
    // What the client wrote itself stands first, and is not looked at.
    for expected in [201, 201, 429] {
        assert_eq!(register(PROXY, b"", "X-Forwarded-For: 1.2.3.4, 192.0.2.1\r\n").await, expected);
    }
    assert_eq!(register(PROXY, b"", "X-Forwarded-For: 192.0.2.2\r\nForwarded: for=192.0.2.1\r\n").await, 201);
    assert_eq!(register(PROXY, b"", "X-Forwarded-For: 192.0.2.1, 10.0.0.3\r\n").await, 429);
    // A proxy behind a balancer: the balancer names the proxy, the proxy the client.
    assert_eq!(register(PROXY, &header([10, 0, 0, 4]), "X-Forwarded-For: 192.0.2.1\r\n").await, 429);
    assert_eq!(register(PROXY, &header([192, 0, 2, 50]), "X-Forwarded-For: 192.0.2.1\r\n").await, 201);
    for expected in [201, 201, 429] {
        assert_eq!(
            register(STRANGER, b"", "X-Forwarded-For: 192.0.2.77\r\nForwarded: for=192.0.2.77\r\n").await,
            expected
        );
    }
    assert_eq!(register(PROXY, b"", "X-Forwarded-For: 192.0.2.77\r\n").await, 201);
}

#[tokio::test]
async fn the_header_of_the_standard_is_read_where_it_is_chosen() {
    let node =
        trusting().set("proxies.forwarded_by", "forwarded").set("rates.registrations_per_hour", "1").start().await;
    let element = "Forwarded: for=1.1.1.1, For=\"[2001:db8::1]:47\";proto=https\r\n";
    assert_eq!(register(&node, PROXY, "ann", b"", element).await, 201);
    assert_eq!(register(&node, PROXY, "bob", b"", &format!("X-Forwarded-For: 192.0.2.1\r\n{element}")).await, 429);
    assert_eq!(register(&node, PROXY, "bob", b"", "Forwarded: for=192.0.2.5\r\n").await, 201);
}

#[tokio::test]
async fn a_malformed_header_of_a_proxy_is_refused_and_its_connection_closed() {
    let node = trusting().start().await;
    for headers in ["X-Forwarded-For: nobody\r\n", "X-Forwarded-For: \r\n", "X-Forwarded-For: 192.0.2.1, 1.2.3\r\n"] {
        let head = format!("GET /livez HTTP/1.1\r\n{headers}");
        assert_eq!(request(PROXY, node.http(), b"", &head, "").await, (400, true), "{headers}");
        assert_eq!(request(STRANGER, node.http(), b"", &head, "").await, (200, false), "{headers}");
    }
    assert_eq!(labelled(&node, "sparrow_entrance_refusals_total", "reason", "forwarded").await, 3);
}

#[tokio::test]
async fn sessions_behind_a_proxy_are_counted_for_their_clients() {
    let node = trusting().set("limits.address_connections", "2").set("limits.hello_within", "60 s").start().await;
    let upgrade = |client: u8| {
        format!(
            "GET /v1/ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nX-Forwarded-For: 192.0.2.{client}\r\n"
        )
    };
    let mut held = Vec::new();
    for (client, expected) in [(7, "101"), (7, "101"), (7, "503"), (8, "101")] {
        let mut stream = dial(PROXY, node.http()).await;
        stream.write_all(format!("{}Host: node\r\n\r\n", upgrade(client)).as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        within("an answer", stream.read_exact(&mut answer)).await.unwrap();
        assert_eq!(std::str::from_utf8(&answer[9..]).unwrap(), expected, "{client}");
        held.push(stream);
    }
    // Who leaves makes room.
    held.remove(0);
    eventually("a place", async || (request(PROXY, node.http(), b"", &upgrade(7), "").await.0 == 101).then_some(()))
        .await;
}
