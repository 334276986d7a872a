//! How far one process carries: clusters, objects, creations, watches.
//!
//! `cargo bench --bench scale` prints a table, and as its last line JSON.
//! Each part runs in a process of its own, so that none finds the memory of another; clients and
//! server share that process and its cores.

mod client;
mod parts;

use serde_json::{Map, Value};
use std::io::{self, Write};
use std::process::{Command, Stdio};

/// That of the program which serves fleets to people.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures something.
type Part = fn() -> parts::Measured;

/// What is measured: the argument that names a part, and the part.
const PARTS: [(&str, Part); 4] = [
    ("clusters", parts::clusters),
    ("objects", parts::objects),
    ("creates", parts::creates),
    ("watches", parts::watches),
];

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut out = io::stdout().lock();
    if let Some((_, measure)) = PARTS
        .iter()
        .find(|(part, _)| arguments.iter().any(|argument| argument == part))
    {
        return writeln!(out, "{}", Value::Object(measure()));
    }
    let mut all = Map::from_iter([("bench".to_owned(), Value::from("pocketkube"))]);
    for (part, _) in PARTS {
        for (name, figure) in measured_apart(part)? {
            writeln!(out, "{:<28} {figure:>12}", name.replace('_', " "))?;
            all.insert(name, figure);
        }
    }
    writeln!(out, "{}", Value::Object(all))
}

/// Measures one part in a process of its own.
fn measured_apart(part: &str) -> io::Result<Map<String, Value>> {
    let output = Command::new(std::env::current_exe()?)
        .arg(part)
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    match serde_json::from_str(last) {
        Ok(Value::Object(measured)) if output.status.success() => Ok(measured),
        _ => Err(io::Error::other(format!("{part} failed: {text}"))),
    }
}
