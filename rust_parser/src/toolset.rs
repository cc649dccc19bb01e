//! The tools that a plan may call, their schemas compiled once.

mod complete;
mod declared;
mod nulls;
mod place;

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value};

use self::declared::Declared;
use self::place::Strings;
use crate::head::{is_name_character, is_name_start};
use crate::step::Code;
use crate::template::{Template, clip};

/// The tools that a plan may call. Shared, never changed.
#[derive(Debug)]
pub struct ToolSet {
    tools: Vec<Tool>,
    by_name: HashMap<String, usize>,
}

/// A tool set that cannot be used: which tool, which field, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolSetError(String);

impl fmt::Display for ToolSetError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for ToolSetError {}

/// One tool.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) name: String,
    /// Its arguments, wherever in the schema they are declared.
    declared: Declared,
    schema: Value,
    validator: Validator,
    /// The same without demands on what must be there: for the arguments that are known before the others exist.
    partial: OnceLock<Option<Validator>>,
}

/// The arguments that the input schema of a tool declares, wherever in it, as a schema without alternatives.
///
/// # Errors
///
/// The text is no JSON.
pub fn declared_arguments(schema: &[u8]) -> Result<String, ToolSetError> {
    let schema: Value =
        serde_json::from_slice(schema).map_err(|error| ToolSetError(format!("the schema is not JSON: {error}")))?;
    Ok(Declared::by(&schema).schema.to_string())
}

/// A value that its schema does not allow.
pub(crate) struct Violation {
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl ToolSet {
    /// Reads a JSON list of tools in MCP's shape, or an object with such a list under `tools`, and compiles their schemas.
    ///
    /// # Errors
    ///
    /// The text is no such JSON, a name is missing, malformed or used twice, or a schema does not compile.
    pub fn from_json(text: &[u8]) -> Result<Self, ToolSetError> {
        let document: Value =
            serde_json::from_slice(text).map_err(|error| ToolSetError(format!("the tools are not JSON: {error}")))?;
        let list = match &document {
            Value::Array(list) => list,
            Value::Object(object) => object
                .get("tools")
                .and_then(Value::as_array)
                .ok_or_else(|| ToolSetError("tools: expected a list of tools under this key".to_owned()))?,
            _ => {
                return Err(ToolSetError(
                    "expected a JSON list of tools, or an object with a list under \"tools\"".to_owned(),
                ));
            }
        };
        let mut set = Self { tools: Vec::with_capacity(list.len()), by_name: HashMap::with_capacity(list.len()) };
        for (index, spec) in list.iter().enumerate() {
            let tool = Tool::new(index, spec)?;
            if let Some(first) = set.by_name.insert(tool.name.clone(), index) {
                return Err(ToolSetError(format!(
                    "tools[{index}].name: {:?} is already the name of tools[{first}]; give each tool a name of its own",
                    tool.name
                )));
            }
            set.tools.push(tool);
        }
        Ok(set)
    }

    /// The names of the tools, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tools.iter().map(|tool| tool.name.as_str())
    }

    /// Checks all arguments of a call, a JSON object, against its tool's schema.
    ///
    /// # Errors
    ///
    /// There is no such tool, the text is no JSON object, or an argument does not fit, which the message names.
    pub fn check(&self, tool: &str, arguments: &[u8]) -> Result<(), String> {
        let (_, tool) = self.get(tool).ok_or_else(|| format!("there is no tool {:?}", clip(tool, 60)))?;
        let arguments: Value =
            serde_json::from_slice(arguments).map_err(|error| format!("the arguments are not JSON: {error}"))?;
        let Some(given) = arguments.as_object() else {
            return Err("the arguments are not a JSON object".to_owned());
        };
        if let Some(unknown) = given.keys().find(|name| !tool.takes(name)) {
            return Err(format!("there is no argument {:?}", clip(unknown, 60)));
        }
        tool.check(&arguments).map_err(|violation| violation.message)
    }

    pub(crate) fn get(&self, name: &str) -> Option<(usize, &Tool)> {
        let index = *self.by_name.get(name)?;
        Some((index, self.tools.get(index)?))
    }

    pub(crate) fn at(&self, index: usize) -> Option<&Tool> {
        self.tools.get(index)
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }
}

