//! Who may do what, and what each then sees.

use sparrow_protocol::{ConversationKind, Role, UserId};

use super::{Fixture, GROUP_MEMBERS, World, closed, group, message, open_from, seq};
use crate::log::{Action, Mentions, NewGroup, OwnState, Refusal};
use crate::{Directory as _, Log as _};

fn add(user: UserId) -> Action {
    Action::AddMembers { users: vec![user] }
}

fn rename(name: &str) -> Action {
    Action::ChangeSettings { name: Some(name.to_owned()), description: None }
}

fn all_actions(user: UserId) -> Vec<Action> {
    vec![
        message("x", Mentions::default()),
        add(user),
        Action::RemoveMember { user },
        Action::Leave,
        Action::Join,
        Action::ChangeRole { user, role: Role::Admin },
        rename("x"),
    ]
}

pub(crate) async fn strangers_are_told_nothing<F: Fixture>(world: &mut World<F>) {
    let [ann, bob, eve] = world.users(["ann", "bob", "eve"]).await;
    let group = world.group(ann, &[bob]).await;
    let nowhere = world.fresh_conversation();
    for action in all_actions(bob) {
        assert_eq!(world.refused(eve, group, action.clone()).await, Refusal::NotFound);
        assert_eq!(world.refused(eve, nowhere, action).await, Refusal::NotFound);
    }
    world.act(ann, group, Action::RemoveMember { user: bob }).await;
    for action in all_actions(ann) {
        assert_eq!(world.refused(bob, group, action).await, Refusal::NotFound);
    }
}

pub(crate) async fn members_may_not_manage<F: Fixture>(world: &mut World<F>) {
    let [ann, bob, cy, dee] = world.users(["ann", "bob", "cy", "dee"]).await;
    let group = world.group(ann, &[bob, cy]).await;
    for action in [
        add(dee),
        Action::RemoveMember { user: cy },
        Action::RemoveMember { user: ann },
        Action::ChangeRole { user: bob, role: Role::Owner },
        rename("mine"),
    ] {
        assert_eq!(world.refused(bob, group, action).await, Refusal::Forbidden);
    }
    assert_eq!(world.seen(ann, group).await, [1]);
}

pub(crate) async fn admins_manage_members<F: Fixture>(world: &mut World<F>) {
    let [ann, bob, cy, dee] = world.users(["ann", "bob", "cy", "dee"]).await;
    let group = world.group(ann, &[bob, cy]).await;
    world.act(ann, group, Action::ChangeRole { user: bob, role: Role::Admin }).await;
    world.act(bob, group, add(dee)).await;
    world.act(bob, group, Action::RemoveMember { user: cy }).await;
    assert_eq!(world.refused(bob, group, Action::RemoveMember { user: cy }).await, Refusal::NotMember);
    assert_eq!(world.refused(bob, group, Action::RemoveMember { user: ann }).await, Refusal::Forbidden);
    let promote = Action::ChangeRole { user: dee, role: Role::Admin };
    assert_eq!(world.refused(bob, group, promote.clone()).await, Refusal::Forbidden);
    world.act(ann, group, promote).await;
    assert_eq!(world.refused(bob, group, Action::RemoveMember { user: dee }).await, Refusal::Forbidden);
    world.act(ann, group, Action::RemoveMember { user: dee }).await;
}

pub(crate) async fn the_owner_stays<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let group = world.group(ann, &[bob]).await;
    assert_eq!(world.refused(ann, group, Action::Leave).await, Refusal::LastOwner);
    assert_eq!(world.refused(ann, group, Action::RemoveMember { user: ann }).await, Refusal::Forbidden);
    let step_down = Action::ChangeRole { user: ann, role: Role::Member };
    assert_eq!(world.refused(ann, group, step_down).await, Refusal::LastOwner);
    world.act(bob, group, Action::Leave).await;
    world.act(ann, group, Action::Leave).await;
    let rows = world.store().members(group, 0).await.unwrap().unwrap().rows;
    assert!(rows.iter().all(|row| row.role.is_none()));
}

