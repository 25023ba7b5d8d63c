//! Accounts, devices, conversations as lists.

use std::time::Duration;

use sparrow_protocol::{DeviceId, Role, Timestamp, UserId, Username};

use super::{Fixture, START, World, group, seq};
use crate::directory::{
    ActivityKey, Device, DeviceLoggedIn, DeviceLogin, DeviceRefused, DeviceRule, NameTaken, NewTokens, NewUser,
    ProfileChange, ReceiptsRefused, Refreshed, TokenHash, Visibility, WhenFull,
};
use crate::log::{Action, NewGroup};
use crate::{Directory as _, SYSTEM_USER};

fn name(text: &str) -> Username {
    Username::parse(text).unwrap()
}

fn token(number: u8) -> TokenHash {
    TokenHash([number; 32])
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(START + ms)
}

/// Tokens `number` (access) and `number + 100` (refresh), good for 1 s and 10 s after the start.
fn tokens(number: u8) -> NewTokens {
    NewTokens {
        access: token(number),
        access_expires: at(1_000),
        refresh: token(number + 100),
        refresh_expires: at(10_000),
    }
}

fn login(user: UserId, device: Option<DeviceId>, number: u8) -> DeviceLogin {
    let (name, platform) = ("phone".to_owned(), "test".to_owned());
    let rules = vec![DeviceRule { of_platform: false, most: 2 }];
    let when_full = WhenFull::RejectNew;
    DeviceLogin { user, device, name, platform, tokens: tokens(number), rules, when_full, online: Vec::new() }
}

impl<F: Fixture> World<F> {
    async fn log_in(&self, user: UserId, device: Option<DeviceId>, number: u8) -> Result<Device, DeviceRefused> {
        let logged_in = self.store().log_in_device(login(user, device, number), at(0)).await.unwrap();
        logged_in.map(|logged_in| logged_in.device)
    }

    /// Logs a new device of this platform in under these rules; the devices that made room for it.
    async fn make_room(
        &self,
        user: UserId,
        (number, platform): (u8, &str),
        rules: &[(bool, u32)],
        online: &[DeviceId],
    ) -> (DeviceId, Vec<DeviceId>) {
        let rules = rules.iter().map(|(of_platform, most)| DeviceRule { of_platform: *of_platform, most: *most });
        let login = DeviceLogin {
            platform: platform.to_owned(),
            rules: rules.collect(),
            when_full: WhenFull::KickOld,
            online: online.to_vec(),
            ..login(user, None, number)
        };
        let DeviceLoggedIn { device, revoked } = self.store().log_in_device(login, at(0)).await.unwrap().unwrap();
        (device.device, revoked)
    }

    /// True if the access token is good now.
    async fn good(&self, number: u8) -> bool {
        self.store().authenticate(token(number), at(0)).await.unwrap().is_some()
    }

    /// Exchanges refresh token `number + 100` for the tokens `fresh`.
    async fn exchange(&self, number: u8, fresh: u8, ms: i64) -> Refreshed {
        let grace = Duration::from_millis(60);
        self.store().refresh(token(number + 100), tokens(fresh), grace, at(ms)).await.unwrap()
    }
}

pub(crate) async fn names_are_unique<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("Ann").await;
    let again = NewUser { name: name("aNN"), display_name: String::new(), password_hash: None };
    assert_eq!(world.store().create_user(again, world.now()).await.unwrap(), Err(NameTaken));
    let found = world.store().user_by_name(&name("ann")).await.unwrap().unwrap();
    assert_eq!((found.user, found.name.as_str(), found.display_name.as_str()), (ann, "Ann", "ANN"));
    let credentials = world.store().credentials(&name("ANN")).await.unwrap().unwrap();
    assert_eq!(credentials.password_hash.as_deref(), Some("hash"));
    assert!(world.store().user_by_name(&name("bob")).await.unwrap().is_none());
    let users = world.store().users(&[ann, UserId::new(77).unwrap()]).await.unwrap();
    assert_eq!(users, [found]);
}