impl Tool {
    fn new(index: usize, spec: &Value) -> Result<Self, ToolSetError> {
        let wrong = |field: &str, what: &str| Err(ToolSetError(format!("tools[{index}].{field}: {what}")));
        let name = match spec.get("name") {
            Some(Value::String(name)) => name.clone(),
            Some(_) => return wrong("name", "expected a string"),
            None => return wrong("name", "is missing"),
        };
        let mut characters = name.chars();
        if name.chars().count() > 128
            || !characters.next().is_some_and(is_name_start)
            || !characters.all(is_name_character)
            || name.ends_with(':')
        {
            let shown = clip(&name, 60);
            let rule = "a name begins with a letter or _ and goes on with letters, digits and _ - . / : (128 characters at most)";
            return wrong("name", &format!("{shown:?} cannot be called in a plan: {rule}"));
        }
        if name.eq_ignore_ascii_case("join") {
            return wrong("name", &format!("{name:?} is the word that closes a plan; choose another name"));
        }
        let wrong =
            |field: &str, what: &str| Err(ToolSetError(format!("tools[{index}].{field} (tool {name:?}): {what}")));
        let schema = match spec.get("inputSchema") {
            Some(Value::Object(schema)) => schema,
            Some(_) => return wrong("inputSchema", "expected a JSON Schema object"),
            None => return wrong("inputSchema", "is missing; a tool without arguments has {\"type\": \"object\"}"),
        };
        if schema.get("type").is_some_and(|kind| kind != "object") {
            return wrong("inputSchema.type", "must be \"object\": arguments have names");
        }
        if schema.get("properties").is_some_and(|properties| !properties.is_object()) {
            return wrong("inputSchema.properties", "expected an object");
        }
        if schema.get("required").is_some_and(|names| !names.is_array()) {
            return wrong("inputSchema.required", "expected a list of names");
        }
        let schema = Value::Object(schema.clone());
        let validator = match compile(&schema) {
            Ok(validator) => validator,
            Err(error) => {
                return wrong("inputSchema", &format!("is no schema that can be compiled: {}", clip(&error, 300)));
            }
        };
        Ok(Self { name, declared: Declared::by(&schema), schema, validator, partial: OnceLock::new() })
    }

    /// The names of the arguments, in the order in which positional arguments are given to them.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &str> {
        self.declared.properties().map(|(name, _)| name.as_str())
    }

    pub(crate) fn required(&self) -> &[String] {
        &self.declared.required
    }

    pub(crate) fn takes(&self, argument: &str) -> bool {
        self.declared.open || self.has_parameter(argument)
    }

    pub(crate) fn has_parameter(&self, name: &str) -> bool {
        self.declared.property(name).is_some()
    }

    /// Checks all arguments of a call.
    pub(crate) fn check(&self, arguments: &Value) -> Result<(), Violation> {
        if self.validator.is_valid(arguments) { Ok(()) } else { Err(violation(&self.validator, arguments)) }
    }

    /// The schema, and what it declares.
    fn places(&self) -> [&Value; 2] {
        [&self.declared.schema, &self.schema]
    }

    /// Checks the arguments that are known so far.
    pub(crate) fn check_known(&self, arguments: Map<String, Value>) -> Result<(), Violation> {
        let partial = self.partial.get_or_init(|| compile(&self.without_demands()).ok());
        let arguments = Value::Object(arguments);
        match partial {
            Some(validator) if !validator.is_valid(&arguments) => Err(violation(validator, &arguments)),
            _ => Ok(()),
        }
    }

    fn without_demands(&self) -> Value {
        const DEMANDS: [&str; 13] = [
            "$ref",
            "required",
            "minProperties",
            "dependentRequired",
            "dependentSchemas",
            "dependencies",
            "allOf",
            "anyOf",
            "oneOf",
            "not",
            "if",
            "then",
            "else",
        ];
        let mut schema = self.schema.clone();
        if let Value::Object(keywords) = &mut schema {
            keywords.retain(|keyword, _| !DEMANDS.contains(&keyword.as_str()));
            let properties = self.declared.schema.get("properties").cloned();
            keywords.extend(properties.map(|properties| ("properties".to_owned(), properties)));
        }
        schema
    }

    /// Notes, at each reference in the value of an argument, whether only a string may stand there; finds the places that a
    /// string with references can never fill.
    pub(crate) fn fit(&self, argument: &str, template: &mut Template) -> Result<(), Violation> {
        match self.declared.property(argument) {
            Some(place) => self.fit_at(place, template).map_err(|()| Violation {
                code: Code::WrongType,
                message: format!("argument {argument:?} takes no string"),
            }),
            None => Ok(()),
        }
    }

    /// Whether a parameter can be given a string, and but for null nothing else.
    pub(crate) fn takes_only_text(&self, parameter: &str) -> bool {
        let place = self.declared.property(parameter);
        place.is_some_and(|place| self.strings(place, 0) == Strings::Only)
    }

    /// Whether a parameter, or the first where none is named, can be given a string.
    pub(crate) fn takes_text(&self, parameter: Option<&str>) -> bool {
        let place = match parameter {
            Some(name) => self.declared.property(name),
            None => self.declared.properties().map(|(_, place)| place).next(),
        };
        place.is_some_and(|place| self.strings(place, 0) != Strings::Never)
    }
}

fn compile(schema: &Value) -> Result<Validator, String> {
    // The linear-time engine: a pattern in a schema must not be able to stall the machine.
    jsonschema::options().with_pattern_options(PatternOptions::regex()).build(schema).map_err(|error| error.to_string())
}

fn violation(validator: &Validator, arguments: &Value) -> Violation {
    let Some(error) = validator.iter_errors(arguments).next() else {
        return Violation { code: Code::InvalidArgument, message: "the arguments do not fit the schema".to_owned() };
    };
    let is_type = error.schema_path().as_str().ends_with("/type");
    let place = error.instance_path().as_str().to_owned();
    let shown = clip(&error.to_string(), 300);
    let message = match place.strip_prefix('/') {
        Some(path) => format!("argument {}: {shown}", path.replace('/', ".")),
        None => shown,
    };
    Violation { code: if is_type { Code::WrongType } else { Code::InvalidArgument }, message }
}
