//! The messaging core, whole, in a world that is drawn from a seed: nodes over one database in memory, devices that send,
//! vanish, stop reading and come back, a database that is slow, away, or silent about what it did, nodes that are killed.
//! Everything runs in one thread on a clock that stands still until nobody has anything to do, so minutes take
//! milliseconds, and a seed tells the whole story.
//!
//! The scheduler is tokio's own with its clock paused, and seeded waits at every step of the fakes. The core is written
//! on tokio's queues and timers, which a model checker such as shuttle would have to replace; it knows no sockets, which
//! is what turmoil simulates. Hash maps that are walked through have a fixed order under test (`crate::collections`), and
//! a test runs seeds twice to see that they tell the same story.
//!
//! Two nodes share the database and no bus: what one commits reaches the sessions of the other when a later push betrays
//! the hole, or when clients read anew by themselves.
//!
//! - `database`: the log, over `sparrow_store::model`, as one node sees it; `node`: lives of nodes;
//! - `device`: what a client does; `outbox`: its unanswered messages;
//! - `watch`: what must hold, seen from outside.
//!
//! `SPARROW_TEST_SEED=7 cargo test -p sparrow-server simulation` runs one seed again;
//! `SPARROW_SIMULATION_SEEDS=10000 cargo test --release -p sparrow-server simulation` runs many.

mod database;
mod device;
mod node;
mod outbox;
mod tests;
mod watch;
mod world;
