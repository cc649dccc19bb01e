//! What Python sees: text and JSON in, small frozen objects out. The only file that knows Python.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyList, PyString};

use crate::reply::{ReplyReader, ReplyStep, VerdictKind};
use crate::sse::{self, SseDecoder};
use crate::step::{self, TaskId};
use crate::{feed, form, machine, template, toolset};

/// Text, or the bytes of text.
enum Text {
    Str(PyBackedStr),
    Bytes(PyBackedBytes),
}

impl<'py> FromPyObject<'_, 'py> for Text {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        // Not one after the other: an extraction that fails makes an exception, which costs more than the text.
        if object.is_instance_of::<PyString>() {
            return object.extract().map(Self::Str);
        }
        Ok(Self::Bytes(object.extract()?))
    }
}

impl Text {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Str(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

#[pyclass(frozen, module = "dovetail._core")]
struct ToolSet(Arc<toolset::ToolSet>);

#[pymethods]
impl ToolSet {
    #[new]
    #[allow(clippy::needless_pass_by_value, reason = "extracted from Python by value")]
    fn new(tools_json: Text) -> PyResult<Self> {
        toolset::ToolSet::from_json(tools_json.as_bytes())
            .map(|set| Self(Arc::new(set)))
            .map_err(|error| PyValueError::new_err(error.to_string()))
    }

    #[getter]
    fn names(&self) -> Vec<String> {
        self.0.names().map(str::to_owned).collect()
    }

    #[allow(clippy::needless_pass_by_value, reason = "extracted from Python by value")]
    fn check(&self, tool: &str, arguments_json: Text) -> PyResult<()> {
        self.0.check(tool, arguments_json.as_bytes()).map_err(PyValueError::new_err)
    }
}

#[pyclass(module = "dovetail._core")]
struct Machine(machine::Machine);

#[pymethods]
impl Machine {
    #[new]
    #[pyo3(signature = (tools, *, max_tasks = None))]
    fn new(tools: &ToolSet, max_tasks: Option<usize>) -> Self {
        Self(machine::Machine::new(Arc::clone(&tools.0), max_tasks))
    }

    #[allow(clippy::needless_pass_by_value, reason = "extracted from Python by value")]
    fn feed<'py>(&mut self, py: Python<'py>, text: Text) -> PyResult<Bound<'py, PyList>> {
        steps(py, self.0.feed(text.as_bytes()))
    }

    #[pyo3(signature = (*, cut_off = false))]
    fn finish<'py>(&mut self, py: Python<'py>, cut_off: bool) -> PyResult<Bound<'py, PyList>> {
        steps(py, self.0.finish(cut_off))
    }

    #[allow(clippy::needless_pass_by_value, reason = "extracted from Python by value")]
    fn succeed<'py>(&mut self, py: Python<'py>, task_id: TaskId, output_json: Text) -> PyResult<Bound<'py, PyList>> {
        let output = String::from_utf8_lossy(output_json.as_bytes());
        steps(py, self.0.succeed(task_id, &output))
    }

    fn fail<'py>(&mut self, py: Python<'py>, task_id: TaskId) -> PyResult<Bound<'py, PyList>> {
        steps(py, self.0.fail(task_id))
    }

    #[getter]
    fn closed(&self) -> bool {
        self.0.closed()
    }

    #[getter]
    fn unsettled(&self) -> usize {
        self.0.unsettled()
    }

    #[getter]
    fn next_id(&self) -> TaskId {
        self.0.next_id()
    }

    fn feeds(&self, task_id: TaskId) -> Vec<Feed> {
        self.0.feeds(task_id).into_iter().map(Feed).collect()
    }

    fn answer(&self) -> Option<String> {
        self.0.answer()
    }
}

#[pyclass(frozen, module = "dovetail._core")]
struct Feed(feed::Feed);

/// A step of a path: a key or an index.
#[derive(IntoPyObject)]
enum Segment {
    Key(String),
    Index(usize),
}

#[pymethods]
impl Feed {
    #[getter]
    fn task_id(&self) -> TaskId {
        self.0.task_id
    }

    #[getter]
    fn tool(&self) -> &str {
        &self.0.tool
    }

    #[getter]
    fn path(&self) -> Vec<Segment> {
        let segment = |segment: &template::Segment| match segment {
            template::Segment::Key(key) => Segment::Key(key.clone()),
            template::Segment::Index(index) => Segment::Index(*index),
        };
        self.0.path.iter().map(segment).collect()
    }

    #[getter]
    fn as_text(&self) -> bool {
        self.0.as_text
    }
}

#[pyfunction]
#[pyo3(signature = (tools, plan, *, earlier = "", thought = true))]
fn plan_in_json(tools: &ToolSet, plan: &str, earlier: &str, thought: bool) -> PyResult<String> {
    form::plan_in_json(&tools.0, plan, earlier, thought).map_err(|error| PyValueError::new_err(error.to_string()))
}

#[pyclass(frozen, module = "dovetail._core", get_all)]
struct Thought {
    text: String,
}

#[pyclass(frozen, module = "dovetail._core", get_all)]
struct Planned {
    task_id: TaskId,
    tool: String,
    depends_on: Vec<TaskId>,
    line: u32,
    column: u32,
}

#[pyclass(frozen, module = "dovetail._core", get_all)]
struct Ready {
    task_id: TaskId,
    tool: String,
    arguments: String,
}

