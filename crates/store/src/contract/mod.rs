//! What every backend promises, one test a clause. A backend implements [`Fixture`] and calls [`contract_suite`].
//!
//! Only what can be asked through the traits is asked here; damaged files and full disks are the backend's own tests.

pub(crate) mod allowances;
pub(crate) mod append;
pub(crate) mod cursors;
pub(crate) mod directory;
pub(crate) mod expiry;
pub(crate) mod membership;
pub(crate) mod random;
pub(crate) mod reading;
pub(crate) mod sync;
pub(crate) mod unread;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use sparrow_protocol::{ClientMsgId, ConversationId, RequestHash, Seq, Timestamp, UserId, Username};

use crate::directory::NewUser;
use crate::log::{
    Action, Append, Batch, CursorAdvance, CursorOutcome, Interval, Mentions, NewGroup, Outcome, Page, Range, Refusal,
    Stored,
};
use crate::{Directory as _, Log as _, Store};

/// One database of a backend, which is gone when the fixture is dropped.
pub(crate) trait Fixture: Send + Sync + 'static {
    /// The backend.
    type Store: Store;

    /// A database that does not exist yet.
    fn new() -> Self;

    /// Opens it; again after the former handle was dropped, without being closed.
    fn open(&self, group_members: usize) -> Self::Store;
}

/// Members that a group may have in these tests.
pub(crate) const GROUP_MEMBERS: usize = 5;

/// A time that the tests count from.
pub(crate) const START: i64 = 1_800_000_000_000;

/// A database with what the tests often need to do with it.
pub(crate) struct World<F: Fixture> {
    fixture: F,
    store: Option<F::Store>,
    ticks: AtomicU64,
}

impl<F: Fixture> World<F> {
    pub(crate) fn new() -> Self {
        let fixture = F::new();
        let store = Some(fixture.open(GROUP_MEMBERS));
        Self { fixture, store, ticks: AtomicU64::new(0) }
    }

    pub(crate) fn store(&self) -> &F::Store {
        self.store.as_ref().unwrap()
    }

    pub(crate) fn fixture(&self) -> &F {
        &self.fixture
    }

    /// Drops the handle as a crash would and opens the database again.
    pub(crate) fn reopen(&mut self) {
        self.store = None;
        self.store = Some(self.fixture.open(GROUP_MEMBERS));
    }

    /// Drops the handle, does something to the files, and opens the database again.
    pub(crate) fn reopen_after(&mut self, act: impl FnOnce(&F)) {
        self.store = None;
        act(&self.fixture);
        self.store = Some(self.fixture.open(GROUP_MEMBERS));
    }

