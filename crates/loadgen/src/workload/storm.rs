//! `storm`: all connections are cut at once, miss messages, and come back at once, while bystanders go on talking.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use sparrow_protocol::{Format, v1};
use tokio::task::JoinSet;

use super::Bench;
use super::messages::{describe_node, of_times};
use super::offline::sync;
use crate::error::check_descriptors;
use crate::fill::fill;
use crate::fleet::{content, source};
use crate::people::{Made, People, Person};
use crate::scene::Scene;
use crate::shape::Shape;
use crate::target::check_version;
use crate::verify::Watch;
use crate::{BenchError, Connection, Load, Outcome, Target};

/// Messages that each device misses.
const MISSED: usize = 10;
/// Those who write them.
const WRITERS: usize = 16;
/// Bystanders, who talk in pairs.
const BYSTANDERS: usize = 20;
/// Their sends per second.
const BYSTANDERS_RATE: f64 = 200.0;
/// Connections being made at a time before the storm.
const AT_ONCE: usize = 32;
/// Connections being made at a time in the storm: about as many as a listener's queue holds.
const RUSH: usize = 1_000;

/// A device in the storm.
struct Device {
    number: usize,
    token: String,
    room: Made,
    cursor: String,
}

/// How a device came back.
struct Back {
    after: Duration,
    violation: Option<String>,
}

/// Cuts and reconnects `--connections` devices.
pub async fn storm(bench: Bench<'_>) -> Result<Outcome, BenchError> {
    let count = bench.load.connections;
    check_descriptors(count + BYSTANDERS)?;
    let load = Load { connections: BYSTANDERS, receipts: false, burst: None, search: None, ..bench.load.clone() };
    let bystanders = Scene::build(Shape::pairs(BYSTANDERS), bench.target, &load, bench.progress).await?;
    let people = People::at(bench.target, bench.progress)?;
    let writers = people.register("w", WRITERS).await?;
    let persons = people.register("u", count).await?;
    let pairs: Vec<_> = persons.iter().enumerate().map(|(at, person)| (&writers[at % WRITERS], person)).collect();
    let rooms = people.directs(&pairs).await?;

    let quiet = bystanders.run(bench.target, &load, BYSTANDERS_RATE, bench.progress).await?;
    let (devices, connections) = connect(bench, &persons, &rooms).await?;
    // The cut: every socket is closed as it is.
    drop(connections);
    let of = |writer: usize| rooms.iter().skip(writer).step_by(WRITERS).map(|room| room.conversation).collect();
    let writing: Vec<(&str, Vec<i64>)> =
        writers.iter().enumerate().take(count).map(|(at, writer)| (writer.token.as_str(), of(at))).collect();
    fill(bench.target, &writing, MISSED, &content(load.body), bench.progress).await?;

    bench.progress.stage("reconnecting everybody", count as u64);
    let before = bench.target.sample().await;
    let rush = reconnect(bench, devices);
    let (during, backs) = bystanders.run_while(bench.target, &load, BYSTANDERS_RATE, rush).await?;
    let backs = backs.ok_or(BenchError::Unfit("the storm took longer than ten minutes"))??;
    let after = bench.target.sample().await;

    let mut outcome = bench.outcome("storm");
    let complete = backs.iter().filter(|back| back.violation.is_none()).count();
    outcome.violations = quiet.notes.violations();
    outcome.violations.extend(during.notes.violations());
    outcome.violations.extend(backs.iter().filter_map(|back| back.violation.clone()).take(20));
    let last = backs.iter().map(|back| back.after).max().unwrap_or_default();
    outcome.figure("devices complete", complete as f64, "");
    outcome.figure("first to last", last.as_secs_f64(), "s");
    outcome.figure("first to last per 10,000 devices", last.as_secs_f64() * 1e4 / count.max(1) as f64, "s");
    describe_node(&mut outcome, &before, &after, last, ("device", count as u64));
    let p99 = |run: &crate::scene::Run| run.notes.delivered.value_at_quantile(0.99) as f64;
    outcome.figure("p99 of bystanders, storm / before", p99(&during) / p99(&quiet).max(1.0), "times");
    outcome.latency("cut devices: start of the storm to complete", &of_times(backs.iter().map(|back| back.after)));
    outcome.latency("bystanders before: due to delivered", &quiet.notes.delivered);
    outcome.latency("bystanders in the storm: due to delivered", &during.notes.delivered);
    outcome.notes.push(format!("{RUSH} connections were being made at a time"));
    Ok(outcome)
}

