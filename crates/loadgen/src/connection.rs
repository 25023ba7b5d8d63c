//! One connection of a client, over either carrier in either codec. It answers `Ping`, and does nothing else by itself.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use sparrow_protocol::frame::{LENGTH_BYTES, frame_length};
use sparrow_protocol::preface::{self, PREFACE_BYTES, PrefaceError};
use sparrow_protocol::{Body, Carrier, Codec, Command, Format, Frame, FrameError, limits, v1};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};

/// Why a connection gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The server refused the request.
    #[error("the server answered {}: {}", .0.code, .0.message)]
    Refused(v1::Error),
    /// The server said goodbye, or closed; with the WebSocket close code if it gave one.
    #[error("the connection was closed ({0:?})")]
    Closed(Option<u16>),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] std::io::Error),
    /// The WebSocket broke, or was refused.
    #[error("the WebSocket broke: {0}")]
    WebSocket(#[from] tungstenite::Error),
    /// The server sent what is no frame, or no body of the expected type.
    #[error("the server sent what cannot be read: {0}")]
    Frame(#[from] FrameError),
    /// The server speaks something else.
    #[error("the server speaks something else: {0}")]
    Preface(#[from] PrefaceError),
    /// The answer to the request is another command.
    #[error("the server answered with {0:?}")]
    Unexpected(Option<Command>),
}

impl ConnectionError {
    /// The code of a refusal.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(error) => Some(&error.code),
            _ => None,
        }
    }
}

enum Wire {
    // Boxed: a WebSocket holds some hundred bytes of state beside its buffers.
    WebSocket(Box<WebSocketStream<TcpStream>>),
    Tcp(BufStream<TcpStream>),
}

/// One connection.
pub struct Connection {
    wire: Wire,
    format: Format,
    last_id: u32,
    /// Frames that came while an answer was waited for.
    waiting: VecDeque<Frame>,
}

impl Connection {
    /// Connects to a node's HTTP address (WebSocket) or TCP address.
    pub async fn open(address: SocketAddr, format: Format) -> Result<Self, ConnectionError> {
        Self::over(TcpStream::connect(address).await?, address, format).await
    }

    /// The same from a given address of this machine, of which one has some ten thousand ports.
    pub async fn open_from(source: IpAddr, address: SocketAddr, format: Format) -> Result<Self, ConnectionError> {
        let socket = if source.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.bind((source, 0).into())?;
        Self::over(socket.connect(address).await?, address, format).await
    }

    /// Connects, from a given address of this machine, and shakes hands; answers the bare stream, on which the server has
    /// said nothing and says nothing before `Hello`.
    pub(crate) async fn bare(
        source: Option<IpAddr>,
        address: SocketAddr,
        format: Format,
    ) -> Result<TcpStream, ConnectionError> {
        let connection = match source {
            Some(source) => Self::open_from(source, address, format).await?,
            None => Self::open(address, format).await?,
        };
        Ok(match connection.wire {
            Wire::WebSocket(socket) => socket.into_inner(),
            Wire::Tcp(stream) => stream.into_inner(),
        })
    }

    async fn over(stream: TcpStream, address: SocketAddr, format: Format) -> Result<Self, ConnectionError> {
        stream.set_nodelay(true)?;
        let wire = match format.carrier {
            Carrier::WebSocket => Wire::WebSocket(Box::new(upgrade(stream, address, format.codec).await?)),
            Carrier::Tcp => Wire::Tcp(greet(stream, format.codec).await?),
        };
        Ok(Self { wire, format, last_id: 0, waiting: VecDeque::new() })
    }

    /// Introduces the owner of a token.
    pub async fn hello(&mut self, token: &str) -> Result<v1::Welcome, ConnectionError> {
        let hello = v1::Hello { token: token.to_owned(), client: "sparrow-loadgen".to_owned(), ..Default::default() };
        self.call(&hello).await
    }

    /// Sends a request and waits for its answer.
    pub async fn call<A: Body>(&mut self, request: &impl Body) -> Result<A, ConnectionError> {
        let id = self.request(request).await?;
        self.answer(id).await
    }

    /// Sends a request; its id is what [`Connection::answer`] takes.
    pub async fn request(&mut self, request: &impl Body) -> Result<u32, ConnectionError> {
        let id = self.feed(request).await?;
        self.flush().await?;
        Ok(id)
    }

    /// Puts a request where the next [`Connection::flush`] sends it.
    pub async fn feed(&mut self, request: &impl Body) -> Result<u32, ConnectionError> {
        self.last_id += 1;
        let frame = self.format.encode_message(self.last_id, request)?;
        self.write(frame).await?;
        Ok(self.last_id)
    }

    /// Sends a command that has no answer.
    pub async fn tell(&mut self, message: &impl Body) -> Result<(), ConnectionError> {
        let frame = self.format.encode_message(0, message)?;
        self.write(frame).await?;
        self.flush().await
    }

