//! Cursors: monotone, bounded by what their user may see.

use super::{Fixture, World, seq};
use crate::Log as _;
use crate::log::{Action, Batch, CursorAdvance, CursorOutcome};

fn now(delivered: i64, read: i64, moved: bool) -> CursorOutcome {
    CursorOutcome::Now { delivered: seq(delivered), read: seq(read), moved, members_version: 1 }
}

pub(crate) async fn cursors_only_grow<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("ann").await;
    let group = world.group(ann, &[]).await;
    for _ in 2..=5 {
        world.say(ann, group, "x").await;
    }
    assert_eq!(world.cursor(ann, group, Some(4), None).await, now(4, 0, true));
    assert_eq!(world.cursor(ann, group, Some(2), None).await, now(4, 0, false));
    assert_eq!(world.cursor(ann, group, None, Some(3)).await, now(4, 3, true));
    assert_eq!(world.cursor(ann, group, Some(5), Some(1)).await, now(5, 3, true));
    world.reopen();
    assert_eq!(world.cursor(ann, group, None, None).await, now(5, 3, false));
}

pub(crate) async fn reading_is_receiving<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("ann").await;
    let group = world.group(ann, &[]).await;
    assert_eq!(world.cursor(ann, group, None, Some(1)).await, now(1, 1, true));
}

pub(crate) async fn cursors_end_at_the_head<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("ann").await;
    let group = world.group(ann, &[]).await;
    assert_eq!(world.cursor(ann, group, None, Some(2)).await, CursorOutcome::BeyondHead);
    assert_eq!(world.cursor(ann, group, Some(i64::MAX), None).await, CursorOutcome::BeyondHead);
    assert_eq!(world.cursor(ann, group, Some(2), Some(1)).await, CursorOutcome::BeyondHead);
    assert_eq!(world.cursor(ann, group, None, None).await, now(0, 0, false));
}

pub(crate) async fn cursors_of_former_members_end_with_them<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let group = world.group(ann, &[bob]).await;
    world.say(ann, group, "two").await;
    world.act(bob, group, Action::Leave).await;
    world.say(ann, group, "four").await;
    assert_eq!(world.cursor(bob, group, None, Some(3)).await, CursorOutcome::BeyondHead);
    let version = world.store().members(group, 0).await.unwrap().unwrap().version;
    let left = CursorOutcome::Now { delivered: seq(2), read: seq(2), moved: true, members_version: version };
    assert_eq!((world.cursor(bob, group, None, Some(2)).await, version), (left, 2));
}

pub(crate) async fn cursors_of_strangers<F: Fixture>(world: &mut World<F>) {
    let [ann, eve] = world.users(["ann", "eve"]).await;
    let group = world.group(ann, &[]).await;
    assert_eq!(world.cursor(eve, group, None, Some(1)).await, CursorOutcome::NotFound);
    assert_eq!(world.cursor(ann, world.fresh_conversation(), None, Some(1)).await, CursorOutcome::NotFound);
}

pub(crate) async fn cursors_ride_with_their_batch<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("ann").await;
    let conversation = world.group(ann, &[]).await;
    let to = |read| CursorAdvance { user: ann, conversation, delivered: None, read: Some(seq(read)) };
    let commands = vec![world.message(ann, conversation, "two")];
    let batch = Batch { now: world.now(), commands, cursors: vec![to(2), to(1), to(3)] };
    let cursors = world.store().append(batch.into()).await.unwrap().cursors;
    assert_eq!(cursors, [now(2, 2, true), now(2, 2, false), CursorOutcome::BeyondHead]);
}
