//! What a push costs besides sockets: `cargo bench -p sparrow-server --features bench`.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sparrow_protocol::v1;
use sparrow_server::bench::{Crowd, stage};

fn look_ups(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("find a user's sessions");
    for online in [100, 10_000, 100_000] {
        let crowd = Crowd::of(online);
        group.bench_with_input(BenchmarkId::from_parameter(online), &online, |bench, online| {
            bench.iter(|| crowd.sessions_of(black_box(online / 2)));
        });
    }
    group.finish();
}

fn pushes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("queue a push for everybody");
    let content = v1::Content { text: "s".repeat(128), ..Default::default() };
    let entry = v1::Entry { conversation_id: 1, seq: 9, content: Some(content), ..Default::default() };
    let push = v1::Push { conversation_id: 1, entries: vec![entry] };
    for online in [2_u32, 10, 1_000] {
        let crowd = Crowd::of(i64::from(online));
        group.throughput(Throughput::Elements(u64::from(online)));
        group.bench_function(BenchmarkId::from_parameter(online), |bench| {
            bench.iter_batched(|| crowd.drain(), |_| crowd.push(black_box(&push)), BatchSize::PerIteration);
        });
    }
    group.finish();
}

fn stages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stage");
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("1,000 entries, pairs swapped", |bench| bench.iter(|| stage(black_box(1_000))));
    group.finish();
}

criterion_group!(benches, look_ups, pushes, stages);
criterion_main!(benches);
