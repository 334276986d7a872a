//! Macros that the parser does not know: those of optionals (`cel-go/cel/library.go`) and those of
//! two variables (`cel-go/ext/comprehensions.go`), written out as there.

use kube_cel::cel::common::ast::operators as op;
use kube_cel::cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, MapExpr,
};

/// What the parser calls the result of a loop so far.
pub(super) const ACCUMULATOR: &str = "@result";
/// Adds an entry to a map.
pub(super) const MAP_INSERT: &str = "cel.@mapInsert";
/// The variable of a loop without rounds.
const UNUSED: &str = "#unused";

/// Writes out the macros of an expression, from the inside.
pub(super) fn expand(expression: &mut IdedExpr) -> Result<(), String> {
    match &mut expression.expr {
        Expr::Call(call) => {
            if let Some(target) = &mut call.target {
                expand(target)?;
            }
            call.args.iter_mut().try_for_each(expand)?;
            if let Some(written) = written_out(call)? {
                expression.expr = written;
            }
        }
        Expr::Comprehension(loops) => {
            let parts = [
                &mut loops.iter_range,
                &mut loops.accu_init,
                &mut loops.loop_cond,
                &mut loops.loop_step,
                &mut loops.result,
            ];
            for part in parts {
                expand(part)?;
            }
        }
        Expr::List(list) => list.elements.iter_mut().try_for_each(expand)?,
        Expr::Map(map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    expand(&mut entry.key)?;
                    expand(&mut entry.value)?;
                }
            }
        }
        Expr::Select(select) => expand(&mut select.operand)?,
        Expr::Struct(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
    Ok(())
}

fn written_out(call: &CallExpr) -> Result<Option<Expr>, String> {
    let Some(target) = &call.target else {
        return Ok(None);
    };
    Ok(Some(
        match (call.func_name.as_str(), call.args.as_slice()) {
            ("optMap", [variable, result]) => {
                let inner = held(target, name(variable, "optMap() variable name")?, result);
                let of = call_of("of", Some(ident("optional")), vec![inner]);
                if_held(target, of)
            }
            ("optFlatMap", [variable, result]) => {
                let variable = name(variable, "optFlatMap() variable name")?;
                if_held(target, held(target, variable, result))
            }
            ("all", [one, two, test]) => {
                let accumulator = || vec![ident(ACCUMULATOR)];
                let go_on = operator(op::NOT_STRICTLY_FALSE, accumulator());
                let step = operator(op::LOGICAL_AND, vec![ident(ACCUMULATOR), test.clone()]);
                let start = literal(LiteralValue::Boolean(true.into()));
                looped(target, [one, two], start, go_on, step)?
            }
            ("exists", [one, two, test]) => {
                let not = operator(op::LOGICAL_NOT, vec![ident(ACCUMULATOR)]);
                let go_on = operator(op::NOT_STRICTLY_FALSE, vec![not]);
                let step = operator(op::LOGICAL_OR, vec![ident(ACCUMULATOR), test.clone()]);
                let start = literal(LiteralValue::Boolean(false.into()));
                looped(target, [one, two], start, go_on, step)?
            }
            ("existsOne" | "exists_one", [one, two, test]) => {
                let number = |value: i64| literal(LiteralValue::Int(value.into()));
                let more = operator(op::ADD, vec![ident(ACCUMULATOR), number(1)]);
                let step = operator(
                    op::CONDITIONAL,
                    vec![test.clone(), more, ident(ACCUMULATOR)],
                );
                let mut loops = looped(target, [one, two], number(0), always(), step)?;
                if let Expr::Comprehension(loops) = &mut loops {
                    loops.result = operator(op::EQUALS, vec![ident(ACCUMULATOR), number(1)]);
                }
                loops
            }
            ("transformList", [one, two, rest @ ..]) => {
                let Some((filter, result)) = filtered(rest) else {
                    return Ok(None);
                };
                let part = with_id(Expr::List(ListExpr::new(vec![result.clone()])));
                let more = operator(op::ADD, vec![ident(ACCUMULATOR), part]);
                let start = with_id(Expr::List(ListExpr::new(Vec::new())));
                looped(target, [one, two], start, always(), only_if(filter, more))?
            }
            ("transformMap" | "transformMapEntry", [one, two, rest @ ..]) => {
                let Some((filter, result)) = filtered(rest) else {
                    return Ok(None);
                };
                let mut args = vec![ident(ACCUMULATOR), result.clone()];
                if call.func_name == "transformMap" {
                    args.insert(1, one.clone());
                }
                let more = operator(MAP_INSERT, args);
                let start = with_id(Expr::Map(MapExpr::default()));
                looped(target, [one, two], start, always(), only_if(filter, more))?
            }
            _ => return Ok(None),
        },
    ))
}

