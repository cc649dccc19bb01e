//! How fast plans are read: text of many short tasks, one very long string, and what follows from an output.
//!
//! Throughput is of model text. The pieces of four bytes are about what a model's token is.
#![allow(missing_docs, reason = "criterion's macros write public functions")]
#![allow(clippy::unwrap_used, reason = "a bench has no caller to tell")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dovetail_core::{Machine, ToolSet};

const TOOLS: &str = r#"[
  {"name": "search", "inputSchema": {"type": "object", "additionalProperties": false, "required": ["query"],
    "properties": {"query": {"type": "string"}, "limit": {"type": "integer"}}}},
  {"name": "math", "inputSchema": {"type": "object", "additionalProperties": false, "required": ["problem"],
    "properties": {"problem": {"type": "string"}, "context": {"type": "array", "items": {"type": "string"}}}}}
]"#;

const MEGABYTES: usize = 10;

fn tools() -> Arc<ToolSet> {
    Arc::new(ToolSet::from_json(TOOLS.as_bytes()).unwrap())
}

/// Tasks as models write them: a search, then arithmetic on what it found.
fn plan(tasks: usize) -> String {
    let mut text = String::new();
    for id in (1..=tasks).step_by(2) {
        let _ = writeln!(text, "{id}. search(\"height of mountain number {id}\")");
        let _ = writeln!(text, "{}. math(\"${id}.height * 2.5\", context=[\"${id}\"])", id + 1);
    }
    let _ = writeln!(text, "{}. join()", tasks + 1);
    text
}

fn read(tools: &Arc<ToolSet>, text: &str, size: usize) -> usize {
    let mut machine = Machine::new(Arc::clone(tools), None);
    let steps: usize = text.as_bytes().chunks(size).map(|piece| black_box(machine.feed(piece)).len()).sum();
    steps + machine.finish(false).len()
}

fn many_tasks(criterion: &mut Criterion) {
    let tools = tools();
    let mut group = criterion.benchmark_group("tasks");
    for tasks in [10, 1_000, 100_000] {
        let text = plan(tasks);
        group.throughput(Throughput::Bytes(text.len() as u64));
        for (name, size) in [("in one piece", text.len()), ("in pieces of 4", 4)] {
            group.bench_with_input(BenchmarkId::new(name, tasks), &text, |bencher, text| {
                bencher.iter(|| read(&tools, text, size));
            });
        }
    }
    group.finish();
}

fn one_string(criterion: &mut Criterion) {
    let tools = tools();
    let mut group = criterion.benchmark_group("string of 10 MB");
    for (kind, inside) in [
        ("prose", "All happy families are alike; each unhappy family is unhappy in its own way. "),
        ("escaped lines", "def area(r):\\n    return \\\"pi\\\" * r ** 2  # of a circle\\n\\n"),
        ("lines", "def area(r):\n    return pi * r ** 2  # of a circle\n\n"),
        ("other scripts", "Все счастливые семьи похожи друг на друга. "),
    ] {
        let text = format!("1. search(\"{}\")\n2. join()", inside.repeat(MEGABYTES * 1_000_000 / inside.len()));
        group.throughput(Throughput::Bytes(text.len() as u64));
        for (name, size) in [("in one piece", text.len()), ("in pieces of 4", 4)] {
            group.bench_with_input(BenchmarkId::new(name, kind), &text, |bencher, text| {
                bencher.iter(|| read(&tools, text, size));
            });
        }
    }
    group.finish();
}

fn outputs(criterion: &mut Criterion) {
    let tools = tools();
    let mut group = criterion.benchmark_group("outputs");
    for tasks in [10, 1_000, 100_000_u32] {
        let mut text = "1. search(\"a\")\n".to_owned();
        for id in 2..=tasks {
            let _ = writeln!(text, "{id}. search(\"${}\")", id - 1);
        }
        group.throughput(Throughput::Elements(u64::from(tasks)));
        group.bench_with_input(BenchmarkId::new("a chain of tasks", tasks), &text, |bencher, text| {
            let planned = || {
                let mut machine = Machine::new(Arc::clone(&tools), None);
                machine.feed(text.as_bytes());
                machine
            };
            let run = |mut machine: Machine| {
                for id in 1..=tasks {
                    black_box(machine.succeed(id, "\"found\""));
                }
                machine
            };
            bencher.iter_batched(planned, run, BatchSize::LargeInput);
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = many_tasks, one_string, outputs
}
criterion_main!(benches);
