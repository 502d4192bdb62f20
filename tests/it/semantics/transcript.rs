//! Which log is an agent's, by stand-ins that keep theirs where a definition says.

use super::world::{LIMIT, World};
use crate::support::{Sandbox, wait_until};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What the shipped definition of the stand-in says of its log.
const BY_ARGUMENT: &str = "[[transcript]]\nformat = \"stand-in\"\nby = \"argument\"\nargument = \"--transcript\"\n";

/// A world in which stand-ins are bound to their logs by other means.
fn world(sections: &str) -> World {
    let sandbox = Sandbox::new();
    let tools = sandbox.home().join(".config/troop/tools");
    fs::create_dir_all(&tools).unwrap();
    let shipped = include_str!("../../../src/tool/stand-in.toml");
    assert!(shipped.contains(BY_ARGUMENT));
    fs::write(tools.join("stand-in.toml"), shipped.replace(BY_ARGUMENT, sections)).unwrap();
    World::mounted(sandbox, &[])
}

/// The section for logs at `.said/DIRECTORY/NAME.jsonl`.
fn section(by: &str, more: &str) -> String {
    let name = if by == "session" { "{session}" } else { "*" };
    format!(
        "[[transcript]]\nformat = \"stand-in\"\nby = \"{by}\"\nhome = {{ env = \"SAID_HOME\", default = \".said\" }}\n\
         files = \"{{home}}/*/{name}.jsonl\"\n{more}\n"
    )
}

fn log(world: &World, name: &str) -> PathBuf {
    let dir = world.sandbox().home().join(".said/work");
    fs::create_dir_all(&dir).unwrap();
    dir.join(format!("{name}.jsonl"))
}

/// Launches a stand-in that keeps its log there.
fn launch(world: &World, name: &str, log: &Path) {
    world.launch_with(name, &format!("--transcript {}", log.display()));
    world.wait_status(name, "ready");
}

fn link(world: &World, name: &str) -> PathBuf {
    fs::read_link(world.at(format!("agents/{name}/transcript"))).unwrap()
}

#[track_caller]
fn wait_link(world: &World, name: &str, to: &Path) {
    let is = || Some(link(world, name)).filter(|path| path == to).ok_or_else(|| link(world, name));
    wait_until("the transcript", LIMIT, is);
}

/// Gives a prompt and waits for the end of its turn.
fn ask(world: &World, name: &str, prompt: &str) {
    let before = world.prompts(name).len();
    world.write(&format!("agents/{name}/prompt"), prompt);
    world.next_prompt(name, before);
}

