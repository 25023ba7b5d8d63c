//! Reading ranges of a log.

use sparrow_protocol::{ConversationId, UserId};

use super::{Fixture, World, everything, seq, seqs};
use crate::Log as _;
use crate::log::{Action, Range};

/// A group with entries 1 to 7.
async fn seven<F: Fixture>(world: &World<F>) -> (UserId, ConversationId) {
    let ann = world.user("ann").await;
    let group = world.group(ann, &[]).await;
    for n in 2..=7 {
        world.say(ann, group, &n.to_string()).await;
    }
    (ann, group)
}

pub(crate) async fn pages_cover_everything_forward<F: Fixture>(world: &mut World<F>) {
    let (ann, group) = seven(world).await;
    let mut range = Range { limit: 3, ..everything() };
    let mut pages = Vec::new();
    loop {
        let page = world.store().pull(ann, group, range).await.unwrap().unwrap();
        assert_eq!((page.floor, page.head), (seq(1), seq(7)));
        if page.covered.0 > page.covered.1 {
            break;
        }
        range.from = page.covered.1.next();
        pages.push((seqs(&page), page.covered.0.get(), page.covered.1.get()));
    }
    assert_eq!(pages, [(vec![1, 2, 3], 1, 3), (vec![4, 5, 6], 4, 6), (vec![7], 7, 7)]);
}

pub(crate) async fn pages_cover_everything_backward<F: Fixture>(world: &mut World<F>) {
    let (ann, group) = seven(world).await;
    let mut range = Range { limit: 3, backward: true, ..everything() };
    let mut pages = Vec::new();
    loop {
        let page = world.store().pull(ann, group, range).await.unwrap().unwrap();
        if page.covered.0 > page.covered.1 {
            break;
        }
        range.to = Some(page.covered.0.prev());
        pages.push((seqs(&page), page.covered.0.get(), page.covered.1.get()));
    }
    assert_eq!(pages, [(vec![5, 6, 7], 5, 7), (vec![2, 3, 4], 2, 4), (vec![1], 1, 1)]);
    let middle = Range { from: seq(3), to: Some(seq(5)), backward: true, ..everything() };
    assert_eq!(seqs(&world.store().pull(ann, group, middle).await.unwrap().unwrap()), [3, 4, 5]);
}

pub(crate) async fn a_page_ends_at_its_bytes<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("ann").await;
    let group = world.group(ann, &[]).await;
    for _ in 0..3 {
        world.say(ann, group, &"x".repeat(100)).await;
    }
    let range = |from, max_bytes| Range { from: seq(from), max_bytes, ..everything() };
    let page = world.store().pull(ann, group, range(2, 1)).await.unwrap().unwrap();
    assert_eq!((seqs(&page), page.covered), (vec![2], (seq(2), seq(2))));
    let page = world.store().pull(ann, group, range(2, 200)).await.unwrap().unwrap();
    assert_eq!((seqs(&page), page.covered), (vec![2, 3], (seq(2), seq(3))));
}

pub(crate) async fn a_page_of_nothing<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let direct = crate::Directory::open_direct(world.store(), ann, bob, world.now()).await.unwrap().unwrap();
    let page = world.pull(ann, direct).await.unwrap();
    assert!(page.entries.is_empty() && page.covered.0 > page.covered.1);
    assert_eq!((page.floor.get(), page.head.get()), (1, 0));
    world.say(ann, direct, "one").await;
    let beyond = Range { from: seq(5), to: Some(seq(9)), ..everything() };
    let page = world.store().pull(ann, direct, beyond).await.unwrap().unwrap();
    assert!(page.entries.is_empty() && page.covered.0 > page.covered.1);
    assert_eq!(page.head, seq(1));
}

pub(crate) async fn a_former_member_reads_to_the_end<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let group = world.group(ann, &[bob]).await;
    world.say(ann, group, "two").await;
    world.act(ann, group, Action::RemoveMember { user: bob }).await;
    world.say(ann, group, "four").await;
    for backward in [false, true] {
        let range = Range { backward, ..everything() };
        let page = world.store().pull(bob, group, range).await.unwrap().unwrap();
        assert_eq!((seqs(&page), page.head, page.covered), (vec![1, 2], seq(2), (seq(1), seq(2))));
    }
}

pub(crate) async fn a_gap_between_intervals_is_covered<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let group = world.group(ann, &[bob]).await;
    world.act(bob, group, Action::Leave).await;
    for _ in 3..=5 {
        world.say(ann, group, "meanwhile").await;
    }
    world.act(ann, group, Action::AddMembers { users: vec![bob] }).await;
    world.say(ann, group, "seven").await;
    let page = world.pull(bob, group).await.unwrap();
    assert_eq!((seqs(&page), page.covered), (vec![1, 6, 7], (seq(1), seq(7))));
    let inside = Range { from: seq(3), to: Some(seq(4)), ..everything() };
    let page = world.store().pull(bob, group, inside).await.unwrap().unwrap();
    assert_eq!((seqs(&page), page.covered), (vec![], (seq(3), seq(4))));
    let back = Range { limit: 2, backward: true, ..everything() };
    let page = world.store().pull(bob, group, back).await.unwrap().unwrap();
    assert_eq!((seqs(&page), page.covered), (vec![6, 7], (seq(6), seq(7))));
}

pub(crate) async fn a_stranger_reads_nothing<F: Fixture>(world: &mut World<F>) {
    let [ann, eve] = world.users(["ann", "eve"]).await;
    let group = world.group(ann, &[]).await;
    assert!(world.pull(eve, group).await.is_none());
    assert!(world.pull(ann, world.fresh_conversation()).await.is_none());
}

pub(crate) async fn a_hole_is_served_with_its_version<F: Fixture>(world: &mut World<F>) {
    let (ann, group) = seven(world).await;
    let bob = world.user("bob").await;
    let version = world.act(ann, group, Action::AddMembers { users: vec![bob] }).await.members_version;
    let (told, entries) = world.store().entries(group, seq(3), seq(5)).await.unwrap();
    assert_eq!((told, entries.iter().map(|entry| entry.seq.get()).collect::<Vec<_>>()), (version, vec![3, 4, 5]));
    let (_, entries) = world.store().entries(group, seq(8), seq(100)).await.unwrap();
    assert_eq!(entries.len(), 1);
    assert!(world.store().entries(world.fresh_conversation(), seq(1), seq(5)).await.unwrap().1.is_empty());
}
