//! Conversations with everybody connected, and runs of messages through them: the shared part of the workloads that
//! send.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::task::JoinHandle;

use crate::fleet::{Berth, Fleet};
use crate::line::{Line, Room};
use crate::load::{Goal, Load};
use crate::people::{Made, People, Person};
use crate::record::{Counts, Notes, histogram, note};
use crate::schedule::{RealTime, Schedule, Turns, pace};
use crate::shape::Shape;
use crate::stamp::micros;
use crate::target::{Sample, cpu};
use crate::{BenchError, Progress, Target};

/// A run whose sends were later than this, at its p99, measures the generator.
pub(crate) const MOST_LAG: Duration = Duration::from_millis(50);
/// A run that was acked less than this share of what was due does not hold its rate.
const HELD_SHARE: f64 = 0.98;
/// How often a recipient says what it has read, per second; the SDK's rate.
const TOLD_PER_SECOND: f64 = 5.0;
/// How often a thread that sends is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Connected conversations.
pub(crate) struct Scene {
    shape: Shape,
    fleet: Fleet,
    rooms: Vec<Arc<Room>>,
    /// Who may send, as connection and its seat.
    voices: Arc<Vec<(usize, usize)>>,
}

/// What a run did and cost.
#[derive(Debug)]
pub(crate) struct Run {
    /// Sends per second that were asked for.
    pub(crate) rate: f64,
    /// Sends that were due.
    pub(crate) due: u64,
    /// Entries that arrived at sessions.
    pub(crate) arrived: u64,
    /// From the first send to the last ack, or to the end of the schedule if that is later.
    pub(crate) took: Duration,
    /// Latencies, refusals, broken promises.
    pub(crate) notes: Notes,
    /// How long the last recipients waited, if that was noted.
    pub(crate) last: Histogram<u64>,
    /// How late sends were written.
    pub(crate) lag: Histogram<u64>,
    /// Sends that were due and not written.
    pub(crate) withheld: u64,
    /// Times a session was told to resync.
    pub(crate) resyncs: u64,
    /// Bytes read and written by the generator.
    pub(crate) bytes: (u64, u64),
    /// The node before and after.
    pub(crate) node: (Sample, Sample),
    /// Processor time of this process.
    pub(crate) own_cpu: Duration,
}

impl Run {
    /// Sends that were acked.
    pub(crate) fn acked(&self) -> u64 {
        self.notes.acked.len()
    }

    /// Acked sends per second.
    pub(crate) fn acked_rate(&self) -> f64 {
        self.acked() as f64 / self.took.as_secs_f64().max(0.001)
    }

    /// True if the generator was too late for the run to say anything of the node.
    pub(crate) fn is_discarded(&self) -> bool {
        self.lag.value_at_quantile(0.99) > micros(MOST_LAG)
    }

    /// True if all was acked and delivered within the goal.
    pub(crate) fn holds(&self, goal: Goal) -> bool {
        let quantile = |times: &Histogram<u64>| times.value_at_quantile(goal.quantile);
        let slowest = [&self.notes.acked, &self.notes.delivered, &self.last].into_iter().map(quantile).max();
        !self.is_discarded()
            && self.notes.violations().is_empty()
            && self.acked() as f64 >= HELD_SHARE * self.due as f64
            && slowest.is_some_and(|slowest| slowest <= micros(goal.within))
    }
}

impl Scene {
    /// Makes the accounts and conversations of a shape, and connects.
    pub(crate) async fn build(
        shape: Shape,
        target: &Target,
        load: &Load,
        progress: &dyn Progress,
    ) -> Result<Self, BenchError> {
        let people = People::at(target, progress)?;
        let persons = people.register("u", shape.connections).await?;
        let made = converse(&shape, &people, &persons).await?;
        let room = |made: &Made| Arc::new(Room::new(made.conversation, made.head, shape.last_counts));
        let rooms: Vec<Arc<Room>> = made.iter().map(room).collect();
        let rooms_of = shape.rooms_of();
        let berths = persons.iter().zip(&rooms_of).enumerate().map(|(line, (person, of))| Berth {
            token: &person.token,
            reads: line < shape.mute_from,
            rooms: of.iter().map(|room| rooms[*room].clone()).collect(),
        });
        let mut fleet = Fleet::new(load.body, load.receipts);
        fleet.connect(target, load.formats, berths.collect(), progress).await?;
        let seat = |&(line, room): &(usize, usize)| Some((line, rooms_of[line].binary_search(&room).ok()?));
        let voices = Arc::new(shape.voices.iter().filter_map(seat).collect());
        Ok(Self { shape, fleet, rooms, voices })
    }

