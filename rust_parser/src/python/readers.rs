//! The readers of replies and of streams.

use pyo3::prelude::*;
use pyo3::types::PyList;

use super::machine::Thought;
use crate::reply::{ReplyReader, ReplyStep, VerdictKind};
use crate::sse::{self, SseDecoder};

#[pyclass(name = "ReplyReader", module = "dovetail._core")]
pub(super) struct PyReplyReader(ReplyReader);

#[pyclass(frozen, module = "dovetail._core", get_all)]
pub(super) struct AnswerPiece {
    text: String,
}

#[pyclass(frozen, module = "dovetail._core", get_all)]
pub(super) struct Verdict {
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
pub(super) struct ToolCall {
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
pub(super) struct PySseDecoder(SseDecoder);

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
    fn usage(&self) -> Option<(u64, u64, u64, u64, u64)> {
        let usage = self.0.usage()?;
        Some((usage.prompt, usage.completion, usage.cached, usage.reasoning, usage.cache_written))
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