    /// Waits for the answer to a request; what else comes is kept for [`Connection::next`].
    pub async fn answer<A: Body>(&mut self, id: u32) -> Result<A, ConnectionError> {
        if let Some(found) = self.waiting.iter().position(|frame| frame.id == id) {
            return self.waiting.remove(found).map_or(Err(ConnectionError::Closed(None)), |frame| read_answer(&frame));
        }
        loop {
            let frame = self.read().await?;
            if frame.id == id {
                return read_answer(&frame);
            }
            self.waiting.push_back(frame);
        }
    }

    /// The next frame, of whatever kind. Not cancel-safe: a caller that gives up has to drop the connection.
    pub async fn next(&mut self) -> Result<Frame, ConnectionError> {
        match self.waiting.pop_front() {
            Some(frame) => Ok(frame),
            None => self.read().await,
        }
    }

    /// The frames that came while answers were waited for.
    pub fn take_waiting(&mut self) -> Vec<Frame> {
        self.waiting.drain(..).collect()
    }

    /// Reads one frame that is not `Ping`, which is answered.
    async fn read(&mut self) -> Result<Frame, ConnectionError> {
        loop {
            let bytes = match &mut self.wire {
                Wire::WebSocket(socket) => read_message(socket).await?,
                Wire::Tcp(stream) => read_frame(stream).await?,
            };
            let frame = self.format.decode(bytes)?;
            if frame.command != Some(Command::Ping) {
                return Ok(frame);
            }
            let pong = self.format.encode_message(frame.id, &v1::Pong {})?;
            self.write(pong).await?;
            self.flush().await?;
        }
    }

    async fn write(&mut self, frame: Bytes) -> Result<(), ConnectionError> {
        match &mut self.wire {
            Wire::WebSocket(socket) => {
                let message = match self.format.codec {
                    Codec::Protobuf => Message::Binary(frame),
                    Codec::Json => Message::Text(frame.try_into().map_err(tungstenite::Error::from)?),
                };
                Ok(socket.feed(message).await?)
            }
            Wire::Tcp(stream) => Ok(stream.write_all(&frame).await?),
        }
    }

    /// Sends what was fed.
    pub async fn flush(&mut self) -> Result<(), ConnectionError> {
        match &mut self.wire {
            Wire::WebSocket(socket) => Ok(socket.flush().await?),
            Wire::Tcp(stream) => Ok(stream.flush().await?),
        }
    }
}

async fn upgrade(
    stream: TcpStream,
    address: SocketAddr,
    codec: Codec,
) -> Result<WebSocketStream<TcpStream>, ConnectionError> {
    let mut request = format!("ws://{address}/v1/ws").into_client_request()?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(codec.sub_protocol()));
    // Small buffers, of which ten thousand fit into one process.
    let config = WebSocketConfig::default().read_buffer_size(4 * 1024).write_buffer_size(4 * 1024);
    let (socket, _) = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await?;
    Ok(socket)
}

async fn greet(stream: TcpStream, codec: Codec) -> Result<BufStream<TcpStream>, ConnectionError> {
    let mut stream = BufStream::with_capacity(4 * 1024, 4 * 1024, stream);
    stream.write_all(&preface::encode(codec)).await?;
    stream.flush().await?;
    let mut theirs = [0; PREFACE_BYTES];
    stream.read_exact(&mut theirs).await?;
    preface::parse(theirs)?;
    Ok(stream)
}

async fn read_message(socket: &mut WebSocketStream<TcpStream>) -> Result<Bytes, ConnectionError> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Binary(bytes))) => return Ok(bytes),
            Some(Ok(Message::Text(text))) => return Ok(text.into()),
            Some(Ok(Message::Close(reason))) => {
                return Err(ConnectionError::Closed(reason.map(|reason| reason.code.into())));
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Err(error)) => return Err(error.into()),
            None => return Err(ConnectionError::Closed(None)),
        }
    }
}

async fn read_frame(stream: &mut BufStream<TcpStream>) -> Result<Bytes, ConnectionError> {
    let mut prefix = [0; LENGTH_BYTES];
    if let Err(error) = stream.read_exact(&mut prefix).await {
        let closed = error.kind() == std::io::ErrorKind::UnexpectedEof;
        return Err(if closed { ConnectionError::Closed(None) } else { error.into() });
    }
    let mut frame = vec![0; frame_length(prefix, limits::SERVER_FRAME_BYTES)?];
    stream.read_exact(&mut frame).await?;
    Ok(frame.into())
}

fn read_answer<A: Body>(frame: &Frame) -> Result<A, ConnectionError> {
    match frame.command {
        Some(Command::Error) => Err(ConnectionError::Refused(frame.parse()?)),
        Some(command) if command == A::COMMAND => Ok(frame.parse()?),
        other => Err(ConnectionError::Unexpected(other)),
    }
}
