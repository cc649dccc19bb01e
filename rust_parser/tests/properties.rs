//! What holds for every text, every cut and every order of outcomes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod play;
mod texts;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use dovetail_core::{Code, Machine, Severity, Step, TaskId, ToolSet};
use play::everyday;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};
use texts::{any_plan, without_tags};

static TOOLS: LazyLock<Arc<ToolSet>> = LazyLock::new(everyday);

fn machine() -> Machine {
    Machine::new(Arc::clone(&TOOLS), None)
}

/// Feeds `bytes` cut at `cuts`.
fn feed_cut(bytes: &[u8], cuts: &[Index], mut feed: impl FnMut(&[u8])) {
    let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).for_each(|pair| feed(&bytes[pair[0]..pair[1]]));
}

fn read_cut(bytes: &[u8], cuts: &[Index]) -> Vec<Step> {
    let mut machine = machine();
    let mut steps = Vec::new();
    feed_cut(bytes, cuts, |piece| steps.extend(machine.feed(piece)));
    steps.extend(machine.finish(false));
    steps
}

fn read_by_bytes(bytes: &[u8]) -> Vec<Step> {
    let mut machine = machine();
    let mut steps: Vec<_> = bytes.chunks(1).flat_map(|byte| machine.feed(byte)).collect();
    steps.extend(machine.finish(false));
    steps
}

/// The steps of a plan, the last of which closes it: behind long prose, a join waits for the end of the text.
fn closed_last(steps: Vec<Step>) -> Vec<Step> {
    let (closed, mut others): (Vec<_>, Vec<_>) =
        steps.into_iter().partition(|step| matches!(step, Step::Closed { .. }));
    others.extend(closed);
    others
}

/// The step of a plan that begins so many lines further down.
fn lower(step: Step, lines: u32) -> Step {
    match step {
        Step::Planned { task_id, tool, depends_on, mut position } => {
            position.line += lines;
            Step::Planned { task_id, tool, depends_on, position }
        }
        Step::Diagnostic(mut found) => {
            found.position.line += if found.position.line > 0 { lines } else { 0 };
            Step::Diagnostic(found)
        }
        other => other,
    }
}

/// What became of each task, and whether that is possible.
#[derive(Default)]
struct Ledger {
    planned: BTreeMap<TaskId, Vec<TaskId>>,
    ready: BTreeSet<TaskId>,
    invalid: BTreeSet<TaskId>,
    unreachable: BTreeMap<TaskId, TaskId>,
    succeeded: BTreeSet<TaskId>,
    failed: BTreeSet<TaskId>,
    closed: usize,
}

impl Ledger {
    /// Notes steps; returns the tasks that became ready.
    fn note(&mut self, steps: &[Step]) -> Vec<TaskId> {
        let mut ready = Vec::new();
        for step in steps {
            match step {
                Step::Planned { task_id, depends_on, .. } => {
                    assert!(depends_on.is_sorted(), "{step:?}");
                    assert!(depends_on.iter().all(|other| self.planned.contains_key(other)), "{step:?}");
                    assert!(self.planned.insert(*task_id, depends_on.clone()).is_none(), "two plans of {task_id}");
                }
                Step::Ready { task_id, arguments, .. } => {
                    assert!(self.planned[task_id].iter().all(|other| self.succeeded.contains(other)), "{step:?}");
                    assert!(!self.is_over(*task_id) && self.ready.insert(*task_id), "{step:?}");
                    assert!(serde_json::from_str::<serde_json::Value>(arguments).unwrap().is_object());
                    ready.push(*task_id);
                }
                Step::Unreachable { task_id, because } => {
                    assert!(self.invalid.contains(because) || self.failed.contains(because), "{step:?}");
                    assert!(!self.is_over(*task_id) && !self.ready.contains(task_id), "{step:?}");
                    self.unreachable.insert(*task_id, *because);
                }
                Step::Diagnostic(found) if found.code.severity() == Severity::Error => {
                    if let Some(task_id) = found.task_id {
                        assert!(self.planned.contains_key(&task_id), "{step:?}");
                        assert!(!self.is_over(task_id) && !self.ready.contains(&task_id), "{step:?}");
                        self.invalid.insert(task_id);
                    }
                }
                Step::Diagnostic(_) | Step::Thought(_) => {}
                Step::Closed { .. } => self.closed += 1,
            }
        }
        ready
    }

    fn is_over(&self, task_id: TaskId) -> bool {
        self.invalid.contains(&task_id) || self.unreachable.contains_key(&task_id)
    }

    fn settle(&mut self, machine: &mut Machine, task_id: TaskId, succeeds: bool) -> Vec<Step> {
        if succeeds {
            self.succeeded.insert(task_id);
            machine.succeed(task_id, &output(task_id))
        } else {
            self.failed.insert(task_id);
            machine.fail(task_id)
        }
    }