/// `transcript` leads to the log that the agent's program keeps of the conversation, in that program's own
/// format. Which log that is comes from what the program states or was given, never from which file is the
/// newest: a file in which the process names its session (`claude`, `qwen`), a hook of its launch (`gemini`),
/// the one log that it has open (`codex`), an argument (`stand-in --transcript FILE`); or else it is the
/// one log that holds the prompt which was given to the agent last, not older than that, and that no other agent
/// may claim (`codex`, `gemini`, `kimi`). While nothing is certain the link leads nowhere, to `unknown`. It follows the
/// program to another session, as after `/clear`, and leads nowhere until that has a log. `aider` and
/// `opencode` keep no log that could be told apart, so theirs never leads anywhere.
#[test]
fn the_transcript_of_the_conversation() {
    let world = World::with("none");
    let log = log(&world, "a");
    launch(&world, "a", &log);
    wait_link(&world, "a", &log);
    ask(&world, "a", "hello there");
    let text = world.read("agents/a/transcript");
    assert!(text.contains(r#""event":"user","text":"hello there""#), "{text}");
    assert_eq!(link(&world, "none"), Path::new("unknown"));
    assert!(fs::metadata(world.at("agents/none/transcript")).is_err());
}

#[test]
fn a_prompt_tells_two_logs_in_one_directory_apart() {
    let world = world(&section("prompt", ""));
    let (one, other) = (log(&world, "one"), log(&world, "other"));
    launch(&world, "a", &one);
    launch(&world, "b", &other);
    // Somebody else's, with the same words, from before.
    let old = r#"{"t":1795226700,"event":"user","text":"to the first"}"#;
    fs::write(log(&world, "old"), format!("{old}\n")).unwrap();
    ask(&world, "b", "to the second");
    wait_link(&world, "b", &other);
    assert_eq!(link(&world, "a"), Path::new("unknown"));
    ask(&world, "a", "to the first");
    wait_link(&world, "a", &one);
    ask(&world, "b", "to the first");
    assert_eq!((link(&world, "a"), link(&world, "b")), (one, other));
}

#[test]
fn the_same_prompt_given_to_two_does_not_mix_them() {
    let world = world(&section("prompt", ""));
    let logs = [("a", log(&world, "one")), ("b", log(&world, "other"))];
    for (name, log) in &logs {
        launch(&world, name, log);
    }
    for (round, prompt) in ["sim:work=300 the same", "the same again"].into_iter().enumerate() {
        for (name, _) in &logs {
            world.write(&format!("agents/{name}/prompt"), prompt);
        }
        for (name, log) in &logs {
            world.next_prompt(name, round);
            let bound = link(&world, name);
            assert!(bound == *log || bound == Path::new("unknown"), "{name} has {}", bound.display());
        }
    }
    for (name, log) in &logs {
        ask(&world, name, &format!("only for {name}"));
        wait_link(&world, name, log);
    }
}

#[test]
fn a_log_that_is_open_is_the_programs_own() {
    let world = world(&section("open", ""));
    let (one, other) = (log(&world, "one"), log(&world, "other"));
    launch(&world, "a", &one);
    launch(&world, "b", &other);
    wait_link(&world, "a", &one);
    wait_link(&world, "b", &other);
}

#[test]
fn a_session_that_changes_is_followed() {
    let more = r#"session = { file = "{home}/sessions/{pid}.json", pid_start = "procStart", id = "sessionId" }"#;
    let world = world(&section("session", more));
    let newest = log(&world, "newest");
    launch(&world, "a", &newest);
    let pid = world.state("agents/a")["probe_snapshot"]["pane_pid"].as_i64().unwrap();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let start: u64 = stat.rsplit(')').next().unwrap().split_whitespace().nth(19).unwrap().parse().unwrap();
    let sessions = world.sandbox().home().join(".said/sessions");
    let name = |id: &str, start: u64| {
        fs::create_dir_all(&sessions).unwrap();
        let text = format!(r#"{{"pid":{pid},"sessionId":"{id}","procStart":"{start}"}}"#);
        let beside = sessions.join("next");
        fs::write(&beside, text).unwrap();
        fs::rename(beside, sessions.join(format!("{pid}.json"))).unwrap();
    };
    assert_eq!(link(&world, "a"), Path::new("unknown"));
    // A process id that was used again, and a name that leads elsewhere.
    name("newest", start + 1);
    name("../work/newest", start);
    let first = log(&world, "first");
    fs::write(&first, "").unwrap();
    name("first", start);
    wait_link(&world, "a", &first);
    // After `/clear`: the new session has no log until it is asked something.
    name("second", start);
    wait_link(&world, "a", Path::new("unknown"));
    let second = log(&world, "second");
    fs::write(&second, "").unwrap();
    ask(&world, "a", "go on");
    wait_link(&world, "a", &second);
    fs::write(sessions.join(format!("{pid}.json")), "{\"pid\":").unwrap();
    ask(&world, "a", "and on");
    assert_eq!(link(&world, "a"), second, "a file that is torn says nothing");
}

#[test]
fn a_hook_names_the_log() {
    let world = world(&section("hook", ""));
    let (one, elsewhere) = (log(&world, "one"), world.sandbox().home().join("elsewhere.jsonl"));
    launch(&world, "a", &one);
    fs::write(&elsewhere, "").unwrap();
    let hooks = world.at("agents/a/session").join("troop/hooks.jsonl");
    let mut hooks = fs::OpenOptions::new().create(true).append(true).open(hooks).unwrap();
    let mut report = |path: &Path| {
        writeln!(hooks, r#"{{"event":"Stop","transcript":"{}"}}"#, path.display()).unwrap();
    };
    report(&one);
    wait_link(&world, "a", &one);
    // Only a log of that program: what else it names is not looked at.
    report(&elsewhere);
    ask(&world, "a", "go on");
    assert_ne!(link(&world, "a"), elsewhere);
}
