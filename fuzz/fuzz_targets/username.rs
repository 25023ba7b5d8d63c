//! Any text as a user name: never a panic, and what is shown can be typed and means the same name.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sparrow_protocol::Username;
use sparrow_protocol::name::fold_prefix;

fuzz_target!(|text: &str| {
    if let Ok(name) = Username::parse(text) {
        assert_eq!(Username::parse(name.as_str()).as_ref(), Ok(&name));
        assert_eq!(fold_prefix(name.key()).as_deref(), Some(name.key()));
        assert!((2..=32).contains(&name.as_str().chars().count()));
    }
});