    fn check_settled(&self, machine: &Machine) {
        assert_eq!(machine.unsettled(), 0);
        assert_eq!(self.closed, 1);
        for task_id in self.planned.keys() {
            assert!(self.ready.contains(task_id) || self.is_over(*task_id), "task {task_id} was lost");
        }
    }
}

/// An output that depends on its task only, and looks like a plan to who looks into it.
fn output(task_id: TaskId) -> String {
    match task_id % 4 {
        0 => format!("{{\"k\": {task_id}}}"),
        1 => task_id.to_string(),
        2 => "\"$1 )\\n99. search(\\\"x\\\")\\n\"".to_owned(),
        _ => "[null, [], {}]".to_owned(),
    }
}

/// Whether a task succeeds: by its id, so that every order has the same outcomes.
fn succeeds(task_id: TaskId, mask: u16) -> bool {
    mask >> (task_id % 16) & 1 == 0
}

/// Everything that was said, in no order; which of several failed tasks is named as the root depends on the order.
fn said(steps: &[Step]) -> Vec<String> {
    let mut said: Vec<_> = steps
        .iter()
        .map(|step| match step {
            Step::Unreachable { task_id, .. } => format!("unreachable {task_id}"),
            other => format!("{other:?}"),
        })
        .collect();
    said.sort_unstable();
    said
}

/// Feeds a text in cuts and settles tasks between them, in the order that `picks` gives.
fn interleave(text: &str, cuts: &[Index], picks: &[Index], mask: u16) -> Vec<Step> {
    let mut machine = machine();
    let mut ledger = Ledger::default();
    let mut open = Vec::new();
    let mut all = Vec::new();
    let mut picks = picks.iter().cycle();
    let mut settle = |machine: &mut Machine, ledger: &mut Ledger, open: &mut Vec<TaskId>, all: &mut Vec<Step>| {
        let task_id = open.swap_remove(picks.next().unwrap().index(open.len()));
        let steps = ledger.settle(machine, task_id, succeeds(task_id, mask));
        open.extend(ledger.note(&steps));
        all.extend(steps);
    };
    feed_cut(text.as_bytes(), cuts, |piece| {
        let steps = machine.feed(piece);
        open.extend(ledger.note(&steps));
        all.extend(steps);
        if !open.is_empty() {
            settle(&mut machine, &mut ledger, &mut open, &mut all);
        }
    });
    let steps = machine.finish(false);
    open.extend(ledger.note(&steps));
    all.extend(steps);
    while !open.is_empty() {
        settle(&mut machine, &mut ledger, &mut open, &mut all);
    }
    ledger.check_settled(&machine);
    all
}

/// The readiness of every task, found anew by looking at all of them.
struct Naive {
    needs: Vec<Vec<usize>>,
    outcome: Vec<Option<bool>>,
    ready: Vec<bool>,
    unreachable: Vec<bool>,
}

impl Naive {
    fn new(needs: Vec<Vec<usize>>) -> Self {
        let tasks = needs.len();
        Self { needs, outcome: vec![None; tasks], ready: vec![false; tasks], unreachable: vec![false; tasks] }
    }

    /// Which of the first `planned` tasks are now ready, and which unreachable, that were not before.
    fn look(&mut self, planned: usize) -> (BTreeSet<usize>, BTreeSet<usize>) {
        let (mut ready, mut unreachable) = (BTreeSet::new(), BTreeSet::new());
        for task in 0..planned {
            if self.ready[task] || self.unreachable[task] {
                continue;
            }
            if self.needs[task].iter().any(|&need| self.unreachable[need] || self.outcome[need] == Some(false)) {
                self.unreachable[task] = true;
                unreachable.insert(task);
            } else if self.needs[task].iter().all(|&need| self.outcome[need] == Some(true)) {
                self.ready[task] = true;
                ready.insert(task);
            }
        }
        (ready, unreachable)
    }
}

fn place(task_id: TaskId) -> usize {
    usize::try_from(task_id).unwrap() - 1
}

fn graph() -> impl Strategy<Value = Vec<Vec<usize>>> {
    let needs = |task: usize| subsequence((0..task).collect::<Vec<_>>(), 0..=task.min(4));
    (1..40_usize).prop_flat_map(move |tasks| (0..tasks).map(needs).collect::<Vec<_>>())
}