pub(crate) async fn names_are_found_by_prefix<F: Fixture>(world: &mut World<F>) {
    for user in ["sparring", "sparta", "spa_rk", "bob", "スパロー", "spar.ks"] {
        world.user(user).await;
    }
    let find = async |prefix: &str, after: Option<String>, limit| {
        let listed = world.store().users_by_prefix(prefix, after, limit).await.unwrap();
        (listed.items.into_iter().map(|user| user.name).collect::<Vec<_>>(), listed.next)
    };
    assert_eq!(find("spar", None, 10).await.0, ["spar.ks", "sparring", "sparta"]);
    let (names, next) = find("spar", None, 2).await;
    assert_eq!(names, ["spar.ks", "sparring"]);
    assert_eq!(find("spar", next, 2).await, (vec!["sparta".to_owned()], None));
    assert_eq!(find("スパ", None, 10).await.0, ["スパロー"]);
    for wild in ["%", "spa%", "spa*", "'"] {
        assert!(find(wild, None, 10).await.0.is_empty());
    }
    assert_eq!(find("spa_", None, 10).await.0, ["spa_rk"]);
    let system = world.store().user_by_name(&name("sparrow")).await.unwrap().unwrap();
    assert_eq!(system.user, SYSTEM_USER);
    assert!(world.store().credentials(&name("sparrow")).await.unwrap().unwrap().password_hash.is_none());
}

pub(crate) async fn profiles_change<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("ann").await;
    let change = async |name: Option<&str>, bio: Option<&str>| {
        let (display_name, bio) = (name.map(str::to_owned), bio.map(str::to_owned));
        let change = ProfileChange { display_name, bio, visibility: None };
        let user = world.store().update_profile(ann, change).await.unwrap().unwrap();
        (user.display_name, user.bio)
    };
    assert_eq!(change(Some("Annie"), None).await, ("Annie".to_owned(), String::new()));
    assert_eq!(change(None, Some("hi")).await, ("Annie".to_owned(), "hi".to_owned()));
    let nobody = UserId::new(77).unwrap();
    assert!(world.store().update_profile(nobody, ProfileChange::default()).await.unwrap().is_none());
}

pub(crate) async fn directs_are_made_once<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let store = world.store();
    let direct = store.open_direct(ann, bob, world.now()).await.unwrap().unwrap();
    assert_eq!(store.open_direct(bob, ann, world.now()).await.unwrap(), Some(direct));
    assert_eq!(store.open_direct(ann, UserId::new(77).unwrap(), world.now()).await.unwrap(), None);
    let notes = store.open_self(ann, world.now()).await.unwrap();
    assert_ne!(notes, direct);
    assert_eq!(store.open_self(ann, world.now()).await.unwrap(), notes);
    assert_ne!(store.open_self(bob, world.now()).await.unwrap(), notes);
    assert!(store.open_self(UserId::new(77).unwrap(), world.now()).await.is_err());
}

pub(crate) async fn devices_are_limited<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let first = world.log_in(ann, None, 1).await.unwrap();
    let second = world.log_in(ann, None, 2).await.unwrap();
    assert_eq!(world.log_in(ann, None, 3).await, Err(DeviceRefused::TooMany));
    world.log_in(bob, None, 4).await.unwrap();
    let devices = world.store().devices(ann).await.unwrap();
    assert_eq!(devices.iter().map(|device| device.device).collect::<Vec<_>>(), {
        let mut ids = [first.device, second.device];
        ids.sort_unstable();
        ids
    });
    assert!(world.store().revoke_device(ann, first.device, at(0)).await.unwrap());
    world.log_in(ann, None, 3).await.unwrap();
}

pub(crate) async fn old_devices_make_room<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("ann").await;
    let bob = world.user("bob").await;
    let (other, _) = world.make_room(bob, (9, "web"), &[(false, 1)], &[]).await;
    let two = [(false, 2)];
    let (first, none) = world.make_room(ann, (1, "web"), &two, &[]).await;
    assert!(none.is_empty());
    let (second, none) = world.make_room(ann, (2, "web"), &two, &[]).await;
    assert!(none.is_empty());
    let (third, gone) = world.make_room(ann, (3, "web"), &two, &[first]).await;
    assert_eq!(gone, [second], "the connected one stays");
    let (phone, gone) = world.make_room(ann, (4, "ios"), &[(true, 1), (false, 10)], &[]).await;
    assert!(gone.is_empty(), "no other device of this platform");
    let (_, mut gone) = world.make_room(ann, (5, "web"), &[(true, 1), (false, 10)], &[]).await;
    gone.sort_unstable();
    let mut both = vec![first, third];
    both.sort_unstable();
    assert_eq!(gone, both);
    assert!(!world.good(1).await && !world.good(3).await && world.good(4).await && world.good(5).await);
    let (single, gone) = world.make_room(ann, (6, "web"), &[(false, 1)], &[phone]).await;
    assert_eq!(gone.len(), 2);
    assert_eq!(world.store().devices(ann).await.unwrap()[0].device, single);
    assert_eq!(world.store().devices(bob).await.unwrap()[0].device, other);
}

