//! Random histories: a backend answers every append, retry, page, member list and difference as the plain model does.

use std::fmt::Debug;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use sparrow_protocol::{Role, Seq};

use super::*;
use crate::log::SyncPosition;
use crate::model::Model;

/// Random histories that are tried in a test run, unless `SPARROW_MODEL_CASES` says otherwise.
const CASES: u32 = 48;
/// Steps of the longest history.
const STEPS: usize = 40;
/// Users in a history; the last number stands for one who does not exist.
const USERS: usize = 4;
/// Conversations in a history: groups that may or may not exist yet, and a direct.
const CONVERSATIONS: usize = 3;

/// One act. Numbers choose among what there is.
#[derive(Debug, Clone)]
enum Step {
    Batch(Vec<Asked>, Vec<(usize, usize, Option<i64>, Option<i64>)>),
    Pull { reader: usize, conversation: usize, from: i64, to: Option<i64>, limit: usize, backward: bool },
    Members { conversation: usize, version: i64 },
    Entries { conversation: usize, from: i64, to: i64 },
    Sync { user: usize, since: Option<usize>, limit: usize },
    Reopen,
}

/// A command of a batch.
#[derive(Debug, Clone)]
enum Asked {
    New(usize, usize, Kind),
    /// One that was asked before, with the same hash or with another.
    Again(usize, bool),
}

#[derive(Debug, Clone)]
enum Kind {
    Message(String),
    Create { members: Vec<usize>, history_visible: bool, join_by_default: bool, key: Option<bool> },
    Add(Vec<usize>),
    Join,
    Remove(usize),
    Leave,
    Role(usize, Role),
    Settings(Option<bool>, Option<bool>),
}

fn kind() -> impl Strategy<Value = Kind> {
    let user = || 0..=USERS;
    let role = prop_oneof![Just(Role::Member), Just(Role::Admin), Just(Role::Owner), Just(Role::Subscriber)];
    prop_oneof![
        14 => "[a-z]{0,40}".prop_map(Kind::Message),
        3 => (prop::collection::vec(user(), 0..4), any::<bool>(), any::<bool>(), prop::option::weighted(0.2, any::<bool>()))
            .prop_map(|(members, history_visible, join_by_default, key)| Kind::Create { members, history_visible, join_by_default, key }),
        3 => prop::collection::vec(user(), 1..3).prop_map(Kind::Add),
        1 => Just(Kind::Join),
        2 => user().prop_map(Kind::Remove),
        1 => Just(Kind::Leave),
        1 => (user(), role).prop_map(|(user, role)| Kind::Role(user, role)),
        1 => any::<(Option<bool>, Option<bool>)>().prop_map(|(name, about)| Kind::Settings(name, about)),
    ]
}

