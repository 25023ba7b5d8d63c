//! What changed for a user: never missed, perhaps repeated.

use std::collections::BTreeSet;

use sparrow_protocol::{ConversationId, UserId};

use super::{Fixture, World, group, seq};
use crate::log::{Action, NewGroup, OwnState, SyncChanges, SyncPosition};
use crate::{Directory as _, Log as _};

fn draft(key: &str, value: &str) -> OwnState {
    OwnState { kind: "draft".to_owned(), key: key.to_owned(), value: value.to_owned() }
}

fn named(changes: &SyncChanges) -> Vec<ConversationId> {
    changes.conversations.iter().map(|view| view.conversation).collect()
}

impl<F: Fixture> World<F> {
    pub(super) async fn sync(&self, user: UserId, position: Option<SyncPosition>) -> SyncChanges {
        let changes = self.store().sync(user, position, 100).await.unwrap();
        assert!(!changes.more);
        changes
    }
}

pub(crate) async fn the_first_answer_is_full<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let one = world.group(ann, &[bob]).await;
    let _of_ann_alone = world.group(ann, &[]).await;
    let direct = world.store().open_direct(bob, ann, world.now()).await.unwrap().unwrap();
    world.say(ann, one, "hello").await;
    world.cursor(bob, one, Some(2), Some(1)).await;
    world.store().set_own_state(bob, draft("a", "1"), world.now()).await.unwrap();
    let changes = world.sync(bob, None).await;
    assert!(changes.full);
    assert_eq!(changes.next.epoch, world.store().epoch().await.unwrap());
    assert_eq!(named(&changes).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([one, direct]));
    assert!(changes.states.contains(&draft("a", "1")));
    let view = changes.conversations.iter().find(|view| view.conversation == one).unwrap();
    assert_eq!((view.head, view.floor, view.delivered, view.read), (seq(2), seq(1), seq(2), seq(1)));
    assert_eq!((view.last_message, view.member_count, view.name.as_str()), (Some(seq(2)), 2, "club"));
    let view = changes.conversations.iter().find(|view| view.conversation == direct).unwrap();
    assert_eq!(view.peer, Some((ann, "ann".to_owned())));
    assert_eq!((view.head, view.last_message), (seq(0), None));
}

pub(crate) async fn a_difference_names_what_changed<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let mut groups = Vec::new();
    for _ in 0..4 {
        groups.push(world.group(ann, &[bob]).await);
    }
    let position = world.sync(bob, None).await.next;
    let nothing = world.sync(bob, Some(position)).await;
    assert!(!nothing.full && nothing.conversations.is_empty() && nothing.states.is_empty());
    world.say(ann, groups[1], "hello").await;
    world.cursor(bob, groups[2], Some(1), None).await;
    world.cursor(ann, groups[3], Some(1), None).await;
    world.act(ann, groups[0], Action::RemoveMember { user: bob }).await;
    let changes = world.sync(bob, Some(nothing.next)).await;
    assert_eq!(named(&changes), groups[..3]);
    assert_eq!(changes.conversations[0].role, None);
    assert_eq!(changes.states.len(), 1);
}

/// The watermark is the first commit not yet seen: exactly the next one is told, whatever it wrote.
pub(crate) async fn the_next_commit_is_told<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let group = world.group(ann, &[bob]).await;
    let position = world.sync(bob, None).await.next;
    world.say(ann, group, "hello").await;
    let changes = world.sync(bob, Some(position)).await;
    assert_eq!(named(&changes), [group]);
    world.cursor(bob, group, Some(2), None).await;
    let changes = world.sync(bob, Some(changes.next)).await;
    assert_eq!(named(&changes), [group]);
    world.store().set_own_state(bob, draft("a", "1"), world.now()).await.unwrap();
    let changes = world.sync(bob, Some(changes.next)).await;
    assert_eq!((named(&changes), changes.states.len()), (vec![], 1));
    world.act(bob, group, Action::Leave).await;
    let changes = world.sync(bob, Some(changes.next)).await;
    assert_eq!((named(&changes), changes.states.len()), (vec![group], 1));
}

