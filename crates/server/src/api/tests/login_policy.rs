//! Row A4: which devices may be logged in together, and what happens to one too many.

use super::*;
use crate::config::{DevicePolicy, WhenFull};

async fn site(policy: DevicePolicy, when_full: WhenFull) -> Site {
    Site::start_with(|config| {
        config.login.policy = policy;
        config.login.when_full = when_full;
        config.limits.devices = 3;
    })
    .await
}

fn log_in(site: &Site, platform: &str) -> Ask {
    site.post("/v1/sessions", &json!({"name": "alice", "password": PASSWORD, "platform": platform}))
}

async fn device(site: &Site, platform: &str) -> Person {
    Person::from(log_in(site, platform).answer(201).await)
}

async fn devices(site: &Site, person: &Person) -> Vec<String> {
    column(&site.get("/v1/me/devices").by(person).answer(200).await, "/deviceId")
}

#[tokio::test]
async fn a_single_device_takes_the_place_of_the_one_before_which_is_told() {
    let site = site(DevicePolicy::Single, WhenFull::KickOld).await;
    let first = site.register("alice").await;
    let session = connect(&site, &first);
    let second = device(&site, "web").await;
    assert_eq!(ended(&session), Some(EndReason::Replaced));
    site.get("/v1/me").by(&first).refused(401, "unauthenticated").await;
    assert_eq!(devices(&site, &second).await, std::slice::from_ref(&second.device));
}

#[tokio::test]
async fn a_log_in_too_many_is_refused_where_the_policy_says_so() {
    let site = site(DevicePolicy::Single, WhenFull::RejectNew).await;
    let first = site.register("alice").await;
    let session = connect(&site, &first);
    log_in(&site, "web").refused(409, "too_many_devices").await;
    assert_eq!(ended(&session), None);
    // The same device may come back, and after a log-out another one may come.
    let body = json!({"name": "alice", "password": PASSWORD, "deviceId": first.device});
    let first = Person::from(site.post("/v1/sessions", &body).answer(201).await);
    site.ask(Method::DELETE, "/v1/sessions/current").by(&first).answer(204).await;
    device(&site, "web").await;
}

#[tokio::test]
async fn one_device_of_each_platform() {
    let site = site(DevicePolicy::OnePerPlatform, WhenFull::KickOld).await;
    let first = site.register("alice").await;
    let phone = device(&site, "ios").await;
    let browser = device(&site, "web").await;
    assert_eq!(devices(&site, &phone).await.len(), 3);
    let session = connect(&site, &phone);
    let next_phone = device(&site, "ios").await;
    assert_eq!(ended(&session), Some(EndReason::Replaced));
    for person in [&first, &browser, &next_phone] {
        site.get("/v1/me").by(person).answer(200).await;
    }
}

#[tokio::test]
async fn of_many_devices_the_one_away_longest_makes_room_and_a_connected_one_stays() {
    let site = site(DevicePolicy::Many, WhenFull::KickOld).await;
    let first = site.register("alice").await;
    let session = connect(&site, &first);
    site.wait(Duration::from_secs(120));
    let second = device(&site, "a").await;
    site.wait(Duration::from_secs(120));
    let third = device(&site, "b").await;
    let fourth = device(&site, "c").await;
    site.get("/v1/me").by(&second).refused(401, "unauthenticated").await;
    assert_eq!(ended(&session), None);
    assert_eq!(devices(&site, &fourth).await.len(), 3);
    site.get("/v1/me").by(&third).answer(200).await;
}

#[tokio::test]
async fn a_changed_password_logs_the_other_devices_out_and_is_the_one_that_works() {
    let site = site(DevicePolicy::Many, WhenFull::KickOld).await;
    let first = site.register("alice").await;
    let other = device(&site, "web").await;
    let session = connect(&site, &other);
    let change = |old: &str| {
        let body = json!({"oldPassword": old, "newPassword": "another horse"});
        site.ask(Method::PUT, "/v1/me/password").json(&body)
    };
    change("a wrong one").by(&first).refused(403, "forbidden").await;
    assert_eq!(ended(&session), None);
    change(PASSWORD).by(&first).answer(204).await;
    assert_eq!(ended(&session), Some(EndReason::Revoked));
    site.get("/v1/me").by(&first).answer(200).await;
    site.get("/v1/me").by(&other).refused(401, "unauthenticated").await;
    log_in(&site, "web").refused(401, "unauthenticated").await;
    let body = json!({"name": "alice", "password": "another horse"});
    site.post("/v1/sessions", &body).answer(201).await;
}

#[tokio::test]
async fn who_hides_is_not_seen_online_over_http() {
    let site = site(DevicePolicy::Many, WhenFull::KickOld).await;
    let (alice, bob) = (site.register("alice").await, site.register("bob").await);
    let _session = connect(&site, &alice);
    let seen = async |by: &Person| {
        let user = site.get("/v1/users/@alice").by(by).answer(200).await;
        let online = site.get("/v1/users?online=true").by(by).answer(200).await;
        (user["online"].as_bool().unwrap_or_default(), column(&online, "/name").len(), user["presence"].clone())
    };
    assert_eq!(seen(&bob).await, (true, 1, Value::Null));
    let hide = site.ask(Method::PATCH, "/v1/me").json(&json!({"presence": "nobody"})).by(&alice);
    assert_eq!(hide.answer(200).await["presence"], "nobody");
    assert_eq!(seen(&bob).await, (false, 0, Value::Null));
    assert_eq!(site.get("/v1/me").by(&alice).answer(200).await["online"], true);
    let wrong = site.ask(Method::PATCH, "/v1/me").json(&json!({"presence": "friends"})).by(&alice);
    wrong.refused(400, "invalid_request").await;
}
