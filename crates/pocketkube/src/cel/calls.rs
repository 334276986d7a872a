//! Functions: the common ones of texts here, all others as the libraries have them.

use super::evaluate::{Evaluator, Failure, Found, failure, no_overload};
use super::operators::explained;
use kube_cel::KubeCelExt;
use kube_cel::cel::common::ast::{CallExpr, Expr, IdedExpr};
use kube_cel::cel::{Context, Value};
use std::sync::LazyLock;

/// Which function is called.
pub(super) struct Function<'a> {
    /// With the name of its library: `sets.contains`.
    pub(super) name: &'a str,
    /// Whether the first argument stood before the name.
    pub(super) is_method: bool,
}

/// All functions.
static FUNCTIONS: LazyLock<Context<'static>> = LazyLock::new(|| Context::default().with_all());

impl Evaluator<'_> {
    pub(super) fn function(&mut self, function: &Function<'_>, args: &[Value]) -> Found {
        match (function.name, args) {
            ("contains", [Value::String(text), Value::String(part)]) => {
                Ok(Value::Bool(text.contains(part.as_str())))
            }
            ("startsWith", [Value::String(text), Value::String(part)]) => {
                Ok(Value::Bool(text.starts_with(part.as_str())))
            }
            ("endsWith", [Value::String(text), Value::String(part)]) => {
                Ok(Value::Bool(text.ends_with(part.as_str())))
            }
            ("matches", [Value::String(text), Value::String(pattern)]) => {
                self.matches(text, pattern)
            }
            ("contains" | "startsWith" | "endsWith" | "matches", _) => Err(no_overload()),
            ("bool", [Value::Bool(truth)]) => Ok(Value::Bool(*truth)),
            ("bool", [Value::String(text)]) => match text.as_str() {
                "true" | "True" | "TRUE" | "t" | "1" => Ok(Value::Bool(true)),
                "false" | "False" | "FALSE" | "f" | "0" => Ok(Value::Bool(false)),
                _ => Err(worded("bool", args, no_overload())),
            },
            _ => of_library(function, args).map_err(|found| worded(function.name, args, found)),
        }
    }

    fn matches(&mut self, text: &str, pattern: &str) -> Found {
        if let Some(known) = self.patterns.get(pattern) {
            return Ok(Value::Bool(known.is_match(text)));
        }
        let read = crate::schema::compile_pattern(pattern);
        let read = read.map_err(|problem| failure(format!("error parsing regexp: {problem}")))?;
        let found = read.is_match(text);
        self.patterns.insert(pattern.to_owned(), read);
        Ok(Value::Bool(found))
    }
}

/// A failure in the words of the server, where the library has its own.
fn worded(name: &str, args: &[Value], found: Failure) -> Failure {
    let kind = match name {
        "bool" | "double" | "int" | "uint" => name,
        "duration" => "google.protobuf.Duration",
        "timestamp" => "google.protobuf.Timestamp",
        "quantity" => {
            return failure(
                "quantities must match the regular expression \
                 '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            );
        }
        _ => return found,
    };
    match args {
        [Value::String(_)] => failure(format!("type conversion error from 'string' to '{kind}'")),
        _ => found,
    }
}

/// Calls a function of a library with values: as an expression about variables.
pub(super) fn of_library(function: &Function<'_>, args: &[Value]) -> Found {
    let mut context = FUNCTIONS.new_inner_scope();
    let mut variables = Vec::with_capacity(args.len());
    for (index, arg) in args.iter().enumerate() {
        let name = format!("@{index}");
        context.add_variable_from_value(name.as_str(), arg.clone());
        variables.push(with_id(Expr::Ident(name)));
    }
    let (mut name, mut target) = (function.name, None);
    if function.is_method {
        target = Some(Box::new(variables.remove(0)));
    } else if let Some((library, rest)) = name.split_once('.') {
        target = Some(Box::new(with_id(Expr::Ident(library.to_owned()))));
        name = rest;
    }
    let call = with_id(Expr::Call(CallExpr {
        func_name: name.to_owned(),
        target,
        args: variables,
    }));
    Value::resolve(&call, &context).map_err(|problem| explained(&problem))
}

fn with_id(expr: Expr) -> IdedExpr {
    IdedExpr { id: 0, expr }
}
