//! Sends beyond the rate: refused with a time to wait, in order, and let through again.

use std::time::Duration;

use sparrow_protocol::{Format, v1};
use sparrow_testkit::{ConnectionError, User};
use tokio::time::{Instant, interval_at};

use crate::support::{history, in_every_format, labelled, options, text, texts};

in_every_format!(
    a_send_beyond_the_rate_holds_up_what_follows_it,
    signals_are_limited_and_bounded,
    a_full_lane_is_overloaded_for_a_moment
);

async fn a_send_beyond_the_rate_holds_up_what_follows_it(format: Format) {
    let node = options().set("rates.user_sends_per_second", "10").set("rates.user_sends_burst", "20").start().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut connection = ann.connect(&node, format).await;
    let sends: Vec<_> = (0..50).map(|number| text(conversation, &format!("{number}"))).collect();
    // As a client does that keeps to the protocol: from the first refused one on, in order, after the time told.
    let mut first = 0;
    let (mut limited, mut gated) = (0, 0);
    while first < sends.len() {
        let mut ids = Vec::new();
        for send in &sends[first..] {
            ids.push(connection.feed(send).await.unwrap());
        }
        connection.flush().await.unwrap();
        let (mut wait, mut next) = (None, sends.len());
        for (number, id) in (first..).zip(ids) {
            match connection.answer::<v1::SendAck>(id).await {
                Ok(_) => assert!(wait.is_none(), "nothing overtakes a refused send"),
                Err(ConnectionError::Refused(error)) => {
                    assert!(error.retryable);
                    if error.code == "rate_limited" {
                        assert!(error.retry_after_ms > 0);
                        limited += 1;
                    } else {
                        // It came before the one that it has to follow was settled.
                        assert_eq!(error.code, "retry_in_order");
                        gated += 1;
                    }
                    if wait.is_none() {
                        next = number;
                        wait = Some(Duration::from_millis(error.retry_after_ms.into()));
                    }
                }
                Err(other) => panic!("{other}"),
            }
        }
        first = next;
        if let Some(wait) = wait {
            // What was told is waited for, and no more: it has to be enough.
            let mut told = interval_at(Instant::now() + wait, Duration::from_secs(1));
            told.tick().await;
        }
    }
    assert!(limited > 0 && gated > 0);
    assert_eq!(labelled(&node, "sparrow_limited_total", "limiter", "user_sends").await, limited);
    assert_eq!(labelled(&node, "sparrow_errors_total", "code", "rate_limited").await, limited);
    assert_eq!(labelled(&node, "sparrow_errors_total", "code", "retry_in_order").await, gated);
    let entries = history(&mut connection, conversation).await;
    assert_eq!(texts(&entries), (0..50).map(|number| number.to_string()).collect::<Vec<_>>());
}

async fn signals_are_limited_and_bounded(format: Format) {
    let node = options().set("rates.signals_per_second", "1").set("rates.signals_burst", "3").start().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut connection = ann.connect(&node, format).await;
    let signal = |data: String| v1::Signal {
        conversation_id: conversation,
        r#type: "cursor.moved".to_owned(),
        data,
        sender_id: bob.id,
    };
    let long = format!("\"{}\"", "x".repeat(4_096 - 2));
    connection.call::<v1::Ok>(&signal(long.clone())).await.unwrap();
    let longer = connection.call::<v1::Ok>(&signal(format!(" {long}"))).await.unwrap_err();
    assert!(matches!(longer.code(), Some("too_large" | "invalid_request")), "{longer}");
    connection.call::<v1::Ok>(&signal(String::new())).await.unwrap();
    connection.call::<v1::Ok>(&signal(String::new())).await.unwrap();
    let refused = connection.call::<v1::Ok>(&signal(String::new())).await.unwrap_err();
    assert_eq!(refused.code(), Some("rate_limited"));
}

async fn a_full_lane_is_overloaded_for_a_moment(format: Format) {
    let node = options().set("limits.lane_queue", "2").set("limits.batch_commands", "1").start().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut connection = ann.connect(&node, format).await;
    let mut refused = 0;
    for round in 0..20 {
        let mut ids = Vec::new();
        for number in 0..50 {
            ids.push(connection.feed(&text(conversation, &format!("{round}.{number}"))).await.unwrap());
        }
        connection.flush().await.unwrap();
        for id in ids {
            match connection.answer::<v1::SendAck>(id).await {
                Err(ConnectionError::Refused(error)) if error.code == "overloaded" => {
                    assert!(error.retryable && error.retry_after_ms > 0);
                    refused += 1;
                }
                Err(ConnectionError::Refused(error)) => assert_eq!(error.code, "retry_in_order"),
                Ok(_) => {}
                Err(other) => panic!("{other}"),
            }
        }
        if refused > 0 {
            break;
        }
    }
    assert!(refused > 0, "the lane was never full");
    assert_eq!(labelled(&node, "sparrow_sends_total", "outcome", "overloaded").await, refused);
    // Over a new connection, which has no gate, it is over at once.
    let mut connection = ann.connect(&node, format).await;
    connection.call::<v1::SendAck>(&text(conversation, "later")).await.unwrap();
}