pub(crate) async fn devices_that_cannot_come_back_take_no_room<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("ann").await;
    let (first, second) = (world.log_in(ann, None, 1).await.unwrap(), world.log_in(ann, None, 2).await.unwrap());
    let late = world.store().log_in_device(login(ann, None, 3), at(10_000)).await.unwrap().unwrap();
    let mut gone = late.revoked;
    gone.sort_unstable();
    let mut both = vec![first.device, second.device];
    both.sort_unstable();
    assert_eq!(gone, both);
}

pub(crate) async fn a_changed_password_logs_other_devices_out<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("ann").await;
    let kept = world.log_in(ann, None, 1).await.unwrap().device;
    let other = world.log_in(ann, None, 2).await.unwrap().device;
    let changed = world.store().change_password(ann, "new".to_owned(), kept, at(0)).await.unwrap();
    assert_eq!(changed, Some(vec![other]));
    assert!(world.good(1).await && !world.good(2).await);
    let credentials = world.store().credentials(&name("ann")).await.unwrap().unwrap();
    assert_eq!(credentials.password_hash.as_deref(), Some("new"));
    let nobody = UserId::new(77).unwrap();
    assert_eq!(world.store().change_password(nobody, "new".to_owned(), kept, at(0)).await.unwrap(), None);
}

pub(crate) async fn a_user_is_seen_with_their_devices<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("ann").await;
    let seen = async || world.store().users(&[ann]).await.unwrap()[0].last_seen;
    assert_eq!(seen().await, None);
    let device = world.log_in(ann, None, 1).await.unwrap().device;
    world.store().begin_session(device, at(0)).await.unwrap();
    assert_eq!(seen().await, Some(at(0)), "the tests begin at a full minute");
    let phone = world.log_in(ann, None, 2).await.unwrap().device;
    world.store().devices_seen(vec![device, phone], at(150_000)).await.unwrap();
    assert!(world.store().devices(ann).await.unwrap().iter().all(|device| device.last_seen == at(120_000)));
    assert_eq!(seen().await, Some(at(120_000)));
    world.store().devices_seen(vec![device], at(60_000)).await.unwrap();
    assert_eq!(seen().await, Some(at(120_000)), "it never goes back");
    let change = ProfileChange { visibility: Some(Visibility::Nobody), ..ProfileChange::default() };
    assert_eq!(world.store().update_profile(ann, change).await.unwrap().unwrap().visibility, Visibility::Nobody);
    assert_eq!(world.store().user_by_name(&name("ann")).await.unwrap().unwrap().visibility, Visibility::Nobody);
}

pub(crate) async fn a_device_logs_in_again<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let first = world.log_in(ann, None, 1).await.unwrap();
    assert_eq!(world.log_in(ann, Some(first.device), 2).await.unwrap().device, first.device);
    assert!(!world.good(1).await && world.good(2).await);
    assert_eq!(world.exchange(1, 9, 0).await, Refreshed::Unknown);
    assert_eq!(world.log_in(bob, Some(first.device), 3).await, Err(DeviceRefused::Unknown));
    world.store().revoke_device(ann, first.device, at(0)).await.unwrap();
    assert_eq!(world.log_in(ann, Some(first.device), 4).await, Err(DeviceRefused::Unknown));
}

pub(crate) async fn tokens_expire<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("ann").await;
    let device = world.log_in(ann, None, 1).await.unwrap().device;
    let who = world.store().authenticate(token(1), at(999)).await.unwrap().unwrap();
    assert_eq!((who.user.user, who.device, who.generation, who.expires), (ann, device, 0, at(1_000)));
    assert!(world.store().authenticate(token(1), at(1_000)).await.unwrap().is_none());
    assert!(world.store().authenticate(token(2), at(0)).await.unwrap().is_none());
    assert!(world.store().authenticate(token(101), at(0)).await.unwrap().is_none());
    assert_eq!(world.exchange(1, 2, 10_000).await, Refreshed::Unknown);
}

pub(crate) async fn refresh_tokens_rotate<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("ann").await;
    let device = world.log_in(ann, None, 1).await.unwrap().device;
    let user = world.store().users(&[ann]).await.unwrap().remove(0);
    let rotated = Refreshed::Rotated { user, device };
    assert_eq!(world.exchange(1, 2, 100).await, rotated);
    assert!(!world.good(1).await && world.good(2).await);
    // The answer was lost, and the client asks again.
    assert_eq!(world.exchange(1, 3, 160).await, rotated);
    assert!(!world.good(2).await && world.good(3).await);
    assert_eq!(world.exchange(2, 9, 161).await, Refreshed::Unknown);
    assert_eq!(world.exchange(3, 4, 5_000).await, rotated);
    assert!(world.good(4).await);
}