    /// Who reads what and who speaks where.
    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Sends at a rate for a time, after a warm-up, and waits until everything has arrived.
    pub(crate) async fn run(
        &self,
        target: &Target,
        load: &Load,
        rate: f64,
        progress: &dyn Progress,
    ) -> Result<Run, BenchError> {
        self.fleet.shared.book.begin();
        let warm_up = Schedule::new(rate, (load.duration / 5).min(Duration::from_secs(2)), None);
        progress.stage("warming up", warm_up.count());
        self.play(warm_up, load, progress, std::future::pending::<()>()).await?;
        self.fleet.complete().await;
        let schedule = Schedule::new(rate, load.duration, load.burst);
        progress.stage(&format!("measuring at {rate:.0}/s"), schedule.count());
        Ok(self.measure(target, load, (rate, schedule), progress, std::future::pending::<()>()).await?.0)
    }

    /// Sends at a rate while something else happens, and waits until everything has arrived. The generator does not get
    /// further than the end of the schedule, so that has to be late enough.
    pub(crate) async fn run_while<F: Future>(
        &self,
        target: &Target,
        load: &Load,
        rate: f64,
        until: F,
    ) -> Result<(Run, Option<F::Output>), BenchError> {
        const LONGEST: Duration = Duration::from_secs(600);
        let schedule = Schedule::new(rate, LONGEST, None);
        self.measure(target, load, (rate, schedule), &crate::Unwatched, until).await
    }

    async fn measure<F: Future>(
        &self,
        target: &Target,
        load: &Load,
        (rate, schedule): (f64, Schedule),
        progress: &dyn Progress,
        until: F,
    ) -> Result<(Run, Option<F::Output>), BenchError> {
        let book = &self.fleet.shared.book;
        book.begin();
        let before = self.now(target).await;
        let heads: Vec<i64> = self.rooms.iter().map(|room| room.head()).collect();
        let origin = Instant::now();
        let (lag, output) = self.play(schedule, load, progress, until).await?;
        let played = origin.elapsed();
        progress.stage("waiting for what is under way", 0);
        self.fleet.complete().await;
        self.fleet.note_holes();
        let after = self.now(target).await;
        let started = self.fleet.shared.clock.at(origin);
        let last_ack = Duration::from_micros(Counts::get(&book.counts.last_ack).saturating_sub(started));
        let run = Run {
            rate,
            due: lag.len(),
            arrived: after.arrived - before.arrived,
            took: last_ack.max(played.min(schedule.lasts())),
            notes: book.total(),
            last: self.last(&heads),
            lag,
            withheld: after.withheld - before.withheld,
            resyncs: after.resyncs - before.resyncs,
            bytes: (after.bytes.0 - before.bytes.0, after.bytes.1 - before.bytes.1),
            node: (before.node, after.node),
            own_cpu: after.own_cpu.saturating_sub(before.own_cpu),
        };
        Ok((run, output))
    }

    async fn now(&self, target: &Target) -> Moment {
        let counts = &self.fleet.shared.book.counts;
        Moment {
            node: target.sample().await,
            own_cpu: cpu(std::process::id()).unwrap_or_default(),
            arrived: Counts::get(&counts.arrived),
            withheld: Counts::get(&counts.withheld),
            resyncs: Counts::get(&counts.resyncs),
            bytes: (Counts::get(&counts.bytes_in), Counts::get(&counts.bytes_out)),
        }
    }

