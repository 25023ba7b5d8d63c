//! The conversation list, directs, notes, groups and their settings.

use reqwest::Method;
use serde_json::json;
use sparrow_protocol::id::id_number;
use sparrow_protocol::{ClientMsgId, ConversationId, RequestHash, Timestamp};
use sparrow_store::SYSTEM_USER;
use sparrow_store::log::{Action, Append, NewGroup};

use super::{BEGIN_MS, Site, column, text};

#[tokio::test]
async fn two_users_have_one_direct() {
    let site = Site::start().await;
    let (alice, bob) = (site.register("alice").await, site.register("bob").await);
    let direct = site.direct(&alice, &bob).await;
    assert_eq!(site.direct(&bob, &alice).await, direct);
    let by_name = json!({"kind": "direct", "user": "@BOB"});
    let seen = site.post("/v1/conversations", &by_name).by(&alice).answer(200).await;
    assert_eq!(seen["state"]["conversationId"], direct);
    assert_eq!(seen["peer"]["name"], "bob");
}

#[tokio::test]
async fn a_direct_needs_somebody_else_who_exists() {
    let site = Site::start().await;
    let alice = site.register("alice").await;
    for (user, status, code) in [
        ("@nobody", 404, "not_found"),
        ("77", 404, "not_found"),
        ("me", 400, "invalid_request"),
        ("@alice", 400, "invalid_request"),
        ("", 400, "invalid_request"),
    ] {
        let body = json!({"kind": "direct", "user": user});
        site.post("/v1/conversations", &body).by(&alice).refused(status, code).await;
    }
    for kind in ["", "channel", "system", "Group"] {
        let body = json!({"kind": kind, "name": "x"});
        site.post("/v1/conversations", &body).by(&alice).refused(400, "invalid_request").await;
    }
}

#[tokio::test]
async fn notes_to_oneself_exist_once() {
    let site = Site::start().await;
    let alice = site.register("alice").await;
    let open = async || site.post("/v1/conversations", &json!({"kind": "self"})).by(&alice).answer(200).await;
    assert_eq!(text(&open().await, "/state/conversationId"), text(&open().await, "/state/conversationId"));
}

#[tokio::test]
async fn a_group_is_made_once_for_one_key() {
    let site = Site::start().await;
    let (alice, bob) = (site.register("alice").await, site.register("bob").await);
    let make = |name: &str| {
        let body = json!({"kind": "group", "name": name, "description": "All of them.", "members": ["@bob"]});
        site.post("/v1/conversations", &body).header("idempotency-key", "k1")
    };
    let group = make(" Birds ").by(&alice).answer(201).await;
    assert_eq!(group["state"]["name"], "Birds");
    assert_eq!((&group["state"]["role"], &group["state"]["memberCount"]), (&json!("owner"), &json!(2)));
    let again = make("Birds").by(&alice).answer(200).await;
    assert_eq!(text(&again, "/state/conversationId"), text(&group, "/state/conversationId"));
    make("Bees").by(&alice).refused(409, "idempotency_mismatch").await;
    make("Birds").by(&bob).answer(201).await;
    let unkeyed = json!({"kind": "group", "name": "Birds", "members": ["@bob"]});
    let other = site.post("/v1/conversations", &unkeyed).by(&alice).answer(201).await;
    assert_ne!(text(&other, "/state/conversationId"), text(&group, "/state/conversationId"));
}

#[tokio::test]
async fn a_group_that_breaks_a_rule_is_not_made() {
    let site = Site::start().await;
    let alice = site.register("alice").await;
    let many: Vec<String> = (1..=501).map(|id: i32| id.to_string()).collect();
    for (body, status, code) in [
        (json!({"kind": "group", "name": ""}), 400, "invalid_request"),
        (json!({"kind": "group", "name": "x".repeat(65)}), 400, "invalid_request"),
        (json!({"kind": "group", "name": "a\u{0}"}), 400, "invalid_request"),
        (json!({"kind": "group", "name": "a", "description": "x".repeat(501)}), 400, "invalid_request"),
        (json!({"kind": "group", "name": "a", "members": many}), 400, "invalid_request"),
        (json!({"kind": "group", "name": "a", "members": ["bob"]}), 400, "invalid_request"),
        (json!({"kind": "group", "name": "a", "members": ["@bob"]}), 404, "not_found"),
        (json!({"kind": "group", "name": "a", "members": ["77"]}), 404, "not_found"),
    ] {
        site.post("/v1/conversations", &body).by(&alice).refused(status, code).await;
    }
    for key in ["", "é", &"k".repeat(129)] {
        let body = json!({"kind": "group", "name": "a"});
        let ask = site.post("/v1/conversations", &body).header("idempotency-key", key);
        ask.by(&alice).refused(400, "invalid_request").await;
    }
    let list = site.get("/v1/conversations").by(&alice).answer(200).await;
    assert!(list["items"].is_null());
}

