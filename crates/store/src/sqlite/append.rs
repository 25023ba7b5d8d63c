//! The transaction of a batch: its commands one after the other, then the conversations they changed, then cursors.

use std::sync::Arc;

use super::cursors;
use super::judge::Judge;
use super::row::{Sql, is_of_one_act};
use super::writer::{Tx, Writer};
use crate::StoreError;
use crate::log::{Append, Appended, Batch, CursorAdvance, CursorOutcome, Outcome};

/// Stores a batch, or nothing of it.
///
/// If a command makes the database fail, the batch is run again with each command in a savepoint of its own, so that
/// the others are stored. A full disk or a busy database is nobody's fault and fails the batch.
pub(super) async fn append(writer: &Writer, batch: Arc<Batch>, group_members: usize) -> Result<Appended, StoreError> {
    let again = batch.clone();
    writer.run_or(move |tx| together(tx, &batch, group_members), move |tx| one_by_one(tx, &again, group_members)).await
}

pub(super) fn together(tx: &Tx<'_>, batch: &Batch, group_members: usize) -> Sql<Appended> {
    let mut judge = Judge::new(tx, batch.now, group_members);
    let outcomes = batch.commands.iter().map(|command| judge.outcome(command)).collect::<Sql<_>>()?;
    judge.write_conversations()?;
    let cursors = batch.cursors.iter().map(|cursor| cursors::advance(tx, cursor)).collect::<Sql<_>>()?;
    Ok(Appended { outcomes, cursors })
}

fn one_by_one(tx: &Tx<'_>, batch: &Batch, group_members: usize) -> Sql<Appended> {
    let command = |command: &Append| {
        let mut judge = Judge::new(tx, batch.now, group_members);
        let outcome = judge.outcome(command)?;
        judge.write_conversations()?;
        Ok(outcome)
    };
    let cursor = |cursor: &CursorAdvance| cursors::advance(tx, cursor);
    Ok(Appended {
        outcomes: each_alone(tx, &batch.commands, &Outcome::Failed, command)?,
        cursors: each_alone(tx, &batch.cursors, &CursorOutcome::NotFound, cursor)?,
    })
}

/// Does `act` for each item in a savepoint; one that fails is undone and gets the value `failed`.
fn each_alone<I, O: Clone>(tx: &Tx<'_>, items: &[I], failed: &O, act: impl Fn(&I) -> Sql<O>) -> Sql<Vec<O>> {
    let mut results = Vec::with_capacity(items.len());
    for item in items {
        tx.db.execute_batch("SAVEPOINT alone")?;
        results.push(match act(item) {
            Ok(result) => result,
            Err(error) => {
                // Some errors end the whole transaction; then there is nothing to save.
                if tx.db.is_autocommit() || !is_of_one_act(&error) {
                    return Err(error);
                }
                tracing::error!(%error, "the database failed over one command");
                tx.db.execute_batch("ROLLBACK TO alone")?;
                failed.clone()
            }
        });
        tx.db.execute_batch("RELEASE alone")?;
    }
    Ok(results)
}
