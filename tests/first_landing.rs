//! The first thing that had to work: two people at terminals, a server that dies, and nothing acked is missing.

use sparrow_protocol::Format;
use sparrow_testkit::ChatOptions;

use crate::support::{node, options};

#[tokio::test]
async fn two_people_chat_through_a_kill_and_miss_nothing() {
    let mut node = node().await;
    let homes = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let chat = ChatOptions::new(&options(), Format::ALL[0]);
    let mut ann = chat.start(&node, "ann", homes[0].path());
    let mut bob = chat.start(&node, "bob", homes[1].path());
    ann.sees(&["connected"]).await;
    bob.sees(&["connected"]).await;

    ann.say("bob;;hello");
    ann.sees(&["ann→bob", "sent] hello"]).await;
    bob.sees(&["ann→bob", "] hello"]).await;
    bob.say("ann;;hello yourself");
    bob.sees(&["bob→ann", "sent] hello yourself"]).await;
    ann.sees(&["bob→ann", "] hello yourself"]).await;

    node.kill();
    ann.sees(&["no connection"]).await;
    bob.sees(&["no connection"]).await;
    ann.say("are you still there?");
    ann.sees(&["waiting", "are you still there?"]).await;
    node.restart().await;
    ann.sees(&["ann→bob", "sent] are you still there?"]).await;
    bob.sees(&["ann→bob", "] are you still there?"]).await;

    let said = ["hello", "hello yourself", "are you still there?"];
    assert_eq!((ann.messages(), bob.messages()), (said.map(str::to_owned).to_vec(), said.map(str::to_owned).to_vec()));
    assert!(ann.quit().await.0.success() && bob.quit().await.0.success());

    // A device that has never seen any of it pulls it all.
    let mut tablet = chat.start(&node, "bob", homes[2].path());
    tablet.sees(&["connected"]).await;
    tablet.say(":to ann");
    tablet.say(":history");
    tablet.sees(&["bob→ann", "] hello yourself"]).await;
    tablet.sees(&["ann→bob", "] are you still there?"]).await;
    assert_eq!(tablet.messages(), said);
}
