//! The plan machine: facts in, steps out. The only place that knows what may run now.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::arguments::{Argument, ReadArguments, Remark, read_arguments};
use crate::graph::{Added, Graph, Refused};
use crate::position::{Locator, Position};
use crate::scanner::{CallEnd, Item, Scanner};
use crate::slips;
use crate::step::{Code, Diagnostic, Step, TaskId};
use crate::template::{BindError, Binder, Fragment, Reference, Template, clip};
use crate::toolset::{Tool, ToolSet};
use crate::utf8::Utf8Decoder;

/// The largest id that a task may have.
const LARGEST_ID: TaskId = 999_999_999;

/// Takes the facts of one run and returns what follows from each.
///
/// Deterministic: the same facts give the same steps, however the text is cut. Total: every input gives steps; what could not
/// be used comes back as a [`Diagnostic`].
#[derive(Debug)]
pub struct Machine {
    tools: Arc<ToolSet>,
    max_tasks: usize,
    decoder: Utf8Decoder,
    scanner: Scanner,
    graph: Graph,
    next_id: TaskId,
    plan: Plan,
    steps: Vec<Step>,
}

/// What is known of the plan that is being read.
#[derive(Debug, Default)]
struct Plan {
    tasks: usize,
    closed: bool,
    finished: bool,
    bad_bytes: bool,
    answer: Option<Reference>,
}

impl Machine {
    /// A machine for one run. Tasks beyond `max_tasks` are diagnosed and not planned.
    #[must_use]
    pub fn new(tools: Arc<ToolSet>, max_tasks: Option<usize>) -> Self {
        Self {
            tools,
            max_tasks: max_tasks.unwrap_or(usize::MAX),
            decoder: Utf8Decoder::default(),
            scanner: Scanner::new(),
            graph: Graph::default(),
            next_id: 1,
            plan: Plan::default(),
            steps: Vec::new(),
        }
    }

    /// A piece of model text: UTF-8, cut anywhere. After [`finish`](Self::finish) it begins another plan.
    pub fn feed(&mut self, piece: &[u8]) -> Vec<Step> {
        if piece.is_empty() {
            return Vec::new();
        }
        self.begin_plan();
        // The decoder lends the text to the loop below, which needs the rest of the machine.
        let mut decoder = std::mem::take(&mut self.decoder);
        let read = decoder.decode(piece);
        self.read_decoded(&read.text, &read.replaced);
        self.decoder = decoder;
        std::mem::take(&mut self.steps)
    }

    /// What was finished is left behind: the text that comes now is another plan's.
    fn begin_plan(&mut self) {
        if self.plan.finished {
            self.plan = Plan::default();
            self.scanner = Scanner::new();
        }
    }

    /// The model stopped; with `cut_off`, it was stopped in the middle.
    pub fn finish(&mut self, cut_off: bool) -> Vec<Step> {
        self.begin_plan();
        let decoded = self.decoder.finish();
        self.read_decoded(&decoded.text, &decoded.replaced);
        self.read("", true, cut_off);
        if !self.plan.closed {
            if self.plan.tasks == 0 {
                let message = "the model wrote no task and no join(): there is no plan to run";
                self.say(Code::EmptyPlan, Position::NOWHERE, message, None);
            } else {
                let how = if cut_off { "was cut off" } else { "ended" };
                self.say(
                    Code::MissingJoin,
                    Position::NOWHERE,
                    format!("the plan {how} without join(): closed here"),
                    None,
                );
            }
            self.close(None);
        }
        self.plan.finished = true;
        std::mem::take(&mut self.steps)
    }

    /// A task that was ready has this output, the text of a JSON value.
    pub fn succeed(&mut self, task_id: TaskId, output: &str) -> Vec<Step> {
        match self.graph.succeed(task_id, output) {
            Ok(free) => {
                for index in free {
                    self.bind(index);
                }
            }
            Err(Refused::Unexpected(message)) => self.say(Code::UnexpectedFact, Position::NOWHERE, message, None),
            Err(Refused::NotJson(message)) => {
                let message = format!("the output of task {task_id} is not JSON: {message}");
                self.fault(task_id, Code::OutputInvalid, Position::NOWHERE, message);
            }
        }
        std::mem::take(&mut self.steps)
    }

