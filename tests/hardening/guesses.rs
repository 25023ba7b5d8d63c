//! H6 and H7: guessing passwords is slow, and tells nothing.

use sparrow_testkit::{Api, ApiError, PASSWORD, TestNode, User, eventually};
use tokio::time::Instant;

use crate::support::{labelled, metric, options, with_default_rates};

async fn log_in(node: &TestNode, name: &str, password: &str) -> (u16, String, u32) {
    match Api::new(node.http()).unwrap().log_in(name, password).await {
        Ok(_) => (201, String::new(), 0),
        Err(ApiError::Refused { status, error }) => (status, error.message, error.retry_after_ms),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_hundred_wrong_passwords_are_limited_also_after_a_restart_and_the_right_one_works_later() {
    // A tenth of a second for one more guess instead of 12 s: the test is about what happens, not about the number.
    let mut node = with_default_rates().set("rates.account_logins_per_minute", "20").start().await;
    User::register(&node, "ann").await;
    let mut refused = 0;
    for number in 0..100 {
        let (status, _, _) = log_in(&node, "ann", &format!("wrong {number}")).await;
        assert!(matches!(status, 401 | 429), "{status}");
        refused += u64::from(status == 429);
    }
    assert!(refused >= 70, "{refused}");
    let counted = labelled(&node, "sparrow_limited_total", "limiter", "account_logins").await
        + labelled(&node, "sparrow_limited_total", "limiter", "address_logins").await;
    assert_eq!(counted, refused);
    node.restart().await;
    let (status, _, wait) = log_in(&node, "ann", PASSWORD).await;
    assert_eq!(status, 429, "a restart forgives nothing");
    assert!(wait > 0 && wait <= 3_000, "{wait}");
    eventually("the right password to work", async || (log_in(&node, "ann", PASSWORD).await.0 == 201).then_some(()))
        .await;
}

#[tokio::test]
async fn one_password_for_a_thousand_users_is_limited_by_the_address() {
    let node = with_default_rates().start().await;
    User::register(&node, "ann").await;
    let mut looked_at = 0;
    for number in 0..1_000 {
        let (status, _, _) = log_in(&node, &format!("user{number}"), PASSWORD).await;
        assert!(matches!(status, 401 | 429), "{status}");
        looked_at += u64::from(status == 401);
    }
    // Twenty at once, and one more every three seconds that the test takes.
    assert!(looked_at < 60, "{looked_at}");
    let limited = labelled(&node, "sparrow_limited_total", "limiter", "address_logins").await;
    assert_eq!(limited + looked_at, 1_000);
}

#[tokio::test]
async fn an_unknown_user_and_a_wrong_password_are_answered_alike_in_the_same_time() {
    // The real cost of a hash: without one for unknown users the difference would be tenfold.
    let node = options().set("password_hashing.memory_kib", "4096").set("password_hashing.passes", "2").start().await;
    User::register(&node, "ann").await;
    let mut times = [Vec::new(), Vec::new()];
    let mut answers = Vec::new();
    for round in 0..40 {
        // By turns, and by turns first, so that what else this machine does meets both alike.
        for turn in [round % 2, 1 - round % 2] {
            let begun = Instant::now();
            answers.push(log_in(&node, ["ann", "nobody"][turn], "a wrong one").await);
            times[turn].push(begun.elapsed());
        }
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    let [known, unknown] = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64()
    });
    assert_eq!(metric(&node, "sparrow_password_hashes_total").await, 1 + 2 * 40, "each costs a hash");
    assert!(known / unknown < 1.5 && unknown / known < 1.5, "{known} s and {unknown} s");
}
