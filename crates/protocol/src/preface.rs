//! The eight bytes by which the two sides of a TCP connection say, once each, what they speak.

use crate::frame::Codec;

/// Bytes of a preface.
pub const PREFACE_BYTES: usize = 8;

const MAGIC: [u8; 4] = *b"SPRW";
const VERSION: u8 = 1;

/// Why a preface is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PrefaceError {
    /// It is another protocol. A server closes without an answer.
    #[error("not a Sparrow preface")]
    Magic,
    /// It is a version that this side does not speak. A server answers its own preface and closes.
    #[error("protocol version {0} is not supported")]
    Version(u8),
    /// It is a codec that this side does not know. A server answers its own preface and closes.
    #[error("codec {0} is not supported")]
    Codec(u8),
}

/// Writes a preface: magic `SPRW`, version, codec, two reserved bytes (sent 0, ignored).
pub const fn encode(codec: Codec) -> [u8; PREFACE_BYTES] {
    let codec = match codec {
        Codec::Protobuf => 0,
        Codec::Json => 1,
    };
    [MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], VERSION, codec, 0, 0]
}

/// Reads a preface.
pub fn parse(bytes: [u8; PREFACE_BYTES]) -> Result<Codec, PrefaceError> {
    let [m0, m1, m2, m3, version, codec, _, _] = bytes;
    match ([m0, m1, m2, m3], version, codec) {
        (MAGIC, VERSION, 0) => Ok(Codec::Protobuf),
        (MAGIC, VERSION, 1) => Ok(Codec::Json),
        (MAGIC, VERSION, other) => Err(PrefaceError::Codec(other)),
        (MAGIC, other, _) => Err(PrefaceError::Version(other)),
        _ => Err(PrefaceError::Magic),
    }
}
