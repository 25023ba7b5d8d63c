//! What may be done so often.

use std::time::Duration;

use sparrow_protocol::Timestamp;

use super::{Fixture, START, World};
use crate::Directory as _;
use crate::directory::{Allowance, UsedUp};

/// One token a second, and at most `burst`.
fn allowance(key: &str, burst: u32) -> Allowance {
    let interval = Duration::from_secs(1);
    Allowance { key: key.to_owned(), interval, depth: interval * burst }
}

async fn take<F: Fixture>(world: &World<F>, ms: i64, allowances: &[Allowance]) -> Result<(), UsedUp> {
    world.store().take_allowances(allowances.to_vec(), Timestamp::from_millis(START + ms)).await.unwrap()
}

pub(crate) async fn allowances_run_out_and_come_back<F: Fixture>(world: &mut World<F>) {
    let few = [allowance("ann", 2)];
    take(world, 0, &few).await.unwrap();
    take(world, 0, &few).await.unwrap();
    let refused = take(world, 400, &few).await.unwrap_err();
    assert_eq!(refused, UsedUp { key: "ann".to_owned(), wait: Duration::from_millis(600) });
    take(world, 0, &[allowance("bob", 2)]).await.unwrap();
    take(world, 1_000, &few).await.unwrap();
    assert!(take(world, 1_999, &few).await.is_err(), "a refusal costs nothing, and gives nothing either");
    take(world, 2_000, &few).await.unwrap();
}

pub(crate) async fn all_allowances_are_taken_or_none<F: Fixture>(world: &mut World<F>) {
    let (many, one) = (allowance("many", 2), allowance("one", 1));
    take(world, 0, &[many.clone(), one.clone()]).await.unwrap();
    for _ in 0..5 {
        assert_eq!(take(world, 0, &[many.clone(), one.clone()]).await.unwrap_err().key, "one");
    }
    take(world, 0, std::slice::from_ref(&many)).await.unwrap();
    assert_eq!(take(world, 0, &[many, one]).await.unwrap_err().wait, Duration::from_secs(1));
}

pub(crate) async fn allowances_survive_a_crash<F: Fixture>(world: &mut World<F>) {
    take(world, 0, &[allowance("ann", 1)]).await.unwrap();
    world.reopen();
    assert!(take(world, 999, &[allowance("ann", 1)]).await.is_err());
    take(world, 1_000, &[allowance("ann", 1)]).await.unwrap();
}
