//! H9 and H28: connections that lead nowhere are bounded for each address, cut, and leave room for others.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use sparrow_protocol::{Carrier, Codec, Format, v1};
use sparrow_testkit::{Api, Connection, TestNode, User, eventually, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{labelled, metric, options};

const TCP: Format = Format { carrier: Carrier::Tcp, codec: Codec::Protobuf };

/// A connection from one of this machine's many addresses.
async fn dial(last: u8, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

/// Waits until the other side has closed.
async fn closed(mut stream: TcpStream) {
    let mut rest = [0; 1024];
    while matches!(stream.read(&mut rest).await, Ok(1..)) {}
}

#[tokio::test]
async fn a_thousand_slow_headers_are_cut_and_others_connect() {
    let node = options().set("limits.header_within", "2 s").start().await;
    let ann = User::register(&node, "ann").await;
    let mut slow = Vec::new();
    for number in 0..1_000_u32 {
        let mut stream = dial(2 + (number / 100) as u8, node.http()).await;
        // A part of a header, and nothing after it.
        if stream.write_all(b"GET /v1/ws HTTP/1.1\r\nHost: chat").await.is_ok() {
            slow.push(stream);
        }
    }
    within("another client to be served meanwhile", async {
        let mut connection = ann.connect(&node, Format { carrier: Carrier::WebSocket, codec: Codec::Json }).await;
        connection.call::<v1::Pong>(&v1::Ping {}).await.unwrap();
    })
    .await;
    within("the slow ones to be cut", async {
        for stream in slow {
            closed(stream).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_no_protocol_at_all_is_cut() {
    let node = options().set("limits.hello_within", "1 s").set("limits.header_within", "1 s").start().await;
    let garbage: [&[u8]; 4] =
        [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"hello there\r\n\r\n", &[0xff; 64], b""];
    for to in [node.http(), node.tcp()] {
        for bytes in garbage {
            // Nothing at all over HTTP is a connection that waits for its first request; the header's time limit cuts it.
            let mut stream = TcpStream::connect(to).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            within("the connection to be cut", closed(stream)).await;
        }
    }
    User::register(&node, "ann").await;
}

#[tokio::test]
async fn connections_of_one_address_are_bounded_before_and_after_hello() {
    let node = options()
        .set("limits.address_connections", "20")
        .set("limits.address_sessions", "3")
        .set("limits.hello_within", "60 s")
        .start()
        .await;
    let ann = User::register(&node, "ann").await;
    let mut held = Vec::new();
    for _ in 0..5_000 {
        held.push(dial(9, node.tcp()).await);
    }
    eventually("all but twenty to be closed", async || {
        let limited = labelled(&node, "sparrow_limited_total", "limiter", "address_connections").await;
        (limited == 4_980).then_some(())
    })
    .await;
    // The places of the others are free again at once; this address has none left, another one does.
    assert!(try_hello(&ann, &node, 9).await.is_none());
    let mut sessions = Vec::new();
    for _ in 0..3 {
        let device = ann.another_device().await;
        sessions.push(try_hello(&device, &node, 10).await.expect("a session"));
    }
    let device = ann.another_device().await;
    assert!(try_hello(&device, &node, 10).await.is_none(), "one more than the address may have");
    sessions.pop();
    eventually("the place to be free", async || try_hello(&device, &node, 10).await.map(drop)).await;
    drop(held);
}

async fn try_hello(user: &User, node: &TestNode, last: u8) -> Option<Connection> {
    let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
    let mut connection = Connection::open_from(source, node.tcp(), TCP).await.ok()?;
    connection.hello(&user.token).await.ok()?;
    Some(connection)
}

#[tokio::test]
async fn a_full_public_listener_leaves_health_and_metrics_reachable() {
    let node = options().set("limits.connections", "50").set("limits.hello_within", "60 s").start().await;
    let mut held = Vec::new();
    for _ in 0..80 {
        held.push(TcpStream::connect(node.tcp()).await.unwrap());
    }
    let admin = Api::new(node.admin()).unwrap();
    eventually("the listener to be full", async || {
        (labelled(&node, "sparrow_limited_total", "limiter", "connections").await > 0).then_some(())
    })
    .await;
    assert_eq!(admin.text("/livez").await.unwrap(), "ok\n");
    assert_eq!(admin.text("/readyz").await.unwrap(), "ok\n");
    drop(held);
    within("the public listener to serve again", User::register(&node, "ann")).await;
}

#[tokio::test]
async fn many_sockets_of_one_user_are_ten_at_most() {
    let node = options().start().await;
    let ann = User::register(&node, "ann").await;
    let mut users = vec![ann.clone()];
    for _ in 0..9 {
        users.push(ann.another_device().await);
    }
    let mut held = Vec::new();
    for round in 0..30 {
        let user = &users[round % users.len()];
        held.push(user.connect(&node, TCP).await);
    }
    eventually("all but the newest of each device to be closed", async || {
        (metric(&node, "sparrow_sessions").await == 10).then_some(())
    })
    .await;
}
