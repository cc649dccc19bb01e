//! Very large and very odd inputs: no panic, no overflow, and no work that grows faster than the text. The bounds are wide:
//! they catch quadratic work in a debug build on a busy machine, the benches measure the rest.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod play;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dovetail_core::{Machine, Step, TaskId, ToolSet};
use play::{everyday, pieces};

const MEGABYTE: usize = 1_000_000;
const SMALL: usize = 20_000;

/// What linear work on so many bytes may take, on a busy machine in a debug build.
fn bound(bytes: usize) -> Duration {
    Duration::from_secs(2) + Duration::from_micros(20) * u32::try_from(bytes).unwrap()
}

fn count(steps: &[Step], is: impl Fn(&Step) -> bool) -> usize {
    steps.iter().filter(|step| is(step)).count()
}

fn play(tools: &Arc<ToolSet>, text: &str, size: usize) -> (Machine, Vec<Step>) {
    let begun = Instant::now();
    let mut machine = Machine::new(Arc::clone(tools), None);
    let mut steps: Vec<_> = pieces(text.as_bytes(), size).into_iter().flat_map(|piece| machine.feed(piece)).collect();
    steps.extend(machine.finish(false));
    let took = begun.elapsed();
    assert!(
        took < bound(text.len()),
        "{took:?} for {} bytes in pieces of {size}: {:?}",
        text.len(),
        &text[..text.len().min(60)]
    );
    (machine, steps)
}

fn chain(tasks: TaskId, end: &str) -> String {
    let mut text = format!("1. search(\"a\"){end}");
    for id in 2..=tasks {
        let _ = write!(text, "{id}. store(${}){end}", id - 1);
    }
    text
}

#[test]
fn a_hundred_thousand_tasks_are_planned_and_run_one_after_the_other() {
    let tasks = 100_000;
    let (mut machine, steps) = play(&everyday(), &chain(tasks, "\n"), 4);
    assert_eq!(count(&steps, |step| matches!(step, Step::Planned { .. })), tasks as usize);
    assert_eq!(machine.unsettled(), tasks as usize);
    let begun = Instant::now();
    for id in 1..tasks {
        let steps = machine.succeed(id, "1");
        assert!(matches!(&steps[..], [Step::Ready { task_id, .. }] if *task_id == id + 1));
    }
    assert!(machine.succeed(tasks, "1").is_empty());
    assert!(begun.elapsed() < bound(MEGABYTE));
    assert_eq!(machine.unsettled(), 0);
}

#[test]
fn a_hundred_thousand_tasks_that_wait_for_one_are_skipped_at_once() {
    let (mut machine, _) = play(&everyday(), &chain(100_000, "\n"), MEGABYTE);
    let begun = Instant::now();
    let steps = machine.fail(1);
    assert!(begun.elapsed() < bound(MEGABYTE));
    assert_eq!(count(&steps, |step| matches!(step, Step::Unreachable { because: 1, .. })), 99_999);
    assert_eq!(machine.unsettled(), 0);
}

#[test]
fn a_hundred_thousand_tasks_on_one_line_are_planned() {
    for size in [4, 10 * MEGABYTE] {
        let (_, steps) = play(&everyday(), &chain(100_000, " "), size);
        assert_eq!(count(&steps, |step| matches!(step, Step::Planned { .. })), 100_000);
    }
}

#[test]
fn a_hundred_thousand_tasks_in_json_are_planned() {
    let mut text = "{\"tasks\": [".to_owned();
    for id in 1..=100_000 {
        let _ = writeln!(text, "{{\"id\":{id},\"tool\":\"store\",\"arguments\":{{\"value\":\"${}\"}}}},", id - 1);
    }
    text.push_str("], \"join\": 100000}");
    for size in [4, 20 * MEGABYTE] {
        let (machine, steps) = play(&everyday(), &text, size);
        assert_eq!(count(&steps, |step| matches!(step, Step::Planned { .. })), 100_000);
        assert!(steps.contains(&Step::Closed { answer_task: Some(100_000) }));
        assert_eq!(machine.unsettled(), 100_000);
    }
}

#[test]
fn a_task_may_wait_for_ten_thousand_others() {
    let mut text: String = (1..=10_000).fold(String::new(), |mut text, id| {
        let _ = writeln!(text, "{id}. now()");
        text
    });
    text.push_str("10001. store([");
    for id in 1..=10_000 {
        let _ = write!(text, "${id},");
    }
    text.push_str("])\n10002. join($10001)");
    let (mut machine, _) = play(&everyday(), &text, 4);
    let steps: Vec<_> = (1..=10_000).rev().flat_map(|id| machine.succeed(id, "7")).collect();
    assert!(matches!(&steps[..], [Step::Ready { task_id: 10_001, .. }]));
}

