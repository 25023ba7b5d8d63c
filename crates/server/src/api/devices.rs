//! One's own devices.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use sparrow_protocol::{DeviceId, v1};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{At, Caller, Params};
use super::openapi::NotFound;
use super::paging::{PageParams, Pager};
use super::state::Api;
use super::wire;
use crate::failure::Failure;
use crate::paging::Paging;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(revoke))
}

/// The devices one is logged in on.
#[utoipa::path(
    get, path = "/v1/me/devices", tag = "devices", operation_id = "listDevices",
    params(PageParams),
    responses((status = 200, description = "A page, by id.", body = ref("#/components/schemas/DeviceList"))),
)]
async fn list(
    State(api): State<Arc<Api>>,
    Caller(me): Caller,
    Params(params): Params<PageParams>,
) -> Result<Json<v1::DeviceList>, Failure> {
    let pager = Pager::new(&api, &me, "devices").await?;
    let page: Paging<DeviceId> = pager.read(&params)?;
    let devices = api.node.accounts.devices(me.user, page).await?;
    let items = devices.items.into_iter().map(|device| wire::device(&api.node, me.device, device)).collect();
    Ok(Json(v1::DeviceList { items, next: pager.next(devices.next) }))
}

/// Log a device out. Its tokens stop working and its connections end.
#[utoipa::path(
    delete, path = "/v1/me/devices/{device}", tag = "devices", operation_id = "revokeDevice",
    params(("device" = String, Path, description = "The device's id.", example = "312374562816000")),
    responses((status = 204, description = "Logged out."), NotFound),
)]
async fn revoke(
    State(api): State<Arc<Api>>,
    Caller(me): Caller,
    At(device): At<DeviceId>,
) -> Result<StatusCode, Failure> {
    api.node.accounts.revoke(me.user, device).await?;
    Ok(StatusCode::NO_CONTENT)
}
