//! `floor`: what no server can beat: the echo of the same frames without logic, and bare durable inserts.

use super::Bench;
use crate::error::check_descriptors;
use crate::floor::FloorServer;
use crate::scene::MOST_LAG;
use crate::shape::Shape;
use crate::{BenchError, Outcome};

/// Sizes of the transactions whose inserts are measured.
const BATCHES: [usize; 4] = [1, 20, 100, 1_000];

/// Measures the floor under `direct`. The bench's node is not used.
pub async fn floor(bench: Bench<'_>) -> Result<Outcome, BenchError> {
    let load = bench.load;
    check_descriptors(load.connections)?;
    let mut outcome = bench.outcome("floor");
    let mut server = FloorServer::start(bench.program)?;
    let shape = Shape::pairs(load.connections.max(2));
    let floor = server.echo(&shape, load, load.rate, bench.progress).await?;
    outcome.figure("echoed", floor.rate, "frames/s");
    outcome.figure("processor time of the server per echo", floor.echo.as_secs_f64() * 1e6, "µs");
    bench.progress.stage("inserting", BATCHES.len() as u64);
    for batch in BATCHES {
        let insert = tokio::task::block_in_place(|| server.insert(batch, load.body))?;
        outcome.figure(&format!("inserts in batches of {batch}"), insert.rate, "rows/s");
        let name = format!("processor time of an insert in batches of {batch}");
        outcome.figure(&name, insert.cpu.as_secs_f64() * 1e6, "µs");
        bench.progress.advance(1);
    }
    if floor.lag.value_at_quantile(0.99) > crate::stamp::micros(MOST_LAG) {
        outcome.discarded = Some("frames were written too late: lower --rate".to_owned());
    }
    outcome.latency("due to answered", &floor.acked);
    outcome.latency("due to delivered", &floor.delivered);
    outcome.latency("lag of the scheduler", &floor.lag);
    Ok(outcome)
}
