//! What a program says elsewhere than on its terminal, by one whose screen tells nothing.

use super::world::{LIMIT, World};
use crate::support::{Sandbox, wait_for};
use std::fs;

const MUTE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/mute");

/// Its definition, in the place of a person's own.
fn definition(instead_of: &str) -> String {
    format!(
        r#"
name = "mute"
summary = "shows nothing"
process = {{ names = ["mute"] }}
start = {{ command = ["{MUTE}"] }}
submit = {{ key = "Enter", settle_ms = 1 }}
interrupt = {{ key = "Escape" }}
[status_file]
path = "{{home}}/sessions/{{pid}}.json"
home = {{ env = "MUTE_HOME", default = ".mute" }}
pid_start = "procStart"
status = "status"
at = "statusUpdatedAt"
fresh_ms = 60_000
shows = {{ busy = "active", waiting = "approval" }}
[hooks]
args = ["Working", "{{say:Working}}", "Asking", "{{say:Asking}}", "End", "{{say:End}}"]
fresh_ms = 60_000
shows = {{ Working = "active", Asking = "question" }}
[hooks.settings]
env = "MUTE_SETTINGS"
instead_of = "{instead_of}"
text = '{{"asking":"{{say:Asking}}"}}'
[[rule]]
id = "never"
region = "title"
match = '\Aready\z'
shows = "ready"
priority = 1
"#
    )
}

fn world() -> World {
    world_with("/nonexistent")
}

/// `instead_of` is the file in whose place the program reads the settings with its hooks.
fn world_with(instead_of: &str) -> World {
    let sandbox = Sandbox::new();
    let tools = sandbox.home().join(".config/troop/tools");
    fs::create_dir_all(&tools).unwrap();
    fs::write(tools.join("mute.toml"), definition(instead_of)).unwrap();
    World::mounted(sandbox, &[])
}

/// Launches it; `rest` is what follows in the verb.
fn launch(world: &World, rest: &str) {
    let work = world.sandbox().work();
    world.write("control", &format!("launch a --tool mute --cwd {}{rest}\n", work.display()));
    world.wait_there("agents/a");
    wait_for("the program", LIMIT, || work.join("orders").exists());
}

fn order(world: &World, order: &str) {
    fs::write(world.sandbox().work().join("orders"), format!("{order}\n")).unwrap();
}

/// The file of settings that the program was given.
fn settings(world: &World) -> Option<String> {
    let pid = world.state("agents/a")["probe_snapshot"]["pane_pid"].as_i64().unwrap();
    let environ = String::from_utf8(fs::read(format!("/proc/{pid}/environ")).unwrap()).unwrap();
    let path = environ.split('\0').find_map(|variable| variable.strip_prefix("MUTE_SETTINGS="))?;
    Some(fs::read_to_string(path).unwrap())
}

/// The first clue in `explain`.
fn decided(world: &World) -> String {
    let text = world.read("agents/a/explain");
    text.lines().find(|line| line.starts_with("decided by")).unwrap_or_default().to_owned()
}

/// Besides the terminal, what a program says elsewhere counts where its definition in `tools/` names such a
/// source, each for as long as that says: a status file that the program keeps itself (of `claude`, for 12
/// hours at most and while the process that wrote it lives), and hooks (of `claude` and `gemini`, 2 minutes an event). They
/// decide where no rule finds anything on the screen, never against work or a question that is to be seen; a
/// newer report of work stands against a composer for 1.5 s. `explain` names the source. Two seconds after it
/// has nothing to say any more the status is `unknown`. Hooks are given by the arguments or the environment of
/// the one launch, and only of one that names no command line of its own: nothing of a person's configuration
/// is read or changed.
#[test]
fn what_a_program_says_elsewhere() {
    let world = world();
    launch(&world, "");
    // A process id that was used again, and a file that is not whole.
    order(&world, "foreign busy");
    order(&world, "torn");
    order(&world, "foreign waiting");
    let status = world.sandbox().home().join(".mute/sessions");
    wait_for("the status file", LIMIT, || {
        fs::read_dir(&status)
            .into_iter()
            .flatten()
            .flatten()
            .any(|file| fs::read_to_string(file.path()).is_ok_and(|text| text.contains("waiting")))
    });
    order(&world, "status busy");
    world.wait_status("a", "active");
    assert_eq!(decided(&world), "decided by status file rule busy (priority 0): active");
    let printed = world.troop(&["explain", "a"]);
    assert!(printed.out.contains("decided by status file rule busy"), "{printed:?}");
    assert!(world.history("agents/a").iter().all(|event| event["to"] != "blocked"));
    order(&world, "status waiting");
    world.wait_status("a", "blocked");
    assert_eq!(decided(&world), "decided by status file rule waiting (priority 0): approval");
    assert_eq!(world.state("agents/a")["sources"][0]["source"], "status file");
    order(&world, "foreign busy");
    world.wait_status("a", "unknown");
    order(&world, "status busy");
    world.wait_status("a", "active");
    order(&world, "remove");
    world.wait_status("a", "unknown");

    order(&world, "hook Working");
    world.wait_status("a", "active");
    assert_eq!(decided(&world), "decided by hook rule Working (priority 0): active");
    order(&world, "hook Asking");
    world.wait_status("a", "blocked");
    order(&world, "hook End");
    world.wait_status("a", "unknown");
    let settings = serde_json::from_str::<serde_json::Value>(&settings(&world).unwrap()).unwrap();
    assert!(settings["asking"].as_str().unwrap().contains(r#"{"event":"Asking""#), "{settings}");
    let written = fs::read_dir(world.sandbox().home()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(written.into_iter().all(|name| name == ".config" || name == ".mute" || name == ".local"));
}

#[test]
fn a_command_line_of_ones_own_gets_no_hooks() {
    let world = world();
    launch(&world, &format!(" -- {MUTE} one two"));
    order(&world, "hook Working");
    order(&world, "status busy");
    world.wait_status("a", "active");
    assert_eq!(decided(&world), "decided by status file rule busy (priority 0): active");
    assert!(!world.read("agents/a/explain").contains("hook"));
    assert_eq!(settings(&world), None);
}

#[test]
fn settings_of_the_system_stay_in_force() {
    let world = world_with(MUTE);
    launch(&world, "");
    order(&world, "hook Working");
    world.wait_status("a", "active");
    assert_eq!(settings(&world), None);
}

#[test]
fn a_program_that_was_started_again_is_found_again() {
    let world = world();
    launch(&world, "");
    order(&world, "status busy");
    world.wait_status("a", "active");
    let session = world.session("a");
    // The file of the one that is gone stays where it was.
    world.tmux(&["respawn-pane", "-k", "-t", &format!("={session}:"), MUTE]);
    wait_for("its word to be taken back", LIMIT, || !world.read("agents/a/explain").contains("status file"));
    order(&world, "status waiting");
    world.wait_status("a", "blocked");
}
