//! Calls: which of a function's overloads take what is given.

use super::functions::{Overload, Style, overloads};
use super::kind::{Kind, Unknown, listed};
use super::{Checker, Fault};
use crate::cel::calls::{Function, of_library};
use kube_cel::cel::Value;
use kube_cel::cel::common::ast::operators::{LOGICAL_AND, LOGICAL_OR, OPT_SELECT};
use kube_cel::cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue};
use std::collections::BTreeMap;

impl Checker {
    pub(super) fn call(&mut self, call: &CallExpr) -> Kind {
        let name = call.func_name.as_str();
        if let (OPT_SELECT, [operand, field]) = (name, call.args.as_slice())
            && let Some(field) = text(field)
        {
            let found = self.field(operand, &field);
            let found = self.resolved(&found);
            return match found.held() {
                Some(_) => found,
                None => Kind::of("optional_type", found),
            };
        }
        let args: Vec<Kind> = call.args.iter().map(|arg| self.check(arg)).collect();
        let Some(target) = &call.target else {
            self.look_at_literal(name, &call.args);
            let Some(overloads) = overloads(name) else {
                return self.undeclared(name);
            };
            if matches!(name, LOGICAL_AND | LOGICAL_OR) {
                return self.logical(&call.args, &args);
            }
            return self.resolve(name, overloads, Style::Function, args);
        };
        if let Some(prefix) = qualified(target)
            && let Some(overloads) = overloads(&format!("{prefix}.{name}"))
        {
            let name = format!("{prefix}.{name}");
            return self.resolve(&name, overloads, Style::Function, args);
        }
        let target = self.check(target);
        self.look_at_literal(name, &call.args);
        let Some(overloads) = overloads(name) else {
            return self.undeclared(name);
        };
        let given = [target].into_iter().chain(args).collect();
        self.resolve(name, overloads, Style::Method, given)
    }

    fn logical(&mut self, args: &[IdedExpr], kinds: &[Kind]) -> Kind {
        let bool = Kind::plain("bool");
        let mut result = bool.clone();
        for (arg, kind) in args.iter().zip(kinds) {
            if !self.known.assign(kind, &bool) {
                let kind = self.resolved(kind);
                result = self.mismatch(self.id(arg), &bool, &kind);
            }
        }
        result
    }

    fn resolve(
        &mut self,
        name: &str,
        overloads: &[Overload],
        style: Style,
        given: Vec<Kind>,
    ) -> Kind {
        let mut result: Option<Kind> = None;
        for overload in overloads.iter().filter(|overload| overload.style == style) {
            let letters = overload.parameters().into_iter();
            let fresh: BTreeMap<char, Kind> =
                letters.map(|letter| (letter, self.variable())).collect();
            let takes: Vec<Kind> = overload
                .takes
                .iter()
                .map(|kind| kind.with(&fresh))
                .collect();
            if !self.known.assign_all(&given, &takes) {
                continue;
            }
            let gives = self.resolved(&overload.gives.with(&fresh));
            result = Some(match result {
                Some(before) if before != Kind::Dyn && before != gives => Kind::Dyn,
                Some(before) => before,
                None => gives,
            });
        }
        if let Some(result) = result {
            return result;
        }
        let given: Vec<Kind> = (given.iter())
            .map(|kind| self.known.resolved(kind, Unknown::Dyn))
            .collect();
        let shown = match (style, given.as_slice()) {
            (Style::Method, [target, args @ ..]) => format!("{target}.({})", listed(args)),
            (_, args) => format!("({})", listed(args)),
        };
        self.refuse(format!(
            "found no matching overload for '{name}' applied to '{shown}'"
        ))
    }

    /// Texts that are read at each evaluation have to be readable.
    fn look_at_literal(&mut self, function: &str, args: &[IdedExpr]) {
        let [arg] = args else { return };
        let Some(given) = text(arg) else { return };
        let is_good = match function {
            "matches" => regex::Regex::new(&given).is_ok(),
            "duration" | "timestamp" => {
                let function = Function {
                    name: function,
                    is_method: false,
                };
                of_library(&function, &[Value::from(given)]).is_ok()
            }
            _ => true,
        };
        if !is_good {
            let fault: Fault = (self.id(arg), format!("invalid {function} argument"));
            self.bad_literals.push(fault);
        }
    }
}

fn text(expression: &IdedExpr) -> Option<String> {
    match &expression.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner().to_owned()),
        _ => None,
    }
}

/// `a.b`, of names alone.
fn qualified(expression: &IdedExpr) -> Option<String> {
    match &expression.expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) if !select.test => {
            Some(format!("{}.{}", qualified(&select.operand)?, select.field))
        }
        _ => None,
    }
}
