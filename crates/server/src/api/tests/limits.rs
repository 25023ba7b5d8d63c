//! Rates over HTTP: refused with the time to wait, counted, and let through again when that time is over.

use super::*;

/// The default rates, and a node that has only those.
async fn site() -> Site {
    Site::start_with(|config| config.rates = Rates::default()).await
}

/// Expects a refusal for its rate; the seconds that it tells to wait, in the header as in the body.
async fn limited(ask: Ask) -> u64 {
    let (status, headers, body) = ask.whole().await;
    assert_eq!(status, 429, "{body}");
    let error: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((error["code"].as_str(), error["retryable"].as_bool()), (Some("rate_limited"), Some(true)));
    let seconds: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
    let told = error["retryAfterMs"].as_u64().unwrap();
    assert!(told > 0 && told <= seconds * 1_000 && told + 1_000 > (seconds - 1) * 1_000, "{told} ms, {seconds} s");
    seconds
}

fn log_in(site: &Site, name: &str, password: &str) -> Ask {
    site.post("/v1/sessions", &json!({"name": name, "password": password}))
}

async fn counted(site: &Site, limiter: &str) -> u64 {
    let (_, _, text) = Ask(site.client.get(format!("{}/metrics", site.admin_url))).whole().await;
    let name = format!("sparrow_limited_total{{limiter=\"{limiter}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn guesses_at_one_account_are_limited_and_the_right_password_works_later() {
    let site = site().await;
    site.register("alice").await;
    let mut refused = 0;
    for number in 0..100 {
        let (status, _, _) = log_in(&site, "alice", &format!("wrong {number}")).whole().await;
        refused += usize::from(status == 429);
        assert!(matches!(status, 401 | 429), "{status}");
    }
    assert_eq!(refused, 95, "five guesses are looked at");
    assert_eq!(counted(&site, "account_logins").await, 95);
    let seconds = limited(log_in(&site, "ALICE", PASSWORD)).await;
    assert!(seconds <= 12, "{seconds}");
    site.wait(Duration::from_secs(seconds));
    log_in(&site, "alice", PASSWORD).answer(201).await;
}

#[tokio::test]
async fn an_unknown_account_is_limited_like_a_known_one() {
    let site = site().await;
    site.register("alice").await;
    for name in ["alice", "nobody"] {
        for _ in 0..5 {
            log_in(&site, name, "a wrong one").refused(401, "unauthenticated").await;
        }
        limited(log_in(&site, name, "a wrong one")).await;
    }
}

#[tokio::test]
async fn one_password_for_many_accounts_is_limited_by_the_address() {
    let site = site().await;
    site.register("alice").await;
    for number in 0..20 {
        log_in(&site, &format!("user{number}"), PASSWORD).refused(401, "unauthenticated").await;
    }
    let seconds = limited(log_in(&site, "alice", PASSWORD)).await;
    assert_eq!(counted(&site, "address_logins").await, 1);
    site.wait(Duration::from_secs(seconds));
    log_in(&site, "alice", PASSWORD).answer(201).await;
}

#[tokio::test]
async fn looking_people_up_is_limited() {
    let site = Site::start_with(|config| config.rates.look_ups_per_minute = 6).await;
    let alice = site.register("alice").await;
    let paths = ["/v1/users/@alice", "/v1/users?prefix=a", "/v1/users?online=true"];
    for path in paths.iter().chain(&paths) {
        site.get(path).by(&alice).answer(200).await;
    }
    for path in paths {
        limited(site.get(path).by(&alice)).await;
    }
    limited(site.post("/v1/conversations", &json!({"kind": "direct", "user": "@bob"})).by(&alice)).await;
    assert_eq!(counted(&site, "look_ups").await, 4);
    site.get("/v1/me").by(&alice).answer(200).await;
    site.get(&format!("/v1/users/{}", alice.id)).by(&alice).answer(200).await;
    let bob = site.register("bob").await;
    site.get("/v1/users/@alice").by(&bob).answer(200).await;
}

#[tokio::test]
async fn accounts_of_one_address_are_limited() {
    let site = Site::start_with(|config| config.rates.registrations_per_hour = 3).await;
    for name in ["alice", "bob", "carol"] {
        site.register(name).await;
    }
    limited(site.post("/v1/accounts", &json!({"name": "dave", "password": PASSWORD}))).await;
    assert_eq!(counted(&site, "registrations").await, 1);
}

#[tokio::test]
async fn sends_of_a_user_are_limited() {
    let site = Site::start_with(|config| {
        (config.rates.user_sends_per_second, config.rates.user_sends_burst) = (1, 2);
    })
    .await;
    let (alice, bob) = (site.register("alice").await, site.register("bob").await);
    let path = format!("/v1/conversations/{}/messages", site.direct(&alice, &bob).await);
    let body = json!({"content": {"text": "hi"}});
    site.post(&path, &body).by(&alice).answer(201).await;
    site.post(&path, &body).by(&alice).answer(201).await;
    limited(site.post(&path, &body).by(&alice)).await;
    assert_eq!(counted(&site, "user_sends").await, 1);
    site.post(&path, &body).by(&bob).answer(201).await;
}

#[tokio::test]
async fn a_busy_conversation_is_limited_and_strangers_do_not_count() {
    let site = Site::start_with(|config| config.rates.conversation_sends_per_second = 2).await;
    let (alice, bob) = (site.register("alice").await, site.register("bob").await);
    let mallory = site.register("mallory").await;
    let direct = site.direct(&alice, &bob).await;
    let path = format!("/v1/conversations/{direct}/messages");
    let body = json!({"content": {"text": "hi"}});
    for _ in 0..20 {
        site.post(&path, &body).by(&mallory).refused(404, "not_found").await;
    }
    site.post(&path, &body).by(&alice).answer(201).await;
    site.post(&path, &body).by(&bob).answer(201).await;
    limited(site.post(&path, &body).by(&alice)).await;
    assert_eq!(counted(&site, "conversation_sends").await, 1);
}