#[pyclass(frozen, module = "dovetail._core", get_all)]
struct Unreachable {
    task_id: TaskId,
    because: TaskId,
}

#[pyclass(frozen, module = "dovetail._core", get_all)]
struct Diagnostic {
    severity: &'static str,
    code: &'static str,
    message: String,
    line: u32,
    column: u32,
    task_id: Option<TaskId>,
}

#[pyclass(frozen, module = "dovetail._core", get_all)]
struct Closed {
    answer_task: Option<TaskId>,
}

fn steps(py: Python<'_>, steps: Vec<step::Step>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for step in steps {
        list.append(python_step(py, step)?)?;
    }
    Ok(list)
}

fn python_step(py: Python<'_>, step: step::Step) -> PyResult<Py<PyAny>> {
    Ok(match step {
        step::Step::Thought(text) => Py::new(py, Thought { text })?.into_any(),
        step::Step::Planned { task_id, tool, depends_on, position } => {
            let planned = Planned { task_id, tool, depends_on, line: position.line, column: position.column };
            Py::new(py, planned)?.into_any()
        }
        step::Step::Ready { task_id, tool, arguments } => Py::new(py, Ready { task_id, tool, arguments })?.into_any(),
        step::Step::Unreachable { task_id, because } => Py::new(py, Unreachable { task_id, because })?.into_any(),
        step::Step::Diagnostic(found) => {
            let diagnostic = Diagnostic {
                severity: found.code.severity().as_str(),
                code: found.code.as_str(),
                message: found.message,
                line: found.position.line,
                column: found.position.column,
                task_id: found.task_id,
            };
            Py::new(py, diagnostic)?.into_any()
        }
        step::Step::Closed { answer_task } => Py::new(py, Closed { answer_task })?.into_any(),
    })
}

#[pyclass(name = "ReplyReader", module = "dovetail._core")]
struct PyReplyReader(ReplyReader);

#[pyclass(frozen, module = "dovetail._core", get_all)]
struct AnswerPiece {
    text: String,
}

#[pyclass(frozen, module = "dovetail._core", get_all)]
struct Verdict {
    kind: &'static str,
    text: String,
    mended: bool,
}

#[pymethods]
impl PyReplyReader {
    #[new]
    fn new() -> Self {
        Self(ReplyReader::new())
    }

    fn feed<'py>(&mut self, py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyList>> {
        reply_steps(py, self.0.feed(text))
    }

    fn finish<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        reply_steps(py, self.0.finish())
    }
}

fn reply_steps(py: Python<'_>, steps: Vec<ReplyStep>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for step in steps {
        list.append(match step {
            ReplyStep::Thought(text) => Py::new(py, Thought { text })?.into_any(),
            ReplyStep::AnswerPiece(text) => Py::new(py, AnswerPiece { text })?.into_any(),
            ReplyStep::Verdict { kind, text, mended } => {
                let kind = match kind {
                    VerdictKind::Finish => "finish",
                    VerdictKind::Replan => "replan",
                };
                Py::new(py, Verdict { kind, text, mended })?.into_any()
            }
        })?;
    }
    Ok(list)
}

#[pyclass(frozen, module = "dovetail._core", get_all)]
struct ToolCall {
    id: String,
    name: String,
    arguments: String,
}

impl From<&sse::ToolCall> for ToolCall {
    fn from(call: &sse::ToolCall) -> Self {
        Self { id: call.id.clone(), name: call.name.clone(), arguments: call.arguments.clone() }
    }
}

#[pyclass(name = "SseDecoder", module = "dovetail._core")]
struct PySseDecoder(SseDecoder);

#[pymethods]
impl PySseDecoder {
    #[new]
    fn new() -> Self {
        Self(SseDecoder::new())
    }

    fn feed(&mut self, data: &[u8]) -> String {
        self.0.feed(data)
    }

    fn finish(&mut self) -> String {
        self.0.finish()
    }

    #[getter]
    fn tool_calls(&self) -> Vec<ToolCall> {
        self.0.tool_calls().iter().map(ToolCall::from).collect()
    }

    fn take_tool_calls(&mut self) -> Vec<ToolCall> {
        self.0.take_tool_calls().iter().map(ToolCall::from).collect()
    }

    #[getter]
    fn output_items(&self) -> Vec<&str> {
        self.0.output_items().collect()
    }

    #[getter]
    fn finish_reason(&self) -> Option<&str> {
        self.0.finish_reason()
    }

    #[getter]
    fn usage(&self) -> Option<(u64, u64, u64, u64)> {
        let usage = self.0.usage()?;
        Some((usage.prompt, usage.completion, usage.cached, usage.reasoning))
    }

    #[getter]
    fn done(&self) -> bool {
        self.0.done()
    }

    #[getter]
    fn error(&self) -> Option<&str> {
        self.0.error()
    }

    #[getter]
    fn error_status(&self) -> Option<u16> {
        self.0.error_status()
    }
}

/// The module `dovetail._core`.
#[pymodule]
mod _core {
    #[pymodule_export]
    use super::{
        AnswerPiece, Closed, Diagnostic, Feed, Machine, Planned, PyReplyReader, PySseDecoder, Ready, Thought, ToolCall,
        ToolSet, Unreachable, Verdict, plan_in_json,
    };
}
