//! What is said in a conversation: sending, history, receipts, the read cursor.

use prost::Message as _;
use sparrow_protocol::content::CheckedContent;
use sparrow_protocol::limits::PULL_BYTES;
use sparrow_protocol::{ClientMsgId, Code, ConversationId, Seq, UserId, v1};
use sparrow_store::directory::{MessageReceipts, ReceiptsRefused};
use sparrow_store::log::Range;

use crate::failure::Failure;
use crate::messaging::Submitted;
use crate::messaging::send::{content_failure, message};
use crate::node::Node;
use crate::paging::Paging;

/// Sends a message. Its id is made here if the caller gave none.
pub(crate) async fn send(
    node: &Node,
    caller: UserId,
    conversation: ConversationId,
    id: Option<ClientMsgId>,
    content: &v1::Content,
) -> Result<Submitted, Failure> {
    let limit = node.config.limits.content_bytes;
    let content = CheckedContent::parse(content.encode_to_vec().into(), limit).map_err(content_failure)?;
    let id = id.unwrap_or_else(|| uuid::Uuid::now_v7().into());
    node.limits.send(caller, conversation)?;
    node.messaging.submit(message(conversation, caller, id, content)).await
}

/// The part of a log that is still to be read, and from which end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HistoryRange {
    /// The first seq wanted.
    pub(crate) from: Seq,
    /// The last seq wanted; `None` for the head.
    pub(crate) to: Option<Seq>,
    /// True for the last entries first.
    pub(crate) newest_first: bool,
}

impl HistoryRange {
    /// What is left after a page; `None` if nothing is.
    fn rest(self, page: &v1::PullPage) -> Option<Self> {
        let covered = (Seq::new(page.covered_from)?, Seq::new(page.covered_to)?);
        if covered.0 > covered.1 {
            return None;
        }
        if self.newest_first {
            let first = self.from.max(Seq::new(page.floor)?).max(Seq::FIRST);
            (covered.0 > first).then(|| Self { to: Some(covered.0.prev()), ..self })
        } else {
            let head = Seq::new(page.head)?;
            let last = self.to.map_or(head, |to| to.min(head));
            (covered.1 < last).then(|| Self { from: covered.1.next(), ..self })
        }
    }
}

/// A page of a log as the caller may see it, in the order asked for, and what is left after it.
pub(crate) async fn history(
    node: &Node,
    caller: UserId,
    conversation: ConversationId,
    wanted: HistoryRange,
    limit: usize,
) -> Result<(v1::PullPage, Option<HistoryRange>), Failure> {
    let range = Range { from: wanted.from, to: wanted.to, limit, max_bytes: PULL_BYTES, backward: wanted.newest_first };
    let page = node.messaging.pull(caller, conversation, range).await?;
    let mut page = v1::PullPage::decode(page.encode_to_vec().as_slice()).map_err(|error| {
        tracing::error!(%error, %conversation, "a page could not be read again");
        Failure::new(Code::Internal, "The server made a mistake; its log says more.")
    })?;
    if wanted.newest_first {
        page.entries.reverse();
    }
    let rest = wanted.rest(&page);
    Ok((page, rest))
}

/// How far the other members are with the caller's own message.
pub(crate) async fn receipts(
    node: &Node,
    caller: UserId,
    conversation: ConversationId,
    seq: Seq,
    page: Paging<UserId>,
) -> Result<MessageReceipts, Failure> {
    match node.store.message_receipts(caller, conversation, seq, page.after, page.limit).await? {
        Ok(receipts) => Ok(receipts),
        Err(ReceiptsRefused::NotFound) => Err(Failure::not_found("message")),
        Err(ReceiptsRefused::Forbidden) => {
            Err(Failure::new(Code::Forbidden, "Receipts are told to the author of a message alone."))
        }
    }
}

/// Moves the caller's read cursor; answers it as it then is.
pub(crate) async fn read(node: &Node, caller: UserId, conversation: ConversationId, seq: Seq) -> Result<Seq, Failure> {
    node.messaging.read(caller, conversation, seq).await
}
