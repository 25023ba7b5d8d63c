//! A token that is not good gets one and the same answer everywhere. (H4, opaque tokens)

use sparrow_protocol::{Format, v1};
use sparrow_testkit::{ApiError, Connection, ConnectionError, TestNode, User};

use crate::complete::address;
use crate::support::{in_every_format, node, options};

/// What is not a token of this node, but looks more or less like one.
async fn bad_tokens(user: &User) -> Vec<String> {
    let elsewhere = User::register(&node().await, "ann").await;
    let last = user.token.chars().last().unwrap();
    let other = if last == 'A' { 'B' } else { 'A' };
    let mut flipped = user.token[1..].to_owned();
    flipped.insert(0, if user.token.starts_with('A') { 'B' } else { 'A' });
    vec![
        String::new(),
        flipped,
        format!("{}{other}", &user.token[..user.token.len() - 1]),
        format!("{}=", user.token),
        elsewhere.token,
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.".to_owned(),
        "' OR 1=1 --".to_owned(),
    ]
}

async fn refusal(node: &TestNode, format: Format, token: &str) -> v1::Error {
    let mut connection = Connection::open(address(node, format), format).await.unwrap();
    match connection.hello(token).await.unwrap_err() {
        ConnectionError::Refused(error) => error,
        other => panic!("no refusal: {other}"),
    }
}

in_every_format!(a_bad_token_is_unauthenticated_in_the_same_words);

async fn a_bad_token_is_unauthenticated_in_the_same_words(format: Format) {
    let node = node().await;
    let ann = User::register(&node, "ann").await;
    let mut answers = Vec::new();
    for token in bad_tokens(&ann).await {
        answers.push(refusal(&node, format, &token).await);
    }
    assert_eq!(answers[0].code, "unauthenticated");
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    // The frame is refused for its size, before anybody looks at the token.
    let mut connection = Connection::open(address(&node, format), format).await.unwrap();
    assert!(connection.hello(&"a".repeat(1 << 20)).await.is_err());
    ann.connect(&node, format).await;
}

#[tokio::test]
async fn a_bad_token_is_401_over_http_in_the_same_words() {
    let node = node().await;
    let ann = User::register(&node, "ann").await;
    let mut answers = Vec::new();
    for token in bad_tokens(&ann).await {
        match ann.api.with_token(&token).get::<v1::User>("/v1/me").await.unwrap_err() {
            ApiError::Refused { status, error } => answers.push((status, error.code, error.message)),
            other => panic!("no refusal: {other}"),
        }
    }
    assert_eq!((answers[0].0, answers[0].1.as_str()), (401, "unauthenticated"));
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
}

in_every_format!(an_expired_token_is_refused_and_its_connection_ends);

async fn an_expired_token_is_refused_and_its_connection_ends(format: Format) {
    let node = options().set("limits.access_token", "1 s").start().await;
    let ann = User::register(&node, "ann").await;
    let mut connection = ann.connect(&node, format).await;
    // The node ends the session when its token does; no clock of this test is asked.
    while connection.next().await.is_ok() {}
    assert_eq!(refusal(&node, format, &ann.token).await.code, "unauthenticated");
    assert_eq!(ann.api.get::<v1::User>("/v1/me").await.unwrap_err().status(), Some(401));
}