pub(crate) async fn ownership_is_handed_over<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let group = world.group(ann, &[bob]).await;
    let give = Action::ChangeRole { user: bob, role: Role::Owner };
    world.act(ann, group, give.clone()).await;
    let list = world.store().member_list(ann, group, None, 10).await.unwrap().unwrap().items;
    let role = |user| list.iter().find(|(listed, _)| listed.user == user).unwrap().1;
    assert_eq!((role(ann), role(bob)), (Role::Admin, Role::Owner));
    assert_eq!(world.refused(ann, group, give.clone()).await, Refusal::Forbidden);
    assert_eq!(world.refused(bob, group, give).await, Refusal::NothingToDo);
    world.act(ann, group, Action::Leave).await;
}

pub(crate) async fn a_direct_has_no_members_to_manage<F: Fixture>(world: &mut World<F>) {
    let [ann, bob, cy] = world.users(["ann", "bob", "cy"]).await;
    let direct = world.store().open_direct(ann, bob, world.now()).await.unwrap().unwrap();
    let notes = world.store().open_self(ann, world.now()).await.unwrap();
    for conversation in [direct, notes] {
        for action in [
            add(cy),
            Action::RemoveMember { user: bob },
            Action::Leave,
            Action::ChangeRole { user: bob, role: Role::Admin },
            rename("x"),
        ] {
            assert_eq!(world.refused(ann, conversation, action).await, Refusal::WrongKind);
        }
        assert_eq!(world.say(ann, conversation, "hello").await, seq(1));
    }
    assert_eq!(world.seen(bob, direct).await, [1]);
    assert_eq!(world.store().members(notes, 0).await.unwrap().unwrap().kind, ConversationKind::SelfNotes);
}

pub(crate) async fn a_full_group_takes_nobody<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("ann").await;
    let mut others = Vec::new();
    for n in 0..GROUP_MEMBERS {
        others.push(world.user(&format!("user{n}")).await);
    }
    let id = world.fresh_conversation();
    assert_eq!(world.refused(ann, id, Action::Create(group(&others))).await, Refusal::TooManyMembers);
    let group = world.group(ann, &others[2..]).await;
    assert_eq!(world.refused(ann, group, Action::AddMembers { users: others[..2].to_vec() }).await, {
        Refusal::TooManyMembers
    });
    world.act(ann, group, add(others[0])).await;
    assert_eq!(world.refused(ann, group, add(others[1])).await, Refusal::TooManyMembers);
    world.act(ann, group, Action::RemoveMember { user: others[0] }).await;
    world.act(ann, group, add(others[1])).await;
}

pub(crate) async fn newcomers_see_what_comes_after_them<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let group = world.group(ann, &[]).await;
    world.say(ann, group, "before").await;
    world.act(ann, group, add(bob)).await;
    world.say(ann, group, "after").await;
    assert_eq!(world.seen(bob, group).await, [3, 4]);
    assert_eq!(world.seen(ann, group).await, [1, 2, 3, 4]);
}

pub(crate) async fn newcomers_see_all_where_history_is_visible<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let group = world.group_of(ann, NewGroup { history_visible: true, ..group(&[]) }).await;
    world.say(ann, group, "before").await;
    world.act(ann, group, add(bob)).await;
    assert_eq!(world.seen(bob, group).await, [1, 2, 3]);
    world.act(bob, group, Action::Leave).await;
    world.say(ann, group, "meanwhile").await;
    assert_eq!(world.seen(bob, group).await, [1, 2, 3]);
    world.act(ann, group, add(bob)).await;
    assert_eq!(world.seen(bob, group).await, [1, 2, 3, 4, 5, 6]);
    let view = world.store().conversation(bob, group).await.unwrap().unwrap().view;
    assert_eq!(view.intervals, [open_from(1)]);
}

