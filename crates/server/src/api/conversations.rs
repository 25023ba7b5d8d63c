//! The conversation list, opening and making conversations, their settings.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use sparrow_protocol::{ConversationId, ConversationKind, v1};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{At, Body, Caller, IdempotencyKey, Params, client_msg_id};
use super::openapi::{Conflict, Forbidden, NotFound};
use super::paging::{PageParams, Pager};
use super::state::Api;
use super::wire;
use crate::conversations::{self, GroupRequest, SettingsRequest};
use crate::failure::Failure;
use crate::users::UserRef;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, change))
}

/// One's conversations, the last active first.
///
/// The first call of an account also joins the conversations that everybody joins by default.
#[utoipa::path(
    get, path = "/v1/conversations", tag = "conversations", operation_id = "listConversations",
    params(PageParams),
    responses((status = 200, description = "A page.", body = ref("#/components/schemas/ConversationList"))),
)]
async fn list(
    State(api): State<Arc<Api>>,
    Caller(me): Caller,
    Params(params): Params<PageParams>,
) -> Result<Json<v1::ConversationList>, Failure> {
    let pager = Pager::new(&api, &me, "conversations").await?;
    let listed = conversations::list(&api.node, me.user, pager.read(&params)?).await?;
    let items = listed.items.into_iter().map(|seen| wire::conversation(&api.node, seen)).collect();
    Ok(Json(v1::ConversationList { items, next: pager.next(listed.next) }))
}

/// Open a direct or one's notes, or make a group.
///
/// A direct and the notes exist once, so opening them again answers the same conversation. Making a group takes an
/// `Idempotency-Key`: the same key of the same caller within 24 hours answers the first group.
#[utoipa::path(
    post, path = "/v1/conversations", tag = "conversations", operation_id = "createConversation",
    params(("Idempotency-Key" = Option<String>, Header, description = "For a group: 1 to 128 ASCII characters.")),
    request_body(content = ref("#/components/schemas/CreateConversationRequest"),
        examples(
            ("direct" = (value = json!({"kind": "direct", "user": "@bob"}))),
            ("group" = (value = json!({"kind": "group", "name": "Bird watchers", "members": ["@bob", "@carol"]}))),
            ("self" = (value = json!({"kind": "self"}))),
        )),
    responses(
        (status = 200, description = "The conversation, which may have existed before.",
            body = ref("#/components/schemas/Conversation")),
        (status = 201, description = "The new group.", body = ref("#/components/schemas/Conversation")),
        NotFound, Conflict,
    ),
)]
async fn create(
    State(api): State<Arc<Api>>,
    Caller(me): Caller,
    IdempotencyKey(key): IdempotencyKey,
    Body(request): Body<v1::CreateConversationRequest>,
) -> Result<(StatusCode, Json<v1::Conversation>), Failure> {
    let node = &api.node;
    let (seen, status) = match request.kind.parse() {
        Ok(ConversationKind::Direct) => {
            (conversations::open_direct(node, me.user, &UserRef::parse(&request.user)?).await?, StatusCode::OK)
        }
        Ok(ConversationKind::SelfNotes) => (conversations::open_self(node, me.user).await?, StatusCode::OK),
        Ok(ConversationKind::Group) => {
            let v1::CreateConversationRequest { name, description, members, history_visible, .. } = &request;
            let group = GroupRequest::parse(name, description, members, *history_visible, key)?;
            let (seen, new) = conversations::create_group(node, me.user, group).await?;
            (seen, if new { StatusCode::CREATED } else { StatusCode::OK })
        }
        _ => return Err(Failure::invalid("kind is `direct`, `self` or `group`.")),
    };
    Ok((status, Json(wire::conversation(node, seen))))
}

/// One conversation.
#[utoipa::path(
    get, path = "/v1/conversations/{id}", tag = "conversations", operation_id = "getConversation",
    params(("id" = String, Path, description = "The conversation's id.")),
    responses(
        (status = 200, description = "The conversation.", body = ref("#/components/schemas/Conversation")), NotFound,
    ),
)]
async fn get(
    State(api): State<Arc<Api>>,
    Caller(me): Caller,
    At(conversation): At<ConversationId>,
) -> Result<Json<v1::Conversation>, Failure> {
    let seen = conversations::get(&api.node, me.user, conversation).await?;
    Ok(Json(wire::conversation(&api.node, seen)))
}

/// Change a group's settings. For its owner and admins.
#[utoipa::path(
    patch, path = "/v1/conversations/{id}", tag = "conversations", operation_id = "changeSettings",
    params(("id" = String, Path, description = "The conversation's id.")),
    request_body(content = ref("#/components/schemas/UpdateConversationRequest"),
        example = json!({"name": "Bird lovers"})),
    responses(
        (status = 200, description = "The settings entry is durable.", body = ref("#/components/schemas/SendAck")),
        Forbidden, NotFound, Conflict,
    ),
)]
async fn change(
    State(api): State<Arc<Api>>,
    Caller(me): Caller,
    At(conversation): At<ConversationId>,
    Body(request): Body<v1::UpdateConversationRequest>,
) -> Result<Json<v1::SendAck>, Failure> {
    let id = client_msg_id(&request.client_msg_id)?;
    let settings = SettingsRequest::parse(request.name.as_deref(), request.description.as_deref())?;
    let changed = conversations::change_settings(&api.node, me.user, conversation, id, settings).await?;
    Ok(Json(wire::ack(&changed)))
}
