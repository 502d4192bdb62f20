//! Looking at the dashboard does nothing, because there is one way from a key to a command, and one from a command to the loop.

use std::fs;
use std::path::Path;

use super::source::Source;
use super::{module_of, root, shown, sources};

/// The only file that makes a command: what a key means.
const MAKES: &str = "update.rs";
/// The only file that submits one: what a key asked for.
const SUBMITS: &str = "run.rs";

#[test]
fn only_a_key_makes_a_command_and_one_place_submits_it() {
    let mut found = Vec::new();
    for file in sources("src/dashboard") {
        let text = fs::read_to_string(&file).unwrap();
        let module = module_of(&file);
        if module.iter().any(|name| name == "tests") {
            continue;
        }
        let module: Vec<&str> = module.iter().map(String::as_str).collect();
        found.extend(problems(&text, &module, &file));
    }
    assert!(found.is_empty(), "looking at the dashboard could do something:\n  {}", found.join("\n  "));
    let run = fs::read_to_string(root().join("src/dashboard").join(SUBMITS)).unwrap();
    assert_eq!(run.matches(".submit(").count(), 1, "{SUBMITS}");
}

fn problems(text: &str, module: &[&str], file: &Path) -> Vec<String> {
    let source = Source::read(text, module, false).unwrap();
    let name = file.file_name().unwrap();
    let mut found = Vec::new();
    for named in &source.paths {
        let path: Vec<&str> = named.path.iter().map(String::as_str).collect();
        // A value, not the type that others hand on; or what makes one of words.
        let makes = path.windows(2).any(|pair| matches!(pair, ["Command" | "Verb", _]) && pair != ["Command", "new"])
            || path.iter().any(|word| ["agent_verbs", "troop_verbs", "Draft"].contains(word));
        let submits = path.iter().any(|word| *word == "Until" || *word == "Request");
        if (makes && name != MAKES) || (submits && name != SUBMITS) {
            found.push(format!("{}:{}: {}", shown(file), named.line, path.join("::")));
        }
    }
    if name != SUBMITS && [".submit(", ".call("].iter().any(|call| text.contains(call)) {
        found.push(format!("{}: submits a command", shown(file)));
    }
    found
}

#[test]
fn another_way_is_found() {
    let module = ["crate", "dashboard", "rows"];
    let is_found = |text: &str| !problems(text, &module, &root().join("src/dashboard/rows.rs")).is_empty();
    assert!(is_found("fn f() { let c = Command::Control { agent, verbs }; }"));
    assert!(is_found("fn f() { crate::command::Command::Prompt { agent, text } }"));
    assert!(is_found("use crate::command::agent_verbs;"));
    assert!(is_found("fn f(port: &Port) { port.submit(command, actor, until, answer); }"));
    assert!(is_found("use crate::port::{Port, Until};"));
    assert!(!is_found("use crate::command::Command; struct Asked { command: Command }"));
}
