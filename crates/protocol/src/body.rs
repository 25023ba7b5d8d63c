//! Which message a command's body is: the one table that frames, codecs and tests share.

use bytes::Bytes;
use prost::Message;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{Command, raw, v1};

/// A message that is the body of a command. [`v1`] and [`raw`] have one type each per command, with the same wire form.
pub trait Body: Message + Default {
    /// The command whose body it is.
    const COMMAND: Command;
}

/// Where in a JSON text the body stands.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// The text is the body.
    Bare,
    /// The body is the field `body` of the text, an empty one if that is absent.
    Enveloped,
}

/// The body is not of its command's type.
#[derive(Debug)]
pub(crate) struct Mismatch;

/// The bodies of all commands: a command and its message have the same name.
macro_rules! bodies {
    ($($name:ident),+ $(,)?) => {
        $(
            impl Body for v1::$name {
                const COMMAND: Command = Command::$name;
            }

            impl Body for raw::$name {
                const COMMAND: Command = Command::$name;
            }
        )+

        /// The protobuf form of a body that came as JSON.
        pub(crate) fn from_json(command: Command, text: &[u8], place: Place) -> Result<Bytes, Mismatch> {
            match command {
                $(Command::$name => read::<v1::$name>(text, place),)+
            }
        }

        /// Appends the JSON form of a protobuf body.
        pub(crate) fn to_json(command: Command, body: &[u8], out: &mut Vec<u8>) -> Result<(), Mismatch> {
            match command {
                $(Command::$name => write::<v1::$name>(body, out),)+
            }
        }
    };
}

bodies! {
    Hello, Welcome, Ping, Pong, Goodbye, Error, Ok, Send, SendAck, Push, Ack, Read, ReadAck, Receipt, StateChanged,
    Signal, PresenceSubscribe, Presence, Sync, SyncPage, Pull, PullPage, Resync,
}

#[derive(Deserialize)]
struct Envelope<M> {
    body: Option<M>,
}

fn read<M: Message + Default + DeserializeOwned>(text: &[u8], place: Place) -> Result<Bytes, Mismatch> {
    let message: M = match place {
        Place::Bare => serde_json::from_slice(text),
        Place::Enveloped => {
            serde_json::from_slice::<Envelope<M>>(text).map(|envelope| envelope.body.unwrap_or_default())
        }
    }
    .map_err(|_| Mismatch)?;
    Ok(message.encode_to_vec().into())
}

fn write<M: Message + Default + serde::Serialize>(body: &[u8], out: &mut Vec<u8>) -> Result<(), Mismatch> {
    let message = M::decode(body).map_err(|_| Mismatch)?;
    serde_json::to_writer(out, &message).map_err(|_| Mismatch)
}
