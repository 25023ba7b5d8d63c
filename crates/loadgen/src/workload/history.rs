//! `history`: random pages of a large log. The entries are sent through the wire before; that is not measured.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::Bench;
use super::messages::describe_node;
use crate::error::check_descriptors;
use crate::fill::fill;
use crate::fleet::{Berth, Fleet, content};
use crate::people::People;
use crate::record::Counts;
use crate::scene::{MOST_LAG, Pacing};
use crate::schedule::Schedule;
use crate::stamp::micros;
use crate::{BenchError, Outcome};

/// Entries of a page.
const PAGE: usize = 50;
/// Conversations that the entries are spread over.
const CONVERSATIONS: usize = 100;
/// Those who fill them.
const WRITERS: usize = 8;

/// Measures pages of 50 from `entries` stored ones, each from a drawn seq of a drawn conversation.
pub async fn history(bench: Bench<'_>, entries: usize) -> Result<Outcome, BenchError> {
    let load = bench.load;
    let each = entries / CONVERSATIONS;
    if each < PAGE {
        return Err(BenchError::Unfit("give --entries at least 5,000, so that each of 100 conversations has a page"));
    }
    check_descriptors(load.connections)?;
    let people = People::at(bench.target, bench.progress)?;
    let persons = people.register("u", load.connections.max(WRITERS)).await?;
    let everybody: Vec<_> = persons.iter().collect();
    let rooms = people.groups(&vec![everybody; CONVERSATIONS]).await?;
    let conversations: Vec<i64> = rooms.iter().map(|room| room.conversation).collect();
    let of = |writer: usize| conversations.iter().copied().skip(writer).step_by(WRITERS).collect();
    let writers: Vec<(&str, Vec<i64>)> =
        persons.iter().take(WRITERS).enumerate().map(|(at, person)| (person.token.as_str(), of(at))).collect();
    let filling = Instant::now();
    fill(bench.target, &writers, each, &content(load.body), bench.progress).await?;
    let filled = filling.elapsed();

    let mut fleet = Fleet::new(load.body, false);
    let berth = |token| Berth { token, reads: true, rooms: Vec::new() };
    let berths = persons.iter().take(load.connections.max(1)).map(|person| berth(person.token.as_str())).collect();
    fleet.connect(bench.target, load.formats, berths, bench.progress).await?;
    let mut outcome = pages(bench, &fleet, conversations, each).await?;
    outcome.figure("entries stored", (each * CONVERSATIONS) as f64, "");
    let note =
        format!("the entries were sent through the wire in {:.1} s, which is not measured", filled.as_secs_f64());
    outcome.notes.push(note);
    Ok(outcome)
}

async fn pages(bench: Bench<'_>, fleet: &Fleet, conversations: Vec<i64>, each: usize) -> Result<Outcome, BenchError> {
    let load = bench.load;
    let book = &fleet.shared.book;
    book.begin();
    let schedule = Schedule::new(load.rate, load.duration, load.burst);
    bench.progress.stage("reading pages", schedule.count());
    let before = bench.target.sample().await;
    let origin = Instant::now();
    let offset = fleet.shared.clock.at(origin);
    let lines = fleet.lines.clone();
    let mut random = StdRng::seed_from_u64(load.seed);
    let reading = Pacing::start(schedule, origin, move |_, due| {
        let line = &lines[random.random_range(0..lines.len())];
        let conversation = conversations[random.random_range(0..conversations.len())];
        let from = random.random_range(1..=(each - PAGE + 1) as i64);
        line.pull(conversation, from, PAGE, offset + micros(due));
    });
    reading.ends(bench.progress).await;
    let lag = reading.stop().await?;
    fleet.complete().await;
    fleet.note_holes();
    let took = origin.elapsed().max(Duration::from_millis(1));
    let after = bench.target.sample().await;

    let mut outcome = bench.outcome("history");
    let notes = book.total();
    outcome.violations = notes.violations();
    let unanswered = Counts::get(&book.counts.sent) - Counts::get(&book.counts.answered);
    if unanswered > 0 {
        outcome.violations.push(format!("{unanswered} pulls were not answered"));
    }
    if lag.value_at_quantile(0.99) > micros(MOST_LAG) {
        outcome.discarded = Some("pulls were written too late: lower --rate".to_owned());
    }
    let pulled = notes.pulled.len();
    outcome.figure("pages", pulled as f64 / took.as_secs_f64(), "pages/s");
    describe_node(&mut outcome, &before, &after, took, ("page", pulled));
    outcome.latency("due to answered", &notes.pulled);
    outcome.latency("lag of the scheduler", &lag);
    Ok(outcome)
}
