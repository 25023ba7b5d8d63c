//! The workloads, a module each, and what they have in common: where they run, and how a run becomes an outcome.

mod burst;
mod direct;
mod fanout;
mod floor;
mod groups;
mod history;
mod hot;
mod idle;
mod latency;
mod messages;
mod offline;
mod storm;

use std::path::Path;

use sparrow_protocol::{Format, v1};

use crate::people::People;
use crate::{BenchError, Connection, Load, Outcome, Progress, Target};

pub use burst::{Burst, burst};
pub use direct::direct;
pub use fanout::fanout;
pub use floor::floor;
pub use groups::groups;
pub use history::history;
pub use hot::{hot, hot_send_only};
pub use idle::idle;
pub use latency::{Latency, latency};
pub use offline::offline;
pub use storm::storm;

/// Where a workload runs, and what is asked of it.
#[derive(Clone, Copy)]
pub struct Bench<'a> {
    /// The node.
    pub target: &'a Target,
    /// This program, which is run again as the floor's server.
    pub program: &'a Path,
    /// How much, how fast, in which formats.
    pub load: &'a Load,
    /// The limits that the node runs with.
    pub profile: &'a str,
    /// Who is told how far it is.
    pub progress: &'a dyn Progress,
}

impl Bench<'_> {
    /// An outcome that names what was asked for.
    fn outcome(&self, workload: &str) -> Outcome {
        let load = self.load;
        let mut outcome = Outcome::of(workload);
        outcome.profile = self.profile.to_owned();
        let word = |mixed: Option<String>| mixed.unwrap_or_else(|| "mixed".to_owned()).to_lowercase();
        let settings = [
            ("rate", load.rate.to_string()),
            ("duration", format!("{} s", load.duration.as_secs_f64())),
            ("connections", load.connections.to_string()),
            ("body", load.body.to_string()),
            ("codec", word(load.formats.codec.map(|codec| format!("{codec:?}")))),
            ("transport", word(load.formats.carrier.map(|carrier| format!("{carrier:?}")))),
            ("receipts", load.receipts.to_string()),
            ("seed", load.seed.to_string()),
        ];
        outcome.settings = settings.map(|(name, value)| (name.to_owned(), value)).into();
        outcome
    }
}

/// A connection of a fresh user, with a conversation to send to.
async fn talker(target: &Target, format: Format) -> Result<(Connection, i64), BenchError> {
    let people = People::at(target, &crate::Unwatched)?;
    let pair = people.register("u", 2).await?;
    let made = people.directs(&[(&pair[0], &pair[1])]).await?;
    let mut connection = Connection::open(target.address(format.carrier), format).await?;
    connection.hello(&pair[0].token).await?;
    Ok((connection, made[0].conversation))
}

/// What a person writes.
fn words() -> v1::Content {
    v1::Content { text: "a line as people write it, of some fifty letters".to_owned(), ..Default::default() }
}