    /// Keeps to a schedule until something else has happened; answers how late it was.
    async fn play<F: Future>(
        &self,
        schedule: Schedule,
        load: &Load,
        progress: &dyn Progress,
        until: F,
    ) -> Result<(Histogram<u64>, Option<F::Output>), BenchError> {
        let origin = Instant::now();
        let offset = self.fleet.shared.clock.at(origin);
        let lines = self.fleet.lines.clone();
        let voices = self.voices.clone();
        let mut turns = Turns::of(voices.len(), load.zipf, load.seed);
        let sending = Pacing::start(schedule, origin, move |n, due| {
            let (line, seat) = voices[turns.turn(n)];
            lines[line].send(seat, offset + micros(due), n);
        });
        let reading = load.receipts.then(|| {
            let lines = self.fleet.lines.clone();
            // A little longer than the sends, so that the last are told too.
            let lasts = schedule.lasts() + Duration::from_secs_f64(1.0 / TOLD_PER_SECOND);
            let told = Schedule::new(lines.len() as f64 * TOLD_PER_SECOND, lasts, None);
            Pacing::start(told, origin, move |n, _| turn(&lines, n).tell_read())
        });
        let mut output = None;
        tokio::select! {
            happened = until => output = Some(happened),
            () = sending.ends(progress) => {}
        }
        let lag = sending.stop().await?;
        if let Some(reading) = &reading {
            reading.ends(&crate::Unwatched).await;
        }
        Ok((lag, output))
    }

    fn last(&self, heads: &[i64]) -> Histogram<u64> {
        let mut last = histogram();
        for (room, head) in self.rooms.iter().zip(heads) {
            for waited in (head + 1..=room.head()).filter_map(|seq| room.take_last(seq)) {
                note(&mut last, waited);
            }
        }
        last
    }
}

fn turn(lines: &[Arc<Line>], n: u64) -> &Line {
    &lines[usize::try_from(n % lines.len().max(1) as u64).unwrap_or_default()]
}

struct Moment {
    node: Sample,
    own_cpu: Duration,
    arrived: u64,
    withheld: u64,
    resyncs: u64,
    bytes: (u64, u64),
}

async fn converse(shape: &Shape, people: &People<'_>, persons: &[Person]) -> Result<Vec<Made>, BenchError> {
    if shape.rooms.iter().all(|members| members.len() == 2) {
        let pairs: Vec<_> = shape.rooms.iter().map(|pair| (&persons[pair[0]], &persons[pair[1]])).collect();
        return people.directs(&pairs).await;
    }
    let lists: Vec<Vec<&Person>> =
        shape.rooms.iter().map(|members| members.iter().map(|line| &persons[*line]).collect()).collect();
    people.groups(&lists).await
}

/// A schedule that a thread of its own keeps to. Ends when dropped.
pub(crate) struct Pacing {
    thread: Option<JoinHandle<Histogram<u64>>>,
    fired: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Pacing {
    /// Begins to fire.
    pub(crate) fn start(
        schedule: Schedule,
        origin: Instant,
        mut fire: impl FnMut(u64, Duration) + Send + 'static,
    ) -> Self {
        let fired = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (count, stopped) = (fired.clone(), stop.clone());
        let thread = tokio::task::spawn_blocking(move || {
            let go_on = || !stopped.load(Ordering::Relaxed);
            pace(&schedule, &RealTime(origin), go_on, |n, due| {
                fire(n, due);
                count.store(n + 1, Ordering::Relaxed);
            })
        });
        Self { thread: Some(thread), fired, stop }
    }

    /// Waits for the last send, and tells how far it is. May be given up.
    pub(crate) async fn ends(&self, progress: &dyn Progress) {
        let mut told = 0;
        loop {
            let ended = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
            let fired = self.fired.load(Ordering::Relaxed);
            progress.advance(fired - told);
            told = fired;
            if ended {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Ends it, if it has not; answers how late the sends were.
    pub(crate) async fn stop(mut self) -> Result<Histogram<u64>, BenchError> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().ok_or(BenchError::Unfit("a schedule is stopped once"))?;
        thread.await.map_err(|_| BenchError::Unfit("the thread that sends has panicked"))
    }
}

impl Drop for Pacing {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
