//! `offline`: one user returns to very many missed messages in many conversations.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use sparrow_protocol::v1;

use super::Bench;
use super::messages::{describe_node, of_times};
use crate::fill::fill;
use crate::fleet::content;
use crate::people::{People, Person};
use crate::verify::Watch;
use crate::{Api, BenchError, Connection, Outcome};

/// How often the user returns; each time finds the same, because nothing is acked.
const RETURNS: usize = 5;
/// Those who wrote.
const WRITERS: usize = 8;
/// Pulls under way at once.
const WINDOW: usize = 16;
/// Entries of a page.
const PAGE: i64 = 200;

/// One return.
struct Return {
    list: Duration,
    sync: Duration,
    pull: Duration,
    entries: u64,
    violations: Vec<String>,
}

/// Measures the return to `entries` missed messages in `conversations` groups.
pub async fn offline(bench: Bench<'_>, entries: usize, conversations: usize) -> Result<Outcome, BenchError> {
    let each = entries / conversations.max(1);
    let people = People::at(bench.target, bench.progress)?;
    let persons = people.register("u", WRITERS + 1).await?;
    let Some((reader, writers)) = persons.split_last() else { return Err(BenchError::Unfit("nobody was registered")) };
    let groups: Vec<_> = (0..conversations).map(|group| vec![&writers[group % WRITERS], reader]).collect();
    let made = people.groups(&groups).await?;
    let of = |writer: usize| made.iter().skip(writer).step_by(WRITERS).map(|made| made.conversation).collect();
    let writing: Vec<(&str, Vec<i64>)> =
        writers.iter().enumerate().take(conversations).map(|(at, writer)| (writer.token.as_str(), of(at))).collect();
    fill(bench.target, &writing, each, &content(bench.load.body), bench.progress).await?;

    let ids = made.iter().map(|made| made.conversation).collect();
    bench.progress.stage("returning", RETURNS as u64);
    let before = bench.target.sample().await;
    let started = Instant::now();
    let mut returns = Vec::new();
    for _ in 0..RETURNS {
        returns.push(come_back(bench, reader, &ids, each).await?);
        bench.progress.advance(1);
    }
    let after = bench.target.sample().await;
    let mut outcome = bench.outcome("offline");
    let read = returns.iter().map(|once| once.entries).sum();
    describe(&mut outcome, &returns);
    describe_node(&mut outcome, &before, &after, started.elapsed(), ("entry", read));
    outcome.notes.push(format!("medians of {RETURNS} returns; the messages were sent through the wire before"));
    Ok(outcome)
}

fn describe(outcome: &mut Outcome, returns: &[Return]) {
    outcome.violations = returns.iter().flat_map(|once| once.violations.clone()).take(20).collect();
    let median = |time: fn(&Return) -> Duration| {
        let mut times: Vec<Duration> = returns.iter().map(time).collect();
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64()
    };
    let entries = returns.first().map_or(0, |once| once.entries) as f64;
    outcome.figure("conversation list over HTTP", median(|once| once.list) * 1e3, "ms");
    outcome.figure("connect and sync", median(|once| once.sync) * 1e3, "ms");
    outcome.figure("full pull", median(|once| once.pull) * 1e3, "ms");
    outcome.figure("full pull", entries / median(|once| once.pull).max(1e-6), "entries/s");
    outcome.figure("entries missed", entries, "");
    outcome.latency("conversation list", &of_times(returns.iter().map(|once| once.list)));
    outcome.latency("full pull", &of_times(returns.iter().map(|once| once.pull)));
}

async fn come_back(
    bench: Bench<'_>,
    reader: &Person,
    groups: &HashSet<i64>,
    each: usize,
) -> Result<Return, BenchError> {
    let conversations = groups.len();
    let started = Instant::now();
    let listed = list(bench, reader, groups).await?;
    let list = started.elapsed();
    let started = Instant::now();
    let format = bench.load.formats.of(0);
    let mut connection = Connection::open(bench.target.address(format.carrier), format).await?;
    connection.hello(&reader.token).await?;
    let mut states = sync(&mut connection, String::new()).await?.0;
    states.retain(|state| groups.contains(&state.conversation_id));
    let sync = started.elapsed();
    let started = Instant::now();
    let (entries, mut violations) = pull_all(&mut connection, &states).await?;
    let pull = started.elapsed();
    if listed != conversations || states.len() != conversations {
        violations.push(format!("of {conversations} conversations {listed} were listed and {} synced", states.len()));
    }
    if entries < (conversations * each) as u64 {
        violations.push(format!("of {} messages only {entries} entries were pulled", conversations * each));
    }
    Ok(Return { list, sync, pull, entries, violations })
}

/// How many of the groups are listed; everybody may be in other conversations besides, such as the lobby.
async fn list(bench: Bench<'_>, reader: &Person, groups: &HashSet<i64>) -> Result<usize, BenchError> {
    let api = Api::new(bench.target.addresses.http)?.with_token(&reader.token);
    let mut count = 0;
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/conversations?limit=200&cursor={cursor}");
        let page: v1::ConversationList = api.get(&path).await?;
        let ids = page.items.iter().filter_map(|item| Some(item.state.as_ref()?.conversation_id));
        count += ids.filter(|id| groups.contains(id)).count();
        if page.next.is_empty() {
            return Ok(count);
        }
        cursor = page.next;
    }
}

/// Every page of what changed since a cursor, and the cursor for the next time.
pub(super) async fn sync(
    connection: &mut Connection,
    mut cursor: String,
) -> Result<(Vec<v1::ConversationState>, String), BenchError> {
    let mut states = Vec::new();
    loop {
        let page: v1::SyncPage = connection.call(&v1::Sync { cursor, limit: 0 }).await?;
        states.extend(page.conversations);
        cursor = page.cursor;
        if !page.more {
            return Ok((states, cursor));
        }
    }
}

/// Pulls every log from its first entry to its head; answers the number of entries, and what was missing.
async fn pull_all(
    connection: &mut Connection,
    states: &[v1::ConversationState],
) -> Result<(u64, Vec<String>), BenchError> {
    let pages = states.iter().flat_map(|state| {
        let first = state.intervals.first().map_or(1, |interval| interval.join_seq);
        let from = (first..=state.head).step_by(usize::try_from(PAGE).unwrap_or(1));
        from.map(move |from| (state.conversation_id, from, (from + PAGE - 1).min(state.head)))
    });
    let mut pages = pages.peekable();
    let mut asked = VecDeque::new();
    let mut read = Reading::default();
    while pages.peek().is_some() || !asked.is_empty() {
        for (conversation_id, from_seq, to_seq) in pages.by_ref().take(WINDOW - asked.len()) {
            let pull = v1::Pull { conversation_id, from_seq, to_seq, ..Default::default() };
            asked.push_back((connection.feed(&pull).await?, from_seq, to_seq));
        }
        connection.flush().await?;
        if let Some((id, from, to)) = asked.pop_front() {
            read.page(&connection.answer(id).await?, from, to);
        }
    }
    Ok((read.entries, read.violations))
}

#[derive(Default)]
struct Reading {
    entries: u64,
    violations: Vec<String>,
}

impl Reading {
    fn page(&mut self, page: &v1::PullPage, from: i64, to: i64) {
        let mut watch = Watch::after(from - 1);
        page.entries.iter().for_each(|entry| watch.pull(entry.seq));
        self.entries += page.entries.len() as u64;
        let holes = watch.holes(to).into_iter();
        self.violations.extend(holes.map(|hole| format!("conversation {}: {hole}", page.conversation_id)));
    }
}