pub(crate) async fn a_reused_refresh_token_revokes<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("ann").await;
    let device = world.log_in(ann, None, 1).await.unwrap().device;
    world.exchange(1, 2, 0).await;
    world.exchange(2, 3, 500).await;
    assert_eq!(world.exchange(1, 9, 501).await, Refreshed::Reused { user: ann, device });
    assert!(!world.good(3).await && !world.good(9).await);
    assert_eq!(world.exchange(3, 4, 502).await, Refreshed::Unknown);
    assert!(world.store().devices(ann).await.unwrap().is_empty());
}

pub(crate) async fn revoking_ends_tokens<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let device = world.log_in(ann, None, 1).await.unwrap().device;
    assert!(!world.store().revoke_device(bob, device, at(0)).await.unwrap());
    assert!(world.good(1).await);
    assert!(world.store().revoke_device(ann, device, at(0)).await.unwrap());
    assert!(!world.store().revoke_device(ann, device, at(0)).await.unwrap());
    assert!(!world.good(1).await);
    assert_eq!(world.exchange(1, 2, 0).await, Refreshed::Unknown);
    assert_eq!(world.store().begin_session(device, at(0)).await.unwrap(), None);
}

pub(crate) async fn sessions_are_numbered<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("ann").await;
    let device = world.log_in(ann, None, 1).await.unwrap().device;
    assert_eq!(world.store().begin_session(device, at(0)).await.unwrap(), Some(1));
    assert_eq!(world.store().begin_session(device, at(0)).await.unwrap(), Some(2));
    assert_eq!(world.store().authenticate(token(1), at(0)).await.unwrap().unwrap().generation, 2);
    world.reopen();
    assert_eq!(world.store().begin_session(device, at(0)).await.unwrap(), Some(3));
}

pub(crate) async fn seen_to_the_minute<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("ann").await;
    let device = world.log_in(ann, None, 1).await.unwrap().device;
    let seen = async |ms| {
        world.store().devices_seen(vec![device], at(ms)).await.unwrap();
        world.store().devices(ann).await.unwrap()[0].last_seen
    };
    assert_eq!(seen(61_000).await, at(60_000));
    assert_eq!(seen(119_999).await, at(60_000));
    assert_eq!(seen(5_000).await, at(60_000));
    assert_eq!(seen(120_000).await, at(120_000));
}

