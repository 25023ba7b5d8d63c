//! One row that cannot be read costs that row. (H34)

use sparrow_protocol::{Format, v1};
use sparrow_testkit::User;

use crate::support::{history, in_every_format, options, pushes_until, send, words};

in_every_format!(a_damaged_entry_is_marked_and_the_rest_is_served);

async fn a_damaged_entry_is_marked_and_the_rest_is_served(format: Format) {
    let mut node = options().expect_error("damaged").start().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut connection = ann.connect(&node, format).await;
    for number in 1..=6 {
        send(&mut connection, conversation, &number.to_string()).await;
    }
    assert!(node.terminate().await.success());
    let damage = [(2, "body = x'ffffff'"), (3, "body = 17"), (4, "client_msg_id = x'00'"), (5, "kind = x'80'")];
    let db = rusqlite::Connection::open(node.data().join("sparrow.db")).unwrap();
    for (seq, set) in damage {
        let sql = format!("UPDATE entries SET {set} WHERE conversation_id = ?1 AND seq = ?2");
        assert_eq!(db.execute(&sql, (conversation, seq)).unwrap(), 1);
    }
    drop(db);

    node.restart().await;
    let mut connection = bob.connect(&node, format).await;
    let entries = history(&mut connection, conversation).await;
    let seen: Vec<_> = entries.iter().map(|entry| (entry.seq, entry.damaged, words(entry))).collect();
    assert_eq!(seen, [(1, false, "1"), (2, true, ""), (3, true, ""), (4, true, ""), (5, true, ""), (6, false, "6")]);
    let page: v1::EntryList = bob.api.get(&format!("/v1/conversations/{conversation}/messages")).await.unwrap();
    assert_eq!(page.items.iter().filter(|entry| entry.damaged).count(), 4);
    // The conversation goes on.
    send(&mut ann.connect(&node, format).await, conversation, "7").await;
    assert_eq!(pushes_until(&mut connection, "7").await.last().unwrap().seq, 7);
}
