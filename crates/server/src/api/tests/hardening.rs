//! Hostile and mistaken requests: each gets a refusal in the one form, and nothing is stored.

use reqwest::Method;
use serde_json::json;
use sparrow_protocol::limits::DISPLAY_NAME_CHARS;

use super::{PASSWORD, Site, column};

/// H4 for opaque tokens.
#[tokio::test]
async fn what_is_no_token_is_told_alike() {
    let site = Site::start().await;
    let alice = site.register("alice").await;
    let mut flipped = alice.token.clone().into_bytes();
    flipped[5] = if flipped[5] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    let mut answers = vec![site.get("/v1/me").refused(401, "unauthenticated").await];
    for token in ["", "x", flipped.as_str(), alice.refresh.as_str(), "eyJhbGciOiJub25lIn0.e30.", &"A".repeat(8_000)] {
        answers.push(site.get("/v1/me").token(token).refused(401, "unauthenticated").await);
    }
    answers.push(
        site.get("/v1/me")
            .header("authorization", &format!("Basic {}", alice.token))
            .refused(401, "unauthenticated")
            .await,
    );
    for answer in &mut answers {
        answer.as_object_mut().unwrap().remove("requestId");
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    let megabyte = site.get("/v1/me").token(&"A".repeat(1 << 20)).whole().await;
    assert!(matches!(megabyte.0, 400..500));
}

/// H14: to a stranger a conversation that exists looks like one that does not.
#[tokio::test]
async fn a_stranger_learns_nothing_of_a_conversation() {
    let site = Site::start().await;
    let (alice, bob, mallory) =
        (site.register("alice").await, site.register("bob").await, site.register("mallory").await);
    let group = site.group(&alice, &[&bob]).await;
    site.say(&alice, &group, "secret").await;
    let mut kinds = Vec::new();
    for conversation in [group.as_str(), "123456789"] {
        let path = format!("/v1/conversations/{conversation}");
        let asks = [
            site.get(&path),
            site.ask(Method::PATCH, &path).json(&json!({"name": "Mine"})),
            site.get(&format!("{path}/members")),
            site.post(&format!("{path}/members"), &json!({"users": ["@mallory"]})),
            site.ask(Method::DELETE, &format!("{path}/members/me")),
            site.ask(Method::DELETE, &format!("{path}/members/{}", bob.id)),
            site.ask(Method::PUT, &format!("{path}/members/me/role")).json(&json!({"role": "owner"})),
            site.get(&format!("{path}/messages")),
            site.get(&format!("{path}/messages?from=2&to=2")),
            site.post(&format!("{path}/messages"), &json!({"content": {"text": "hi"}})),
            site.get(&format!("{path}/messages/2/receipts")),
            site.post(&format!("{path}/read"), &json!({"seq": "1"})),
        ];
        for (number, ask) in asks.into_iter().enumerate() {
            let mut error = ask.by(&mallory).refused(404, "not_found").await;
            error.as_object_mut().unwrap().remove("requestId");
            kinds.push((number, error));
        }
    }
    let (existing, absent) = kinds.split_at(kinds.len() / 2);
    assert_eq!(existing, absent);
    let page = site.get(&format!("/v1/conversations/{group}/messages?order=asc")).by(&alice).answer(200).await;
    assert_eq!(column(&page, "/seq"), ["1", "2"]);
    let members = site.get(&format!("/v1/conversations/{group}/members")).by(&alice).answer(200).await;
    assert_eq!(column(&members, "/role").len(), 2);
}

/// H12 for bodies.
#[tokio::test]
async fn a_body_that_is_not_plain_json_is_refused() {
    let site = Site::start().await;
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let keys: Vec<String> = (0..100_000).map(|key| format!("\"{}\":0", key % 50_000)).collect();
    for body in [
        String::new(),
        "{".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        "{\"name\":\"a\",\"name\":\"b\"}".to_owned(),
        "{\"name\":\"\\ud800\"}".to_owned(),
        "{\"name\":7}".to_owned(),
        format!("{{\"name\":{deep}}}"),
        format!("{{\"unknown\":{deep}}}"),
        format!("{{{}}}", keys.join(",")),
        "{\"deviceId\":\"18446744073709551616\"}".to_owned(),
    ] {
        let ask = site.ask(Method::POST, "/v1/sessions").header("content-type", "application/json").raw(body);
        ask.refused(400, "invalid_request").await;
    }
    let not_text = site.ask(Method::POST, "/v1/sessions").header("content-type", "application/json");
    not_text.raw(vec![0x22, 0xff, 0x22]).refused(400, "invalid_request").await;
}

#[tokio::test]
async fn only_json_is_read_and_only_so_much_of_it() {
    let site = Site::start().await;
    let body = json!({"name": "alice", "password": PASSWORD}).to_string();
    let post = || site.ask(Method::POST, "/v1/accounts");
    post().raw(body.clone()).refused(400, "invalid_request").await;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
        post().header("content-type", kind).raw(body.clone()).refused(400, "invalid_request").await;
    }
    let padded = format!("{body}{}", " ".repeat(1024 * 1024));
    post().header("content-type", "application/json").raw(padded).refused(413, "too_large").await;
    post().header("content-type", "Application/JSON; charset=utf-8").raw(body).answer(201).await;
}

#[tokio::test]
async fn what_does_not_exist_is_said_so_in_the_one_form() {
    let site = Site::start().await;
    let alice = site.register("alice").await;
    for path in ["/v1", "/v1/nothing", "/v2/me", "/metrics", "/docs/nothing.js", "/v1/me/", "/v1/conversations//x"] {
        site.get(path).by(&alice).refused(404, "not_found").await;
    }
    for (method, path) in [(Method::DELETE, "/v1/me"), (Method::PUT, "/v1/accounts"), (Method::POST, "/livez")] {
        site.ask(method, path).by(&alice).refused(405, "method_not_allowed").await;
    }
    for path in [
        "/v1/conversations/x",
        "/v1/conversations/0",
        "/v1/conversations/%FF",
        "/v1/conversations/1/messages/0/receipts",
    ] {
        site.get(path).by(&alice).refused(400, "invalid_request").await;
    }
}

/// H22: every string is data.
#[tokio::test]
async fn metacharacters_in_strings_are_data() {
    let site = Site::start().await;
    let alice = site.register("alice").await;
    for text in ["'; DROP TABLE users; --", "%_\\", "*.>", "\u{202e}evil", "<script>", "$1", "{{x}}"] {
        assert!(text.chars().count() <= DISPLAY_NAME_CHARS);
        let me = site.ask(Method::PATCH, "/v1/me").json(&json!({"displayName": text, "bio": text}));
        let me = me.by(&alice).answer(200).await;
        assert_eq!((&me["displayName"], &me["bio"]), (&json!(text), &json!(text)));
        let group = json!({"kind": "group", "name": text, "description": text});
        let group = site.post("/v1/conversations", &group).by(&alice).header("idempotency-key", "*.>%'").whole().await;
        assert!(matches!(group.0, 201 | 409), "{}", group.2);
    }
}

/// H21
#[tokio::test]
async fn the_public_listener_has_no_metrics_and_the_admin_one_no_accounts() {
    let site = Site::start().await;
    let alice = site.register("alice").await;
    site.get("/metrics").by(&alice).refused(404, "not_found").await;
    let me = site.client.get(format!("{}/v1/me", site.admin_url)).bearer_auth(&alice.token).send().await.unwrap();
    assert_eq!(me.status(), 404);
}