/// Of `(filter, result)` or `(result)`.
fn filtered(args: &[IdedExpr]) -> Option<(Option<&IdedExpr>, &IdedExpr)> {
    match args {
        [result] => Some((None, result)),
        [filter, result] => Some((Some(filter), result)),
        _ => None,
    }
}

fn only_if(filter: Option<&IdedExpr>, step: IdedExpr) -> IdedExpr {
    match filter {
        Some(filter) => operator(
            op::CONDITIONAL,
            vec![filter.clone(), step, ident(ACCUMULATOR)],
        ),
        None => step,
    }
}

fn looped(
    range: &IdedExpr,
    variables: [&IdedExpr; 2],
    start: IdedExpr,
    go_on: IdedExpr,
    step: IdedExpr,
) -> Result<Expr, String> {
    let [one, two] = variables.map(|variable| name(variable, "argument"));
    let (one, two) = (one?, two?);
    if one == two {
        return Err(format!("duplicate variable name: {one}"));
    }
    Ok(Expr::Comprehension(Box::new(ComprehensionExpr {
        iter_range: range.clone(),
        iter_var: one,
        iter_var2: Some(two),
        accu_var: ACCUMULATOR.to_owned(),
        accu_init: start,
        loop_cond: go_on,
        loop_step: step,
        result: ident(ACCUMULATOR),
    })))
}

/// `result` with what an optional holds as a variable: a loop without rounds.
fn held(optional: &IdedExpr, variable: String, result: &IdedExpr) -> IdedExpr {
    with_id(Expr::Comprehension(Box::new(ComprehensionExpr {
        iter_range: with_id(Expr::List(ListExpr::new(Vec::new()))),
        iter_var: UNUSED.to_owned(),
        iter_var2: None,
        accu_init: call_of("value", Some(optional.clone()), Vec::new()),
        loop_cond: literal(LiteralValue::Boolean(false.into())),
        loop_step: ident(&variable),
        accu_var: variable,
        result: result.clone(),
    })))
}

fn if_held(optional: &IdedExpr, then: IdedExpr) -> Expr {
    let condition = call_of("hasValue", Some(optional.clone()), Vec::new());
    let none = call_of("none", Some(ident("optional")), Vec::new());
    operator(op::CONDITIONAL, vec![condition, then, none]).expr
}

fn name(variable: &IdedExpr, what: &str) -> Result<String, String> {
    match &variable.expr {
        Expr::Ident(name) => Ok(name.clone()),
        _ => Err(format!("{what} must be a simple identifier")),
    }
}

fn always() -> IdedExpr {
    literal(LiteralValue::Boolean(true.into()))
}

fn ident(name: &str) -> IdedExpr {
    with_id(Expr::Ident(name.to_owned()))
}

fn literal(value: LiteralValue) -> IdedExpr {
    with_id(Expr::Literal(value))
}

fn operator(name: &str, args: Vec<IdedExpr>) -> IdedExpr {
    call_of(name, None, args)
}

fn call_of(name: &str, target: Option<IdedExpr>, args: Vec<IdedExpr>) -> IdedExpr {
    with_id(Expr::Call(CallExpr {
        func_name: name.to_owned(),
        target: target.map(Box::new),
        args,
    }))
}

/// Nobody asks for the places of what no one wrote.
fn with_id(expr: Expr) -> IdedExpr {
    IdedExpr { id: 0, expr }
}
