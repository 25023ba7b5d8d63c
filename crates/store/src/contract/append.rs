//! Appending: order, duplicates, refusals, durability.

use sparrow_protocol::{EntryKind, RequestHash, UserId};

use super::{Fixture, World, assert_refused, duplicate, group, stored};
use crate::Log as _;
use crate::log::{Action, Batch, Body, NewGroup, Outcome, Refusal};

pub(crate) async fn entries_are_numbered_in_order<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let group = world.group(ann, &[bob]).await;
    let commands: Vec<_> = (0..10).map(|n| world.message([ann, bob][n % 2], group, &n.to_string())).collect();
    let outcomes = world.batch(commands.clone()).await;
    for (n, outcome) in outcomes.into_iter().enumerate() {
        let entry = stored(outcome).entry;
        assert_eq!(entry.seq.get(), i64::try_from(n).unwrap() + 2);
        assert_eq!(entry.client_msg_id, commands[n].client_msg_id);
    }
    let page = world.pull(bob, group).await.unwrap();
    assert_eq!(super::seqs(&page), (1..=11).collect::<Vec<_>>());
    assert_eq!(page.entries[0].entry.kind, EntryKind::Membership);
    for (n, visible) in page.entries[1..].iter().enumerate() {
        assert_eq!(visible.entry.body, Body::Kept(n.to_string().into()));
        assert_eq!(visible.entry.sender, [ann, bob][n % 2]);
        assert_eq!(visible.entry.kind, EntryKind::Message);
    }
}

pub(crate) async fn a_retry_answers_the_first_entry<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let group = world.group(ann, &[bob]).await;
    let command = world.message(ann, group, "hello");
    let first = stored(world.run(command.clone()).await);
    world.say(bob, group, "between").await;
    let again = duplicate(world.run(command).await);
    assert_eq!(again.entry, first.entry);
    assert!(again.own_states.is_empty());
    assert_eq!(world.seen(ann, group).await, [1, 2, 3]);
}

pub(crate) async fn a_retry_inside_a_batch<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("ann").await;
    let group = world.group(ann, &[]).await;
    let command = world.message(ann, group, "hello");
    let other = world.message(ann, group, "other");
    let outcomes = world.batch(vec![command.clone(), other, command]).await;
    let [first, second, third] = outcomes.try_into().unwrap();
    assert_eq!(duplicate(third).entry, stored(first).entry);
    assert_eq!(stored(second).entry.seq.get(), 3);
    assert_eq!(world.seen(ann, group).await, [1, 2, 3]);
}

pub(crate) async fn another_request_under_the_same_id<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("ann").await;
    let group = world.group(ann, &[]).await;
    let command = world.message(ann, group, "hello");
    let mut other = command.clone();
    other.request_hash = RequestHash([9; 32]);
    let [first, second] = world.batch(vec![command, other.clone()]).await.try_into().unwrap();
    stored(first);
    assert_refused(&second, Refusal::IdempotencyMismatch);
    assert_refused(&world.run(other).await, Refusal::IdempotencyMismatch);
    assert_eq!(world.seen(ann, group).await, [1, 2]);
}

pub(crate) async fn the_same_id_elsewhere_is_another_command<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let (one, two) = (world.group(ann, &[bob]).await, world.group(ann, &[bob]).await);
    let command = world.message(ann, one, "hello");
    stored(world.run(command.clone()).await);
    let mut of_bob = command.clone();
    of_bob.sender = bob;
    assert_eq!(stored(world.run(of_bob).await).entry.seq.get(), 3);
    let mut in_two = command;
    in_two.conversation = two;
    assert_eq!(stored(world.run(in_two).await).entry.seq.get(), 2);
}

pub(crate) async fn a_retry_after_removal_is_answered<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let group = world.group(ann, &[bob]).await;
    let command = world.message(bob, group, "hello");
    let first = stored(world.run(command.clone()).await);
    world.act(ann, group, Action::RemoveMember { user: bob }).await;
    let mut other = command.clone();
    other.request_hash = RequestHash([9; 32]);
    assert_eq!(duplicate(world.run(command).await).entry, first.entry);
    assert_refused(&world.run(other).await, Refusal::IdempotencyMismatch);
    assert_refused(&world.run(world.message(bob, group, "new")).await, Refusal::NotFound);
}

pub(crate) async fn refusals_leave_no_hole<F: Fixture>(world: &mut World<F>) {
    let [ann, eve] = world.users(["ann", "eve"]).await;
    let group = world.group(ann, &[]).await;
    let commands = [ann, eve, ann, eve, ann].map(|sender| world.message(sender, group, "x"));
    let outcomes = world.batch(commands.to_vec()).await;
    for (n, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Outcome::Stored(stored) => assert_eq!(stored.entry.seq.get(), i64::try_from(n / 2).unwrap() + 2),
            outcome => {
                assert_eq!(commands[n].sender, eve);
                assert_refused(outcome, Refusal::NotFound);
            }
        }
    }
    assert_eq!(world.seen(ann, group).await, [1, 2, 3, 4]);
}

