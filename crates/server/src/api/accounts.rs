//! Registering, logging in and out, one's own profile.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use sparrow_protocol::{Code, DeviceId, Username, v1};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Body, Caller, Peer};
use super::openapi::{Conflict, Forbidden, NotFound, Unauthenticated};
use super::state::Api;
use super::wire;
use crate::accounts::{Installation, LogIn, Password, Registration};
use crate::failure::Failure;
use crate::text;
use crate::users::{self, UserRef};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(log_in))
        .routes(routes!(refresh))
        .routes(routes!(log_out))
        .routes(routes!(me, change_profile))
        .routes(routes!(change_password))
}

/// Make an account and log in.
#[utoipa::path(
    post, path = "/v1/accounts", tag = "accounts",
    request_body(content = ref("#/components/schemas/RegisterRequest"),
        example = json!({"name": "alice", "password": "correct horse battery", "platform": "terminal"})),
    responses(
        (status = 201, description = "The account exists and this device is logged in.",
            body = ref("#/components/schemas/Session")),
        Conflict,
    ),
    security(()),
)]
async fn register(
    State(api): State<Arc<Api>>,
    Peer(address): Peer,
    Body(request): Body<v1::RegisterRequest>,
) -> Result<(StatusCode, Json<v1::Session>), Failure> {
    let name =
        Username::parse(&request.name).map_err(|error| Failure::invalid(format!("Take another name: {error}.")))?;
    let shown = if request.display_name.is_empty() { &request.name } else { &request.display_name };
    let registration = Registration {
        name,
        password: Password::parse_new(request.password)?,
        address,
        display_name: text::DISPLAY_NAME.parse(shown)?,
        installation: Installation::parse(&request.device_name, &request.platform)?,
    };
    let logged_in = api.node.accounts.register(registration).await?;
    Ok((StatusCode::CREATED, Json(wire::session(&api.node, logged_in))))
}

/// Log in.
///
/// A device that logs in again (`deviceId`) gets new tokens; its former ones stop working. Where the account has as many
/// devices as the log-in policy allows, the one that was away longest is logged out (`replaced`), or this log-in is
/// refused (`too_many_devices`), as the policy says.
#[utoipa::path(
    post, path = "/v1/sessions", tag = "accounts", operation_id = "logIn",
    request_body(content = ref("#/components/schemas/LoginRequest"),
        example = json!({"name": "alice", "password": "correct horse battery", "platform": "terminal"})),
    responses(
        (status = 201, description = "This device is logged in.", body = ref("#/components/schemas/Session")),
        Unauthenticated, NotFound, Conflict,
    ),
    security(()),
)]
async fn log_in(
    State(api): State<Arc<Api>>,
    Peer(address): Peer,
    Body(request): Body<v1::LoginRequest>,
) -> Result<(StatusCode, Json<v1::Session>), Failure> {
    let device = match request.device_id {
        0 => None,
        id => Some(DeviceId::new(id).ok_or_else(|| Failure::invalid("deviceId is not an id; leave it out."))?),
    };
    let log_in = LogIn {
        name: Username::parse(&request.name).ok(),
        password: Password::parse(request.password)?,
        address,
        device,
        installation: Installation::parse(&request.device_name, &request.platform)?,
    };
    let logged_in = api.node.accounts.log_in(log_in).await?;
    Ok((StatusCode::CREATED, Json(wire::session(&api.node, logged_in))))
}

/// Exchange a refresh token for a new pair.
///
/// For a minute after the exchange the old refresh token may be used again, in case the answer was lost. Later use logs
/// the device out.
#[utoipa::path(
    post, path = "/v1/sessions/refresh", tag = "accounts",
    request_body(content = ref("#/components/schemas/RefreshRequest"),
        example = json!({"refreshToken": "kX0v3JH1o0yq4m2r6t8u1w5z7A9C-D_E0F2G4H6I8J0"})),
    responses(
        (status = 200, description = "The new pair.", body = ref("#/components/schemas/Session")),
        Unauthenticated,
    ),
    security(()),
)]
async fn refresh(
    State(api): State<Arc<Api>>,
    Body(request): Body<v1::RefreshRequest>,
) -> Result<Json<v1::Session>, Failure> {
    let logged_in = api.node.accounts.refresh(&request.refresh_token).await?;
    Ok(Json(wire::session(&api.node, logged_in)))
}

/// Log this device out. Its tokens stop working and its connections end.
#[utoipa::path(
    delete, path = "/v1/sessions/current", tag = "accounts", operation_id = "logOut",
    responses((status = 204, description = "Logged out.")),
)]
async fn log_out(State(api): State<Arc<Api>>, Caller(me): Caller) -> Result<StatusCode, Failure> {
    match api.node.accounts.revoke(me.user, me.device).await {
        // Another request logged the device out since this one was authenticated.
        Err(failure) if failure.code == Code::NotFound => Ok(StatusCode::NO_CONTENT),
        outcome => outcome.map(|()| StatusCode::NO_CONTENT),
    }
}

/// One's own profile.
#[utoipa::path(
    get, path = "/v1/me", tag = "accounts", operation_id = "getMe",
    responses((status = 200, description = "The caller.", body = ref("#/components/schemas/User"))),
)]
async fn me(State(api): State<Arc<Api>>, Caller(me): Caller) -> Result<Json<v1::User>, Failure> {
    let user = users::find(&api.node, me.user, &UserRef::Me).await?;
    Ok(Json(wire::own_user(&api.node, user)))
}

/// Change one's own password. All other devices are logged out, and their connections end.
///
/// The old password counts as a log-in to the account, right or wrong.
#[utoipa::path(
    put, path = "/v1/me/password", tag = "accounts", operation_id = "changePassword",
    request_body(content = ref("#/components/schemas/ChangePasswordRequest"),
        example = json!({"oldPassword": "correct horse battery", "newPassword": "staple another horse"})),
    responses((status = 204, description = "Changed."), Forbidden),
)]
async fn change_password(
    State(api): State<Arc<Api>>,
    Caller(me): Caller,
    Body(request): Body<v1::ChangePasswordRequest>,
) -> Result<StatusCode, Failure> {
    let (old, new) = (Password::parse(request.old_password)?, Password::parse_new(request.new_password)?);
    api.node.accounts.change_password(&me, old, new).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Change one's own profile.
#[utoipa::path(
    patch, path = "/v1/me", tag = "accounts", operation_id = "changeProfile",
    request_body(content = ref("#/components/schemas/UpdateProfileRequest"), example = json!({"bio": "Birds."})),
    responses((status = 200, description = "The caller, changed.", body = ref("#/components/schemas/User"))),
)]
async fn change_profile(
    State(api): State<Arc<Api>>,
    Caller(me): Caller,
    Body(request): Body<v1::UpdateProfileRequest>,
) -> Result<Json<v1::User>, Failure> {
    let (name, bio, presence) = (request.display_name, request.bio, request.presence);
    let change = users::parse_change(name.as_deref(), bio.as_deref(), presence.as_deref())?;
    let user = users::change_profile(&api.node, me.user, change).await?;
    Ok(Json(wire::own_user(&api.node, user)))
}
