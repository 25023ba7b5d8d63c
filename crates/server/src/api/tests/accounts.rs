//! Registering, logging in and out, tokens, one's own profile.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::{PASSWORD, Person, Site, connect, ended};
use crate::messaging::EndReason;

#[tokio::test]
async fn registering_logs_in() {
    let site = Site::start().await;
    let body = json!({"name": "Alice", "password": PASSWORD, "displayName": " Alice A. "});
    let session = site.post("/v1/accounts", &body).answer(201).await;
    assert_eq!(session["user"]["name"], "Alice");
    assert_eq!(session["user"]["displayName"], "Alice A.");
    let alice = Person::from(session);
    let me = site.get("/v1/me").by(&alice).answer(200).await;
    assert_eq!(me["userId"], alice.id);
}

#[tokio::test]
async fn a_name_belongs_to_one_account_in_any_case() {
    let site = Site::start().await;
    site.register("alice").await;
    for name in ["alice", "ALICE", "Ａlice"] {
        site.post("/v1/accounts", &json!({"name": name, "password": PASSWORD})).refused(409, "name_taken").await;
    }
}

#[tokio::test]
async fn what_breaks_a_rule_of_registration_is_refused() {
    let site = Site::start().await;
    let long = "x".repeat(1025);
    for body in [
        json!({"name": "a", "password": PASSWORD}),
        json!({"name": "al ice", "password": PASSWORD}),
        json!({"password": PASSWORD}),
        json!({"name": "alice", "password": "short"}),
        json!({"name": "alice", "password": long}),
        json!({"name": "alice", "password": PASSWORD, "displayName": "x".repeat(65)}),
        json!({"name": "alice", "password": PASSWORD, "deviceName": "a\u{7}b"}),
    ] {
        site.post("/v1/accounts", &body).refused(400, "invalid_request").await;
    }
    assert_eq!(site.node.metrics.password_hashes.get(), 0, "nothing of this is worth a hash");
    site.post("/v1/accounts", &json!({"name": "alice", "password": "x".repeat(1024)})).answer(201).await;
}