fn asked() -> impl Strategy<Value = Asked> {
    prop_oneof![
        6 => (0..USERS, 0..CONVERSATIONS, kind()).prop_map(|(user, conversation, kind)| Asked::New(user, conversation, kind)),
        1 => (any::<usize>(), prop::bool::weighted(0.8)).prop_map(|(which, same)| Asked::Again(which, same)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let conversation = || 0..CONVERSATIONS;
    let seq = || prop::option::of(0..7i64);
    let cursor = (0..USERS, conversation(), seq(), seq());
    prop_oneof![
        8 => (prop::collection::vec(asked(), 0..5), prop::collection::vec(cursor, 0..6))
            .prop_map(|(commands, cursors)| Step::Batch(commands, cursors)),
        2 => (0..USERS, conversation(), 0..8i64, seq(), 1..6usize, any::<bool>())
            .prop_map(|(reader, conversation, from, to, limit, backward)| Step::Pull { reader, conversation, from, to, limit, backward }),
        1 => (conversation(), 0..6i64).prop_map(|(conversation, version)| Step::Members { conversation, version }),
        1 => (conversation(), 1..6i64, 1..9i64).prop_map(|(conversation, from, to)| Step::Entries { conversation, from, to }),
        3 => (0..USERS, prop::option::of(any::<usize>()), 1..5usize)
            .prop_map(|(user, since, limit)| Step::Sync { user, since, limit }),
        1 => Just(Step::Reopen),
    ]
}

/// The backend and the model, side by side.
struct Both<F: Fixture> {
    world: World<F>,
    model: Model,
    users: Vec<UserId>,
    conversations: Vec<ConversationId>,
    asked: Vec<Append>,
    /// Where each user could go on from, in both.
    positions: Vec<(usize, SyncPosition, SyncPosition)>,
}

/// Tries random histories; one that fails is made shorter, and shown.
pub(crate) fn histories_agree_with_the_model<F: Fixture>() {
    let cases = std::env::var("SPARROW_MODEL_CASES").map_or(CASES, |cases| cases.parse().unwrap());
    let seed: u64 = std::env::var("SPARROW_TEST_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("SPARROW_TEST_SEED={seed}");
    compare::<F>(cases, seed).unwrap();
}

/// The first history in which the backend and the model do not agree, made shorter.
fn compare<F: Fixture>(cases: u32, seed: u64) -> Result<(), String> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
        .run(&prop::collection::vec(step(), 1..STEPS), |steps| {
            runtime.block_on(async {
                let mut both = Both::<F>::new().await;
                for step in &steps {
                    both.take(step).await?;
                }
                for user in 0..USERS {
                    both.sync(user, None, 100).await?;
                }
                Ok(())
            })
        })
        .map_err(|error| error.to_string())
}

/// Random histories notice that a backend breaks this rule. Always the same ones, so that this is no matter of luck.
#[cfg(feature = "sabotage")]
pub(crate) fn histories_catch<F: Fixture>(rule: crate::faults::Rule) {
    let _broken = crate::faults::break_rule(rule);
    let caught = compare::<F>(CASES, 1);
    println!("{}: {caught:?}", rule.as_str());
    assert!(caught.is_err(), "{} was not caught", rule.as_str());
}

impl<F: Fixture> Both<F> {
    async fn new() -> Self {
        let world = World::<F>::new();
        let mut users = world.users(["ann", "bob", "cy", "dan"]).await.to_vec();
        let direct = world.store().open_direct(users[0], users[1], world.now()).await.unwrap().unwrap();
        let epoch = world.store().epoch().await.unwrap();
        let mut model = Model::new(&epoch, GROUP_MEMBERS);
        for (user, name) in users.iter().zip(["ann", "bob", "cy", "dan"]) {
            model.user(*user, name);
        }
        model.direct(direct, [users[0], users[1]]);
        users.push(UserId::new(999_999).unwrap());
        let conversations = vec![world.fresh_conversation(), world.fresh_conversation(), direct];
        let mut both = Self { world, model, users, conversations, asked: Vec::new(), positions: Vec::new() };
        // One group is there from the start, so that most of a history has somebody to concern.
        let members =
            Kind::Create { members: (0..USERS).collect(), history_visible: false, join_by_default: false, key: None };
        both.batch(&[Asked::New(0, 0, members)], &[]).await.unwrap();
        both
    }

    async fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Batch(commands, cursors) => self.batch(commands, cursors).await?,
            Step::Pull { reader, conversation, from, to, limit, backward } => {
                let (reader, conversation) = (self.users[*reader], self.conversations[*conversation]);
                let to = to.and_then(Seq::new);
                let range = Range { from: seq(*from), to, limit: *limit, max_bytes: 64, backward: *backward };
                let real = self.world.store().pull(reader, conversation, range).await.unwrap();
                same(step, &real, &self.model.pull(reader, conversation, range))?;
            }
            Step::Members { conversation, version } => {
                let conversation = self.conversations[*conversation];
                let mut real = self.world.store().members(conversation, *version).await.unwrap();
                if let Some(real) = &mut real {
                    real.rows.sort_by_key(|row| row.user);
                }
                same(step, &real, &self.model.members(conversation, *version))?;
            }
            Step::Entries { conversation, from, to } => {
                let conversation = self.conversations[*conversation];
                let real = self.world.store().entries(conversation, seq(*from), seq(*to)).await.unwrap();
                same(step, &real, &self.model.entries(conversation, seq(*from), seq(*to)))?;
            }
            Step::Sync { user, since, limit } => self.sync(*user, *since, *limit).await?,
            Step::Reopen => self.world.reopen(),
        }
        Ok(())
    }

    async fn batch(
        &mut self,
        asked: &[Asked],
        cursors: &[(usize, usize, Option<i64>, Option<i64>)],
    ) -> Result<(), TestCaseError> {
        let commands = asked.iter().filter_map(|asked| self.command(asked)).collect();
        let cursors = cursors.iter().map(|(user, conversation, delivered, read)| CursorAdvance {
            user: self.users[*user],
            conversation: self.conversations[*conversation],
            delivered: delivered.and_then(Seq::new),
            read: read.and_then(Seq::new),
        });
        let batch = Batch { now: self.world.now(), commands, cursors: cursors.collect() };
        let real = self.world.store().append(Arc::new(batch.clone())).await.unwrap();
        let model = self.model.append(&batch);
        same(&batch, &real.outcomes, &model.outcomes)?;
        same(&batch, &real.cursors, &model.cursors)
    }

    fn command(&mut self, asked: &Asked) -> Option<Append> {
        match asked {
            Asked::New(user, conversation, kind) => {
                let action = self.action(kind);
                let command = self.world.command(self.users[*user], self.conversations[*conversation], action);
                self.asked.push(command.clone());
                Some(command)
            }
            Asked::Again(which, same) => {
                let mut command = self.asked.get(which.checked_rem(self.asked.len())?)?.clone();
                command.request_hash.0[31] ^= u8::from(!same);
                Some(command)
            }
        }
    }

    fn action(&self, kind: &Kind) -> Action {
        let user = |user: &usize| self.users[*user];
        let word = |which: &bool| if *which { "one" } else { "other" }.to_owned();
        match kind {
            Kind::Message(text) => message(text, Mentions::default()),
            Kind::Create { members, history_visible, join_by_default, key } => Action::Create(NewGroup {
                history_visible: *history_visible,
                join_by_default: *join_by_default,
                idempotency_key: key.as_ref().map(word),
                ..group(&members.iter().map(user).collect::<Vec<_>>())
            }),
            Kind::Add(users) => Action::AddMembers { users: users.iter().map(user).collect() },
            Kind::Join => Action::Join,
            Kind::Remove(who) => Action::RemoveMember { user: user(who) },
            Kind::Leave => Action::Leave,
            Kind::Role(who, role) => Action::ChangeRole { user: user(who), role: *role },
            Kind::Settings(name, about) => {
                Action::ChangeSettings { name: name.as_ref().map(word), description: about.as_ref().map(word) }
            }
        }
    }

    /// A whole difference, page by page, from a position that was given out before, or a full answer.
    async fn sync(&mut self, user: usize, since: Option<usize>, limit: usize) -> Result<(), TestCaseError> {
        let id = self.users[user];
        let known: Vec<_> = self.positions.iter().filter(|(whose, ..)| *whose == user).collect();
        let from = since.and_then(|since| Some(known[since.checked_rem(known.len())?].clone()));
        let (mut real_position, model_position) = from.map(|(_, real, model)| (real, model)).unzip();
        let model = self.model.sync(id, model_position);
        let (mut conversations, mut states) = (Vec::new(), Vec::new());
        let next = loop {
            let page = self.world.store().sync(id, real_position, limit).await.unwrap();
            assert_eq!(page.full, model.full);
            conversations.extend(page.conversations);
            states.extend(page.states);
            if !page.more {
                break page.next;
            }
            real_position = Some(page.next);
        };
        same(&user, &conversations, &model.conversations)?;
        same(&user, &states, &model.states)?;
        self.positions.push((user, next, model.next));
        Ok(())
    }
}

/// An error rather than a panic, which would be told for each attempt to make a history shorter.
fn same<T: Debug>(asked: &dyn Debug, real: &T, model: &T) -> Result<(), TestCaseError> {
    let (real, model) = (format!("{real:?}"), format!("{model:?}"));
    if real == model {
        return Ok(());
    }
    Err(TestCaseError::fail(format!("to {asked:?}\nthe store answers {real}\nthe model answers {model}")))
}
