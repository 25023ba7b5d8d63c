//! Sending, history, receipts, the read cursor.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Person, Site, column};

#[tokio::test]
async fn what_is_sent_is_in_the_history() {
    let site = Site::start().await;
    let (alice, bob) = (site.register("alice").await, site.register("bob").await);
    let direct = site.direct(&alice, &bob).await;
    let seq = site.say(&alice, &direct, "Hello!").await;
    let page = history(&site, &direct, "", &bob).await;
    let entry = &page["items"][0];
    assert_eq!((&entry["seq"], &entry["senderId"]), (&json!(seq), &json!(alice.id)));
    assert_eq!((&entry["kind"], &entry["content"]["text"]), (&json!("message"), &json!("Hello!")));
    assert_eq!(page["head"], seq);
}

/// H8: what a client says of sender, seq, time or role counts for nothing.
#[tokio::test]
async fn what_the_server_sets_is_not_taken_from_the_client() {
    let site = Site::start().await;
    let (alice, bob) = (site.register("alice").await, site.register("bob").await);
    let direct = site.direct(&alice, &bob).await;
    let body = json!({
        "content": {"text": "hi"}, "senderId": bob.id, "seq": "99", "time": "1", "kind": "membership", "role": "owner",
    });
    let ack = site.post(&format!("/v1/conversations/{direct}/messages"), &body).by(&alice).answer(201).await;
    assert_ne!(ack["seq"], "99");
    let page = history(&site, &direct, "", &bob).await;
    assert_eq!((&page["items"][0]["senderId"], &page["items"][0]["kind"]), (&json!(alice.id), &json!("message")));
}

/// H27 over HTTP.
#[tokio::test]
async fn a_hundred_equal_sends_make_one_entry() {
    let site = Site::start().await;
    let (alice, bob) = (site.register("alice").await, site.register("bob").await);
    let direct = site.direct(&alice, &bob).await;
    let path = format!("/v1/conversations/{direct}/messages");
    let body = json!({"clientMsgId": "01936d7e-92a7-7bbb-8c5e-0d7a6c1f2b3a", "content": {"text": "once"}});
    let answers = (0..100).map(|_| site.post(&path, &body).by(&alice).whole());
    let answers = futures_util::future::join_all(answers).await;
    assert_eq!(answers.iter().filter(|(status, ..)| *status == 201).count(), 1);
    assert_eq!(answers.iter().filter(|(status, ..)| *status == 200).count(), 99);
    let acks: Vec<Value> = answers.iter().map(|(.., body)| serde_json::from_str(body).unwrap()).collect();
    assert!(acks.iter().all(|ack| (&ack["seq"], &ack["time"]) == (&acks[0]["seq"], &acks[0]["time"])));

    let other = json!({"clientMsgId": "01936d7e-92a7-7bbb-8c5e-0d7a6c1f2b3a", "content": {"text": "twice"}});
    site.post(&path, &other).by(&alice).refused(409, "idempotency_mismatch").await;
    let page = history(&site, &direct, "", &bob).await;
    assert_eq!(column(&page, "/content/text"), ["once"]);
}

#[tokio::test]
async fn a_message_that_breaks_a_rule_is_not_stored() {
    let site = Site::start().await;
    let (alice, bob) = (site.register("alice").await, site.register("bob").await);
    let direct = site.direct(&alice, &bob).await;
    let path = format!("/v1/conversations/{direct}/messages");
    for (body, status, code) in [
        (json!({}), 400, "invalid_request"),
        (json!({"content": {"text": ""}}), 400, "invalid_request"),
        (json!({"content": {"type": "Not A Type", "text": "x"}}), 400, "invalid_request"),
        (
            json!({"content": {"text": "x", "mentions": [{"userId": "1", "offset": 5, "length": 9}]}}),
            400,
            "invalid_request",
        ),
        (json!({"content": {"text": "x"}, "clientMsgId": "x"}), 400, "invalid_request"),
        (json!({"content": {"text": "x"}, "clientMsgId": "x".repeat(10_240)}), 400, "invalid_request"),
        (
            json!({"content": {"text": "x"}, "clientMsgId": "00000000-0000-0000-0000-000000000000"}),
            400,
            "invalid_request",
        ),
        (json!({"content": {"text": "x".repeat(64 * 1024)}}), 413, "too_large"),
    ] {
        site.post(&path, &body).by(&alice).refused(status, code).await;
    }
    assert!(history(&site, &direct, "", &bob).await["items"].is_null());
}

