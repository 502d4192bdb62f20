//! The shape of everything that is printed as JSON: names, order and kinds of values. Names are only added.

use std::fs;

use regex::Regex;
use serde_json::Value;

use crate::semantics::{plant, record};
use crate::support::Sandbox;
use crate::support::sandbox::troop_bin;

/// What doctor finds of mounts is of the whole machine, on which tests beside this one let theirs die.
fn without_others(sandbox: &Sandbox, text: String) -> String {
    let Ok(Value::Array(mut all)) = serde_json::from_str(&text) else { return text };
    let before = all.len();
    all.retain(|row| {
        let is_dead = row["sentence"].as_str().is_some_and(|sentence| sentence.starts_with("its daemon has died"));
        !is_dead || row["path"].as_str().is_some_and(|path| path.starts_with(sandbox.path().to_str().unwrap()))
    });
    if all.len() == before { text } else { serde_json::to_string_pretty(&all).unwrap() + "\n" }
}

/// What a command prints, with what differs from run to run taken out: paths, times, ids, and numbers of processes.
#[track_caller]
fn shape(sandbox: &Sandbox, args: &[&str], code: i32) -> String {
    let output = sandbox.command(troop_bin()).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
    let text = without_others(sandbox, String::from_utf8(output.stdout).unwrap());
    for line in if args.contains(&"--watch") { text.lines().collect() } else { vec![text.as_str()] } {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{args:?}: {error}: {line}"));
    }
    assert!(text.ends_with('\n'), "{text:?}");
    let base = sandbox.path().canonicalize().unwrap();
    let text = text.replace(base.to_str().unwrap(), "[dir]");
    let patterns = [
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[time]"),
        (r"[0-9a-f]{32}", "[id]"),
        (r"local_interactive-\d{8}-\d{6}Z-[0-9a-f]{8}", "[session]"),
        (r"(HOUMAO-\w+)-\d{13}", "$1-[ms]"),
        (r#""pid": \d+"#, r#""pid": [pid]"#),
        (r"tmux-\d+/", "tmux-[uid]/"),
    ];
    patterns
        .iter()
        .fold(text, |text, (pattern, with)| Regex::new(pattern).unwrap().replace_all(&text, *with).into_owned())
}

#[test]
fn what_is_printed_as_json() {
    let sandbox = Sandbox::new();
    assert_eq!(shape(&sandbox, &["list", "--json"], 0), "[]\n");
    assert_eq!(shape(&sandbox, &["list", "--all", "--json"], 0), "[]\n");
    assert_eq!(shape(&sandbox, &["home", "list", "--json"], 0), "[]\n");
    assert_eq!(shape(&sandbox, &["discover", "--json"], 0), "[]\n");
    assert_eq!(shape(&sandbox, &["doctor", "--json"], 0), "[]\n");
    for name in ["a", "b"] {
        let output = sandbox.command(troop_bin()).args(["launch", name]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    assert!(sandbox.command(troop_bin()).args(["stop", "b"]).status().unwrap().success());
    let mut expired = record("expired", "e", "no-such-session", &sandbox.path().canonicalize().unwrap());
    expired["liveness"]["lease_expires_at"] = "2026-01-02T00:00:00+00:00".into();
    plant(&sandbox, "expired", expired.to_string().as_bytes());

    insta::assert_snapshot!("list", shape(&sandbox, &["list", "--json"], 0));
    insta::assert_snapshot!("list-all", shape(&sandbox, &["list", "--all", "--json"], 0));
    insta::assert_snapshot!("home-list", shape(&sandbox, &["home", "list", "--all", "--json"], 0));
    insta::assert_snapshot!("discover", shape(&sandbox, &["discover", "--json"], 0));
    plant(&sandbox, "torn", b"{");
    insta::assert_snapshot!("doctor", shape(&sandbox, &["doctor", "--json"], 1));
    // Of --watch each line is an object of the list, on one line.
    fs::remove_dir_all(sandbox.registry().join("live_agents/torn")).unwrap();
    let script = "timeout -s INT 2 \"$0\" list --watch --json; exit 0";
    let watched = sandbox.command("sh").args(["-c", script]).arg(troop_bin()).output().unwrap();
    let watched = String::from_utf8(watched.stdout).unwrap();
    let listed = sandbox.command(troop_bin()).args(["list", "--json"]).output().unwrap();
    let listed: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let lines: Vec<Value> = watched.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| keys(line) == keys(&listed[0])), "{watched}");
}
