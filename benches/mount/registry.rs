//! A registry of a thousand records, fifty of them malformed in fifty ways: how long it takes to list it.

use crate::support::{Fallible, LIMIT, Sandbox, done, median_and_p95, ms, plant, troop_bin};
use serde_json::Value;
use std::fs;
use std::process::Command;
use std::time::Instant;
use troop::store::{Registry, Roots};

/// What is measured, what it should take at most, and one round of it in milliseconds.
type Row<'a> = (&'static str, &'static str, Box<dyn Fn() -> Fallible<f64> + 'a>);

pub(crate) fn run(measuring: bool) -> Fallible<String> {
    let (records, wrong, rounds) = if measuring { (1000, 50, 20) } else { (60, 50, 1) };
    let sandbox = Sandbox::new();
    let mut planted = Vec::new();
    for n in 0..records {
        planted.push(plant(&sandbox, &format!("agent-{n:04}"))?);
    }
    let good: Value = serde_json::from_slice(&fs::read(&planted[0])?)?;
    let ways = ways_to_be_wrong(&good);
    if ways.len() < wrong {
        return Err(format!("only {} ways to be wrong", ways.len()).into());
    }
    for (path, record) in planted.iter().zip(&ways).take(wrong) {
        fs::write(path, record.to_string())?;
    }
    let registry = Registry::new(Roots::from_env(|name| {
        sandbox.env().into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    })?);
    let scan = registry.scan();
    if (scan.entries.len(), scan.problems.len()) != (records - wrong, wrong) {
        return Err(format!("{} records and {} problems", scan.entries.len(), scan.problems.len()).into());
    }
    let troop = |args: &[&str]| {
        let mut command = sandbox.command(troop_bin());
        command.args(args);
        command
    };
    let timed = |run: &dyn Fn() -> Fallible<()>| -> Fallible<f64> {
        let start = Instant::now();
        run()?;
        Ok(ms(start.elapsed()))
    };
    let rows: [Row<'_>; 4] = [
        (
            "reading all records, in the program",
            "",
            Box::new(|| {
                timed(&|| {
                    drop(registry.scan());
                    Ok(())
                })
            }),
        ),
        (
            "`troop list --all`, a process of its own",
            "100",
            Box::new(|| timed(&|| done(&mut troop(&["list", "--all"])))),
        ),
        ("`troop doctor`, which reads the manifests too", "", Box::new(|| timed(&|| failing(&mut troop(&["doctor"]))))),
        (
            "`troop mount`, from its start to the whole of `agents/`",
            "",
            Box::new(|| mounted(&sandbox, records - wrong)),
        ),
    ];
    let mut table = format!(
        "{records} records, {wrong} of them malformed in {wrong} ways, {rounds} rounds\n\n\
         | what | median ms | p95 ms | goal |\n|---|---:|---:|---:|\n"
    );
    for (what, goal, run) in rows {
        let mut times = (0..rounds).map(|_| run()).collect::<Fallible<Vec<f64>>>()?;
        let (median, p95) = median_and_p95(&mut times);
        table += &format!("| {what} | {median:.1} | {p95:.1} | {goal} |\n");
    }
    Ok(table)
}

/// One field missing, of another type or too much, each in turn.
fn ways_to_be_wrong(good: &Value) -> Vec<Value> {
    let mut ways = Vec::new();
    let mut pointers = vec![String::new()];
    while let Some(pointer) = pointers.pop() {
        let Some(object) = good.pointer(&pointer).and_then(Value::as_object) else { continue };
        let mut more = good.clone();
        if let Some(object) = more.pointer_mut(&pointer).and_then(Value::as_object_mut) {
            object.insert("unknown".to_owned(), 1.into());
        }
        ways.push(more);
        for key in object.keys() {
            let mut without = good.clone();
            let mut other = good.clone();
            if let Some(object) = without.pointer_mut(&pointer).and_then(Value::as_object_mut) {
                object.remove(key);
            }
            if let Some(object) = other.pointer_mut(&pointer).and_then(Value::as_object_mut) {
                object.insert(key.clone(), serde_json::json!([7]));
            }
            // Some fields may be missing.
            let is_needed = troop::store::wire::decode_record(without.to_string().as_bytes()).is_err();
            ways.extend(is_needed.then_some(without));
            ways.push(other);
            pointers.push(format!("{pointer}/{key}"));
        }
    }
    ways
}

/// Runs a program that is to find something wrong.
fn failing(command: &mut Command) -> Fallible<()> {
    let output = command.output()?;
    if output.status.code() == Some(1) { Ok(()) } else { Err(format!("{command:?}: {output:?}").into()) }
}

/// How long it takes from the start of a mount until all agents are listed.
fn mounted(sandbox: &Sandbox, agents: usize) -> Fallible<f64> {
    let start = Instant::now();
    let mount = sandbox.mount();
    while fs::read_dir(mount.join("agents"))?.count() != agents {
        if start.elapsed() > LIMIT {
            return Err("the agents did not appear".into());
        }
    }
    Ok(ms(start.elapsed()))
}
