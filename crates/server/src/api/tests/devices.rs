//! One's own devices.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::{PASSWORD, Site, column, connect, ended};
use crate::messaging::EndReason;

#[tokio::test]
async fn devices_are_listed_and_revoked() {
    let site = Site::start().await;
    let phone = site.register("alice").await;
    let laptop = site.log_in("alice").await;
    let list = site.get("/v1/me/devices").by(&laptop).answer(200).await;
    assert_eq!(column(&list, "/deviceId").len(), 2);
    let current = list["items"].as_array().unwrap().iter().find(|device| device["current"] == true).unwrap();
    assert_eq!(current["deviceId"], laptop.device);

    let path = format!("/v1/me/devices/{}", phone.device);
    site.ask(Method::DELETE, &path).by(&laptop).answer(204).await;
    site.get("/v1/me").by(&phone).refused(401, "unauthenticated").await;
    site.ask(Method::DELETE, &path).by(&laptop).refused(404, "not_found").await;
}

#[tokio::test]
async fn somebody_elses_device_does_not_exist() {
    let site = Site::start().await;
    let (alice, mallory) = (site.register("alice").await, site.register("mallory").await);
    for device in [alice.device.as_str(), "999"] {
        site.ask(Method::DELETE, &format!("/v1/me/devices/{device}")).by(&mallory).refused(404, "not_found").await;
    }
    site.get("/v1/me").by(&alice).answer(200).await;
    let body = json!({"name": "mallory", "password": PASSWORD, "deviceId": alice.device});
    site.post("/v1/sessions", &body).refused(404, "not_found").await;
}

#[tokio::test]
async fn a_device_that_logs_in_again_stays_the_same_device() {
    let site = Site::start().await;
    let before = site.register("alice").await;
    let body = json!({"name": "alice", "password": PASSWORD, "deviceId": before.device});
    let session = site.post("/v1/sessions", &body).answer(201).await;
    assert_eq!(session["deviceId"], before.device);
    site.get("/v1/me").by(&before).refused(401, "unauthenticated").await;
}

#[tokio::test]
async fn one_device_too_many_logs_out_the_one_that_was_away_longest() {
    let site = Site::start_with(|config| config.limits.devices = 2).await;
    let first = site.register("alice").await;
    site.wait(Duration::from_secs(120));
    let second = site.log_in("alice").await;
    site.wait(Duration::from_secs(120));
    let third = site.log_in("alice").await;
    site.get("/v1/me").by(&first).refused(401, "unauthenticated").await;
    site.get("/v1/me").by(&second).answer(200).await;
    site.get("/v1/me").by(&third).answer(200).await;
}

#[tokio::test]
async fn the_list_has_pages() {
    let site = Site::start().await;
    let alice = site.register("alice").await;
    site.log_in("alice").await;
    site.log_in("alice").await;
    let first = site.get("/v1/me/devices?limit=2").by(&alice).answer(200).await;
    let next = first["next"].as_str().unwrap();
    let second = site.get(&format!("/v1/me/devices?limit=2&cursor={next}")).by(&alice).answer(200).await;
    assert_eq!((column(&first, "/deviceId").len(), column(&second, "/deviceId").len()), (2, 1));
    assert!(second["next"].is_null());
}

#[tokio::test]
async fn revoking_a_device_ends_its_sessions_and_no_others() {
    let site = Site::start().await;
    let phone = site.register("alice").await;
    let laptop = site.log_in("alice").await;
    let (on_phone, on_laptop) = (connect(&site, &phone), connect(&site, &laptop));
    let list = site.get("/v1/me/devices").by(&laptop).answer(200).await;
    assert!(list["items"].as_array().unwrap().iter().all(|device| device["online"] == true));
    site.ask(Method::DELETE, &format!("/v1/me/devices/{}", phone.device)).by(&laptop).answer(204).await;
    assert_eq!((ended(&on_phone), ended(&on_laptop)), (Some(EndReason::Revoked), None));
}