async fn open(target: &Target, format: Format, number: usize, token: &str) -> Result<Connection, BenchError> {
    let address = target.address(format.carrier);
    let mut connection = match source(address, number) {
        Some(source) => Connection::open_from(source, address, format).await?,
        None => Connection::open(address, format).await?,
    };
    check_version(&connection.hello(token).await?.server)?;
    Ok(connection)
}

/// Connects every device, lets it sync, and holds the connections in tasks.
async fn connect(
    bench: Bench<'_>,
    persons: &[Person],
    rooms: &[Made],
) -> Result<(Vec<Device>, JoinSet<()>), BenchError> {
    bench.progress.stage("connecting", persons.len() as u64);
    let mut held = JoinSet::new();
    let mut devices = Vec::with_capacity(persons.len());
    let opening = persons.iter().zip(rooms).enumerate().map(|(number, (person, room))| async move {
        let mut connection = open(bench.target, bench.load.formats.of(number), number, &person.token).await?;
        let (_, cursor) = sync(&mut connection, String::new()).await?;
        let device = Device { number, token: person.token.clone(), room: *room, cursor };
        Ok::<_, BenchError>((device, connection))
    });
    let mut opening = stream::iter(opening).buffer_unordered(AT_ONCE);
    while let Some((device, mut connection)) = opening.try_next().await? {
        devices.push(device);
        held.spawn(async move { while connection.next().await.is_ok() {} });
        bench.progress.advance(1);
    }
    Ok((devices, held))
}

async fn reconnect(bench: Bench<'_>, devices: Vec<Device>) -> Result<Vec<Back>, BenchError> {
    let started = Instant::now();
    // Those that are back stay connected until everybody is.
    let held = Arc::new(std::sync::Mutex::new(Vec::with_capacity(devices.len())));
    let coming = devices.into_iter().map(|device| {
        let held = held.clone();
        async move {
            let (connection, violation) = come_back(bench, device).await?;
            held.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(connection);
            bench.progress.advance(1);
            Ok::<_, BenchError>(Back { after: started.elapsed(), violation })
        }
    });
    stream::iter(coming).buffer_unordered(RUSH).try_collect().await
}

/// Connects a device again and reads what it missed; says what is not as it should be.
async fn come_back(bench: Bench<'_>, device: Device) -> Result<(Connection, Option<String>), BenchError> {
    let Device { number, token, room, cursor } = device;
    let mut connection = open(bench.target, bench.load.formats.of(number), number, &token).await?;
    let (states, _) = sync(&mut connection, cursor).await?;
    let head = room.head + MISSED as i64;
    let state = states.iter().find(|state| state.conversation_id == room.conversation);
    if state.map(|state| state.head) != Some(head) {
        return Ok((connection, Some(format!("device {number}: Sync did not say that its log ends at {head}"))));
    }
    let pull = v1::Pull { conversation_id: room.conversation, from_seq: room.head + 1, ..Default::default() };
    let page: v1::PullPage = connection.call(&pull).await?;
    let mut watch = Watch::after(room.head);
    page.entries.iter().for_each(|entry| watch.pull(entry.seq));
    let hole = watch.holes(head).first().map(|hole| format!("device {number}: {hole}"));
    Ok((connection, hole))
}
