//! A run: who there is, what goes wrong, and the verdict.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sparrow_protocol::{ClientMsgId, ConversationId, DeviceId, RequestHash, UserId};
use sparrow_store::Directory;
use sparrow_store::log::{Action, Append, NewGroup};
use sparrow_store::model::Model;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::database::{Database, Weather};
use super::device::Device;
use super::node::Node;
use super::watch::{Broken, Totals, Watch};
use crate::config::Limits;
use crate::messaging::Bounds;

const USERS: i64 = 5;
const DEVICES: i64 = 8;
const GROUPS: i64 = 3;
/// How long things go wrong.
const BUSY: Duration = Duration::from_secs(15);
/// How long after that everything has to be where it belongs; with pushes lost between nodes, the time at which clients
/// read anew by themselves.
const CALM: Duration = Duration::from_secs(60);
const CALM_BETWEEN_NODES: Duration = Duration::from_secs(17 * 60);

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Everybody does something, and things go wrong.
    Busy,
    /// Nothing goes wrong any more, and nobody begins anything.
    Calm,
    /// To be looked at.
    Over,
}

pub(super) struct World {
    pub(super) database: Arc<Database>,
    pub(super) nodes: Vec<Node>,
    pub(super) users: Vec<UserId>,
    pub(super) conversations: Vec<ConversationId>,
    pub(super) watch: Watch,
    phase: watch::Sender<Phase>,
}

impl World {
    pub(super) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// The group that a user has made.
    pub(super) fn owned_by(&self, user: UserId) -> Option<ConversationId> {
        let groups = (1..).zip(&self.conversations).skip(1);
        groups.map(|(number, id)| (self.owner(number), *id)).find(|(owner, _)| *owner == user).map(|(_, id)| id)
    }

    /// Who makes the conversation at this place.
    fn owner(&self, place: usize) -> UserId {
        self.users[place % 3]
    }

    pub(super) fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }
}

/// Runs a world to its end.
pub(super) fn run(seed: u64, nodes: usize, directory: &Arc<dyn Directory>) -> Result<Totals, Broken> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(live(seed, nodes, directory))
}

async fn live(seed: u64, nodes: usize, directory: &Arc<dyn Directory>) -> Result<Totals, Broken> {
    let mut chance = StdRng::seed_from_u64(seed);
    let world = Arc::new(make(&mut chance, nodes, directory));
    open_groups(&world).await;
    let mut devices = JoinSet::new();
    for number in 0..DEVICES {
        let user = world.users[(number % USERS) as usize];
        let seeded = StdRng::seed_from_u64(chance.random());
        devices.spawn(Device::new(&world, user, DeviceId::new(number + 1).unwrap(), seeded).run());
    }
    go_wrong(&world, &mut chance).await;
    world.database.set(Weather::default());
    world.phase.send_replace(Phase::Calm);
    sleep(if nodes == 1 { CALM } else { CALM_BETWEEN_NODES }).await;
    world.phase.send_replace(Phase::Over);
    let devices = devices.join_all().await;
    judge(&world, &devices);
    world.watch.verdict()
}

fn make(chance: &mut StdRng, nodes: usize, directory: &Arc<dyn Directory>) -> World {
    let users: Vec<_> = (1..=USERS).map(|number| UserId::new(number).unwrap()).collect();
    let mut model = Model::new("epoch", 100);
    for user in &users {
        model.user(*user, &user.to_string());
    }
    let conversations: Vec<_> = (1..=GROUPS + 1).map(|number| ConversationId::new(number).unwrap()).collect();
    model.direct(conversations[0], [users[0], users[1]]);
    let database = Database::new(model);
    let limits = Limits {
        batch_commands: chance.random_range(1..20),
        lane_queue: chance.random_range(4..60),
        ..Limits::default()
    };
    let bounds = Bounds { frames: chance.random_range(2..12), bytes: 4_096 };
    let nodes =
        (0..nodes).map(|_| Node::start(&database, directory, chance.random(), limits.clone(), bounds)).collect();
    World { database, nodes, users, conversations, watch: Watch::default(), phase: watch::Sender::new(Phase::Busy) }
}

async fn open_groups(world: &World) {
    for (place, conversation) in (1..).zip(&world.conversations).skip(1) {
        let number = u8::try_from(place).unwrap();
        let group = NewGroup {
            name: "club".to_owned(),
            description: String::new(),
            members: world.users[..3].to_vec(),
            history_visible: place == 2,
            join_by_default: false,
            idempotency_key: None,
        };
        let append = Append {
            conversation: *conversation,
            sender: world.owner(place),
            client_msg_id: ClientMsgId::new([number; 16]).unwrap(),
            request_hash: RequestHash([number; 32]),
            action: Action::Create(group),
        };
        world.nodes[0].life().messaging.submit(append).await.unwrap();
    }
}

/// One thing after another, sometimes two at once, with pauses.
async fn go_wrong(world: &World, chance: &mut StdRng) {
    let end = Instant::now() + BUSY;
    while Instant::now() < end {
        sleep(Duration::from_millis(chance.random_range(50..1_500))).await;
        for node in &world.nodes {
            // Clocks run, and once in a while jump.
            let jump = if chance.random_range(0..20) == 0 { chance.random_range(-100_000..100_000) } else { 700 };
            node.clock.fetch_add(jump, Ordering::SeqCst);
        }
        let weather = Weather {
            away: chance.random_range(0..10) == 0,
            failing: [0, 0, 10, 60][chance.random_range(0..4)],
            unknown: [0, 0, 0, 30][chance.random_range(0..4)],
            slow_ms: [0, 0, 20, 300, 9_000][chance.random_range(0..5)],
        };
        world.database.set(if chance.random_range(0..3) == 0 { Weather::default() } else { weather });
        if chance.random_range(0..6) == 0 {
            world.nodes[chance.random_range(0..world.nodes.len())].kill();
        }
    }
}

fn judge(world: &World, devices: &[Device]) {
    let model = world.database.model.lock().unwrap();
    world.watch.check_log(&model);
    for device in devices {
        world.watch.check_device(&model, device.user, device.number.get(), &device.held);
        if !device.is_done() {
            world.watch.broken("I16", format!("device {} still waits for answers", device.number));
        }
    }
    for node in &world.nodes {
        if let Some(task) = node.life().core.failed().now_or_never() {
            world.watch.broken("node", format!("the task {task} has ended"));
        }
    }
}
