//! What connections through the proxy see, and what evidence it gives, with plain sockets at both ends.

use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use super::*;
use crate::within;

const LATENCY: Duration = Duration::from_millis(80);
/// Long enough for loopback to carry what is going to arrive.
const SOON: Duration = Duration::from_millis(150);

struct Ends {
    proxy: Proxy,
    listener: TcpListener,
}

impl Ends {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::open(listener.local_addr().unwrap(), 1).await.unwrap();
        Self { proxy, listener }
    }

    async fn connect(&self) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(self.proxy.address()).await.unwrap();
        let (node, _) = self.listener.accept().await.unwrap();
        (client, node)
    }
}

async fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    within("bytes", stream.read_exact(&mut bytes)).await.unwrap();
    bytes
}

/// Bytes up to the end, and whether that was a reset.
async fn rest(stream: &mut TcpStream) -> (usize, bool) {
    let mut bytes = Vec::new();
    let ended = within("the end", stream.read_to_end(&mut bytes)).await;
    (bytes.len(), ended.is_err())
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    timeout(SOON, stream.read_u8()).await.is_err()
}

#[tokio::test]
async fn good_weather_passes_bytes_and_ends_and_leaves_no_evidence() {
    let ends = Ends::new().await;
    let (mut client, mut node) = ends.connect().await;
    client.write_all(b"up").await.unwrap();
    assert_eq!(read(&mut node, 2).await, b"up");
    node.write_all(b"down").await.unwrap();
    drop(node);
    assert_eq!(rest(&mut client).await, (4, false));
    assert!(ends.proxy.evidence().is_none());
    assert_eq!(ends.proxy.carried(), (2, 4));
}

