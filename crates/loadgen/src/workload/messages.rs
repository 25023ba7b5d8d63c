//! What the workloads that send have in common: a scene, one run or a search, the floor, and the outcome.

use std::time::Duration;

use super::Bench;
use crate::error::check_descriptors;
use crate::floor::{Floor, FloorServer, Insert};
use crate::outcome::Probe;
use crate::record::histogram;
use crate::scene::{MOST_LAG, Run, Scene};
use crate::search::Search;
use crate::shape::Shape;
use crate::target::{Counted, Sample};
use crate::{BenchError, Goal, Outcome};

/// The batch of the floor's inserts where the node's own is not known.
const USUAL_BATCH: usize = 100;

/// Sends in conversations of this shape, at the asked rate or at the highest that holds the goal.
pub(super) async fn messages(workload: &str, shape: Shape, bench: Bench<'_>) -> Result<Outcome, BenchError> {
    check_descriptors(shape.connections)?;
    let scene = Scene::build(shape, bench.target, bench.load, bench.progress).await?;
    let (run, probes) = match bench.load.search {
        None => (scene.run(bench.target, bench.load, bench.load.rate, bench.progress).await?, Vec::new()),
        Some(goal) => search(&scene, goal, bench).await?,
    };
    let mut outcome = bench.outcome(workload);
    outcome.probes = probes;
    let shape = scene.shape().clone();
    drop(scene);
    describe(&mut outcome, &run, shape.connections);
    if bench.load.floor && outcome.violations.is_empty() {
        efficiency(&mut outcome, &run, &shape, bench).await?;
    }
    Ok(outcome)
}

/// The run at the highest rate that held, else the last one.
async fn search(scene: &Scene, goal: Goal, bench: Bench<'_>) -> Result<(Run, Vec<Probe>), BenchError> {
    let mut search = Search::from(bench.load.rate);
    let mut probes = Vec::new();
    let mut best: Option<Run> = None;
    let mut last = None;
    while let Some(rate) = search.next() {
        let run = scene.run(bench.target, bench.load, rate, bench.progress).await?;
        let held = run.holds(goal);
        search.note(rate, held);
        let p99 = |times: &hdrhistogram::Histogram<u64>| times.value_at_quantile(0.99) as f64 / 1e3;
        let p99_ms = p99(&run.notes.acked).max(p99(&run.notes.delivered)).max(p99(&run.last));
        probes.push(Probe { rate, p99_ms, held, discarded: run.is_discarded() });
        let broken = !run.notes.violations().is_empty();
        if broken {
            return Ok((run, probes));
        }
        if held && best.as_ref().is_none_or(|best| best.rate < rate) {
            best = Some(run);
        } else {
            last = Some(run);
        }
    }
    let run = best.or(last).ok_or(BenchError::Unfit("a search needs a rate to begin with: give --rate"))?;
    Ok((run, probes))
}

/// What a run did, as figures.
pub(super) fn describe(outcome: &mut Outcome, run: &Run, connections: usize) {
    outcome.violations = run.notes.violations();
    if run.is_discarded() {
        let lag = run.lag.value_at_quantile(0.99) / 1_000;
        let most = MOST_LAG.as_millis();
        outcome.discarded = Some(format!(
            "sends were written {lag} ms late at p99, more than {most} ms: this measures the generator; lower --rate"
        ));
    }
    let seconds = run.took.as_secs_f64().max(0.001);
    outcome.figure("due", run.rate, "sends/s");
    outcome.figure("acked", run.acked_rate(), "sends/s");
    outcome.figure("delivered", run.arrived as f64 / seconds, "entries/s");
    outcome.figure("connections", connections as f64, "");
    costs(outcome, run);
    outcome.figure("read by the generator", run.bytes.0 as f64 / seconds / 1e6, "MB/s");
    outcome.figure("written by the generator", run.bytes.1 as f64 / seconds / 1e6, "MB/s");
    outcome.figure("processor time of the generator", run.own_cpu.as_secs_f64() / seconds * 100.0, "% of a core");
    for (code, count) in &run.notes.refused {
        outcome.figure(&format!("refused as {code}"), *count as f64, "sends");
    }
    for (name, count) in [("due and withheld", run.withheld), ("resyncs", run.resyncs)] {
        if count > 0 {
            outcome.figure(name, count as f64, "");
        }
    }
    outcome.latency("due to acked", &run.notes.acked);
    outcome.latency("due to delivered", &run.notes.delivered);
    outcome.latency("due to delivered to the last", &run.last);
    outcome.latency("due to the news that it was read", &run.notes.read);
    outcome.latency("lag of the scheduler", &run.lag);
}

