//! Carries effects out by means of the SDK. One function per kind of question; nothing is decided here.

use sparrow_client::{Client, Conversation, Entry, Error, Member, NewGroup, ReceiptState, User};

use crate::command::UserRef;
use crate::search;
use crate::state::effect::{Answer, Effect};

/// Pages of a list that are read; a page has up to 200 items.
const MOST_PAGES: usize = 20;
/// Entries of a log read at once while searching.
const SEARCH_PAGE: u32 = 200;
/// Pages searched in the first conversation, and in each of the others.
const SEARCH_PAGES: (usize, usize) = (100, 10);
/// Hits shown.
const MOST_HITS: usize = 100;

/// Does what an effect asks. `None` if there is nothing to tell.
pub(crate) async fn perform(client: &Client, effect: Effect) -> Option<Answer> {
    Some(match effect {
        Effect::ListConversations => Answer::Conversations(conversations(client).await),
        Effect::History { conversation, before, limit, part } => {
            let result = client.history(conversation, before, limit).await;
            Answer::History { conversation, part, result }
        }
        Effect::Send { token, conversation, content } => {
            Answer::Queued { token, result: client.send(conversation, content).await }
        }
        Effect::Read { conversation, seq } => {
            Answer::Read { conversation, result: client.read(conversation, seq).await }
        }
        Effect::OpenDirect { user, text } => {
            Answer::Opened { result: client.open_direct(user.as_str()).await.map(Box::new), text }
        }
        Effect::OpenNotes { text } => Answer::Opened { result: client.open_self().await.map(Box::new), text },
        Effect::CreateGroup { name, members } => {
            let members = members.iter().map(|user| user.as_str().to_owned()).collect();
            let group = NewGroup { name, members, ..NewGroup::default() };
            Answer::Opened { result: client.create_group(group).await.map(Box::new), text: None }
        }
        Effect::Invite { conversation, users } => {
            let names = users.iter().map(|user| user.as_str().to_owned()).collect();
            Answer::Invited { result: client.invite(conversation, names).await, users }
        }
        Effect::Kick { conversation, users } => {
            Answer::Kicked { result: kick(client, conversation, &users).await, users }
        }
        Effect::Leave { conversation } => Answer::Left { conversation, result: client.leave(conversation).await },
        Effect::Online { pages } => Answer::Online(online(client, pages).await),
        Effect::Watch { users } => Answer::Watched(client.subscribe_presence(users).await),
        Effect::Users { prefix } => {
            let result = client.users_by_prefix(&prefix, "").await.map(|page| page.items);
            Answer::Users { prefix, result }
        }
        Effect::LookUp { prefix } => Answer::LookedUp(client.users_by_prefix(&prefix, "").await.map(|page| page.items)),
        Effect::User { id } => Answer::User { id, result: client.user(&id.to_string()).await },
        Effect::Members { conversation } => {
            Answer::Members { conversation, result: members(client, conversation).await }
        }
        Effect::Receipts { conversation, seq } => {
            Answer::Receipts { conversation, seq, result: receipts(client, conversation, seq).await }
        }
        Effect::Search { number, word, conversations } => {
            let result = find(client, &word.to_lowercase(), &conversations).await;
            Answer::Found { number, word, result }
        }
        Effect::Typing { conversation, typing } => {
            let sign = if typing { "typing" } else { "typing.stop" };
            // Nobody waits for a sign that could not be given.
            drop(client.signal(conversation, sign, "").await);
            return None;
        }
        Effect::Discard { local_id } => {
            if let Err(error) = client.discard(&local_id).await {
                tracing::warn!(%error, "cannot discard a message");
            }
            return None;
        }
        Effect::Exit(_) => return None,
    })
}

/// Reads a list page by page, at most so many; answers also whether that was all. `read` answers the page at a cursor and
/// the next cursor.
async fn pages<T, F>(most: usize, read: impl Fn(String) -> F) -> Result<(Vec<T>, bool), Error>
where
    F: Future<Output = Result<(Vec<T>, String), Error>>,
{
    let mut items = Vec::new();
    let mut cursor = String::new();
    for _ in 0..most {
        let (page, next) = read(cursor).await?;
        items.extend(page);
        if next.is_empty() {
            return Ok((items, true));
        }
        cursor = next;
    }
    Ok((items, false))
}

async fn conversations(client: &Client) -> Result<Vec<Conversation>, Error> {
    let read = async |cursor: String| client.conversations(&cursor).await.map(|page| (page.items, page.next));
    Ok(pages(MOST_PAGES, read).await?.0)
}

async fn online(client: &Client, most: usize) -> Result<(Vec<User>, bool), Error> {
    pages(most, async |cursor: String| client.users_online(&cursor).await.map(|page| (page.items, page.next))).await
}

async fn members(client: &Client, conversation: i64) -> Result<Vec<Member>, Error> {
    let read = async |cursor: String| client.members(conversation, &cursor).await.map(|page| (page.items, page.next));
    Ok(pages(MOST_PAGES, read).await?.0)
}

async fn receipts(client: &Client, conversation: i64, seq: i64) -> Result<Vec<ReceiptState>, Error> {
    let read =
        async |cursor: String| client.receipts(conversation, seq, &cursor).await.map(|page| (page.items, page.next));
    Ok(pages(MOST_PAGES, read).await?.0)
}

async fn kick(client: &Client, conversation: i64, users: &[UserRef]) -> Result<(), Error> {
    for user in users {
        client.remove(conversation, user.as_str()).await?;
    }
    Ok(())
}

/// The newest hits of each conversation first.
async fn find(client: &Client, word: &str, conversations: &[i64]) -> Result<Vec<Entry>, Error> {
    let mut hits = Vec::new();
    for (nth, conversation) in conversations.iter().enumerate() {
        let pages = if nth == 0 { SEARCH_PAGES.0 } else { SEARCH_PAGES.1 };
        let mut before = 0;
        for _ in 0..pages {
            let entries = client.history(*conversation, before, SEARCH_PAGE).await?;
            let Some(oldest) = entries.first().map(|entry| entry.seq) else { break };
            hits.extend(entries.into_iter().rev().filter(|entry| search::matches(entry, word)));
            if hits.len() >= MOST_HITS {
                hits.truncate(MOST_HITS);
                return Ok(hits);
            }
            if oldest <= 1 {
                break;
            }
            before = oldest;
        }
    }
    Ok(hits)
}
