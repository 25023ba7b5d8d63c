//! No secret and no body in the log, at its most talkative, of a busy run with refusals and a panic-free end.

use sparrow_protocol::{Carrier, Codec, Format, v1};
use sparrow_testkit::{Connection, PASSWORD, User};

use crate::support::{in_every_format, options, send};

in_every_format!(a_talkative_log_holds_no_secret_and_no_body);

const BODY: &str = "the falcon flies at midnight";
const NEW_PASSWORD: &str = "a staple for the battery";

async fn a_talkative_log_holds_no_secret_and_no_body(format: Format) {
    let mut node = options().set("log", "trace,hyper=info,hyper_util=info").start().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let phone = ann.another_device().await;
    let conversation = ann.direct(&bob).await;
    let mut connection = phone.connect(&node, format).await;
    let _reader = bob.connect(&node, format).await;
    for number in 0..20 {
        send(&mut connection, conversation, &format!("{BODY} {number}")).await;
    }
    let signal = v1::Signal {
        conversation_id: conversation,
        r#type: "typing".to_owned(),
        data: format!("\"{BODY}\""),
        sender_id: 0,
    };
    connection.call::<v1::Ok>(&signal).await.unwrap();
    // What is refused: a wrong password, a bad token, a frame before Hello, a body that is none.
    drop(ann.api.log_in("ann", "the wrong battery").await.unwrap_err());
    drop(ann.api.with_token(&ann.token.replace('A', "B")).get::<v1::User>("/v1/me").await);
    let mut stranger =
        Connection::open(node.tcp(), Format { carrier: Carrier::Tcp, codec: Codec::Json }).await.unwrap();
    drop(stranger.call::<v1::SendAck>(&crate::support::text(conversation, BODY)).await.unwrap_err());
    let change = v1::ChangePasswordRequest { old_password: PASSWORD.to_owned(), new_password: NEW_PASSWORD.to_owned() };
    ann.api.put::<()>("/v1/me/password", &change).await.unwrap();
    let refreshed = ann.api.log_in("ann", NEW_PASSWORD).await.unwrap();
    assert!(node.terminate().await.success());

    let log = node.log().join("\n");
    assert!(
        log.contains("DEBUG") && log.contains("connection ends"),
        "the log is not talkative: the test shows nothing"
    );
    let secrets = [
        PASSWORD,
        NEW_PASSWORD,
        BODY,
        "the wrong battery",
        &ann.token,
        &phone.token,
        &bob.token,
        &refreshed.access_token,
        &refreshed.refresh_token,
    ];
    for secret in secrets {
        assert!(!log.contains(secret), "{secret:?} is in the log");
    }
}