/// "A changes, B commits, Sync, A commits, Sync": whatever commits after the watermark was read is told next time.
pub(crate) async fn a_change_during_a_sync_is_told<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let (one, two) = (world.group(ann, &[bob]).await, world.group(ann, &[bob]).await);
    let first = world.store().sync(bob, None, 1).await.unwrap();
    assert!(first.more);
    world.say(ann, one, "after its page").await;
    let mut position = first.next;
    loop {
        let page = world.store().sync(bob, Some(position), 1).await.unwrap();
        position = page.next;
        if !page.more {
            break;
        }
    }
    assert_eq!(named(&world.sync(bob, Some(position)).await), [one]);
    for _ in 0..20 {
        let position = world.sync(bob, None).await.next;
        let (said, during) =
            tokio::join!(world.say(ann, two, "x"), world.store().sync(bob, Some(position.clone()), 100));
        let during = during.unwrap();
        let told = |changes: &SyncChanges| changes.conversations.iter().any(|view| view.head == said);
        assert!(told(&during) || told(&world.sync(bob, Some(during.next.clone())).await));
    }
}

pub(crate) async fn every_page_is_answered<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("ann").await;
    let mut groups = BTreeSet::new();
    let mut states = BTreeSet::new();
    for n in 0..5 {
        groups.insert(world.group(ann, &[]).await);
        world.store().set_own_state(ann, draft(&n.to_string(), "x"), world.now()).await.unwrap();
        states.insert(n.to_string());
    }
    for limit in [1, 2, 5, 6, 7] {
        let (mut seen_groups, mut seen_states) = (BTreeSet::new(), BTreeSet::new());
        let mut position = None;
        loop {
            let page = world.store().sync(ann, position, limit).await.unwrap();
            assert!(page.full);
            assert!(page.conversations.len() + page.states.len() <= limit);
            for id in named(&page) {
                assert!(seen_groups.insert(id));
            }
            let drafts = page.states.into_iter().filter(|state| state.kind == "draft");
            for state in drafts {
                assert!(seen_states.insert(state.key));
            }
            position = Some(page.next);
            if !page.more {
                break;
            }
        }
        assert_eq!((&seen_groups, &seen_states), (&groups, &states));
    }
}

pub(crate) async fn another_epoch_is_answered_in_full<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("ann").await;
    let group = world.group(ann, &[]).await;
    let position = world.sync(ann, None).await.next;
    let other = SyncPosition { epoch: "another".to_owned(), ..position.clone() };
    let changes = world.sync(ann, Some(other)).await;
    assert!(changes.full);
    assert_eq!(named(&changes), [group]);
    let future = SyncPosition { since: position.since + 1_000, watermark: position.watermark + 1_000, ..position };
    assert!(world.sync(ann, Some(future)).await.full);
}

pub(crate) async fn deletions_are_told<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("ann").await;
    world.store().set_own_state(ann, draft("a", "1"), world.now()).await.unwrap();
    let position = world.sync(ann, None).await.next;
    world.store().set_own_state(ann, draft("a", ""), world.now()).await.unwrap();
    assert_eq!(world.sync(ann, Some(position)).await.states, [draft("a", "")]);
    assert!(world.sync(ann, None).await.states.is_empty());
}

pub(crate) async fn later_activity_is_not_told_to_former_members<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let group = world.group_of(ann, NewGroup { history_visible: true, ..group(&[bob]) }).await;
    world.say(ann, group, "seen").await;
    world.act(bob, group, Action::Leave).await;
    let position = world.sync(bob, None).await.next;
    world.say(ann, group, "unseen").await;
    assert!(world.sync(bob, Some(position)).await.conversations.is_empty());
    let view = world.sync(bob, None).await.conversations.remove(0);
    assert_eq!((view.head, view.last_message), (seq(2), Some(seq(2))));
}

pub(crate) async fn a_position_survives_a_crash<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("ann").await;
    let (one, _two) = (world.group(ann, &[]).await, world.group(ann, &[]).await);
    let position = world.sync(ann, None).await.next;
    world.reopen();
    world.say(ann, one, "hello").await;
    let changes = world.sync(ann, Some(position)).await;
    assert!(!changes.full);
    assert_eq!(named(&changes), [one]);
}
