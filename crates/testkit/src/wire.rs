//! A connection whose bytes the test writes, for what no well-behaved client sends. Ordinary traffic is for
//! [`Connection`](crate::Connection).

use std::io;
use std::net::SocketAddr;

use sparrow_protocol::frame::{LENGTH_BYTES, frame_length};
use sparrow_protocol::{Body, Carrier, Codec, Command, Format, Frame, limits, preface, v1};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::{TestNode, within};

/// Final fragment of a text message, as the first byte of a WebSocket frame.
const TEXT: u8 = 0x81;
/// Final fragment of a binary message.
const BINARY: u8 = 0x82;
/// The bits of a WebSocket frame's first byte: whether it ends its message, and what it is.
const FINAL: u8 = 0x80;
const OPCODE: u8 = 0x0f;
/// Opcode of a close frame.
const CLOSE: u8 = 0x8;
/// Opcodes from here on are control frames.
const FIRST_CONTROL: u8 = 0x8;

/// A connection as bytes.
pub struct Wire {
    stream: BufReader<TcpStream>,
    format: Format,
}

/// What came from the node.
#[derive(Debug)]
pub enum Received {
    /// A frame.
    Frame(Frame),
    /// The end, with the WebSocket close code if there was one.
    Closed(Option<u16>),
}

impl Wire {
    /// Connects, and does what comes before frames: the WebSocket upgrade, or the prefaces.
    ///
    /// # Panics
    /// If the node refuses.
    pub async fn open(node: &TestNode, format: Format) -> Self {
        match format.carrier {
            Carrier::WebSocket => {
                let mut wire = Self::bare(node.http(), format).await;
                wire.upgrade().await;
                wire
            }
            Carrier::Tcp => {
                let mut wire = Self::bare(node.tcp(), format).await;
                wire.bytes(&preface::encode(format.codec)).await;
                let theirs = wire.exactly::<{ preface::PREFACE_BYTES }>().await.expect("the node's preface");
                assert_eq!(preface::parse(theirs), Ok(format.codec));
                wire
            }
        }
    }

    /// Connects, and sends nothing.
    ///
    /// # Panics
    /// If the node does not listen.
    pub async fn bare(address: SocketAddr, format: Format) -> Self {
        let stream = TcpStream::connect(address).await.expect("connecting");
        stream.set_nodelay(true).expect("setting an option of a socket");
        Self { stream: BufReader::new(stream), format }
    }

    /// Writes bytes as they are. A node that has closed meanwhile is found out by reading.
    pub async fn bytes(&mut self, bytes: &[u8]) {
        if let Err(error) = self.stream.write_all(bytes).await {
            assert!(is_end(&error), "writing: {error}");
        }
    }

    /// Writes one WebSocket message, or one TCP frame with its true length, around this.
    pub async fn message(&mut self, payload: &[u8]) {
        let frame = match self.format {
            Format { carrier: Carrier::WebSocket, codec: Codec::Json } => web_socket_frame(TEXT, payload),
            Format { carrier: Carrier::WebSocket, codec: Codec::Protobuf } => web_socket_frame(BINARY, payload),
            Format { carrier: Carrier::Tcp, .. } => {
                let length = u32::try_from(payload.len()).expect("a small frame");
                [&length.to_be_bytes()[..], payload].concat()
            }
        };
        self.bytes(&frame).await;
    }