pub(crate) async fn conversations_are_listed_by_activity<F: Fixture>(world: &mut World<F>) {
    let [ann, bob] = world.users(["ann", "bob"]).await;
    let mut groups = Vec::new();
    for _ in 0..5 {
        groups.push(world.group(ann, &[bob]).await);
    }
    world.say(ann, groups[1], "hello").await;
    world.act(bob, groups[3], Action::Leave).await;
    world.say(ann, groups[3], "unseen").await;
    let mut listed = Vec::new();
    let mut after: Option<ActivityKey> = None;
    loop {
        let page = world.store().conversations(bob, after, 2).await.unwrap();
        assert!(page.items.len() <= 2);
        listed.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let ids: Vec<_> = listed.iter().map(|item| item.view.conversation).collect();
    assert_eq!(ids, [1, 4, 3, 2, 0].map(|n| groups[n]));
    assert_eq!((listed[0].unread, listed[0].last_message.as_ref().map(|entry| entry.seq)), (1, Some(seq(2))));
    assert!(listed.is_sorted_by(|a, b| a.active >= b.active));
}

pub(crate) async fn the_last_message_is_the_readers<F: Fixture>(world: &mut World<F>) {
    let [ann, bob, cy, eve] = world.users(["ann", "bob", "cy", "eve"]).await;
    let group = world.group(ann, &[bob]).await;
    world.say(ann, group, "two").await;
    world.act(ann, group, Action::RemoveMember { user: bob }).await;
    world.say(ann, group, "four").await;
    world.act(ann, group, Action::AddMembers { users: vec![bob, cy] }).await;
    let last = async |user| world.store().conversation(user, group).await.unwrap().unwrap().view.last_message;
    assert_eq!(last(ann).await, Some(seq(4)));
    assert_eq!(last(bob).await, Some(seq(2)));
    assert_eq!(last(cy).await, None);
    assert!(world.store().conversation(eve, group).await.unwrap().is_none());
}

pub(crate) async fn members_are_listed<F: Fixture>(world: &mut World<F>) {
    let [ann, bob, cy, eve] = world.users(["ann", "bob", "cy", "eve"]).await;
    let group = world.group(ann, &[bob, cy]).await;
    world.act(cy, group, Action::Leave).await;
    let first = world.store().member_list(bob, group, None, 1).await.unwrap().unwrap();
    let second = world.store().member_list(bob, group, first.next, 1).await.unwrap().unwrap();
    assert_eq!(second.next, None);
    let mut roles: Vec<_> = first.items.into_iter().chain(second.items).map(|(user, role)| (user.user, role)).collect();
    roles.sort_unstable_by_key(|(_, role)| *role);
    assert_eq!(roles, [(bob, Role::Member), (ann, Role::Owner)]);
    for reader in [cy, eve] {
        assert!(world.store().member_list(reader, group, None, 10).await.unwrap().is_none());
    }
}

pub(crate) async fn receipts_are_the_authors<F: Fixture>(world: &mut World<F>) {
    let [ann, bob, cy, dee, eve] = world.users(["ann", "bob", "cy", "dee", "eve"]).await;
    let group = world.group(ann, &[bob, cy]).await;
    let message = world.say(ann, group, "two").await;
    world.act(ann, group, Action::AddMembers { users: vec![dee] }).await;
    world.cursor(bob, group, Some(2), None).await;
    world.cursor(cy, group, None, Some(2)).await;
    world.cursor(dee, group, None, Some(3)).await;
    world.cursor(ann, group, None, Some(3)).await;
    let ask = async |reader, seq, after, limit| {
        world.store().message_receipts(reader, group, seq, after, limit).await.unwrap()
    };
    let all = ask(ann, message, None, 10).await.unwrap();
    assert_eq!((all.delivered_count, all.read_count, all.members.items.len()), (2, 1, 2));
    let first = ask(ann, message, None, 1).await.unwrap();
    assert_eq!(first.delivered_count, 2);
    let second = ask(ann, message, first.members.next, 1).await.unwrap();
    let mut members = first.members.items;
    members.extend(second.members.items);
    assert_eq!(members, all.members.items);
    assert_eq!(members.iter().map(|m| (m.user, m.read)).max_by_key(|m| m.1), Some((cy, seq(2))));
    assert_eq!(ask(bob, message, None, 10).await.unwrap_err(), ReceiptsRefused::Forbidden);
    world.act(cy, group, Action::Leave).await;
    let left = ask(ann, message, None, 10).await.unwrap();
    assert_eq!((left.delivered_count, left.read_count, left.members.items.len()), (1, 0, 1));
    for (reader, seq) in [(dee, message), (eve, message), (ann, seq(9)), (ann, seq(1))] {
        assert_eq!(ask(reader, seq, None, 10).await.unwrap_err(), ReceiptsRefused::NotFound);
    }
}

pub(crate) async fn default_conversations_are_offered_once<F: Fixture>(world: &mut World<F>) {
    let [ann, bob, cy] = world.users(["ann", "bob", "cy"]).await;
    let lobby = NewGroup { join_by_default: true, ..group(&[cy]) };
    let lobby = world.group_of(SYSTEM_USER, lobby).await;
    let _private = world.group(ann, &[]).await;
    let take = async |user| world.store().take_default_conversations(user).await.unwrap();
    assert_eq!(take(bob).await, [lobby]);
    assert!(take(bob).await.is_empty());
    assert!(take(cy).await.is_empty());
    assert_eq!(take(ann).await, [lobby]);
}

pub(crate) async fn a_full_default_conversation_is_skipped<F: Fixture>(world: &mut World<F>) {
    let [ann, bob, cy, dee, eve] = world.users(["ann", "bob", "cy", "dee", "eve"]).await;
    let lobby = NewGroup { join_by_default: true, ..group(&[bob, cy, dee, eve]) };
    let lobby = world.group_of(SYSTEM_USER, lobby).await;
    assert!(world.store().take_default_conversations(ann).await.unwrap().is_empty());
    world.act(bob, lobby, Action::Leave).await;
    assert_eq!(world.store().take_default_conversations(ann).await.unwrap(), [lobby]);
}

pub(crate) async fn secrets_are_made_once<F: Fixture>(world: &mut World<F>) {
    assert_eq!(world.store().secret("a", [1; 32]).await.unwrap(), [1; 32]);
    assert_eq!(world.store().secret("a", [2; 32]).await.unwrap(), [1; 32]);
    assert_eq!(world.store().secret("b", [3; 32]).await.unwrap(), [3; 32]);
    world.reopen();
    assert_eq!(world.store().secret("a", [4; 32]).await.unwrap(), [1; 32]);
}
