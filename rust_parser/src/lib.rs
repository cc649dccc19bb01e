//! The plan machine: takes the text of an LLM's plan of tool calls, however it is cut, and the outputs of the calls, and says
//! what may run now. No I/O, no clock, no threads.
//!
//! Text flows one way: bytes ([`utf8`]) → thoughts and calls ([`scanner`], [`head`]), or the parts of a plan in JSON, these cut into tokens ([`lexer`],
//! [`token`]) → arguments with references ([`arguments`], [`literal`], [`reference`], [`template`]) → tasks and their edges
//! ([`machine`], [`binding`], [`graph`]), checked against the tools' schemas ([`toolset`]). Two further readers stand beside
//! it: of a joiner's reply ([`reply`]) and of the bytes of a model's stream ([`sse`]). A plan in lines is written in JSON by
//! [`form`]; [`feed`] tells where an output goes.

mod arguments;
mod binding;
mod escape;
pub mod feed;
pub mod form;
mod graph;
mod head;
mod lexer;
mod literal;
pub mod machine;
mod position;
#[cfg(feature = "python")]
mod python;
mod reasoning;
mod reference;
pub mod reply;
mod scanner;
mod slips;
pub mod sse;
pub mod step;
mod template;
mod token;
pub mod toolset;
mod utf8;

pub use feed::Feed;
pub use machine::Machine;
pub use position::Position;
pub use step::{Code, Diagnostic, Severity, Step, TaskId};
pub use template::Segment;
pub use toolset::{ToolSet, ToolSetError};
