//! The WebSocket carrier: both codecs, what is agreed on at the upgrade, and what breaks RFC 6455.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use sparrow_protocol::{Body, Carrier, CloseCode, Codec, Command, Format, Frame, v1};
use sparrow_server::Server;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::support::{PATIENCE, Person, node, send};

struct Web {
    socket: WebSocketStream<TcpStream>,
    format: Format,
}

async fn upgrade(
    server: &Server,
    protocols: Option<&str>,
) -> Result<(WebSocketStream<TcpStream>, Option<String>), Error> {
    let address = server.addresses().http;
    let mut request = format!("ws://{address}/v1/ws").into_client_request().unwrap();
    if let Some(protocols) = protocols {
        request.headers_mut().insert("sec-websocket-protocol", protocols.parse().unwrap());
    }
    let stream = TcpStream::connect(address).await.unwrap();
    let (socket, response) = tokio_tungstenite::client_async(request, stream).await?;
    let named = response.headers().get("sec-websocket-protocol").map(|name| name.to_str().unwrap().to_owned());
    Ok((socket, named))
}

impl Web {
    async fn connect(server: &Server, codec: Codec) -> Self {
        let (socket, named) = upgrade(server, Some(codec.sub_protocol())).await.unwrap();
        assert_eq!(named.as_deref(), Some(codec.sub_protocol()));
        Self { socket, format: Format { carrier: Carrier::WebSocket, codec } }
    }

    async fn hello(server: &Server, person: &Person, codec: Codec) -> Self {
        let mut web = Self::connect(server, codec).await;
        web.write(1, &v1::Hello { token: person.token.clone(), ..Default::default() }).await;
        assert_eq!(web.next::<v1::Welcome>().await.user_id, person.id);
        web
    }

    async fn write<M: Body>(&mut self, id: u32, message: &M) {
        let bytes = self.format.encode_message(id, message).unwrap();
        let message = match self.format.codec {
            Codec::Protobuf => Message::Binary(bytes),
            Codec::Json => Message::text(String::from_utf8(bytes.to_vec()).unwrap()),
        };
        self.socket.send(message).await.unwrap();
    }

    async fn message(&mut self) -> Message {
        timeout(PATIENCE, self.socket.next()).await.unwrap().unwrap().unwrap()
    }

    async fn frame(&mut self) -> Frame {
        let message = self.message().await;
        assert_eq!(message.is_text(), self.format.codec == Codec::Json);
        self.format.decode(message.into_data()).unwrap()
    }

    async fn next<M: Body>(&mut self) -> M {
        loop {
            let frame = self.frame().await;
            if frame.command == Some(M::COMMAND) {
                return frame.parse().unwrap();
            }
        }
    }

    /// The code of the close frame that comes in the end.
    async fn closed(&mut self) -> u16 {
        loop {
            if let Message::Close(frame) = self.message().await {
                return frame.unwrap().code.into();
            }
        }
    }
}