#[tokio::test]
async fn latency_delays_without_changing_the_order() {
    let ends = Ends::new().await;
    let (mut client, mut node) = ends.connect().await;
    ends.proxy.set(Direction::Up, Line { latency: LATENCY, jitter: LATENCY, ..Line::default() });
    let begun = Instant::now();
    for byte in 0..20 {
        client.write_u8(byte).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(read(&mut node, 20).await, (0..20).collect::<Vec<u8>>());
    assert!(begun.elapsed() >= LATENCY);
    assert_eq!(ends.proxy.evidence(), Evidence::of("delayed_bytes", 20));
}

#[tokio::test]
async fn bandwidth_is_limited_and_writes_are_torn() {
    let ends = Ends::new().await;
    let (mut client, mut node) = ends.connect().await;
    ends.proxy.set(Direction::Down, Line { bytes_per_second: Some(50_000), ..Line::default() });
    let begun = Instant::now();
    node.write_all(&[7; 10_000]).await.unwrap();
    read(&mut client, 10_000).await;
    assert!(begun.elapsed() >= Duration::from_millis(150), "10,000 bytes at 50,000 a second");
    assert_eq!(ends.proxy.evidence().get("throttled_bytes"), 10_000);

    ends.proxy.set(Direction::Up, Line { torn: Some(1), ..Line::default() });
    client.write_all(&[1; 100]).await.unwrap();
    read(&mut node, 100).await;
    assert_eq!(ends.proxy.evidence().get("torn_writes"), 99);
}

#[tokio::test]
async fn a_cut_is_a_reset_at_the_very_byte() {
    let ends = Ends::new().await;
    ends.proxy.cut_next_at(Direction::Up, 7);
    let (mut client, mut node) = ends.connect().await;
    client.write_all(&[1; 100]).await.unwrap();
    let mut seen = Vec::new();
    let ended = within("the cut", node.read_to_end(&mut seen)).await;
    assert!(ended.is_err() && seen.len() <= 7, "{ended:?} after {} bytes", seen.len());
    assert_eq!(ends.proxy.carried().0, 7);
    assert_eq!(rest(&mut client).await, (0, true));
    assert_eq!(ends.proxy.evidence(), Evidence::of("resets", 1));

    let (mut client, mut node) = ends.connect().await;
    client.write_all(&[1; 100]).await.unwrap();
    read(&mut node, 100).await;
    assert_eq!(ends.proxy.cut(), 1);
    assert_eq!(rest(&mut client).await, (0, true));
    assert_eq!(rest(&mut node).await, (0, true));

    ends.proxy.cut_at_random(StdRng::seed_from_u64(3), 50);
    let (mut client, mut node) = ends.connect().await;
    // The reset may come before the last byte is written.
    drop(client.write_all(&[1; 1_000]).await);
    assert!(rest(&mut node).await.0 <= 100);
}

#[tokio::test]
async fn a_peer_that_vanished_is_not_heard_of_any_more() {
    let ends = Ends::new().await;
    let (mut client, mut node) = ends.connect().await;
    client.write_all(b"up").await.unwrap();
    read(&mut node, 2).await;
    assert_eq!(ends.proxy.vanish(), 1);
    client.write_all(b"lost").await.unwrap();
    node.write_all(b"lost").await.unwrap();
    assert!(is_silent(&mut node).await && is_silent(&mut client).await);
    ends.proxy.heal();
    drop(client);
    assert!(is_silent(&mut node).await, "neither an end nor a reset arrives, whatever the weather is later");
    let evidence = ends.proxy.evidence();
    assert_eq!((evidence.get("vanished_connections"), evidence.get("dropped_bytes")), (1, 8));

    let (mut client, mut node) = ends.connect().await;
    client.write_all(b"new").await.unwrap();
    assert_eq!(read(&mut node, 3).await, b"new", "a new connection is a new peer");
}

#[tokio::test]
async fn one_way_loss_leaves_the_other_way_alone() {
    let ends = Ends::new().await;
    let (mut client, mut node) = ends.connect().await;
    ends.proxy.set(Direction::Up, Line { lost: true, ..Line::default() });
    client.write_all(b"lost").await.unwrap();
    node.write_all(b"down").await.unwrap();
    assert_eq!(read(&mut client, 4).await, b"down");
    assert!(is_silent(&mut node).await);
    ends.proxy.heal();
    client.write_all(b"after a gap").await.unwrap();
    assert!(is_silent(&mut node).await, "a stream with a gap is no stream");
    assert_eq!(ends.proxy.evidence(), Evidence::of("dropped_bytes", 15));
}

#[tokio::test]
async fn a_stall_holds_bytes_and_loses_none() {
    let ends = Ends::new().await;
    let (mut client, mut node) = ends.connect().await;
    ends.proxy.stall(Direction::Down);
    node.write_all(b"held").await.unwrap();
    assert!(is_silent(&mut client).await);
    ends.proxy.flow();
    assert_eq!(read(&mut client, 4).await, b"held");
}

#[tokio::test]
async fn a_door_that_is_not_open_refuses_or_says_nothing() {
    let ends = Ends::new().await;
    ends.proxy.door(Door::Refusing);
    let mut refused = TcpStream::connect(ends.proxy.address()).await.unwrap();
    assert_eq!(rest(&mut refused).await, (0, true));
    ends.proxy.door(Door::Silent);
    let mut silent = TcpStream::connect(ends.proxy.address()).await.unwrap();
    silent.write_all(b"anybody?").await.unwrap();
    assert!(is_silent(&mut silent).await);
    let evidence = ends.proxy.evidence();
    assert_eq!((evidence.get("refused_connections"), evidence.get("silent_connections")), (1, 1));
    ends.proxy.heal();
    ends.connect().await;
}

#[tokio::test]
async fn chosen_frames_are_dropped_doubled_or_the_last() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::speaking(Framing::Nats, listener.local_addr().unwrap(), 1).await.unwrap();
    let ends = Ends { proxy, listener };
    let (mut client, mut node) = ends.connect().await;
    ends.proxy.at(Rule { after: 1, ..Rule::next(Direction::Down, "MSG", Fate::Dropped) });
    ends.proxy.at(Rule::next(Direction::Down, "PING", Fate::Doubled));
    node.write_all(b"MSG a 1 1\r\n1\r\nMSG a 1 1\r\n2\r\nPING\r\nMSG a 1 1\r\n3\r\n").await.unwrap();
    let expected = b"MSG a 1 1\r\n1\r\nPING\r\nPING\r\nMSG a 1 1\r\n3\r\n";
    assert_eq!(read(&mut client, expected.len()).await, expected);

    let contains = b"COMMIT".to_vec();
    ends.proxy.at(Rule { contains: contains.clone(), ..Rule::next(Direction::Up, "PUB", Fate::CutAfter) });
    client.write_all(b"PING\r\nPUB b 6\r\nCOMMIT\r\nPING\r\n").await.unwrap();
    assert_eq!(rest(&mut node).await, (b"PING\r\nPUB b 6\r\nCOMMIT\r\n".len(), true));

    let (mut client, mut node) = ends.connect().await;
    ends.proxy.at(Rule { contains, ..Rule::next(Direction::Up, "PUB", Fate::CutBefore) });
    client.write_all(b"PING\r\nPUB b 6\r\nCOMMIT\r\n").await.unwrap();
    assert_eq!(rest(&mut node).await, (b"PING\r\n".len(), true));
    let evidence = ends.proxy.evidence();
    assert_eq!(["dropped_frames", "doubled_frames", "cut_frames"].map(|name| evidence.get(name)), [1, 1, 2]);
}
