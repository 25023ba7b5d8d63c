//! What is over is forgotten, and nothing else.

use std::time::Duration;

use sparrow_protocol::Timestamp;

use super::{Fixture, START, World};
use crate::Directory as _;
use crate::directory::{DeviceLogin, DeviceRule, NewTokens, Refreshed, TokenHash, WhenFull};
use crate::log::OwnState;

const DAY: i64 = 24 * 60 * 60 * 1_000;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(START + ms)
}

fn draft(key: String, value: &str) -> OwnState {
    OwnState { kind: "draft".to_owned(), key, value: value.to_owned() }
}

pub(crate) async fn what_is_over_is_forgotten_in_steps<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("ann").await;
    let before = world.sync(ann, None).await.next;
    for number in 0..5 {
        world.store().set_own_state(ann, draft(number.to_string(), "x"), at(0)).await.unwrap();
        world.store().set_own_state(ann, draft(number.to_string(), ""), at(number)).await.unwrap();
    }
    world.store().set_own_state(ann, draft("kept".to_owned(), "y"), at(0)).await.unwrap();
    let after = world.sync(ann, None).await.next;
    let forget = async |ms| world.store().forget_expired(at(ms), 2).await.unwrap();
    assert!(!forget(89 * DAY).await, "a deletion is known for 90 days");
    assert_eq!([forget(91 * DAY).await, forget(91 * DAY).await, forget(91 * DAY).await], [true, true, false]);
    let changes = world.sync(ann, Some(before)).await;
    assert!(changes.full, "who was away for longer than deletions are known is told everything");
    assert_eq!(changes.states, [draft("kept".to_owned(), "y")]);
    assert!(!world.sync(ann, Some(after)).await.full, "who has been told of them is not");
}

pub(crate) async fn only_expired_tokens_are_forgotten<F: Fixture>(world: &mut World<F>) {
    let ann = world.user("ann").await;
    let tokens = |number: u8, days: i64| NewTokens {
        access: TokenHash([number; 32]),
        access_expires: at(1_000),
        refresh: TokenHash([100 + number; 32]),
        refresh_expires: at(days * DAY),
    };
    for (number, days) in [(1, 1), (2, 2), (3, 30)] {
        let login = DeviceLogin {
            user: ann,
            device: None,
            name: "phone".to_owned(),
            platform: "test".to_owned(),
            tokens: tokens(number, days),
            rules: vec![DeviceRule { of_platform: false, most: 10 }],
            when_full: WhenFull::RejectNew,
            online: Vec::new(),
        };
        world.store().log_in_device(login, at(0)).await.unwrap().unwrap();
    }
    assert_eq!(
        [
            world.store().forget_expired(at(3 * DAY), 1).await.unwrap(),
            world.store().forget_expired(at(3 * DAY), 1).await.unwrap()
        ],
        [true, true]
    );
    assert!(!world.store().forget_expired(at(3 * DAY), 1).await.unwrap());
    let refresh = async |number: u8, fresh: u8| {
        let refreshed =
            world.store().refresh(TokenHash([number; 32]), tokens(fresh, 30), Duration::from_secs(60), at(3 * DAY));
        refreshed.await.unwrap()
    };
    assert!(matches!(refresh(103, 4).await, Refreshed::Rotated { .. }));
    assert!(!matches!(refresh(101, 5).await, Refreshed::Rotated { .. }));
}
