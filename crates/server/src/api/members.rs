//! Members of a group.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use sparrow_protocol::{ConversationId, v1};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{At, At2, Body, Caller, Params, client_msg_id};
use super::openapi::{Conflict, Forbidden, NotFound};
use super::paging::{PageParams, Pager};
use super::state::Api;
use super::wire;
use crate::conversations;
use crate::failure::Failure;
use crate::users::UserRef;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list, add)).routes(routes!(remove)).routes(routes!(change_role))
}

/// The present members.
#[utoipa::path(
    get, path = "/v1/conversations/{id}/members", tag = "members", operation_id = "listMembers",
    params(("id" = String, Path, description = "The conversation's id."), PageParams),
    responses(
        (status = 200, description = "A page, by user id.", body = ref("#/components/schemas/MemberList")), NotFound,
    ),
)]
async fn list(
    State(api): State<Arc<Api>>,
    Caller(me): Caller,
    At(conversation): At<ConversationId>,
    Params(params): Params<PageParams>,
) -> Result<Json<v1::MemberList>, Failure> {
    let pager = Pager::new(&api, &me, &format!("members {conversation}")).await?;
    let listed = conversations::list_members(&api.node, me.user, conversation, pager.read(&params)?).await?;
    let items = listed.items.into_iter().map(|member| wire::member(&api.node, member)).collect();
    Ok(Json(v1::MemberList { items, next: pager.next(listed.next) }))
}

/// Add members. For the owner and admins of a group.
#[utoipa::path(
    post, path = "/v1/conversations/{id}/members", tag = "members", operation_id = "addMembers",
    params(("id" = String, Path, description = "The conversation's id.")),
    request_body(content = ref("#/components/schemas/AddMembersRequest"), example = json!({"users": ["@carol"]})),
    responses(
        (status = 200, description = "The membership entry is durable.", body = ref("#/components/schemas/SendAck")),
        Forbidden, NotFound, Conflict,
    ),
)]
async fn add(
    State(api): State<Arc<Api>>,
    Caller(me): Caller,
    At(conversation): At<ConversationId>,
    Body(request): Body<v1::AddMembersRequest>,
) -> Result<Json<v1::SendAck>, Failure> {
    let id = client_msg_id(&request.client_msg_id)?;
    let added = conversations::add(&api.node, me.user, conversation, id, &request.users).await?;
    Ok(Json(wire::ack(&added)))
}

/// Remove a member, or leave by naming oneself (`me`).
///
/// An admin removes members, the owner anybody else. An owner with other members gives the group away before leaving.
#[utoipa::path(
    delete, path = "/v1/conversations/{id}/members/{user}", tag = "members", operation_id = "removeMember",
    params(
        ("id" = String, Path, description = "The conversation's id."),
        ("user" = String, Path, description = "An id, `@name` or `me`.", example = "me"),
    ),
    responses(
        (status = 200, description = "The membership entry is durable.", body = ref("#/components/schemas/SendAck")),
        Forbidden, NotFound,
    ),
)]
async fn remove(
    State(api): State<Arc<Api>>,
    Caller(me): Caller,
    At2(conversation, user): At2<ConversationId, UserRef>,
) -> Result<Json<v1::SendAck>, Failure> {
    let removed = conversations::remove(&api.node, me.user, conversation, &user).await?;
    Ok(Json(wire::ack(&removed)))
}

/// Change a member's role. For the owner of a group; giving `owner` away makes oneself an admin.
#[utoipa::path(
    put, path = "/v1/conversations/{id}/members/{user}/role", tag = "members", operation_id = "changeRole",
    params(
        ("id" = String, Path, description = "The conversation's id."),
        ("user" = String, Path, description = "An id or `@name`.", example = "@carol"),
    ),
    request_body(content = ref("#/components/schemas/ChangeRoleRequest"), example = json!({"role": "admin"})),
    responses(
        (status = 200, description = "The membership entry is durable.", body = ref("#/components/schemas/SendAck")),
        Forbidden, NotFound, Conflict,
    ),
)]
async fn change_role(
    State(api): State<Arc<Api>>,
    Caller(me): Caller,
    At2(conversation, user): At2<ConversationId, UserRef>,
    Body(request): Body<v1::ChangeRoleRequest>,
) -> Result<Json<v1::SendAck>, Failure> {
    let id = client_msg_id(&request.client_msg_id)?;
    let role = conversations::group_role(&request.role)?;
    let changed = conversations::change_role(&api.node, me.user, conversation, id, &user, role).await?;
    Ok(Json(wire::ack(&changed)))
}
