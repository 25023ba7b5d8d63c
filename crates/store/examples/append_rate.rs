//! How many messages a second one lane stores, for batches of several sizes, each batch one durable transaction:
//! `cargo run --release -p sparrow-store --example append_rate [DIRECTORY]`. The directory decides which disk is measured.

use std::time::{Duration, Instant};

use sparrow_protocol::{ClientMsgId, ConversationId, RequestHash, Timestamp, UserId, Username};
use sparrow_store::directory::NewUser;
use sparrow_store::log::{Action, Append, Batch, Mentions, NewGroup};
use sparrow_store::sqlite::Options;
use sparrow_store::{Directory, Log, Sqlite};

const CONVERSATIONS: i64 = 1_000;
const BODY: usize = 100;
const EACH: Duration = Duration::from_secs(3);

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
async fn main() -> Result<(), Failure> {
    let parent = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let directory = parent.join(format!("sparrow-append-rate-{}", std::process::id()));
    let store = Sqlite::open(&directory, &Options::default(), now())?;
    let result = measure(&store).await;
    store.close().await?;
    drop(store);
    std::fs::remove_dir_all(&directory)?;
    println!("{:>8} {:>10} {:>12} {:>12} {:>12}", "batch", "entries/s", "median ms", "p99 ms", "CPU µs/entry");
    for Measured { size, rate, median, p99, cpu } in result? {
        println!("{size:>8} {rate:>10.0} {median:>12.2} {p99:>12.2} {cpu:>12.1}");
    }
    Ok(())
}

/// What batches of one size did.
struct Measured {
    size: usize,
    /// Entries a second.
    rate: f64,
    /// Milliseconds for a batch.
    median: f64,
    p99: f64,
    /// Microseconds of processor time, of this process and of the kernel for it, for an entry.
    cpu: f64,
}

async fn measure(store: &Sqlite) -> Result<Vec<Measured>, Failure> {
    let name = Username::parse("sender")?;
    let user = NewUser { name, display_name: String::new(), password_hash: None };
    let sender = store.create_user(user, now()).await?.map_err(|_| "the name is taken")?.user;
    let groups = (1..=CONVERSATIONS).filter_map(ConversationId::new);
    let commands = groups.map(|group| command(sender, group, Action::Create(new_group()))).collect();
    store.append(Batch { now: now(), commands, cursors: Vec::new() }.into()).await?;
    let mut results = Vec::new();
    for size in [1, 20, 100, 1_000] {
        results.push(measure_size(store, sender, size).await?);
    }
    Ok(results)
}

async fn measure_size(store: &Sqlite, sender: UserId, size: usize) -> Result<Measured, Failure> {
    let start = Instant::now();
    let cpu_before = cpu_ms()?;
    let mut times = Vec::new();
    while start.elapsed() < EACH {
        let action = Action::Message { body: vec![7; BODY].into(), mentions: Mentions::default() };
        let groups = (0..).filter_map(|n: i64| ConversationId::new(n % CONVERSATIONS + 1)).take(size);
        let commands = groups.map(|group| command(sender, group, action.clone())).collect();
        let before = Instant::now();
        store.append(Batch { now: now(), commands, cursors: Vec::new() }.into()).await?;
        times.push(before.elapsed().as_secs_f64());
    }
    let stored = u32::try_from(times.len() * size)?;
    let rate = f64::from(stored) / times.iter().sum::<f64>();
    times.sort_unstable_by(f64::total_cmp);
    let at = |percent: usize| times[times.len() * percent / 100] * 1_000.0;
    let cpu = (cpu_ms()? - cpu_before) * 1_000.0 / f64::from(stored);
    Ok(Measured { size, rate, median: at(50), p99: at(99), cpu })
}

/// Processor time of this process so far, in milliseconds and steps of 10 (`proc(5)`, a hundred ticks a second).
fn cpu_ms() -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit_once(')').ok_or("no name in /proc/self/stat")?.1;
    let ticks: Vec<f64> =
        after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    Ok(ticks.iter().sum::<f64>() * 10.0)
}

fn new_group() -> NewGroup {
    NewGroup {
        name: String::new(),
        description: String::new(),
        members: Vec::new(),
        history_visible: false,
        join_by_default: false,
        idempotency_key: None,
    }
}

fn command(sender: UserId, conversation: ConversationId, action: Action) -> Append {
    let client_msg_id = ClientMsgId::from(uuid::Uuid::now_v7());
    Append { conversation, sender, client_msg_id, request_hash: RequestHash([0; 32]), action }
}

fn now() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
