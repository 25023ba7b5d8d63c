//! A TCP proxy that fails on demand: the network between a client and a node.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A way through the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From client to node.
    Up,
    /// From node to client.
    Down,
}

/// What holds for all connections. A change wakes every one of them.
#[derive(Clone, Copy)]
struct Weather {
    /// Connections made under an earlier number are reset.
    generation: u64,
    /// Bytes in this direction stay where they are.
    stalled: Option<Direction>,
}

/// Cuts connections after a random number of bytes.
struct Cuts {
    random: StdRng,
    mean_bytes: usize,
}

struct Shared {
    target: Mutex<SocketAddr>,
    cuts: Mutex<Option<Cuts>>,
    weather: watch::Sender<Weather>,
}

/// The proxy. Dropping it resets its connections and closes its port.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Opens a port that leads to `target`.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port for the proxy");
        let address = listener.local_addr().expect("the proxy's address");
        let (weather, _) = watch::channel(Weather { generation: 0, stalled: None });
        let shared = Arc::new(Shared { target: Mutex::new(target), cuts: Mutex::new(None), weather });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, accepting }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resets every connection there is.
    pub fn cut(&self) {
        self.shared.weather.send_modify(|weather| weather.generation += 1);
    }

    /// From now on every new connection is reset, mid-frame as it happens, after a random number of bytes.
    pub fn cut_at_random(&self, random: StdRng, mean_bytes: usize) {
        *lock(&self.shared.cuts) = Some(Cuts { random, mean_bytes });
    }

    /// New connections last until [`Proxy::cut`].
    pub fn no_more_random_cuts(&self) {
        *lock(&self.shared.cuts) = None;
    }

    /// Lets no byte pass in one direction until [`Proxy::flow`].
    pub fn stall(&self, direction: Direction) {
        self.shared.weather.send_modify(|weather| weather.stalled = Some(direction));
    }

    /// Ends a stall; nothing was lost by it.
    pub fn flow(&self) {
        self.shared.weather.send_modify(|weather| weather.stalled = None);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(carry(client, Arc::clone(&shared)));
    }
}

/// Carries one connection until an end closes it, its bytes are used up, or it is cut. A node that is away looks like
/// one that resets.
async fn carry(mut client: TcpStream, shared: Arc<Shared>) {
    let mut weather = shared.weather.subscribe();
    let generation = weather.borrow_and_update().generation;
    let target = *lock(&shared.target);
    let budget = lock(&shared.cuts).as_mut().map(|cuts| cuts.random.random_range(1..=2 * cuts.mean_bytes));
    let Ok(mut node) = TcpStream::connect(target).await else {
        return reset(&client);
    };
    for stream in [&client, &node] {
        if stream.set_nodelay(true).is_err() {
            return;
        }
    }
    let left = Arc::new(Mutex::new(budget));
    let was_cut = {
        let (from_client, to_client) = client.split();
        let (from_node, to_node) = node.split();
        tokio::select! {
            () = weather_changed(&mut weather, generation) => true,
            cut = pump(from_client, to_node, Direction::Up, &shared, &left) => cut,
            cut = pump(from_node, to_client, Direction::Down, &shared, &left) => cut,
        }
    };
    if was_cut {
        reset(&client);
        reset(&node);
    }
}

async fn weather_changed(weather: &mut watch::Receiver<Weather>, generation: u64) {
    // An error means that the proxy is gone, which cuts like a new generation.
    drop(weather.wait_for(|weather| weather.generation != generation).await);
}

/// Passes bytes on; true if it ended because the budget of bytes was used up.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    direction: Direction,
    shared: &Shared,
    left: &Mutex<Option<usize>>,
) -> bool {
    let mut weather = shared.weather.subscribe();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        if weather.wait_for(|weather| weather.stalled != Some(direction)).await.is_err() {
            return true;
        }
        let Ok(length @ 1..) = from.read(&mut buffer).await else {
            return false;
        };
        let passed = spend(left, length);
        if to.write_all(&buffer[..passed]).await.is_err() {
            return false;
        }
        if passed < length {
            return true;
        }
    }
}

fn spend(left: &Mutex<Option<usize>>, length: usize) -> usize {
    match lock(left).as_mut() {
        Some(budget) => {
            let passed = length.min(*budget);
            *budget -= passed;
            passed
        }
        None => length,
    }
}

/// Makes closing a reset, so that neither end takes it for an orderly end.
fn reset(stream: &TcpStream) {
    // A socket that is closed already needs no reset.
    drop(stream.set_zero_linger());
}
