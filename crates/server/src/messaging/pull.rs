//! `Pull`: a page of a log in its wire form.

use sparrow_protocol::{Codec, ConversationId, Seq, UserId, limits, raw};
use sparrow_store::Log;
use sparrow_store::log::{Page, Range};

use super::wire::{self, Trust};
use crate::failure::Failure;

/// What a client's `Pull` asks for, in bounds.
pub(crate) fn parse(pull: &raw::Pull, codec: Codec) -> Result<(ConversationId, Range), Failure> {
    let conversation = ConversationId::new(pull.conversation_id).ok_or_else(|| Failure::not_found("conversation"))?;
    let seq = |number| Seq::new(number).ok_or_else(|| Failure::invalid("A seq cannot be negative."));
    let limit = match pull.limit as usize {
        0 => limits::PULL_ENTRIES,
        wanted => wanted.min(limits::PULL_ENTRIES),
    };
    let max_bytes = match codec {
        Codec::Protobuf => limits::PULL_BYTES,
        Codec::Json => limits::PULL_BYTES_JSON,
    };
    let to = seq(pull.to_seq)?;
    let range = Range {
        from: seq(pull.from_seq)?.max(Seq::FIRST),
        to: (to > Seq::ZERO).then_some(to),
        limit,
        max_bytes,
        backward: pull.backward,
    };
    Ok((conversation, range))
}

/// Reads a page. The answer is the same for a conversation that does not exist and for one the reader was never in.
pub(crate) async fn page(
    log: &dyn Log,
    reader: UserId,
    conversation: ConversationId,
    range: Range,
) -> Result<raw::PullPage, Failure> {
    let page = log.pull(reader, conversation, range).await?.ok_or_else(|| Failure::not_found("conversation"))?;
    Ok(to_wire(conversation, &page))
}

fn to_wire(conversation: ConversationId, page: &Page) -> raw::PullPage {
    let entry =
        |visible: &sparrow_store::log::VisibleEntry| wire::entry(&visible.entry, visible.ref_visible, Trust::Read);
    raw::PullPage {
        conversation_id: conversation.get(),
        entries: page.entries.iter().map(entry).collect(),
        summaries: Vec::new(),
        covered_from: page.covered.0.get(),
        covered_to: page.covered.1.get(),
        floor: page.floor.get(),
        head: page.head.get(),
    }
}
