//! Any bytes as a message's content: never a panic, and what is accepted is kept byte for byte.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sparrow_protocol::content::{self, CheckedContent};
use sparrow_protocol::{EntryKind, limits};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(checked) = CheckedContent::parse(Bytes::copy_from_slice(bytes), limits::CONTENT_BYTES) {
        assert_eq!(checked.bytes(), bytes);
        assert!(content::is_readable(EntryKind::Message, bytes));
    }
});
