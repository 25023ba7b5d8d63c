//! Messages of a conversation: history, sending, receipts, the read cursor.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use sparrow_protocol::{ConversationId, Seq, v1};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{At, At2, Body, Caller, Params, client_msg_id};
use super::openapi::{Conflict, Forbidden, NotFound};
use super::paging::{PageParams, Pager};
use super::state::Api;
use super::wire;
use crate::conversations::{self, HistoryRange};
use crate::failure::Failure;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(history, send)).routes(routes!(receipts)).routes(routes!(read))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct HistoryParams {
    /// The first seq wanted; absent for the first there is.
    from: Option<i64>,
    /// The last seq wanted; absent for the last there is.
    to: Option<i64>,
    /// `desc` (the last entries first; if absent) or `asc`.
    #[param(example = "desc")]
    order: Option<String>,
}

impl HistoryParams {
    fn range(&self) -> Result<HistoryRange, Failure> {
        let seq = |number: i64| {
            Seq::new(number).ok_or_else(|| Failure::invalid("from and to are seqs, which are not negative."))
        };
        let newest_first = match self.order.as_deref() {
            None | Some("desc") => true,
            Some("asc") => false,
            Some(_) => return Err(Failure::invalid("order is `asc` or `desc`.")),
        };
        let from = self.from.map_or(Ok(Seq::FIRST), seq)?;
        Ok(HistoryRange { from, to: self.to.map(seq).transpose()?, newest_first })
    }
}

/// The entries of a conversation, as far as the caller may see them.
///
/// A `cursor` carries the range and order it began with; beside it, `from`, `to` and `order` are not looked at.
#[utoipa::path(
    get, path = "/v1/conversations/{id}/messages", tag = "messages", operation_id = "listMessages",
    params(("id" = String, Path, description = "The conversation's id."), HistoryParams, PageParams),
    responses(
        (status = 200, description = "A page, in the order asked for.", body = ref("#/components/schemas/EntryList")),
        NotFound,
    ),
)]
async fn history(
    State(api): State<Arc<Api>>,
    Caller(me): Caller,
    At(conversation): At<ConversationId>,
    Params(range): Params<HistoryParams>,
    Params(params): Params<PageParams>,
) -> Result<Json<v1::EntryList>, Failure> {
    let pager = Pager::new(&api, &me, &format!("messages {conversation}")).await?;
    let page = pager.read(&params)?;
    let wanted = page.after.map_or_else(|| range.range(), Ok)?;
    let (page, rest) = conversations::history(&api.node, me.user, conversation, wanted, page.limit).await?;
    let v1::PullPage { entries, summaries, floor, head, .. } = page;
    Ok(Json(v1::EntryList { items: entries, next: pager.next(rest), summaries, floor, head }))
}

/// Send a message.
///
/// Sending again with the same `clientMsgId` answers the first seq and stores nothing.
#[utoipa::path(
    post, path = "/v1/conversations/{id}/messages", tag = "messages", operation_id = "sendMessage",
    params(("id" = String, Path, description = "The conversation's id.")),
    request_body(content = ref("#/components/schemas/SendMessageRequest"),
        example = json!({"clientMsgId": "01936d7e-92a7-7bbb-8c5e-0d7a6c1f2b3a", "content": {"text": "Hello!"}})),
    responses(
        (status = 200, description = "It had been stored before.", body = ref("#/components/schemas/SendAck")),
        (status = 201, description = "The message is durable.", body = ref("#/components/schemas/SendAck")),
        Forbidden, NotFound, Conflict,
    ),
)]
async fn send(
    State(api): State<Arc<Api>>,
    Caller(me): Caller,
    At(conversation): At<ConversationId>,
    Body(request): Body<v1::SendMessageRequest>,
) -> Result<(StatusCode, Json<v1::SendAck>), Failure> {
    let id = client_msg_id(&request.client_msg_id)?;
    let content = request.content.unwrap_or_default();
    let sent = conversations::send(&api.node, me.user, conversation, id, &content).await?;
    let status = if sent.duplicate { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(wire::ack(&sent))))
}

/// Who has received and read one's own message.
#[utoipa::path(
    get, path = "/v1/conversations/{id}/messages/{seq}/receipts", tag = "messages", operation_id = "listReceipts",
    params(
        ("id" = String, Path, description = "The conversation's id."),
        ("seq" = String, Path, description = "The message's seq.", example = "7"),
        PageParams,
    ),
    responses(
        (status = 200, description = "A page, by user id.", body = ref("#/components/schemas/ReceiptList")),
        Forbidden, NotFound,
    ),
)]
async fn receipts(
    State(api): State<Arc<Api>>,
    Caller(me): Caller,
    At2(conversation, seq): At2<ConversationId, Seq>,
    Params(params): Params<PageParams>,
) -> Result<Json<v1::ReceiptList>, Failure> {
    let pager = Pager::new(&api, &me, &format!("receipts {conversation} {seq}")).await?;
    let receipts = conversations::receipts(&api.node, me.user, conversation, seq, pager.read(&params)?).await?;
    Ok(Json(v1::ReceiptList {
        items: receipts.members.items.into_iter().map(|member| wire::receipt(seq, member)).collect(),
        next: pager.next(receipts.members.next),
        delivered_count: receipts.delivered_count,
        read_count: receipts.read_count,
    }))
}

/// Say that one has read up to a seq. The cursor never goes back.
#[utoipa::path(
    post, path = "/v1/conversations/{id}/read", tag = "messages", operation_id = "markRead",
    params(("id" = String, Path, description = "The conversation's id.")),
    request_body(content = ref("#/components/schemas/ReadRequest"), example = json!({"seq": "7"})),
    responses(
        (status = 200, description = "The cursor as it now is.", body = ref("#/components/schemas/ReadAck")), NotFound,
    ),
)]
async fn read(
    State(api): State<Arc<Api>>,
    Caller(me): Caller,
    At(conversation): At<ConversationId>,
    Body(request): Body<v1::ReadRequest>,
) -> Result<Json<v1::ReadAck>, Failure> {
    let seq = Seq::new(request.seq).ok_or_else(|| Failure::invalid("seq is not negative."))?;
    let now = conversations::read(&api.node, me.user, conversation, seq).await?;
    Ok(Json(v1::ReadAck { conversation_id: conversation.get(), seq: now.get() }))
}
