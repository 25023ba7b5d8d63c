//! The life of one connection through a proxy.

use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::pump::Pump;
use super::weather::Weather;
use super::{Direction, Door, Shared, lock};

pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(carry(client, Arc::clone(&shared)));
    }
}

/// Carries one connection until both ends have closed it, or it is reset. A node that is away looks like one that resets.
async fn carry(client: TcpStream, shared: Arc<Shared>) {
    let tally = &shared.tally;
    let (number, _open) = tally.enter();
    let mut weather = shared.weather.subscribe();
    let door = weather.borrow_and_update().door;
    match door {
        Door::Open => {}
        Door::Refusing => {
            tally.refused_connections.add(1);
            return reset(&client);
        }
        Door::Silent => {
            tally.silent_connections.add(1);
            until_cut(&mut weather, number).await;
            return reset(&client);
        }
    }
    let target = *lock(&shared.target);
    let Ok(node) = TcpStream::connect(target).await else {
        return reset(&client);
    };
    if client.set_nodelay(true).and(node.set_nodelay(true)).is_err() {
        return;
    }
    if carry_both(number, client, node, &shared, &mut weather).await {
        tally.resets.add(1);
    }
}

/// True if the connection was reset rather than closed.
async fn carry_both(
    number: u64,
    mut client: TcpStream,
    mut node: TcpStream,
    shared: &Shared,
    weather: &mut watch::Receiver<Weather>,
) -> bool {
    let allowance = Mutex::new(shared.allowance());
    let is_reset = {
        let (from_client, to_client) = client.split();
        let (from_node, to_node) = node.split();
        let pump = |direction| Pump::new(number, direction, shared, &allowance);
        let (up, down) = (pump(Direction::Up), pump(Direction::Down));
        tokio::select! {
            biased;
            () = until_cut(weather, number) => true,
            ended = async { tokio::try_join!(up.run(from_client, to_node), down.run(from_node, to_client)) } => {
                ended.is_err()
            }
        }
    };
    if is_reset {
        reset(&client);
        reset(&node);
    }
    is_reset
}

/// Completes when this connection is to be reset; also when the proxy is gone.
async fn until_cut(weather: &mut watch::Receiver<Weather>, number: u64) {
    drop(weather.wait_for(|weather| number <= weather.cut).await);
}

/// Makes closing a reset, so that neither end takes it for an orderly end.
fn reset(stream: &TcpStream) {
    // A socket that is closed already needs no reset.
    drop(stream.set_zero_linger());
}
