//! What people do in an evening, as they would at their terminals.

use sparrow_protocol::Format;
use sparrow_testkit::ChatOptions;

use crate::support::{in_every_format, node, options};

in_every_format!(three_people_find_each_other_and_chat_and_nobody_misses_anything);

async fn three_people_find_each_other_and_chat_and_nobody_misses_anything(format: Format) {
    let node = node().await;
    let homes = [(); 4].map(|()| tempfile::tempdir().unwrap());
    let chat = ChatOptions::new(&options(), format);
    let mut ann = chat.start(&node, "ann", homes[0].path());
    let mut bob = chat.start(&node, "bob", homes[1].path());
    let mut carl = chat.start(&node, "carl", homes[2].path());
    for person in [&mut ann, &mut bob, &mut carl] {
        person.sees(&["connected"]).await;
        person.sees(&["open: lobby"]).await;
    }

    // They find each other.
    ann.say(":pu bo");
    ann.sees(&["users: bob"]).await;
    ann.say(":olu");
    ann.sees(&["online:", "bob", "carl"]).await;

    // A direct, with its receipts.
    ann.say(":to bob");
    ann.say("shall we?");
    bob.sees(&["ann→bob", "] shall we?"]).await;
    ann.sees(&["delivered →bob", "by bob"]).await;
    bob.say(":to ann");
    ann.sees(&["read →bob", "by bob"]).await;

    // A group of three, which one leaves for a while.
    ann.say(":create trio bob carl");
    ann.sees(&["open: trio"]).await;
    ann.say("one");
    bob.sees(&["ann→trio", "] one"]).await;
    carl.sees(&["ann→trio", "] one"]).await;
    assert!(carl.quit().await.0.success());
    bob.say(":group trio");
    bob.say("two");
    bob.sees(&["sent] two"]).await;
    ann.sees(&["bob→trio", "] two"]).await;
    ann.say("three");
    ann.sees(&["sent] three"]).await;

    let mut carl = chat.start(&node, "carl", homes[2].path());
    carl.sees(&["] three"]).await;
    carl.say(":group trio");
    carl.say("four");
    carl.sees(&["sent] four"]).await;
    assert_eq!(carl.messages(), ["two", "three", "four"]);

    // A second device of hers is told what she says on the first.
    let mut tablet = chat.start(&node, "ann", homes[3].path());
    tablet.sees(&["connected"]).await;
    tablet.sees(&["open: lobby"]).await;
    ann.say("from my desk");
    tablet.sees(&["ann→trio", "] from my desk"]).await;
    bob.sees(&["ann→trio", "] from my desk"]).await;
    carl.sees(&["ann→trio", "] from my desk"]).await;
    assert_eq!(ann.messages(), ["shall we?", "one", "two", "three", "four", "from my desk"]);
    assert_eq!(bob.messages(), ann.messages());
}
