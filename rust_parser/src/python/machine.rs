//! The plan machine, and what it says.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyList;

use super::{Text, ToolSet};
use crate::step::{self, TaskId};
use crate::{feed, machine, template};

#[pyclass(module = "dovetail._core")]
pub(super) struct Machine(machine::Machine);

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
pub(super) struct Feed(feed::Feed);

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

#[pyclass(frozen, module = "dovetail._core", get_all)]
pub(super) struct Thought {
    pub(super) text: String,
}

#[pyclass(frozen, module = "dovetail._core", get_all)]
pub(super) struct Planned {
    task_id: TaskId,
    tool: String,
    depends_on: Vec<TaskId>,
    line: u32,
    column: u32,
}

#[pyclass(frozen, module = "dovetail._core", get_all)]
pub(super) struct Ready {
    task_id: TaskId,
    tool: String,
    arguments: String,
}

#[pyclass(frozen, module = "dovetail._core", get_all)]
pub(super) struct Unreachable {
    task_id: TaskId,
    because: TaskId,
}

#[pyclass(frozen, module = "dovetail._core", get_all)]
pub(super) struct Diagnostic {
    severity: &'static str,
    code: &'static str,
    message: String,
    line: u32,
    column: u32,
    task_id: Option<TaskId>,
}

#[pyclass(frozen, module = "dovetail._core", get_all)]
pub(super) struct Closed {
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
