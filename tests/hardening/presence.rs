//! M14: presence by subscription, last seen to the minute.

use sparrow_protocol::{Format, v1};
use sparrow_testkit::{User, eventually};

use crate::support::{in_every_format, node, push};

in_every_format!(who_subscribes_is_told_who_comes_and_goes);

async fn who_subscribes_is_told_who_comes_and_goes(format: Format) {
    let node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let eve = User::register(&node, "eve").await;
    let hide = v1::UpdateProfileRequest { presence: Some("nobody".to_owned()), ..Default::default() };
    eve.api.patch::<v1::User>("/v1/me", &hide).await.unwrap();
    let mut watcher = ann.connect(&node, format).await;
    let subscribe = v1::PresenceSubscribe { user_ids: vec![bob.id, eve.id, i64::MAX] };
    let mut now: v1::Presence = watcher.call(&subscribe).await.unwrap();
    now.users.sort_by_key(|user| user.user_id);
    let mut nobody = vec![bob.id, eve.id];
    nobody.sort_unstable();
    assert_eq!(now.users.iter().map(|user| user.user_id).collect::<Vec<_>>(), nobody, "the third does not exist");
    assert!(now.users.iter().all(|user| !user.online && user.last_seen == 0));

    let _hidden = eve.connect(&node, format).await;
    let shown = bob.connect(&node, format).await;
    let mut seen = false;
    while !seen {
        for user in push::<v1::Presence>(&mut watcher).await.users {
            assert!(user.user_id == bob.id || !user.online, "who hides is never online");
            seen |= user.user_id == bob.id && user.online;
        }
    }
    drop(shown);
    let gone = loop {
        let told = push::<v1::Presence>(&mut watcher).await.users;
        if let Some(user) = told.into_iter().find(|user| user.user_id == bob.id) {
            break user;
        }
    };
    assert!(!gone.online && gone.last_seen > 0 && gone.last_seen % 60_000 == 0, "{gone:?}");
    eventually("bob to be seen last at his disconnect", async || {
        let user: v1::User = ann.api.get("/v1/users/@bob").await.unwrap();
        (!user.online && user.last_seen >= gone.last_seen).then_some(())
    })
    .await;
    let many = v1::PresenceSubscribe { user_ids: (1..=501).collect() };
    let refused = watcher.call::<v1::Presence>(&many).await.unwrap_err();
    assert_eq!(refused.code(), Some("invalid_request"));
}

#[tokio::test]
async fn who_is_sent_away_by_a_shutdown_was_seen_then() {
    let mut node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let _connection = bob.connect(&node, Format::ALL[0]).await;
    // As if he had connected long ago.
    let database = rusqlite::Connection::open(node.data().join("sparrow.db")).unwrap();
    database.execute("UPDATE users SET last_seen = 60000 WHERE id = ?1", [bob.id]).unwrap();
    drop(database);
    assert!(node.terminate().await.success());
    node.restart().await;
    let seen: v1::User = ann.api.get("/v1/users/@bob").await.unwrap();
    assert!(!seen.online && seen.last_seen > 60_000 && seen.last_seen % 60_000 == 0, "{seen:?}");
}
