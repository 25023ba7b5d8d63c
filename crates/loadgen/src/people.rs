//! Accounts and conversations, made in bulk before anything is measured.

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use sparrow_protocol::limits::MEMBERS_AT_ONCE;
use sparrow_protocol::v1;

use crate::{Api, BenchError, Progress, Target};

/// The password of the accounts.
pub(crate) const PASSWORD: &str = "correct horse battery";
/// Calls at a time.
const AT_ONCE: usize = 32;

/// Somebody with one device.
#[derive(Debug)]
pub(crate) struct Person {
    /// The account.
    pub(crate) user_id: i64,
    /// The device's token.
    pub(crate) token: String,
}

/// A conversation as it was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Made {
    /// Its id.
    pub(crate) conversation: i64,
    /// The last seq of its log.
    pub(crate) head: i64,
}

/// Makes accounts and conversations on one node.
pub(crate) struct People<'a> {
    api: Api,
    /// What tells the accounts of this run from those of others on the same node.
    prefix: String,
    progress: &'a dyn Progress,
}

impl<'a> People<'a> {
    /// A maker for this node.
    pub(crate) fn at(target: &Target, progress: &'a dyn Progress) -> Result<Self, BenchError> {
        let moment = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_micros();
        Ok(Self { api: Api::new(target.addresses.http)?, prefix: format!("b{moment:x}"), progress })
    }

    /// Registers so many accounts.
    pub(crate) async fn register(&self, what: &str, count: usize) -> Result<Vec<Person>, BenchError> {
        self.progress.stage("registering accounts", count as u64);
        let registering = (0..count).map(|number| async move {
            let session = self.api.register(&format!("{}-{what}{number}", self.prefix), PASSWORD).await?;
            self.progress.advance(1);
            let user_id = session.user.unwrap_or_default().user_id;
            Ok::<_, BenchError>(Person { user_id, token: session.access_token })
        });
        stream::iter(registering).buffered(AT_ONCE).try_collect().await
    }

    /// Opens the direct of each pair.
    pub(crate) async fn directs(&self, pairs: &[(&Person, &Person)]) -> Result<Vec<Made>, BenchError> {
        self.progress.stage("opening directs", pairs.len() as u64);
        let opening = pairs.iter().map(|(one, other)| async move {
            let made = self.api.with_token(&one.token).direct(&other.user_id.to_string()).await?;
            self.progress.advance(1);
            Ok::<_, BenchError>(as_made(made))
        });
        stream::iter(opening).buffered(AT_ONCE).try_collect().await
    }

    /// Makes a group of each list, owned by the first.
    pub(crate) async fn groups(&self, lists: &[Vec<&Person>]) -> Result<Vec<Made>, BenchError> {
        self.progress.stage("making groups", lists.len() as u64);
        let making = lists.iter().map(|members| self.group(members));
        stream::iter(making).buffered(AT_ONCE).try_collect().await
    }

    async fn group(&self, members: &[&Person]) -> Result<Made, BenchError> {
        let Some((owner, others)) = members.split_first() else {
            return Err(BenchError::Unfit("a group needs members"));
        };
        let api = self.api.with_token(&owner.token);
        let ids: Vec<String> = others.iter().map(|person| person.user_id.to_string()).collect();
        let mut parts = ids.chunks(MEMBERS_AT_ONCE);
        let request = v1::CreateConversationRequest {
            kind: "group".to_owned(),
            name: "load".to_owned(),
            members: parts.next().unwrap_or_default().to_vec(),
            ..Default::default()
        };
        let mut made = as_made(api.post("/v1/conversations", &request).await?);
        for part in parts {
            let request = v1::AddMembersRequest { users: part.to_vec(), ..Default::default() };
            let path = format!("/v1/conversations/{}/members", made.conversation);
            let ack: v1::SendAck = api.post(&path, &request).await?;
            made.head = ack.seq;
        }
        self.progress.advance(1);
        Ok(made)
    }
}

fn as_made(made: v1::Conversation) -> Made {
    let state = made.state.unwrap_or_default();
    Made { conversation: state.conversation_id, head: state.head }
}

/// A send of this content under an id of its own.
pub(crate) fn message(conversation_id: i64, content: &v1::Content) -> v1::Send {
    let client_msg_id = uuid::Uuid::now_v7().to_string();
    v1::Send { conversation_id, client_msg_id, content: Some(content.clone()) }
}