/// What a run cost the node.
fn costs(outcome: &mut Outcome, run: &Run) {
    let (before, after) = &run.node;
    if let Some(spent) = server_cpu(run) {
        let seconds = run.took.as_secs_f64().max(0.001);
        outcome.figure("processor time of the node per send", micros(spent, run.acked()), "µs");
        outcome.figure("processor time of the node per delivery", micros(spent, run.arrived), "µs");
        outcome.figure("processor time of the node", spent.as_secs_f64() / seconds * 100.0, "% of a core");
    }
    if let Some(resident) = after.resident {
        outcome.figure("resident memory of the node", resident as f64 / 1e6, "MB");
    }
    if let (Some(before), Some(after)) = (before.counted, after.counted) {
        let commits = after.commits - before.commits;
        outcome.figure("commits", commits, "");
        outcome.figure("sends in a commit", (after.commands - before.commands) / commits.max(1.0), "");
        outcome.figure(
            "time of a commit",
            (after.commit_seconds - before.commit_seconds) / commits.max(1.0) * 1e3,
            "ms",
        );
    } else {
        outcome.notes.push("commits are not known: give --admin for a node's metrics".to_owned());
    }
}

/// What something else than sends cost the node, for each of so many of them.
pub(super) fn describe_node(
    outcome: &mut Outcome,
    before: &Sample,
    after: &Sample,
    took: Duration,
    (what, count): (&str, u64),
) {
    if let (Some(before), Some(after)) = (before.cpu, after.cpu) {
        let spent = after.saturating_sub(before);
        outcome.figure(&format!("processor time of the node per {what}"), micros(spent, count), "µs");
        let share = spent.as_secs_f64() / took.as_secs_f64().max(0.001);
        outcome.figure("processor time of the node", share * 100.0, "% of a core");
    }
    if let Some(resident) = after.resident {
        outcome.figure("resident memory of the node", resident as f64 / 1e6, "MB");
    }
}

fn server_cpu(run: &Run) -> Option<Duration> {
    Some(run.node.1.cpu?.saturating_sub(run.node.0.cpu?))
}

fn micros(spent: Duration, count: u64) -> f64 {
    spent.as_secs_f64() * 1e6 / count.max(1) as f64
}

/// Measures the floor under a run, and sets the node's cost in relation to it.
async fn efficiency(outcome: &mut Outcome, run: &Run, shape: &Shape, bench: Bench<'_>) -> Result<(), BenchError> {
    let counted = |counted: Option<Counted>| counted.unwrap_or_default();
    let (before, after) = (counted(run.node.0.counted), counted(run.node.1.counted));
    let commits = after.commits - before.commits;
    let batch = if commits > 0.0 { (after.commands - before.commands) / commits } else { USUAL_BATCH as f64 };
    let batch = (batch.round() as usize).max(1);
    let (floor, insert) = below(shape, run.rate, batch, bench).await?;
    let echo = floor.echo.as_secs_f64() * 1e6;
    let inserted = insert.cpu.as_secs_f64() * 1e6;
    outcome.figure("floor: echo of a send to all who get it", echo, "µs");
    outcome.figure(&format!("floor: insert in batches of {batch}"), inserted, "µs");
    if let Some(spent) = server_cpu(run).filter(|spent| !spent.is_zero() && run.acked() > 0) {
        outcome.figure("efficiency (floor / actual)", (echo + inserted) / micros(spent, run.acked()), "");
    } else {
        outcome.notes.push("efficiency is not known: the node's processor time is not (give --pid)".to_owned());
    }
    Ok(())
}

/// The floor under a shape's traffic at a rate.
async fn below(shape: &Shape, rate: f64, batch: usize, bench: Bench<'_>) -> Result<(Floor, Insert), BenchError> {
    let mut server = FloorServer::start(bench.program)?;
    let floor = server.echo(shape, bench.load, rate, bench.progress).await?;
    bench.progress.stage("inserting for the floor", 0);
    let body = bench.load.body;
    let insert = tokio::task::block_in_place(|| server.insert(batch, body))?;
    Ok((floor, insert))
}

/// The distribution of times, for callers that have single ones.
pub(super) fn of_times(times: impl IntoIterator<Item = Duration>) -> hdrhistogram::Histogram<u64> {
    let mut all = histogram();
    for time in times {
        crate::record::note(&mut all, crate::stamp::micros(time));
    }
    all
}
