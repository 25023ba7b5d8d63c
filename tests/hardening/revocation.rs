//! H5, on one node: who is revoked is gone within a second.

use std::time::Duration;

use sparrow_protocol::{Command, Format, v1};
use sparrow_testkit::{Connection, User};
use tokio::time::{Instant, timeout};

use crate::support::{in_every_format, node};

/// The reason of the goodbye, which has to come within a second.
async fn goodbye(connection: &mut Connection, since: Instant) -> v1::Goodbye {
    let ending = async {
        loop {
            let frame = connection.next().await.unwrap();
            if frame.command == Some(Command::Goodbye) {
                return frame.parse::<v1::Goodbye>().unwrap();
            }
        }
    };
    let limit = Duration::from_secs(1).saturating_sub(since.elapsed());
    let goodbye = timeout(limit, ending).await.expect("a goodbye within a second");
    assert!(connection.next().await.is_err(), "the connection ends");
    goodbye
}

in_every_format!(a_revoked_device_is_gone_within_a_second, a_changed_password_ends_the_other_devices);

async fn a_revoked_device_is_gone_within_a_second(format: Format) {
    let node = node().await;
    let ann = User::register(&node, "ann").await;
    let phone = ann.another_device().await;
    let mut connection = phone.connect(&node, format).await;
    let devices: v1::DeviceList = ann.api.get("/v1/me/devices").await.unwrap();
    let other = devices.items.iter().find(|device| !device.current).unwrap().device_id;
    let since = Instant::now();
    ann.api.delete::<()>(&format!("/v1/me/devices/{other}")).await.unwrap();
    let goodbye = goodbye(&mut connection, since).await;
    assert_eq!((goodbye.reason.as_str(), goodbye.reconnect), ("revoked", false));
    assert!(phone.try_connect(crate::complete::address(&node, format), format).await.is_err());
}

async fn a_changed_password_ends_the_other_devices(format: Format) {
    let node = node().await;
    let ann = User::register(&node, "ann").await;
    let phone = ann.another_device().await;
    let mut mine = ann.connect(&node, format).await;
    let mut theirs = phone.connect(&node, format).await;
    let change = v1::ChangePasswordRequest {
        old_password: sparrow_testkit::PASSWORD.to_owned(),
        new_password: "another horse".to_owned(),
    };
    let since = Instant::now();
    ann.api.put::<()>("/v1/me/password", &change).await.unwrap();
    assert_eq!(goodbye(&mut theirs, since).await.reason, "revoked");
    mine.call::<v1::Pong>(&v1::Ping {}).await.unwrap();
}