#[test]
fn anything_repeated_ends_in_time_with_a_closed_plan() {
    let tools = everyday();
    let mut random = 88_172_645_463_325_252_u64;
    let noise: String = (0..SMALL)
        .map(|_| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            char::from(u8::try_from(random % 256).unwrap())
        })
        .collect();
    let kinds = [
        "(",
        ")",
        "[",
        "{",
        "\"",
        "'",
        "“",
        "\\",
        "$1[",
        "$",
        "\n",
        "\r",
        "\0",
        "7",
        " ",
        ",",
        "=",
        ":",
        "#",
        "a",
        "*",
        "`",
        "-",
        "<",
        "#\n",
        "\n ",
        "'a",
        "\"a\"b",
        "1.",
        "1. ",
        "1. a(",
        "1. a()",
        "1. a(\n",
        "a(",
        "join(",
        "Thought:",
        "Thought:\n",
        "a\n",
        "$1.a",
        "${1",
        "\"\"\"",
        "{\"a\":",
        "a=1,",
        "\"$9\"",
        "\"$9\",",
        "é",
        "𝄞",
        "<END_OF_PLAN",
        "\\u",
        "“\"",
        "{\"tasks\":[",
        "[{\"id\":1,",
        "{\"id\":1},",
        "{\"id\":1,",
        "{\n",
        "[\n{\n",
        "},",
        "],",
        "[1,",
    ];
    let prefixes = [
        "",
        "1. now() ",
        "1. store(",
        "1. tag(",
        "1. now()\n2. store(\"",
        "1. now()\n2. store(\"$1",
        "Thought: ",
        "1. join(",
        "{\"tasks\": [",
        "{\"tasks\": [{\"id\": 1, \"tool\": \"store\", \"arguments\": {\"value\": ",
        "{\"thought\": \"",
        "{\"join\": ",
    ];
    for (index, prefix) in prefixes.iter().enumerate() {
        let noises = (index < 3).then_some(noise.clone());
        let garbage = kinds.iter().map(|kind| kind.repeat(SMALL / kind.len())).chain(noises);
        for garbage in garbage {
            let text = format!("{prefix}{garbage}");
            for size in [5, text.len()] {
                let (machine, steps) = play(&tools, &text, size);
                assert!(machine.closed());
                assert_eq!(count(&steps, |step| matches!(step, Step::Closed { .. })), 1);
            }
        }
    }
}

#[test]
fn a_megabyte_of_garbage_ends_in_time_with_a_closed_plan() {
    let tools = everyday();
    for kind in ["(", "\"", "$1[", "\n", "1. a(", "7", "\0", "a\n"] {
        let (machine, _) = play(&tools, &kind.repeat(MEGABYTE / kind.len()), 64);
        assert!(machine.closed());
    }
    for kind in ["(", "[", "\"a", "$1 ", "\n"] {
        let (machine, _) = play(&tools, &format!("1. store(\"\", {}", kind.repeat(MEGABYTE / kind.len())), 64);
        assert!(machine.closed());
    }
}

#[test]
fn bytes_that_are_no_text_end_in_time() {
    for byte in [0xff_u8, 0x80, 0xe2, 0xf0, 0x00] {
        let bytes = vec![byte; MEGABYTE];
        for (bytes, size) in [(&bytes[..SMALL], 1), (&bytes[..SMALL], 4), (&bytes[..], MEGABYTE)] {
            let begun = Instant::now();
            let mut machine = Machine::new(everyday(), None);
            bytes.chunks(size).for_each(|piece| drop(machine.feed(piece)));
            machine.finish(false);
            assert!(begun.elapsed() < bound(bytes.len()), "{byte:x} in pieces of {size}");
            assert!(machine.closed());
        }
    }
}

#[test]
fn arguments_without_number_are_linear_work() {
    let tools = everyday();
    let mut named = "1. tag(".to_owned();
    for index in 0..60_000 {
        let _ = write!(named, "name_{index}={index}, ");
    }
    named.push_str(")\n2. join()");
    let (_, steps) = play(&tools, &named, 4);
    assert_eq!(count(&steps, |step| matches!(step, Step::Ready { .. })), 1);
    // A long word that is no name, and a sign before which a name would end, again and again.
    for sign in ["=", ":", "#", " #", "\"", "[", "{"] {
        play(&tools, &format!("1. tag({}!{}", "a".repeat(MEGABYTE / 4), sign.repeat(MEGABYTE / 4)), MEGABYTE);
    }
}

#[test]
fn a_long_string_is_linear_work_whatever_is_in_it() {
    let tools = everyday();
    for inside in ["x", "x ", "line\n", "\\n", "\\\"", "$9 ", "$$", "$1 ", "it's ", "é", "1. x\n", "a \"b\" "] {
        let text = format!("1. now()\n2. store(\"{}\")\n3. join()", inside.repeat(MEGABYTE / 4 / inside.len()));
        for size in [4, text.len()] {
            let (machine, steps) = play(&tools, &text, size);
            assert!(machine.closed());
            assert_eq!(count(&steps, |step| matches!(step, Step::Planned { .. })), 2, "{inside:?}");
        }
        let task =
            |id, value: &str| format!("{{\"id\":{id},\"tool\":\"store\",\"arguments\":{{\"value\":\"{value}\"}}}}");
        let text = format!("{{\"tasks\":[{},{}]}}", task(1, ""), task(2, &inside.repeat(MEGABYTE / 4 / inside.len())));
        for size in [4, text.len()] {
            let (machine, steps) = play(&tools, &text, size);
            assert!(machine.closed());
            assert_eq!(count(&steps, |step| matches!(step, Step::Planned { .. })), 2, "{inside:?}");
        }
    }
}

#[test]
fn long_reasoning_is_linear_work_whatever_is_in_it() {
    let tools = everyday();
    for inside in ["x", "1. search(\"a\n", "<", "</thin", "<think>", "{\"tasks\": [", "\n", "Thought: é </think"] {
        let inside = inside.repeat(MEGABYTE / 4 / inside.len());
        for size in [4, MEGABYTE] {
            let (machine, steps) = play(&tools, &format!("<think>{inside}\n</think>\n1. now()\n2. join($1)"), size);
            assert!(machine.closed());
            assert_eq!(steps.len(), 3, "{steps:?}");
            for text in [format!("So {inside}"), format!("<think>{inside}"), format!("1. now()\n2. join()\n3 {inside}")]
            {
                assert!(play(&tools, &text, size).0.closed());
            }
        }
    }
}
