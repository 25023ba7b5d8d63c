//! What one frame costs, in each codec: `cargo bench -p sparrow-protocol`.

#![expect(clippy::unwrap_used, reason = "what is measured here is sound by construction")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sparrow_protocol::frame::{LENGTH_BYTES, encode_shared};
use sparrow_protocol::{Carrier, Command, Format, content, limits, raw, v1};

const BODY: usize = 128;

fn content_of_a_message() -> v1::Content {
    v1::Content { text: "s".repeat(BODY), ..Default::default() }
}

fn send() -> v1::Send {
    v1::Send {
        conversation_id: 250_475_205_758_934_861,
        client_msg_id: "0192f0c1-2345-7abc-8def-0123456789ab".to_owned(),
        content: Some(content_of_a_message()),
    }
}

fn push() -> v1::Push {
    let message = send();
    let entry = v1::Entry {
        conversation_id: message.conversation_id,
        seq: 4_711,
        kind: "message".to_owned(),
        sender_id: 250_475_205_000_000_000,
        time: 1_763_870_000_000,
        client_msg_id: message.client_msg_id,
        content: message.content,
        ..Default::default()
    };
    v1::Push { conversation_id: entry.conversation_id, entries: vec![entry] }
}

fn name(format: Format) -> String {
    format!("{:?}/{:?}", format.carrier, format.codec)
}

/// A frame as a decoder gets it: over TCP without its length.
fn received(format: Format, frame: &Bytes) -> Bytes {
    match format.carrier {
        Carrier::WebSocket => frame.clone(),
        Carrier::Tcp => frame.slice(LENGTH_BYTES..),
    }
}

fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame");
    group.throughput(Throughput::Elements(1));
    for &format in Format::ALL {
        let frame = received(format, &format.encode_message(7, &send()).unwrap());
        group.bench_function(format!("decode a send, {}", name(format)), |bench| {
            bench.iter(|| format.decode(black_box(frame.clone())).unwrap().parse::<raw::Send>().unwrap());
        });
        let push = push();
        group.bench_function(format!("encode a push, {}", name(format)), |bench| {
            bench.iter(|| format.encode_message(0, black_box(&push)).unwrap());
        });
    }
    let push = push();
    group.bench_function("encode a push once for both carriers", |bench| {
        bench.iter(|| encode_shared(0, black_box(&push)).unwrap());
    });
    group.finish();
}

fn messages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("message");
    let bytes: Bytes = prost::Message::encode_to_vec(&content_of_a_message()).into();
    group.bench_function("check the content of a send", |bench| {
        bench.iter(|| content::CheckedContent::parse(black_box(bytes.clone()), limits::CONTENT_BYTES));
    });
    group.bench_function("find a command by its number", |bench| {
        bench.iter(|| Command::from_number(black_box(Command::Pull.number())));
    });
    group.finish();
}

criterion_group!(benches, frames, messages);
criterion_main!(benches);