#[tokio::test]
async fn both_codecs_chat_with_each_other() {
    let data = tempfile::tempdir().unwrap();
    let server = node(&data).await;
    let (ann, bob) = (Person::register(&server, "ann").await, Person::register(&server, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut json = Web::hello(&server, &ann, Codec::Json).await;
    let mut binary = Web::hello(&server, &bob, Codec::Protobuf).await;
    // Larger than the parts in which messages go out.
    let large = send(conversation, &"lärge ".repeat(6_000));
    json.write(2, &large).await;
    let ack: v1::SendAck = json.next().await;
    let push: v1::Push = binary.next().await;
    assert_eq!((push.entries[0].seq, &push.entries[0].content), (ack.seq, &large.content));
    binary.write(2, &large).await;
    let ack: v1::SendAck = binary.next().await;
    let push: v1::Push = json.next().await;
    assert_eq!((push.entries[0].seq, &push.entries[0].content), (ack.seq, &large.content));
    server.shutdown().await;
}

#[tokio::test]
async fn the_sub_protocol_says_the_codec() {
    let data = tempfile::tempdir().unwrap();
    let server = node(&data).await;
    assert_eq!(upgrade(&server, None).await.map(|(_, named)| named).unwrap(), None);
    let both = upgrade(&server, Some("other, sparrow.v1.proto")).await.unwrap().1;
    assert_eq!(both.as_deref(), Some("sparrow.v1.proto"));
    let Err(Error::Http(refused)) = upgrade(&server, Some("other, another")).await else { panic!("accepted") };
    assert_eq!(refused.status(), 400);
    server.shutdown().await;
}

#[tokio::test]
async fn data_before_hello_ends_the_connection_and_a_second_hello_changes_nothing() {
    let data = tempfile::tempdir().unwrap();
    let server = node(&data).await;
    let (ann, bob) = (Person::register(&server, "ann").await, Person::register(&server, "bob").await);
    let mut early = Web::connect(&server, Codec::Json).await;
    early.write(1, &send(1, "x")).await;
    assert_eq!(early.next::<v1::Error>().await.code, "unauthenticated");
    assert_eq!(early.closed().await, CloseCode::ProtocolError.number());

    let mut wrong = Web::connect(&server, Codec::Json).await;
    wrong.write(1, &v1::Hello { token: "x".repeat(43), ..Default::default() }).await;
    assert_eq!(wrong.next::<v1::Error>().await.code, "unauthenticated");
    assert_eq!(wrong.closed().await, CloseCode::Unauthenticated.number());

    let conversation = ann.direct(&bob).await;
    let mut web = Web::hello(&server, &ann, Codec::Protobuf).await;
    web.write(2, &v1::Hello { token: bob.token.clone(), ..Default::default() }).await;
    assert_eq!(web.next::<v1::Error>().await.code, "invalid_request");
    web.write(3, &send(conversation, "still me")).await;
    web.next::<v1::SendAck>().await;
    web.write(4, &v1::Pull { conversation_id: conversation, ..Default::default() }).await;
    let page: v1::PullPage = web.next().await;
    assert_eq!(page.entries.last().unwrap().sender_id, ann.id);
    server.shutdown().await;
}

#[tokio::test]
async fn a_newer_session_of_the_device_replaces_the_older() {
    let data = tempfile::tempdir().unwrap();
    let server = node(&data).await;
    let ann = Person::register(&server, "ann").await;
    let mut older = Web::hello(&server, &ann, Codec::Json).await;
    let mut newer = Web::hello(&server, &ann, Codec::Json).await;
    assert_eq!(older.closed().await, CloseCode::Replaced.number());
    newer.write(2, &v1::Ping {}).await;
    newer.next::<v1::Pong>().await;
    server.shutdown().await;
}

#[tokio::test]
async fn what_breaks_rfc_6455_is_closed_with_its_code() {
    let data = tempfile::tempdir().unwrap();
    let server = node(&data).await;
    let masked = |first: u8, length: u8| vec![first, 0x80 | length, 0, 0, 0, 0];
    let text = |payload: &[u8]| [masked(0x81, u8::try_from(payload.len()).unwrap()), payload.to_vec()].concat();
    let huge = [vec![0x82, 0xff], (i64::MAX as u64).to_be_bytes().to_vec(), vec![0; 4]].concat();
    let cases: [(&str, Vec<u8>, u16); 6] = [
        ("a length of 2^63-1", huge, 1009),
        ("unmasked", vec![0x81, 1, b'x'], 1002),
        ("a reserved bit", masked(0xc1, 0), 1002),
        ("a reserved opcode", masked(0x83, 0), 1002),
        ("a fragmented control frame", masked(0x09, 0), 1002),
        ("invalid UTF-8", text(&[0xff, 0xfe]), 1007),
    ];
    for (what, bytes, code) in cases {
        let (mut socket, _) = upgrade(&server, None).await.unwrap();
        socket.get_mut().write_all(&bytes).await.unwrap();
        let mut web = Web { socket, format: Format { carrier: Carrier::WebSocket, codec: Codec::Json } };
        assert_eq!(web.closed().await, code, "{what}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_frame_beyond_the_limit_is_told_and_ends_the_connection() {
    let data = tempfile::tempdir().unwrap();
    let server = node(&data).await;
    let ann = Person::register(&server, "ann").await;
    let mut web = Web::hello(&server, &ann, Codec::Protobuf).await;
    web.socket.send(Message::binary(vec![0; 513 * 1024])).await.unwrap();
    assert_eq!(web.next::<v1::Error>().await.code, "too_large");
    assert_eq!(web.closed().await, 1009);

    let mut unknown = Web::connect(&server, Codec::Protobuf).await;
    unknown.socket.send(Message::binary(vec![0; 5 * 1024])).await.unwrap();
    assert_eq!(unknown.next::<v1::Error>().await.code, "too_large");
    assert_eq!(unknown.closed().await, CloseCode::TooLarge.number(), "4 KiB is this protocol's limit, before Hello");
    server.shutdown().await;
}

#[tokio::test]
async fn a_slow_hello_is_not_waited_for() {
    let data = tempfile::tempdir().unwrap();
    let server = crate::support::node_with(&data, |config| {
        config.limits.hello_within = Duration::from_millis(50);
    })
    .await;
    let mut web = Web::connect(&server, Codec::Json).await;
    assert_eq!(web.next::<v1::Goodbye>().await.reason, CloseCode::HelloTimeout.as_str());
    let mut tcp = TcpStream::connect(server.addresses().tcp).await.unwrap();
    let mut nothing = [0; 1];
    assert_eq!(timeout(PATIENCE, tcp.read(&mut nothing)).await.unwrap().unwrap(), 0);
    server.shutdown().await;
}

#[tokio::test]
async fn a_silent_client_is_asked_and_then_given_up() {
    let data = tempfile::tempdir().unwrap();
    let server = crate::support::node_with(&data, |config| {
        config.limits.ping_after = Duration::from_millis(50);
        config.limits.idle_timeout = Duration::from_millis(200);
    })
    .await;
    let ann = Person::register(&server, "ann").await;
    let mut web = Web::hello(&server, &ann, Codec::Protobuf).await;
    assert_eq!(web.frame().await.command, Some(Command::Ping));
    assert_eq!(web.closed().await, CloseCode::Idle.number());
    server.shutdown().await;
}
