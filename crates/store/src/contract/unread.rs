//! Unread messages and mentions, against a recount.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sparrow_protocol::{ConversationId, EntryKind, UserId};

use super::{Fixture, World, group, message, seqs};
use crate::Directory as _;
use crate::log::{Action, Mentions, NewGroup, Outcome};

impl<F: Fixture> World<F> {
    async fn unread(&self, user: UserId, conversation: ConversationId) -> (u32, u32) {
        let listed = self.store().conversation(user, conversation).await.unwrap().unwrap();
        (listed.unread, listed.mentions)
    }
}

fn naming(users: &[UserId], all: bool) -> Mentions {
    Mentions { users: users.to_vec(), all }
}

pub(crate) async fn own_messages_and_entries_are_not_unread<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let group = world.group(ann, &[bob]).await;
    world.say(bob, group, "own").await;
    assert_eq!(world.unread(bob, group).await, (0, 0));
    assert_eq!(world.unread(ann, group).await, (1, 0));
    world.cursor(ann, group, None, Some(2)).await;
    assert_eq!(world.unread(ann, group).await, (0, 0));
}

pub(crate) async fn mentions_are_counted<F: Fixture>(world: &mut World<F>) {
    let [ann, bob, cy, eve] = world.users(["ann", "bob", "cy", "eve"]).await;
    let group = world.group(ann, &[bob, cy]).await;
    world.act(ann, group, message("@bob @eve", naming(&[bob, bob, eve], false))).await;
    world.act(ann, group, message("@all @bob", naming(&[bob], true))).await;
    world.act(cy, group, message("@all, which members may not", naming(&[], true))).await;
    assert_eq!(world.unread(bob, group).await, (3, 2));
    assert_eq!(world.unread(cy, group).await, (2, 1));
    assert_eq!(world.unread(ann, group).await, (1, 0));
    world.act(ann, group, Action::AddMembers { users: vec![eve] }).await;
    assert_eq!(world.unread(eve, group).await, (0, 0));
    let direct = world.store().open_direct(ann, bob, world.now()).await.unwrap().unwrap();
    world.act(bob, direct, message("@all", naming(&[], true))).await;
    assert_eq!(world.unread(ann, direct).await, (1, 1));
}

pub(crate) async fn counting_stops_at_a_thousand<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let group = world.group(ann, &[bob]).await;
    let send = || world.command(ann, group, message("@bob", naming(&[bob], false)));
    world.batch((0..999).map(|_| send()).collect()).await;
    assert_eq!(world.unread(bob, group).await, (999, 999));
    world.batch((0..2).map(|_| send()).collect()).await;
    assert_eq!(world.unread(bob, group).await, (1_000, 1_000));
}

/// What happens in a group of an owner and two others.
#[derive(Debug, Clone)]
enum Step {
    Say { sender: usize, named: Vec<usize>, all: bool },
    Read { user: usize, back: i64 },
    Add(usize),
    Remove(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3usize, prop::collection::vec(0..3usize, 0..3), any::<bool>())
            .prop_map(|(sender, named, all)| Step::Say { sender, named, all }),
        2 => (0..3usize, 0..4i64).prop_map(|(user, back)| Step::Read { user, back }),
        1 => (1..3usize).prop_map(Step::Add),
        1 => (1..3usize).prop_map(Step::Remove),
    ]
}

/// Random histories: what the store counts is what one counts by hand in the entries that the user may see.
pub(crate) fn counts_equal_a_recount<F: Fixture>() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    let histories = (any::<bool>(), prop::collection::vec(step(), 1..30));
    let run = |(visible, steps)| {
        runtime.block_on(recount(&World::<F>::new(), visible, steps));
        Ok(())
    };
    TestRunner::new_with_rng(config, proptest::test_runner::TestRng::deterministic_rng(Default::default()))
        .run(&histories, run)
        .unwrap();
}

async fn recount<F: Fixture>(world: &World<F>, history_visible: bool, steps: Vec<Step>) {
    let users = world.users(["ann", "bob", "cy"]).await;
    let club = world.group_of(users[0], NewGroup { history_visible, ..group(&users[1..]) }).await;
    // Whom each entry names; users who were no members then are not named.
    let mut names: Vec<(i64, Vec<UserId>)> = Vec::new();
    let mut members = users.to_vec();
    for step in steps {
        match step {
            Step::Say { sender, named, all } => {
                let listed: Vec<_> = named.into_iter().map(|n| users[n]).collect();
                let command = world.command(users[sender], club, message("x", naming(&listed, all)));
                if let Outcome::Stored(stored) = world.run(command).await {
                    let mut named: Vec<_> = listed.into_iter().filter(|user| members.contains(user)).collect();
                    if all && sender == 0 {
                        named.extend(users);
                    }
                    names.push((stored.entry.seq.get(), named));
                }
            }
            Step::Read { user, back } => {
                let head = world.pull(users[user], club).await.unwrap().head.get();
                world.cursor(users[user], club, None, Some((head - back).max(0))).await;
            }
            Step::Add(user) => {
                world.run(world.command(users[0], club, Action::AddMembers { users: vec![users[user]] })).await;
                members.push(users[user]);
            }
            Step::Remove(user) => {
                world.run(world.command(users[0], club, Action::RemoveMember { user: users[user] })).await;
                members.retain(|member| *member != users[user]);
            }
        }
        for user in users {
            check(world, club, user, &names).await;
        }
    }
}

async fn check<F: Fixture>(world: &World<F>, club: ConversationId, user: UserId, names: &[(i64, Vec<UserId>)]) {
    let listed = world.store().conversation(user, club).await.unwrap().unwrap();
    let page = world.pull(user, club).await.unwrap();
    let visible: Vec<i64> = seqs(&page).into_iter().filter(|seq| *seq > listed.view.read.get()).collect();
    assert!(page.entries.iter().all(|v| listed.view.intervals.iter().any(|i| i.contains(v.entry.seq))));
    let unread = page.entries.iter().filter(|visible| {
        let entry = &visible.entry;
        entry.kind == EntryKind::Message && entry.sender != user && entry.seq > listed.view.read
    });
    let unread: Vec<i64> = unread.map(|visible| visible.entry.seq.get()).collect();
    assert!(unread.iter().all(|seq| visible.contains(seq)));
    assert_eq!(listed.unread as usize, unread.len());
    let mentions = names.iter().filter(|(seq, named)| unread.contains(seq) && named.contains(&user)).count();
    assert_eq!(listed.mentions as usize, mentions);
}
