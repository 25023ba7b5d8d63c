//! Row A4: who is kicked by a log-in elsewhere is told why.

use sparrow_protocol::{Command, Format, v1};
use sparrow_testkit::{ApiError, PASSWORD, User};

use crate::support::{in_every_format, options};

in_every_format!(a_kicked_device_is_told_that_it_was_replaced, a_log_in_too_many_is_refused_and_nobody_is_kicked);

async fn a_kicked_device_is_told_that_it_was_replaced(format: Format) {
    let node = options().set("login.policy", "single").start().await;
    let ann = User::register(&node, "ann").await;
    let mut connection = ann.connect(&node, format).await;
    let phone = ann.another_device().await;
    let goodbye = loop {
        let frame = connection.next().await.unwrap();
        if frame.command == Some(Command::Goodbye) {
            break frame.parse::<v1::Goodbye>().unwrap();
        }
    };
    assert_eq!((goodbye.reason.as_str(), goodbye.reconnect), ("replaced", false));
    let code = match connection.next().await.unwrap_err() {
        sparrow_testkit::ConnectionError::Closed(code) => code,
        other => panic!("{other}"),
    };
    assert!(matches!(code, Some(4502) | None), "{code:?}");
    phone.connect(&node, format).await;
}

async fn a_log_in_too_many_is_refused_and_nobody_is_kicked(format: Format) {
    let node = options().set("limits.devices", "2").set("login.when_full", "reject_new").start().await;
    let ann = User::register(&node, "ann").await;
    let mut connection = ann.connect(&node, format).await;
    let _phone = ann.another_device().await;
    match ann.api.log_in("ann", PASSWORD).await.unwrap_err() {
        ApiError::Refused { status, error } => assert_eq!((status, error.code.as_str()), (409, "too_many_devices")),
        other => panic!("{other}"),
    }
    connection.call::<v1::Pong>(&v1::Ping {}).await.unwrap();
}