    /// A task will produce no output.
    pub fn fail(&mut self, task_id: TaskId) -> Vec<Step> {
        match self.graph.fail(task_id) {
            Ok(unreachable) => self.skip(unreachable, task_id),
            Err(Refused::Unexpected(message) | Refused::NotJson(message)) => {
                self.say(Code::UnexpectedFact, Position::NOWHERE, message, None);
            }
        }
        std::mem::take(&mut self.steps)
    }

    /// Whether the current plan is closed: no further task of it will come.
    #[must_use]
    pub fn closed(&self) -> bool {
        self.plan.closed
    }

    /// How many tasks have neither succeeded nor failed nor become unreachable.
    #[must_use]
    pub fn unsettled(&self) -> usize {
        self.graph.unsettled()
    }

    /// The lowest id that no task and no join has reached yet.
    #[must_use]
    pub fn next_id(&self) -> TaskId {
        self.next_id
    }

    /// The answer that the latest plan named with `join($n)`, as JSON; None if it named none or has none yet.
    #[must_use]
    pub fn answer(&self) -> Option<String> {
        let reference = self.plan.answer.as_ref()?;
        if reference.path.is_empty() {
            return self.graph.output_json(reference.task_id).map(str::to_owned);
        }
        let value = Binder::new(&self.graph).bind(Template::Reference(reference.clone())).ok()?;
        Some(value.to_string())
    }

    fn say(&mut self, code: Code, position: Position, message: impl Into<String>, task_id: Option<TaskId>) {
        self.steps.push(Step::Diagnostic(Diagnostic { code, message: message.into(), position, task_id }));
    }

    fn read_decoded(&mut self, text: &str, replaced: &[usize]) {
        let mut from = 0;
        for &offset in replaced {
            self.read(&text[from..offset], false, false);
            from = offset;
            if !std::mem::replace(&mut self.plan.bad_bytes, true) {
                let message = "bytes that are not UTF-8 were replaced by U+FFFD, here and after";
                self.say(Code::InvalidUtf8, self.scanner.position(), message, None);
            }
        }
        self.read(&text[from..], false, false);
    }

    fn read(&mut self, mut text: &str, last: bool, cut_off: bool) {
        while let Some(item) = self.scanner.next(&mut text, last, &|name| self.tools.contains(name)) {
            match item {
                Item::Thought(thought) => self.steps.push(Step::Thought(thought)),
                Item::Slip(code, position) => self.say(code, position, slips::message(code), None),
                Item::EndOfPlan(position) => {
                    self.say(Code::MissingJoin, position, slips::message(Code::MissingJoin), None);
                    self.close(None);
                }
                Item::Call(CallEnd::Missing | CallEnd::InString(_)) if last && cut_off => self.call(CallEnd::CutOff),
                Item::Call(end) => self.call(end),
            }
        }
    }

    fn close(&mut self, answer: Option<Reference>) {
        self.plan.closed = true;
        self.steps.push(Step::Closed { answer_task: answer.as_ref().map(|reference| reference.task_id) });
        self.plan.answer = answer;
        self.scanner.close();
    }

    /// A call was read: it is in the scanner.
    fn call(&mut self, end: CallEnd) {
        let head = self.scanner.call.head.clone();
        let is_join = head.name.eq_ignore_ascii_case("join");
        let id = if head.digits.is_empty() { Some(self.next_id) } else { head.digits.parse().ok() };
        let Some(id) = id.filter(|id| *id <= LARGEST_ID) else {
            let shown = if head.digits.is_empty() { self.next_id.to_string() } else { clip(&head.digits, 20) };
            let message = format!("{shown} is too large for an id: at most {LARGEST_ID}");
            return self.say(Code::BadId, head.position, message, None);
        };
        let faulty = match end {
            CallEnd::InString(offset) => Some(Remark {
                code: Code::UnterminatedString,
                offset,
                message: "the string that begins here is not closed".to_owned(),
            }),
            CallEnd::CutOff => Some(Remark {
                code: Code::CutOff,
                offset: self.scanner.lexer.text.len(),
                message: "the model was stopped inside this call".to_owned(),
            }),
            CallEnd::Missing | CallEnd::Parenthesis => None,
        };
        if is_join {
            self.next_id = self.next_id.max(id + 1);
            return self.join(end, faulty);
        }
        if self.graph.contains(id) {
            let message =
                format!("another task has the id {id}: this one is not called; give it the id {}", self.next_id);
            return self.say(Code::DuplicateId, head.position, message, None);
        }
        if self.graph.len() >= self.max_tasks {
            let message = format!("the run may have {} tasks: this one is not called", self.max_tasks);
            return self.say(Code::TooManyTasks, head.position, message, None);
        }
        self.next_id = self.next_id.max(id + 1);
        self.plan.tasks += 1;
        self.task(id, end, faulty);
    }

