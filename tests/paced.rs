//! A client that has more to send than it may: its outbox keeps to the rate, and nothing is lost, doubled or reordered.

use std::time::Duration;

use sparrow_client::{Client, Credentials, Options, Start};
use sparrow_testkit::{PASSWORD, User};

use crate::support::{history, labelled, texts, with_default_rates};

const LINES: usize = 300;

#[tokio::test]
async fn three_hundred_lines_at_once_cost_about_one_refusal_a_pause() {
    let node = with_default_rates().start().await;
    let bob = User::register(&node, "bob").await;
    let credentials = Credentials { name: "ann".to_owned(), password: PASSWORD.to_owned() };
    let options = Options { start: Start::Head, ..Options::default() };
    let ann = Client::register(&node.url(), credentials, options).await.unwrap();
    let direct = ann.open_direct("@bob").await.unwrap().state.unwrap().conversation_id;
    let lines: Vec<_> = (0..LINES).map(|number| number.to_string()).collect();
    for line in &lines {
        ann.send_text(direct, line).await.unwrap();
    }
    assert!(ann.wait_until_sent(Duration::from_secs(60)).await.unwrap());
    let mut refusals = 0;
    for code in ["rate_limited", "retry_in_order"] {
        refusals += labelled(&node, "sparrow_errors_total", "code", code).await;
    }
    // Two hundred lines wait for a place in the rate. The first pause finds a whole window in flight.
    assert!(refusals > 0 && refusals <= 64 + 200, "{refusals}");
    let mut reader = bob.connect(&node, sparrow_protocol::Format::ALL[0]).await;
    assert_eq!(texts(&history(&mut reader, direct).await), lines);
    ann.close().await;
}