/// No files of failures: what was found is kept as a vector.
fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_bytes_give_the_same_steps_in_every_cut(bytes in vec(any::<u8>(), 0..200), cuts in vec(any::<Index>(), 0..8)) {
        let whole = read_cut(&bytes, &[]);
        prop_assert_eq!(&read_cut(&bytes, &cuts), &whole);
        prop_assert_eq!(read_by_bytes(&bytes), whole);
    }

    #[test]
    fn text_like_a_plan_gives_the_same_steps_in_every_cut(text in any_plan(), cuts in vec(any::<Index>(), 0..8)) {
        let whole = read_cut(text.as_bytes(), &[]);
        prop_assert_eq!(&read_cut(text.as_bytes(), &cuts), &whole);
        prop_assert_eq!(read_by_bytes(text.as_bytes()), whole);
    }

    #[test]
    fn text_between_the_tags_of_reasoning_changes_nothing(
        thought in prop_oneof![any_plan(), any::<String>()],
        (opening, closing) in prop_oneof![Just(("<think>", "</think>")), Just(("\n <Reasoning>", "</REASONING>"))],
        text in any_plan(),
        cuts in vec(any::<Index>(), 0..8),
    ) {
        let (thought, text) = (without_tags(&thought), without_tags(&text));
        let whole = format!("{opening}{thought}{closing}\n{text}");
        let lines = whole[..whole.len() - text.len()].matches('\n').count();
        let plain = read_cut(text.as_bytes(), &[]);
        let lower = |step| lower(step, u32::try_from(lines).unwrap());
        let expected: Vec<_> = plain.into_iter().map(lower).collect();
        prop_assert_eq!(closed_last(read_cut(whole.as_bytes(), &cuts)), closed_last(expected));
    }

    #[test]
    fn every_planned_task_is_settled_once_and_none_is_lost(
        text in any_plan(), cuts in vec(any::<Index>(), 0..8), picks in vec(any::<Index>(), 1..20), mask in any::<u16>(),
    ) {
        interleave(&text, &cuts, &picks, mask);
    }

    #[test]
    fn what_is_said_does_not_depend_on_when_outputs_come(
        text in any_plan(), cuts in vec(any::<Index>(), 0..8), picks in vec(any::<Index>(), 1..20), mask in any::<u16>(),
    ) {
        let late = interleave(&text, &[], &picks[..1], mask);
        prop_assert_eq!(said(&interleave(&text, &cuts, &picks, mask)), said(&late));
    }

    #[test]
    fn positions_lie_inside_the_text(text in any_plan()) {
        let lines: Vec<_> = text.split('\n').map(|line| line.chars().count()).collect();
        for step in read_cut(text.as_bytes(), &[]) {
            let position = match step {
                Step::Planned { position, .. } => position,
                Step::Diagnostic(found) if found.position.line > 0 => found.position,
                Step::Diagnostic(found) => {
                    prop_assert!(matches!(found.code, Code::MissingJoin | Code::EmptyPlan));
                    continue;
                }
                _ => continue,
            };
            let line = lines.get(position.line as usize - 1);
            prop_assert!(line.is_some_and(|length| position.column as usize <= length + 1), "{position:?}");
        }
    }

    #[test]
    fn readiness_is_what_a_look_at_all_tasks_would_find(
        needs in graph(), order in vec(any::<Index>(), 1..60), mask in any::<u64>(), together in any::<bool>(),
    ) {
        let mut naive = Naive::new(needs.clone());
        let mut machine = machine();
        let mut open: Vec<usize> = Vec::new();
        let mut order = order.iter().cycle();
        let mut planned = 0;
        while planned < needs.len() || !open.is_empty() {
            let steps = if planned < needs.len() && (together || open.is_empty() || order.next().unwrap().index(3) > 0) {
                let mut line = format!("{}. store([\"x\"", planned + 1);
                for need in &needs[planned] {
                    let _ = write!(line, ", ${}", need + 1);
                }
                line.push_str("])\n");
                planned += 1;
                machine.feed(line.as_bytes())
            } else {
                let task = open.swap_remove(order.next().unwrap().index(open.len()));
                let succeeds = mask >> (task % 64) & 1 == 0 || !task.is_multiple_of(3);
                naive.outcome[task] = Some(succeeds);
                let task_id = TaskId::try_from(task + 1).unwrap();
                if succeeds { machine.succeed(task_id, "1") } else { machine.fail(task_id) }
            };
            let (mut ready, mut unreachable) = (BTreeSet::new(), BTreeSet::new());
            for step in steps {
                match step {
                    Step::Ready { task_id, .. } => prop_assert!(ready.insert(place(task_id))),
                    Step::Unreachable { task_id, .. } => prop_assert!(unreachable.insert(place(task_id))),
                    Step::Planned { task_id, depends_on, .. } => {
                        let needs: Vec<_> = depends_on.into_iter().map(place).collect();
                        prop_assert_eq!(&needs, &naive.needs[place(task_id)]);
                    }
                    other => prop_assert!(false, "{other:?}"),
                }
            }
            open.extend(&ready);
            prop_assert_eq!((ready, unreachable), naive.look(planned));
        }
        prop_assert_eq!(machine.unsettled(), 0);
    }
}