    fn task(&mut self, id: TaskId, end: CallEnd, faulty: Option<Remark>) {
        let tools = Arc::clone(&self.tools);
        let name = self.scanner.call.head.name.clone();
        let position = self.scanner.call.head.position;
        let found = tools.get(&name);
        let (arguments, remarks) = match (faulty, found) {
            (Some(faulty), _) => (Err(faulty), Vec::new()),
            (None, None) => (Err(unknown_tool(&name, &tools)), Vec::new()),
            (None, Some((_, tool))) => {
                let read = self.read_call(tool, end);
                (read.arguments.and_then(|arguments| assign(tool, arguments)), read.hints)
            }
        };
        let depends_on = arguments.as_ref().map_or_else(|_| Vec::new(), |arguments| dependencies(arguments));
        self.steps.push(Step::Planned { task_id: id, tool: name, depends_on: depends_on.clone(), position });
        self.mended(id, end, remarks);
        let checked = arguments.and_then(|arguments| match found {
            Some((index, tool)) => check(tool, arguments, depends_on.is_empty()).map(|arguments| (index, arguments)),
            None => Err(unknown_tool("", &tools)),
        });
        match checked {
            Err(remark) => {
                let place = Locator::new(&self.scanner.lexer.text, self.scanner.call.inside).locate(remark.offset);
                let place = if remark.code == Code::UnknownTool { position } else { place };
                self.graph.add_failed(id, position);
                self.say(remark.code, place, remark.message, Some(id));
            }
            Ok((index, arguments)) => {
                let (task, added) = self.graph.add(id, index, position, arguments, &depends_on);
                match added {
                    Added::Waiting => {}
                    Added::Free => self.bind(task),
                    Added::Unreachable { because } => self.steps.push(Step::Unreachable { task_id: id, because }),
                }
            }
        }
    }

    /// Reads the arguments of the call in the scanner.
    fn read_call(&mut self, tool: &Tool, end: CallEnd) -> ReadArguments {
        let is_task = |id| self.graph.contains(id);
        let lexer = &self.scanner.lexer;
        let read = read_arguments(&lexer.text, &lexer.tokens, Some(tool), &is_task);
        if end != CallEnd::Missing || read.arguments.is_ok() {
            return read;
        }
        // Lines of prose may stand where the parenthesis is missing.
        let Some(line) = lexer.first_line() else { return read };
        let mut first = read_arguments(line.text, &line.tokens, Some(tool), &is_task);
        if first.arguments.is_err() {
            return read;
        }
        first.hints.push(Remark {
            code: Code::TrailingText,
            offset: line.behind,
            message: slips::message(Code::TrailingText).to_owned(),
        });
        self.scanner.lexer.several_lines = false;
        first
    }

    /// Says what was mended in the call that was just read.
    fn mended(&mut self, id: TaskId, end: CallEnd, remarks: Vec<Remark>) {
        let call = &self.scanner.call;
        let start = call.head.position;
        let mut codes = slips::of_call(call, &self.scanner.lexer);
        if end == CallEnd::Missing {
            codes.push(Code::MissingParenthesis);
        }
        let mut said: Vec<Diagnostic> = codes
            .into_iter()
            .map(|code| Diagnostic {
                code,
                message: slips::message(code).to_owned(),
                position: start,
                task_id: Some(id),
            })
            .collect();
        let mut locator = Locator::new(&self.scanner.lexer.text, call.inside);
        said.extend(remarks.into_iter().map(|remark| Diagnostic {
            code: remark.code,
            message: remark.message,
            position: locator.locate(remark.offset),
            task_id: Some(id),
        }));
        self.steps.extend(said.into_iter().map(Step::Diagnostic));
    }

