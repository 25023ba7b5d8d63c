//! Finding other people.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use sparrow_protocol::v1;
use sparrow_store::directory::User;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{At, Caller, Params};
use super::openapi::NotFound;
use super::paging::{PageParams, Pager};
use super::state::Api;
use super::wire;
use crate::failure::Failure;
use crate::users::{self, NamePrefix, UserRef};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Search {
    /// The beginning of a name, in any case. Needed unless `online` is true.
    #[param(example = "ali")]
    prefix: Option<String>,
    /// True for users who are connected, by id, instead of all, by name.
    online: Option<bool>,
}

/// Find users by the beginning of their name, or who is online.
#[utoipa::path(
    get, path = "/v1/users", tag = "users", operation_id = "listUsers",
    params(Search, PageParams),
    responses((status = 200, description = "A page.", body = ref("#/components/schemas/UserList"))),
)]
async fn list(
    State(api): State<Arc<Api>>,
    Caller(me): Caller,
    Params(search): Params<Search>,
    Params(params): Params<PageParams>,
) -> Result<Json<v1::UserList>, Failure> {
    let text = search.prefix.unwrap_or_default();
    let (found, next) = if search.online.unwrap_or_default() {
        let prefix = if text.is_empty() { None } else { Some(NamePrefix::parse(&text)?) };
        let pager = Pager::new(&api, &me, &format!("online {text}")).await?;
        let listed = users::online(&api.node, me.user, prefix.as_ref(), pager.read(&params)?).await?;
        (listed.items, pager.next(listed.next))
    } else {
        let pager = Pager::new(&api, &me, &format!("users {text}")).await?;
        let listed = users::by_prefix(&api.node, me.user, &NamePrefix::parse(&text)?, pager.read(&params)?).await?;
        (listed.items, pager.next(listed.next))
    };
    let items = found.into_iter().map(|user: User| wire::user(&api.node, user)).collect();
    Ok(Json(v1::UserList { items, next }))
}

/// One user.
#[utoipa::path(
    get, path = "/v1/users/{user}", tag = "users", operation_id = "getUser",
    params(("user" = String, Path, description = "An id, `@name` or `me`.", example = "@alice")),
    responses((status = 200, description = "The user.", body = ref("#/components/schemas/User")), NotFound),
)]
async fn get(
    State(api): State<Arc<Api>>,
    Caller(me): Caller,
    At(user): At<UserRef>,
) -> Result<Json<v1::User>, Failure> {
    let user = users::find(&api.node, me.user, &user).await?;
    Ok(Json(wire::user(&api.node, user)))
}