/// H7: the same answer, after the same work.
#[tokio::test]
async fn an_unknown_name_and_a_wrong_password_are_told_alike() {
    let site = Site::start().await;
    site.register("alice").await;
    let mut answers = Vec::new();
    for (name, password) in [("alice", "wrong password"), ("nobody", PASSWORD), ("not a name", PASSWORD)] {
        let before = site.node.metrics.password_hashes.get();
        let body = json!({"name": name, "password": password});
        let mut error = site.post("/v1/sessions", &body).refused(401, "unauthenticated").await;
        assert_eq!(site.node.metrics.password_hashes.get() - before, 1, "{name}");
        error.as_object_mut().unwrap().remove("requestId");
        answers.push(error);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    let too_long = json!({"name": "alice", "password": "x".repeat(1025)});
    site.post("/v1/sessions", &too_long).refused(400, "invalid_request").await;
}

#[tokio::test]
async fn a_full_password_pool_refuses_instead_of_queueing() {
    let site = Site::start_with(|config| {
        config.password_hashing.memory_kib = 64 * 1024;
        config.password_hashing.workers = 1;
        config.password_hashing.waiting = 0;
    })
    .await;
    let log_in = async || {
        let body = json!({"name": "nobody", "password": PASSWORD});
        site.post("/v1/sessions", &body).whole().await.0
    };
    let statuses = tokio::join!(log_in(), log_in(), log_in(), log_in());
    let statuses = [statuses.0, statuses.1, statuses.2, statuses.3];
    assert!(statuses.contains(&401) && statuses.contains(&503), "{statuses:?}");
    assert!(site.node.metrics.password_hashes_refused.get() > 0);
}

#[tokio::test]
async fn an_access_token_ends() {
    let site = Site::start().await;
    let alice = site.register("alice").await;
    site.wait(Duration::from_secs(24 * 60 * 60 - 1));
    site.get("/v1/me").by(&alice).answer(200).await;
    site.wait(Duration::from_secs(2));
    site.get("/v1/me").by(&alice).refused(401, "unauthenticated").await;
}

#[tokio::test]
async fn refreshing_gives_a_new_pair_and_ends_the_old_access_token() {
    let site = Site::start().await;
    let old = site.register("alice").await;
    let new = refresh(&site, &old).await;
    assert_eq!((&new.id, &new.device), (&old.id, &old.device));
    site.get("/v1/me").by(&new).answer(200).await;
    site.get("/v1/me").by(&old).refused(401, "unauthenticated").await;
}

#[tokio::test]
async fn a_lost_answer_to_a_refresh_can_be_asked_for_again_for_a_minute() {
    let site = Site::start().await;
    let old = site.register("alice").await;
    let lost = refresh(&site, &old).await;
    site.wait(Duration::from_secs(59));
    let again = refresh(&site, &old).await;
    assert_ne!(lost.token, again.token);
    site.get("/v1/me").by(&again).answer(200).await;
}

#[tokio::test]
async fn a_refresh_token_used_again_later_logs_its_device_out() {
    let site = Site::start().await;
    let old = site.register("alice").await;
    let elsewhere = site.log_in("alice").await;
    let (here, there) = (connect(&site, &old), connect(&site, &elsewhere));
    let new = refresh(&site, &old).await;
    assert_eq!(ended(&here), None);
    site.wait(Duration::from_secs(61));
    let reuse = json!({"refreshToken": old.refresh});
    site.post("/v1/sessions/refresh", &reuse).refused(401, "unauthenticated").await;
    assert_eq!((ended(&here), ended(&there)), (Some(EndReason::Revoked), None));
    site.get("/v1/me").by(&new).refused(401, "unauthenticated").await;
    let next = json!({"refreshToken": new.refresh});
    site.post("/v1/sessions/refresh", &next).refused(401, "unauthenticated").await;
    site.get("/v1/me").by(&elsewhere).answer(200).await;
}

#[tokio::test]
async fn what_is_no_refresh_token_buys_nothing() {
    let site = Site::start().await;
    let alice = site.register("alice").await;
    for token in ["", "x", alice.token.as_str(), &"A".repeat(43), &"A".repeat(100_000)] {
        let body = json!({"refreshToken": token});
        site.post("/v1/sessions/refresh", &body).refused(401, "unauthenticated").await;
    }
}

#[tokio::test]
async fn logging_out_ends_both_tokens_and_the_session() {
    let site = Site::start().await;
    let alice = site.register("alice").await;
    let session = connect(&site, &alice);
    site.ask(Method::DELETE, "/v1/sessions/current").by(&alice).answer(204).await;
    assert_eq!(ended(&session), Some(EndReason::Revoked));
    site.get("/v1/me").by(&alice).refused(401, "unauthenticated").await;
    let body = json!({"refreshToken": alice.refresh});
    site.post("/v1/sessions/refresh", &body).refused(401, "unauthenticated").await;
}

#[tokio::test]
async fn a_profile_changes_where_it_is_told_to() {
    let site = Site::start().await;
    let alice = site.register("alice").await;
    let patch = async |body| site.ask(Method::PATCH, "/v1/me").by(&alice).json(&body);
    patch(json!({"bio": "Birds.\nAnd bees."})).await.answer(200).await;
    let me = patch(json!({"displayName": "A"})).await.answer(200).await;
    assert_eq!((&me["displayName"], &me["bio"]), (&json!("A"), &json!("Birds.\nAnd bees.")));
    for body in [json!({"displayName": ""}), json!({"bio": "x".repeat(501)}), json!({"bio": 7})] {
        patch(body).await.refused(400, "invalid_request").await;
    }
}

async fn refresh(site: &Site, person: &Person) -> Person {
    let body = json!({"refreshToken": person.refresh});
    Person::from(site.post("/v1/sessions/refresh", &body).answer(200).await)
}