pub(crate) async fn returning_opens_another_interval<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let group = world.group(ann, &[bob]).await;
    world.act(bob, group, Action::Leave).await;
    world.say(ann, group, "meanwhile").await;
    world.act(ann, group, add(bob)).await;
    world.say(bob, group, "back").await;
    assert_eq!(world.seen(bob, group).await, [1, 4, 5]);
    let view = world.store().conversation(bob, group).await.unwrap().unwrap().view;
    assert_eq!(view.intervals, [closed(1, 2), open_from(4)]);
    assert_eq!(view.role, Some(Role::Member));
    assert_eq!(view.member_count, 2);
}

pub(crate) async fn member_rows_are_told_since_a_version<F: Fixture>(world: &mut World<F>) {
    let [ann, bob, cy] = world.users(["ann", "bob", "cy"]).await;
    let group = world.group(ann, &[bob]).await;
    let store = world.store();
    let first = store.members(group, 0).await.unwrap().unwrap();
    assert_eq!((first.kind, first.rows.len()), (ConversationKind::Group, 2));
    assert!(store.members(group, first.version).await.unwrap().unwrap().rows.is_empty());
    world.act(ann, group, add(cy)).await;
    world.act(ann, group, Action::RemoveMember { user: bob }).await;
    let changed = store.members(group, first.version).await.unwrap().unwrap();
    let row = |user| changed.rows.iter().find(|row| row.user == user);
    assert!(row(ann).is_none());
    assert_eq!((row(bob).unwrap().role, &*row(bob).unwrap().intervals), (None, &[closed(1, 3)][..]));
    assert_eq!((row(cy).unwrap().role, &*row(cy).unwrap().intervals), (Some(Role::Member), &[open_from(2)][..]));
    assert!(changed.version > first.version);
    assert!(store.members(world.fresh_conversation(), 0).await.unwrap().is_none());
}

pub(crate) async fn join_only_where_it_is_open<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let private = world.group(ann, &[]).await;
    let lobby = world.group_of(ann, NewGroup { join_by_default: true, ..group(&[]) }).await;
    assert_eq!(world.refused(bob, private, Action::Join).await, Refusal::NotFound);
    assert_eq!(world.refused(ann, private, Action::Join).await, Refusal::NothingToDo);
    world.act(bob, lobby, Action::Join).await;
    assert_eq!(world.refused(bob, lobby, Action::Join).await, Refusal::NothingToDo);
    assert_eq!(world.seen(bob, lobby).await, [2]);
    assert_eq!(world.refused(ann, lobby, add(bob)).await, Refusal::NothingToDo);
}

pub(crate) async fn settings_change_once<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("ann").await;
    let group = world.group(ann, &[]).await;
    assert_eq!(world.refused(ann, group, rename("club")).await, Refusal::NothingToDo);
    world.act(ann, group, rename("Société 会 '%_\"")).await;
    let view = world.store().conversation(ann, group).await.unwrap().unwrap().view;
    assert_eq!((view.name.as_str(), view.description.as_str()), ("Société 会 '%_\"", ""));
    let change = Action::ChangeSettings { name: None, description: Some("about".to_owned()) };
    assert_eq!(world.act(ann, group, change).await.entry.seq, seq(3));
    let view = world.store().conversation(ann, group).await.unwrap().unwrap().view;
    assert_eq!((view.name.as_str(), view.description.as_str()), ("Société 会 '%_\"", "about"));
}

pub(crate) async fn who_comes_and_goes_is_told_own_state<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let group = world.group(ann, &[]).await;
    let state = |value: &str| {
        let state = OwnState { kind: "membership".to_owned(), key: group.to_string(), value: value.to_owned() };
        (bob, state)
    };
    let joined = state(r#"{"joinSeq":"2"}"#);
    assert_eq!(world.store().sync(bob, None, 10).await.unwrap().states, []);
    let told = world.act(ann, group, add(bob)).await.own_states;
    assert_eq!(world.store().sync(bob, None, 10).await.unwrap().states, std::slice::from_ref(&joined.1));
    assert_eq!(told, [joined]);
    let left = state(r#"{"leaveSeq":"3"}"#);
    let told = world.act(bob, group, Action::Leave).await.own_states;
    assert_eq!(world.store().sync(bob, None, 10).await.unwrap().states, std::slice::from_ref(&left.1));
    assert_eq!(told, [left]);
}