#[tokio::test]
async fn the_list_shows_what_is_new_the_last_active_first() {
    let site = Site::start().await;
    let (alice, bob) = (site.register("alice").await, site.register("bob").await);
    let group = site.group(&alice, &[&bob]).await;
    site.wait(std::time::Duration::from_secs(1));
    let direct = site.direct(&alice, &bob).await;
    site.wait(std::time::Duration::from_secs(1));
    site.say(&alice, &group, "first").await;
    let mention = json!({"content": {"text": "@bob look", "mentions": [{"userId": bob.id, "length": 4}]}});
    site.post(&format!("/v1/conversations/{group}/messages"), &mention).by(&alice).answer(201).await;

    let list = site.get("/v1/conversations").by(&bob).answer(200).await;
    assert_eq!(column(&list, "/state/conversationId"), [group.clone(), direct]);
    let seen = &list["items"][0];
    assert_eq!((&seen["unread"], &seen["mentions"]), (&json!(2), &json!(1)));
    assert_eq!(seen["lastMessage"]["content"]["text"], "@bob look");
    let one = site.get(&format!("/v1/conversations/{group}")).by(&bob).answer(200).await;
    assert_eq!(one, *seen);

    let head = text(seen, "/state/head");
    site.post(&format!("/v1/conversations/{group}/read"), &json!({"seq": head})).by(&bob).answer(200).await;
    let one = site.get(&format!("/v1/conversations/{group}")).by(&bob).answer(200).await;
    assert!(one["unread"].is_null() && one["mentions"].is_null());
}

#[tokio::test]
async fn the_list_has_pages_and_no_cursor_but_its_own_works() {
    let site = Site::start().await;
    let alice = site.register("alice").await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(site.group(&alice, &[]).await);
        site.wait(std::time::Duration::from_secs(1));
    }
    made.reverse();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = site.get(&format!("/v1/conversations?limit=2&cursor={cursor}")).by(&alice).answer(200).await;
        seen.extend(column(&page, "/state/conversationId"));
        let Some(next) = page["next"].as_str() else { break };
        next.clone_into(&mut cursor);
    }
    assert_eq!(seen, made);

    let mallory = site.register("mallory").await;
    site.get(&format!("/v1/conversations?cursor={cursor}")).by(&mallory).refused(400, "invalid_request").await;
    for query in ["cursor=x", "cursor=%00", "limit=0", "limit=201", "limit=-1", "limit=1000000000", "limit=x"] {
        site.get(&format!("/v1/conversations?{query}")).by(&alice).refused(400, "invalid_request").await;
    }
}

#[tokio::test]
async fn settings_are_changed_by_those_who_may() {
    let site = Site::start().await;
    let (alice, bob) = (site.register("alice").await, site.register("bob").await);
    let group = site.group(&alice, &[&bob]).await;
    let path = format!("/v1/conversations/{group}");
    let patch = |body| site.ask(Method::PATCH, &path).json(&body);
    let id = "01936d7e-92a7-7bbb-8c5e-0d7a6c1f2b3a";
    let ack = patch(json!({"clientMsgId": id, "name": "Bees"})).by(&alice).answer(200).await;
    let again = patch(json!({"clientMsgId": id, "name": "Bees"})).by(&alice).answer(200).await;
    assert_eq!((&again["seq"], &again["duplicate"]), (&ack["seq"], &json!(true)));
    patch(json!({"clientMsgId": id, "name": "Wasps"})).by(&alice).refused(409, "idempotency_mismatch").await;
    patch(json!({"name": "Wasps"})).by(&bob).refused(403, "forbidden").await;
    patch(json!({"name": " "})).by(&alice).refused(400, "invalid_request").await;
    patch(json!({"clientMsgId": "7", "name": "Wasps"})).by(&alice).refused(400, "invalid_request").await;
    patch(json!({})).by(&alice).refused(409, "conflict").await;
    let seen = site.get(&path).by(&bob).answer(200).await;
    assert_eq!(seen["state"]["name"], "Bees");
}

#[tokio::test]
async fn the_first_look_at_the_list_joins_the_default_conversations() {
    let site = Site::start().await;
    let lobby = lobby(&site).await;
    let alice = site.register("alice").await;
    let path = format!("/v1/conversations/{lobby}");
    site.get(&path).by(&alice).refused(404, "not_found").await;
    let list = site.get("/v1/conversations").by(&alice).answer(200).await;
    assert_eq!(column(&list, "/state/conversationId"), [lobby.to_string()]);

    // Who leaves is not brought back.
    site.ask(Method::DELETE, &format!("{path}/members/me")).by(&alice).answer(200).await;
    site.get("/v1/conversations").by(&alice).answer(200).await;
    assert!(site.get(&path).by(&alice).answer(200).await["state"]["role"].is_null());
}

async fn lobby(site: &Site) -> ConversationId {
    let conversation = ConversationId::new(id_number(Timestamp::from_millis(BEGIN_MS), 7)).unwrap();
    let group = NewGroup {
        name: "lobby".to_owned(),
        description: String::new(),
        members: Vec::new(),
        history_visible: true,
        join_by_default: true,
        idempotency_key: None,
    };
    let append = Append {
        conversation,
        sender: SYSTEM_USER,
        client_msg_id: ClientMsgId::new([1; 16]).unwrap(),
        request_hash: RequestHash([0; 32]),
        action: Action::Create(group),
    };
    site.node.messaging.submit(append).await.unwrap();
    conversation
}
