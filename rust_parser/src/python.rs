//! What Python sees: text and JSON in, small frozen objects out. What knows Python is here and in the files below.

mod machine;
mod readers;

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::PyString;

use crate::{form, toolset};

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

#[pyfunction]
#[allow(clippy::needless_pass_by_value, reason = "extracted from Python by value")]
fn declared_arguments(input_schema_json: Text) -> PyResult<String> {
    toolset::declared_arguments(input_schema_json.as_bytes()).map_err(|error| PyValueError::new_err(error.to_string()))
}

#[pyfunction]
#[pyo3(signature = (tools, plan, *, earlier = "", thought = true))]
fn plan_in_json(tools: &ToolSet, plan: &str, earlier: &str, thought: bool) -> PyResult<String> {
    form::plan_in_json(&tools.0, plan, earlier, thought).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// The module `dovetail._core`.
#[pymodule]
mod _core {
    #[pymodule_export]
    use super::machine::{Closed, Diagnostic, Feed, Machine, Planned, Ready, Thought, Unreachable};
    #[pymodule_export]
    use super::readers::{AnswerPiece, PyReplyReader, PySseDecoder, ToolCall, Verdict};
    #[pymodule_export]
    use super::{ToolSet, declared_arguments, plan_in_json};
}