    /// Writes a command with a body in the connection's codec, whatever that is: JSON text or protobuf.
    pub async fn command(&mut self, command: Command, id: u32, body: &[u8]) {
        if self.format == (Format { carrier: Carrier::WebSocket, codec: Codec::Json }) {
            let head = format!(r#"{{"cmd":"{}","id":{id},"body":"#, command.as_str());
            self.message(&[head.as_bytes(), body, b"}"].concat()).await;
        } else {
            let head = [&command.number().to_be_bytes()[..], &[0, 0], &id.to_be_bytes()].concat();
            self.message(&[&head[..], body].concat()).await;
        }
    }

    /// Writes a well-formed frame.
    ///
    /// # Panics
    /// If it is too large to be one.
    pub async fn send(&mut self, id: u32, message: &impl Body) {
        let frame = self.format.encode_message(id, message).expect("a frame");
        let payload = if self.format.carrier == Carrier::Tcp { frame.slice(LENGTH_BYTES..) } else { frame };
        self.message(&payload).await;
    }

    /// Says `Hello` with this token.
    ///
    /// # Panics
    /// If the node does not answer with `Welcome`.
    pub async fn hello(&mut self, token: &str) -> v1::Welcome {
        self.send(1, &v1::Hello { token: token.to_owned(), ..Default::default() }).await;
        self.answer(1).await.expect("a welcome")
    }

    /// The next frame that is not `Ping`, or the end.
    ///
    /// # Panics
    /// If nothing comes within 30 s, or what comes is no frame.
    pub async fn receive(&mut self) -> Received {
        loop {
            let next = within("a frame or the end of the connection", self.read()).await;
            match next {
                Ok(Received::Frame(frame)) if frame.command == Some(Command::Ping) => {}
                Ok(received) => return received,
                Err(error) if is_end(&error) => return Received::Closed(None),
                Err(error) => panic!("reading: {error}"),
            }
        }
    }

    /// The answer to a request; pushes before it are passed over.
    ///
    /// # Panics
    /// If the connection ends first, or the answer is another command.
    pub async fn answer<A: Body>(&mut self, id: u32) -> Result<A, v1::Error> {
        loop {
            match self.receive().await {
                Received::Frame(frame) if frame.id != id => {}
                Received::Frame(frame) if frame.command == Some(Command::Error) => {
                    return Err(frame.parse().expect("an error"));
                }
                Received::Frame(frame) => {
                    assert_eq!(frame.command, Some(A::COMMAND));
                    return Ok(frame.parse().expect("an answer"));
                }
                Received::Closed(code) => panic!("closed ({code:?}) instead of an answer"),
            }
        }
    }

    /// Reads to the end; answers the frames before it and the close code.
    pub async fn closed(&mut self) -> (Vec<Frame>, Option<u16>) {
        let mut frames = Vec::new();
        loop {
            match self.receive().await {
                Received::Frame(frame) => frames.push(frame),
                Received::Closed(code) => return (frames, code),
            }
        }
    }

    /// True if the connection still works: a `Ping` is answered.
    pub async fn is_alive(&mut self) -> bool {
        self.send(u32::MAX, &v1::Ping {}).await;
        loop {
            match self.receive().await {
                Received::Frame(frame) if frame.command == Some(Command::Pong) && frame.id == u32::MAX => return true,
                Received::Frame(_) => {}
                Received::Closed(_) => return false,
            }
        }
    }

    /// The next bytes, undecoded; `None` if the connection ends before there are so many.
    ///
    /// # Panics
    /// If nothing comes within 30 s.
    pub async fn exactly<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        let read = within("bytes, or the end of the connection", self.stream.read_exact(&mut bytes)).await;
        read.ok().map(|_| bytes)
    }

    async fn upgrade(&mut self) {
        let request = format!(
            "GET /v1/ws HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
             Sec-WebSocket-Protocol: {}\r\n\r\n",
            self.format.codec.sub_protocol()
        );
        self.bytes(request.as_bytes()).await;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let [byte] = self.exactly().await.expect("the answer to the upgrade");
            head.push(byte);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    }

    async fn read(&mut self) -> io::Result<Received> {
        let payload = match self.format.carrier {
            Carrier::WebSocket => match self.read_web_socket().await? {
                Ok(payload) => payload,
                Err(code) => return Ok(Received::Closed(code)),
            },
            Carrier::Tcp => {
                let mut prefix = [0; LENGTH_BYTES];
                self.stream.read_exact(&mut prefix).await?;
                let length = frame_length(prefix, limits::SERVER_FRAME_BYTES).expect("a frame within the limit");
                self.read_payload(length).await?
            }
        };
        Ok(Received::Frame(self.format.decode(payload.into()).expect("a frame")))
    }

    /// One message, put together from its fragments, or the close code.
    async fn read_web_socket(&mut self) -> io::Result<Result<Vec<u8>, Option<u16>>> {
        let mut message = Vec::new();
        loop {
            let first = self.stream.read_u8().await?;
            let length = match self.stream.read_u8().await? {
                126 => usize::from(self.stream.read_u16().await?),
                127 => usize::try_from(self.stream.read_u64().await?).expect("a length"),
                short => usize::from(short),
            };
            assert!(length <= limits::SERVER_FRAME_BYTES, "a frame of {length} bytes");
            let payload = self.read_payload(length).await?;
            match first & OPCODE {
                CLOSE => return Ok(Err(payload.first_chunk().map(|code| u16::from_be_bytes(*code)))),
                opcode if opcode >= FIRST_CONTROL => {}
                _ => message.extend(payload),
            }
            if first & OPCODE < FIRST_CONTROL && first & FINAL != 0 {
                return Ok(Ok(message));
            }
        }
    }

    async fn read_payload(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).await?;
        Ok(payload)
    }
}

/// One frame of a WebSocket client, masked. `first` holds the final bit, the reserved bits and the opcode.
pub fn web_socket_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    const MASKED: u8 = 0x80;
    let mut frame = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..=125), _) => frame.push(MASKED | length),
        (_, Ok(length)) => {
            frame.push(MASKED | 126);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(MASKED | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend(KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | BrokenPipe | ConnectionAborted)
}
