//! H2: a page of a foreign origin does not connect.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use sparrow_testkit::TestNode;

use crate::support::options;

/// The status of an upgrade with this `Origin`.
async fn upgrade(node: &TestNode, origin: Option<&str>) -> String {
    let mut stream = TcpStream::connect(node.http()).await.unwrap();
    let origin = origin.map_or(String::new(), |origin| format!("Origin: {origin}\r\n"));
    let request = format!(
        "GET /v1/ws HTTP/1.1\r\nHost: chat.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{origin}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_foreign_origin_is_refused_and_the_own_ones_are_not() {
    let node = options().set("web.origins", "https://good.example, https://other.example:8443").start().await;
    let own = node.url();
    for origin in [None, Some("https://good.example"), Some("https://other.example:8443"), Some(own.as_str())] {
        assert_eq!(upgrade(&node, origin).await, "HTTP/1.1 101", "{origin:?}");
    }
    let foreign = ["https://good.example.evil", "https://evil.example", "null", "http://good.example", "good.example"];
    for origin in foreign {
        assert_eq!(upgrade(&node, Some(origin)).await, "HTTP/1.1 403", "{origin}");
    }
}