pub(crate) async fn commands_see_those_before_them<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let group = world.group(ann, &[]).await;
    let outcomes = world
        .batch(vec![
            world.message(bob, group, "too early"),
            world.command(ann, group, Action::AddMembers { users: vec![bob] }),
            world.message(bob, group, "in time"),
            world.command(ann, group, Action::RemoveMember { user: bob }),
            world.message(bob, group, "too late"),
            world.message(ann, group, "alone"),
        ])
        .await;
    let [early, added, in_time, removed, late, alone] = outcomes.try_into().unwrap();
    assert_refused(&early, Refusal::NotFound);
    assert_refused(&late, Refusal::NotFound);
    let [added, in_time, removed, alone] = [added, in_time, removed, alone].map(stored);
    assert_eq!([&added, &in_time, &removed, &alone].map(|stored| stored.entry.seq.get()), [2, 3, 4, 5]);
    assert_eq!(added.members_version, in_time.members_version);
    assert!(in_time.members_version < removed.members_version);
    assert_eq!(removed.members_version, alone.members_version);
    assert_eq!(world.store().members(group, 0).await.unwrap().unwrap().version, alone.members_version);
}

pub(crate) async fn concurrent_appends_make_one_order<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("ann").await;
    let group = world.group(ann, &[]).await;
    let sends = (0..40).map(|n| world.run(world.message(ann, group, &n.to_string())));
    let mut seqs: Vec<i64> = join_all(sends).await.into_iter().map(|outcome| stored(outcome).entry.seq.get()).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (2..=41).collect::<Vec<_>>());
    assert_eq!(world.seen(ann, group).await, (1..=41).collect::<Vec<_>>());
}

pub(crate) async fn one_id_at_once_makes_one_entry<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("ann").await;
    let group = world.group(ann, &[]).await;
    let command = world.message(ann, group, "hello");
    let outcomes = join_all((0..20).map(|_| world.run(command.clone()))).await;
    let first = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Stored(_))).count();
    assert_eq!(first, 1);
    for outcome in outcomes {
        let (Outcome::Stored(stored) | Outcome::Duplicate(stored)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(stored.entry.seq.get(), 2);
    }
    assert_eq!(world.seen(ann, group).await, [1, 2]);
}

/// Runs futures at once.
async fn join_all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut running: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut waiting = false;
        for (future, done) in &mut running {
            if done.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *done = Some(value),
                    std::task::Poll::Pending => waiting = true,
                }
            }
        }
        if waiting { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    running.into_iter().filter_map(|(_, done)| done).collect()
}

pub(crate) async fn stored_entries_survive_a_crash<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let group = world.group(ann, &[bob]).await;
    let command = world.message(ann, group, "hello");
    let first = stored(world.run(command.clone()).await);
    let before = world.pull(bob, group).await.unwrap();
    world.reopen();
    let after = world.pull(bob, group).await.unwrap();
    let entries = |page: &crate::log::Page| page.entries.iter().map(|v| v.entry.clone()).collect::<Vec<_>>();
    assert_eq!(entries(&after), entries(&before));
    assert_eq!(duplicate(world.run(command).await).entry, first.entry);
    assert_eq!(world.say(bob, group, "on").await.get(), 3);
}

fn keyed(members: &[UserId], key: &str) -> Action {
    Action::Create(NewGroup { idempotency_key: Some(key.to_owned()), ..group(members) })
}

pub(crate) async fn a_group_is_made_once_per_key<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let first = world.command(ann, world.fresh_conversation(), keyed(&[bob], "k"));
    let made = stored(world.run(first.clone()).await);
    let mut again = world.command(ann, world.fresh_conversation(), keyed(&[bob], "k"));
    again.request_hash = first.request_hash;
    assert_eq!(duplicate(world.run(again.clone()).await).entry, made.entry);
    let mut of_bob = world.command(bob, world.fresh_conversation(), keyed(&[], "k"));
    of_bob.request_hash = first.request_hash;
    stored(world.run(of_bob).await);
    let other = world.command(ann, world.fresh_conversation(), keyed(&[], "k"));
    assert_refused(&world.run(other).await, Refusal::IdempotencyMismatch);
    let tomorrow = made.entry.time.after(std::time::Duration::from_secs(24 * 60 * 60 + 1));
    let batch = Batch { now: tomorrow, commands: vec![again], cursors: Vec::new() };
    stored(world.store().append(batch.into()).await.unwrap().outcomes.remove(0));
}

pub(crate) async fn a_taken_conversation_id_is_refused<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let taken = world.group(ann, &[]).await;
    assert_eq!(world.refused(bob, taken, Action::Create(group(&[]))).await, Refusal::IdempotencyMismatch);
    assert_eq!(world.store().members(taken, 0).await.unwrap().unwrap().rows.len(), 1);
}

pub(crate) async fn a_group_of_unknown_users_is_refused<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("ann").await;
    let nobody = UserId::new(77).unwrap();
    let id = world.fresh_conversation();
    assert_eq!(world.refused(ann, id, Action::Create(group(&[nobody]))).await, Refusal::UnknownUser);
    assert!(world.store().members(id, 0).await.unwrap().is_none());
}