    /// A number that was not answered before.
    fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Relaxed) + 1
    }

    /// The time, a millisecond later at each call.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(START + i64::try_from(self.tick()).unwrap())
    }

    pub(crate) async fn user(&self, name: &str) -> UserId {
        let new = NewUser {
            name: Username::parse(name).unwrap(),
            display_name: name.to_uppercase(),
            password_hash: Some("hash".to_owned()),
        };
        self.store().create_user(new, self.now()).await.unwrap().unwrap().user
    }

    pub(crate) async fn users<const N: usize>(&self, names: [&str; N]) -> [UserId; N] {
        let mut users = Vec::new();
        for name in names {
            users.push(self.user(name).await);
        }
        users.try_into().unwrap()
    }

    pub(crate) fn fresh_conversation(&self) -> ConversationId {
        ConversationId::new(1_000_000 + i64::try_from(self.tick()).unwrap()).unwrap()
    }

    /// A command under an id and with a hash that no other has.
    pub(crate) fn command(&self, sender: UserId, conversation: ConversationId, action: Action) -> Append {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.tick().to_be_bytes());
        let client_msg_id = ClientMsgId::new(bytes[..16].try_into().unwrap()).unwrap();
        Append { conversation, sender, client_msg_id, request_hash: RequestHash(bytes), action }
    }

    pub(crate) fn message(&self, sender: UserId, conversation: ConversationId, text: &str) -> Append {
        self.command(sender, conversation, message(text, Mentions::default()))
    }

    pub(crate) async fn batch(&self, commands: Vec<Append>) -> Vec<Outcome> {
        let batch = Batch { now: self.now(), commands, cursors: Vec::new() };
        self.store().append(batch.into()).await.unwrap().outcomes
    }

    pub(crate) async fn run(&self, command: Append) -> Outcome {
        self.batch(vec![command]).await.remove(0)
    }

    /// Carries out an action that must succeed.
    pub(crate) async fn act(&self, sender: UserId, conversation: ConversationId, action: Action) -> Stored {
        stored(self.run(self.command(sender, conversation, action)).await)
    }

    /// Carries out an action that must be refused.
    pub(crate) async fn refused(&self, sender: UserId, conversation: ConversationId, action: Action) -> Refusal {
        match self.run(self.command(sender, conversation, action)).await {
            Outcome::Refused(refusal) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    pub(crate) async fn say(&self, sender: UserId, conversation: ConversationId, text: &str) -> Seq {
        self.act(sender, conversation, message(text, Mentions::default())).await.entry.seq
    }

    pub(crate) async fn group(&self, owner: UserId, members: &[UserId]) -> ConversationId {
        self.group_of(owner, group(members)).await
    }

    pub(crate) async fn group_of(&self, owner: UserId, group: NewGroup) -> ConversationId {
        self.act(owner, self.fresh_conversation(), Action::Create(group)).await.entry.conversation
    }

    pub(crate) async fn cursor(
        &self,
        user: UserId,
        conversation: ConversationId,
        delivered: Option<i64>,
        read: Option<i64>,
    ) -> CursorOutcome {
        let cursor = CursorAdvance { user, conversation, delivered: delivered.map(seq), read: read.map(seq) };
        let batch = Batch { now: self.now(), commands: Vec::new(), cursors: vec![cursor] };
        self.store().append(batch.into()).await.unwrap().cursors.remove(0)
    }

    pub(crate) async fn pull(&self, reader: UserId, conversation: ConversationId) -> Option<Page> {
        self.store().pull(reader, conversation, everything()).await.unwrap()
    }

    /// The seqs of everything that a reader may see.
    pub(crate) async fn seen(&self, reader: UserId, conversation: ConversationId) -> Vec<i64> {
        seqs(&self.pull(reader, conversation).await.unwrap())
    }
}

pub(crate) fn message(text: &str, mentions: Mentions) -> Action {
    Action::Message { body: Bytes::copy_from_slice(text.as_bytes()), mentions }
}

pub(crate) fn group(members: &[UserId]) -> NewGroup {
    NewGroup {
        name: "club".to_owned(),
        description: String::new(),
        members: members.to_vec(),
        history_visible: false,
        join_by_default: false,
        idempotency_key: None,
    }
}

pub(crate) fn everything() -> Range {
    Range { from: Seq::ZERO, to: None, limit: 1_000, max_bytes: 1 << 20, backward: false }
}

pub(crate) fn seq(number: i64) -> Seq {
    Seq::new(number).unwrap()
}

pub(crate) fn seqs(page: &Page) -> Vec<i64> {
    page.entries.iter().map(|visible| visible.entry.seq.get()).collect()
}

pub(crate) fn open_from(join: i64) -> Interval {
    Interval { join: seq(join), leave: None }
}

pub(crate) fn closed(join: i64, leave: i64) -> Interval {
    Interval { join: seq(join), leave: Some(seq(leave)) }
}

pub(crate) fn stored(outcome: Outcome) -> Stored {
    match outcome {
        Outcome::Stored(stored) => stored,
        other => panic!("not stored: {other:?}"),
    }
}

pub(crate) fn duplicate(outcome: Outcome) -> Stored {
    match outcome {
        Outcome::Duplicate(stored) => stored,
        other => panic!("not a duplicate: {other:?}"),
    }
}

#[track_caller]
pub(crate) fn assert_refused(outcome: &Outcome, expected: Refusal) {
    assert!(matches!(outcome, Outcome::Refused(refusal) if *refusal == expected), "{outcome:?}");
}

/// Makes one `#[test]` of every clause, for one backend.
macro_rules! contract_suite {
    ($fixture:ty) => {
        $crate::contract::contract_suite! { $fixture;
            append: entries_are_numbered_in_order, a_retry_answers_the_first_entry, a_retry_inside_a_batch,
                another_request_under_the_same_id, the_same_id_elsewhere_is_another_command,
                a_retry_after_removal_is_answered, refusals_leave_no_hole, commands_see_those_before_them,
                concurrent_appends_make_one_order, one_id_at_once_makes_one_entry, stored_entries_survive_a_crash,
                a_group_is_made_once_per_key, a_taken_conversation_id_is_refused, a_group_of_unknown_users_is_refused;
            membership: strangers_are_told_nothing, members_may_not_manage, admins_manage_members, the_owner_stays,
                ownership_is_handed_over, a_direct_has_no_members_to_manage, a_full_group_takes_nobody,
                newcomers_see_what_comes_after_them, newcomers_see_all_where_history_is_visible,
                returning_opens_another_interval, member_rows_are_told_since_a_version, join_only_where_it_is_open,
                settings_change_once, who_comes_and_goes_is_told_own_state;
            reading: pages_cover_everything_forward, pages_cover_everything_backward, a_page_ends_at_its_bytes,
                a_page_of_nothing, a_former_member_reads_to_the_end, a_gap_between_intervals_is_covered,
                a_stranger_reads_nothing, a_hole_is_served_with_its_version;
            cursors: cursors_only_grow, reading_is_receiving, cursors_end_at_the_head,
                cursors_of_former_members_end_with_them, cursors_of_strangers, cursors_ride_with_their_batch;
            sync: the_first_answer_is_full, a_difference_names_what_changed, the_next_commit_is_told,
                a_change_during_a_sync_is_told,
                every_page_is_answered, another_epoch_is_answered_in_full, deletions_are_told,
                later_activity_is_not_told_to_former_members, a_position_survives_a_crash;
            allowances: allowances_run_out_and_come_back, all_allowances_are_taken_or_none, allowances_survive_a_crash;
            expiry: what_is_over_is_forgotten_in_steps, only_expired_tokens_are_forgotten;
            unread: own_messages_and_entries_are_not_unread, mentions_are_counted, counting_stops_at_a_thousand;
            directory: names_are_unique, names_are_found_by_prefix, profiles_change, directs_are_made_once,
                devices_are_limited, old_devices_make_room, devices_that_cannot_come_back_take_no_room,
                a_changed_password_logs_other_devices_out, a_user_is_seen_with_their_devices, a_device_logs_in_again, tokens_expire, refresh_tokens_rotate,
                a_reused_refresh_token_revokes, revoking_ends_tokens, sessions_are_numbered, seen_to_the_minute,
                conversations_are_listed_by_activity, the_last_message_is_the_readers, members_are_listed,
                receipts_are_the_authors, default_conversations_are_offered_once,
                a_full_default_conversation_is_skipped, secrets_are_made_once;
        }

        #[test]
        fn unread_counts_equal_a_recount() {
            $crate::contract::unread::counts_equal_a_recount::<$fixture>();
        }

        #[test]
        fn random_histories_agree_with_the_model() {
            $crate::contract::random::histories_agree_with_the_model::<$fixture>();
        }
    };
    ($fixture:ty; $($module:ident: $($clause:ident),+;)+) => { $(
        mod $module {
            use super::*;
            $(
            #[tokio::test]
            async fn $clause() {
                $crate::contract::$module::$clause(&mut $crate::contract::World::<$fixture>::new()).await;
            }
        )+ }
    )+ };
}
pub(crate) use contract_suite;