    fn join(&mut self, end: CallEnd, faulty: Option<Remark>) {
        let lexer = &self.scanner.lexer;
        let position = self.scanner.call.head.position;
        let graph = &self.graph;
        let read = read_arguments(&lexer.text, &lexer.tokens, None, &|id| graph.contains(id));
        let faulty = faulty.or_else(|| read.arguments.as_ref().err().cloned());
        let mut answer = None;
        let mut ignored = None;
        match (faulty, read.arguments.as_deref()) {
            (Some(remark), _) if matches!(remark.code, Code::UnknownReference | Code::CutOff) => {
                let place = Locator::new(&lexer.text, self.scanner.call.inside).locate(remark.offset);
                ignored = Some((remark.code, place, remark.message));
            }
            (None, Ok([])) => {}
            (None, Ok([Argument { value: Template::Reference(reference), .. }])) => answer = Some(reference.clone()),
            _ => ignored = Some((Code::JoinArguments, position, slips::message(Code::JoinArguments).to_owned())),
        }
        let mut codes = slips::of_call(&self.scanner.call, lexer);
        if matches!(end, CallEnd::Missing | CallEnd::InString(_)) {
            codes.push(Code::MissingParenthesis);
        }
        for code in codes {
            self.say(code, position, slips::message(code), None);
        }
        if let Some((code, place, message)) = ignored {
            self.say(code, place, message, None);
        }
        if self.plan.tasks == 0 && answer.is_none() {
            self.say(Code::NoTasks, position, slips::message(Code::NoTasks), None);
        }
        self.close(answer);
    }

    /// A task waits for nothing any more: its arguments are bound and checked.
    fn bind(&mut self, index: usize) {
        let tools = Arc::clone(&self.tools);
        let Some(task) = self.graph.task(index) else { return };
        let Some(tool) = tools.at(task.tool) else { return };
        let (id, position) = (task.id, task.position);
        let arguments = self.graph.take_arguments(index);
        match bind_arguments(&self.graph, tool, arguments) {
            Ok(arguments) => {
                self.graph.set_ready(index);
                self.steps.push(Step::Ready { task_id: id, tool: tool.name.clone(), arguments });
            }
            Err((code, message)) => self.fault(id, code, position, message),
        }
    }

    /// A task that was planned cannot be called.
    fn fault(&mut self, id: TaskId, code: Code, position: Position, message: String) {
        self.say(code, position, message, Some(id));
        if let Ok(unreachable) = self.graph.fail(id) {
            self.skip(unreachable, id);
        }
    }

    fn skip(&mut self, unreachable: Vec<TaskId>, because: TaskId) {
        self.steps.extend(unreachable.into_iter().map(|task_id| Step::Unreachable { task_id, because }));
    }
}

fn unknown_tool(name: &str, tools: &ToolSet) -> Remark {
    let nearest = tools
        .names()
        .map(|known| (strsim::damerau_levenshtein(&known.to_lowercase(), &name.to_lowercase()), known))
        .min()
        .filter(|(distance, known)| *distance <= 1 + known.len() / 3);
    let remedy = match nearest {
        Some((_, known)) => format!("did you mean {known}?"),
        None => format!("the tools are {}", clip(&tools.names().collect::<Vec<_>>().join(", "), 200)),
    };
    Remark { code: Code::UnknownTool, offset: 0, message: format!("there is no tool {:?}; {remedy}", clip(name, 60)) }
}

