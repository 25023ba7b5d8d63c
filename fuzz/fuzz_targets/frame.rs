//! Any bytes, read in any format: never a panic, and what is a frame survives being written and read again.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sparrow_protocol::frame::LENGTH_BYTES;
use sparrow_protocol::{Carrier, Format};

fuzz_target!(|input: (u8, &[u8])| {
    let (which, bytes) = input;
    let format = Format::ALL[usize::from(which) % Format::ALL.len()];
    let Ok(frame) = format.decode(Bytes::copy_from_slice(bytes)) else { return };
    let Some(command) = frame.command else { return };
    for format in Format::ALL {
        // A JSON frame is refused if the body, which came unseen as protobuf, is not the command's.
        let Ok(written) = format.encode(command, frame.id, &frame.body) else { continue };
        let message = if format.carrier == Carrier::Tcp { written.slice(LENGTH_BYTES..) } else { written };
        let again = format.decode(message).expect("what was written can be read");
        assert_eq!((again.command, again.id), (Some(command), frame.id));
        let Ok(twice) = format.encode(command, again.id, &again.body) else { panic!("read, so it can be written") };
        let once = format.encode(command, frame.id, &frame.body);
        assert_eq!(Ok(twice), once);
    }
});