#[tokio::test]
async fn history_is_read_from_either_end_page_by_page() {
    let site = Site::start().await;
    let alice = site.register("alice").await;
    let group = site.group(&alice, &[]).await;
    for number in 2..=8 {
        site.say(&alice, &group, &number.to_string()).await;
    }
    let all: Vec<String> = (1..=8).map(|seq: i32| seq.to_string()).collect();
    assert_eq!(pages(&site, &group, "order=asc&limit=3", &alice).await, all);
    assert_eq!(pages(&site, &group, "from=3&to=6&order=asc&limit=3", &alice).await, all[2..6]);
    let down: Vec<String> = all.iter().rev().cloned().collect();
    assert_eq!(pages(&site, &group, "limit=3", &alice).await, down);
    assert_eq!(pages(&site, &group, "from=3&to=6&limit=1", &alice).await, down[2..6]);
    assert_eq!(pages(&site, &group, "from=9", &alice).await, Vec::<String>::new());

    let path = format!("/v1/conversations/{group}/messages");
    for query in ["order=up", "from=-1", "to=-1", "from=x", "limit=0", "limit=201", "cursor=AAAA", "from=1&from=2"] {
        site.get(&format!("{path}?{query}")).by(&alice).refused(400, "invalid_request").await;
    }
}

/// H15
#[tokio::test]
async fn a_former_member_reads_nothing_beyond_the_end() {
    let site = Site::start().await;
    let (alice, bob) = (site.register("alice").await, site.register("bob").await);
    let group = site.group(&alice, &[&bob]).await;
    site.say(&alice, &group, "for both").await;
    site.say(&alice, &group, "for both").await;
    let path = format!("/v1/conversations/{group}/messages");
    let page = site.get(&format!("{path}?order=asc&limit=1")).by(&bob).answer(200).await;
    let cursor = super::text(&page, "/next");
    site.ask(Method::DELETE, &format!("/v1/conversations/{group}/members/{}", bob.id)).by(&alice).answer(200).await;
    site.say(&alice, &group, "for Alice alone").await;

    for query in ["order=asc".to_owned(), "order=desc".to_owned(), "from=4".to_owned(), format!("cursor={cursor}")] {
        let page = site.get(&format!("{path}?{query}")).by(&bob).answer(200).await;
        assert!(!page.to_string().contains("Alice alone"), "{query}");
    }
    let seen = site.get(&format!("/v1/conversations/{group}")).by(&bob).answer(200).await;
    assert_eq!(seen["lastMessage"]["content"]["text"], "for both");
}

/// H15
#[tokio::test]
async fn a_newcomer_reads_nothing_from_before_where_history_is_hidden() {
    let site = Site::start().await;
    let (alice, bob) = (site.register("alice").await, site.register("bob").await);
    let group = site.group(&alice, &[]).await;
    site.say(&alice, &group, "before").await;
    site.post(&format!("/v1/conversations/{group}/members"), &json!({"users": ["@bob"]})).by(&alice).answer(200).await;
    site.say(&alice, &group, "after").await;
    assert_eq!(pages(&site, &group, "order=asc&limit=1", &bob).await, ["3", "4"]);
    let page = history(&site, &group, "?order=asc", &bob).await;
    assert!(!page.to_string().contains("before"));
}

#[tokio::test]
async fn the_read_cursor_goes_forward_only_and_the_author_sees_it() {
    let site = Site::start().await;
    let (alice, bob) = (site.register("alice").await, site.register("bob").await);
    let direct = site.direct(&alice, &bob).await;
    let first = site.say(&alice, &direct, "one").await;
    let second = site.say(&alice, &direct, "two").await;
    let read = |seq: &str| site.post(&format!("/v1/conversations/{direct}/read"), &json!({"seq": seq}));
    assert_eq!(read(&second).by(&bob).answer(200).await["seq"], second);
    assert_eq!(read(&first).by(&bob).answer(200).await["seq"], second);
    read("-1").by(&bob).refused(400, "invalid_request").await;
    read("1000").by(&bob).refused(400, "invalid_request").await;

    let path = format!("/v1/conversations/{direct}/messages/{first}/receipts");
    let receipts = site.get(&path).by(&alice).answer(200).await;
    assert_eq!((&receipts["deliveredCount"], &receipts["readCount"]), (&json!(1), &json!(1)));
    assert_eq!(column(&receipts, "/userId"), std::slice::from_ref(&bob.id));
    site.get(&path).by(&bob).refused(403, "forbidden").await;
    site.get(&format!("/v1/conversations/{direct}/messages/99/receipts")).by(&alice).refused(404, "not_found").await;
}

async fn history(site: &Site, conversation: &str, query: &str, reader: &Person) -> Value {
    site.get(&format!("/v1/conversations/{conversation}/messages{query}")).by(reader).answer(200).await
}

/// The seqs of all pages.
async fn pages(site: &Site, conversation: &str, query: &str, reader: &Person) -> Vec<String> {
    let (mut seqs, mut rest) = (Vec::new(), query.to_owned());
    loop {
        let page = history(site, conversation, &format!("?{rest}"), reader).await;
        seqs.extend(column(&page, "/seq"));
        let Some(next) = page["next"].as_str() else { return seqs };
        let limit = query.split('&').find(|part| part.starts_with("limit")).unwrap_or("limit=50");
        rest = format!("{limit}&cursor={next}");
    }
}
