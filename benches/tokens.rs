//! What the operations of the hot path take in process: no socket, no database.

mod support;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use support::operations::{OPERATIONS, World};
use tokio::runtime::Builder;

fn tokens(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let world = World::new(&runtime);
    for (name, prepare) in OPERATIONS {
        criterion.bench_function(name, |b| {
            b.iter_batched(|| prepare(&world), |operation| operation(), BatchSize::SmallInput);
        });
    }
}

criterion_group!(benches, tokens);
criterion_main!(benches);