/// Gives each argument the name of its parameter.
fn assign(tool: &Tool, arguments: Vec<Argument>) -> Result<Vec<(String, Template)>, Remark> {
    let remark = |code, offset, message| Err(Remark { code, offset, message });
    let signature = || format!("{}({})", tool.name, tool.parameters.join(", "));
    let mut assigned: Vec<(String, Template)> = Vec::with_capacity(arguments.len());
    let mut taken = HashSet::with_capacity(arguments.len());
    let mut named = false;
    for (index, Argument { name, value, offset }) in arguments.into_iter().enumerate() {
        let name = match name {
            Some(name) if !tool.takes(&name) => {
                let message = format!("there is no argument {:?}: the tool is {}", clip(&name, 60), signature());
                return remark(Code::UnknownArgument, offset, message);
            }
            Some(name) => {
                named = true;
                name
            }
            None if named => {
                let message = "a positional argument follows a named one; give it its name".to_owned();
                return remark(Code::PositionalAfterNamed, offset, message);
            }
            None => {
                let Some(parameter) = tool.parameters.get(index) else {
                    let message = format!("there is no argument {}: the tool is {}", index + 1, signature());
                    return remark(Code::TooManyArguments, offset, message);
                };
                parameter.clone()
            }
        };
        if !taken.insert(name.clone()) {
            return remark(Code::RepeatedArgument, offset, format!("the argument {name:?} is given twice"));
        }
        assigned.push((name, value));
    }
    match tool.required.iter().find(|required| !taken.contains(*required)) {
        Some(missing) => {
            let message = format!("the argument {missing:?} is missing: the tool is {}", signature());
            remark(Code::MissingArgument, 0, message)
        }
        None => Ok(assigned),
    }
}

/// The tasks that the arguments refer to, ascending.
fn dependencies(arguments: &[(String, Template)]) -> Vec<TaskId> {
    fn collect(template: &Template, ids: &mut Vec<TaskId>) {
        match template {
            Template::Constant(_) => {}
            Template::Reference(reference) => ids.push(reference.task_id),
            Template::Text(fragments) => ids.extend(fragments.iter().filter_map(|fragment| match fragment {
                Fragment::Reference(reference) => Some(reference.task_id),
                Fragment::Literal(_) => None,
            })),
            Template::List(items) => items.iter().for_each(|item| collect(item, ids)),
            Template::Object(members) => members.iter().for_each(|(_, member)| collect(member, ids)),
        }
    }
    let mut ids = Vec::new();
    for (_, template) in arguments {
        collect(template, &mut ids);
    }
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Checks what is known of the arguments when the task is planned. All of them, if they are constant, are checked when they
/// are bound, which is at once.
fn check(
    tool: &Tool,
    mut arguments: Vec<(String, Template)>,
    constant: bool,
) -> Result<Vec<(String, Template)>, Remark> {
    if constant {
        return Ok(arguments);
    }
    let mut known = Map::new();
    for (name, template) in &mut arguments {
        let fits = tool.fit(name, template);
        fits.map_err(|violation| Remark { code: violation.code, offset: 0, message: violation.message })?;
        if let Template::Constant(value) = template {
            known.insert(name.clone(), value.clone());
        }
    }
    if !known.is_empty() {
        let checked = tool.check_known(known);
        checked.map_err(|violation| Remark { code: violation.code, offset: 0, message: violation.message })?;
    }
    Ok(arguments)
}

fn bind_arguments(graph: &Graph, tool: &Tool, arguments: Vec<(String, Template)>) -> Result<String, (Code, String)> {
    let mut binder = Binder::new(graph);
    let mut bound = Map::with_capacity(arguments.len());
    for (name, template) in arguments {
        let value = binder.bind(template).map_err(|error| match error {
            BindError::MissingPath(message) => (Code::MissingPath, format!("argument {name:?}: {message}")),
            BindError::TooLarge => {
                (Code::ArgumentsTooLarge, format!("argument {name:?}: the outputs it holds are too large"))
            }
            BindError::Output { task_id, message } => (
                Code::OutputInvalid,
                format!("argument {name:?}: the output of task {task_id} cannot be read: {message}"),
            ),
        })?;
        bound.insert(name, value);
    }
    let bound = Value::Object(bound);
    tool.check(&bound).map_err(|violation| (violation.code, violation.message))?;
    Ok(bound.to_string())
}
