//! Conversations filled in bulk, through the wire: pipelined durable sends over a few connections that only send.

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use sparrow_protocol::{Format, v1};

use crate::people::message;
use crate::target::check_version;
use crate::{BenchError, Connection, Progress, Target};

/// Sends of one connection without an answer; the bench profile allows more.
const WINDOW: usize = 512;

/// Sends `each` messages to every conversation. `writers` are tokens with the conversations of each.
pub(crate) async fn fill(
    target: &Target,
    writers: &[(&str, Vec<i64>)],
    each: usize,
    content: &v1::Content,
    progress: &dyn Progress,
) -> Result<(), BenchError> {
    let conversations: usize = writers.iter().map(|(_, conversations)| conversations.len()).sum();
    progress.stage("storing messages through the wire", (conversations * each) as u64);
    let writing =
        writers.iter().map(|(token, conversations)| write(target, token, conversations, each, content, progress));
    stream::iter(writing).buffer_unordered(writers.len().max(1)).try_collect().await
}

async fn write(
    target: &Target,
    token: &str,
    conversations: &[i64],
    each: usize,
    content: &v1::Content,
    progress: &dyn Progress,
) -> Result<(), BenchError> {
    let format = Format { carrier: sparrow_protocol::Carrier::Tcp, codec: sparrow_protocol::Codec::Protobuf };
    let mut connection = Connection::open(target.address(format.carrier), format).await?;
    let client = "sparrow-bench".to_owned();
    let hello = v1::Hello { token: token.to_owned(), client, no_pushes: true, ..Default::default() };
    check_version(&connection.call::<v1::Welcome>(&hello).await?.server)?;
    let count = conversations.len() * each;
    let mut ids = Vec::with_capacity(WINDOW);
    for first in (0..count).step_by(WINDOW) {
        for n in first..(first + WINDOW).min(count) {
            ids.push(connection.feed(&message(conversations[n % conversations.len()], content)).await?);
        }
        connection.flush().await?;
        for id in ids.drain(..) {
            connection.answer::<v1::SendAck>(id).await?;
            progress.advance(1);
        }
    }
    Ok(())
}
