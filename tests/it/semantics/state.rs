//! `state.json`: whole, valid, as its schema says, and true.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value;
use troop::model::live::{LiveState, Status};

use super::keyboard::suspend_behind_a_shell;
use super::world::{World, have};

/// Set to write the schema anew.
const UPDATE: &str = "TROOP_UPDATE_SCHEMA";
const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/schema/state.schema.json");

static VALIDATOR: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let schema: Value = serde_json::from_str(&fs::read_to_string(SCHEMA).unwrap()).unwrap();
    jsonschema::validator_for(&schema).unwrap()
});

/// Fails when these bytes are not what a `state.json` may be; gives the document.
#[track_caller]
pub fn check(bytes: &[u8]) -> Value {
    let text = std::str::from_utf8(bytes).unwrap();
    let document: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let violations: Vec<String> = VALIDATOR.iter_errors(&document).map(|error| error.to_string()).collect();
    assert!(violations.is_empty(), "{violations:?}\n{document:#}");
    assert!(text.ends_with('\n') && text.len().is_multiple_of(512), "{} bytes", text.len());
    // serde_json's own order is the alphabet's; the file's is that of the types.
    let state: LiveState = serde_json::from_str(text).unwrap();
    assert_eq!(text.trim_end(), serde_json::to_string_pretty(&state).unwrap());
    document
}

#[test]
fn the_schema_is_the_types() {
    let mut schema = schemars::schema_for!(LiveState);
    schema.insert("$id".to_owned(), "state.schema.json".into());
    schema.insert("title".to_owned(), "The live state of an agent: state.json".into());
    let text = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
    if std::env::var_os(UPDATE).is_some() {
        fs::create_dir_all(Path::new(SCHEMA).parent().unwrap()).unwrap();
        fs::write(SCHEMA, &text).unwrap();
    }
    let kept = fs::read_to_string(SCHEMA).unwrap_or_default();
    assert!(kept == text, "{SCHEMA} is out of date; write it anew with {UPDATE}=1 cargo test the_schema_is_the_types");
}

#[test]
fn the_schema_refuses_what_is_not_a_state() {
    for wrong in [r"{}", r#"{"status":"happy"}"#, "[]", "null"] {
        assert!(!VALIDATOR.is_valid(&serde_json::from_str(wrong).unwrap()), "{wrong}");
    }
}

/// `state.json` is one JSON object, pretty-printed with its keys in a fixed order, and ends in a newline.
/// Blanks before that newline fill it to a multiple of 512 bytes, so that its size seldom changes and a
/// reader that trusts the size it was told a moment ago gets all of it.
#[test]
fn whole_and_valid() {
    let world = World::with("a");
    let state = world.state("agents/a");
    assert_eq!(state["identity"]["agent_name"], "a");
    // Opened, sized, and read for as much as that, while it changes.
    for round in 0..40 {
        if round % 10 == 0 {
            world.wait_status("a", "ready");
            world.write("agents/a/prompt", "sim:work=50");
        }
        let path = world.at("agents/a/state.json");
        let file = File::open(&path).unwrap();
        let told = file.metadata().unwrap().len();
        let mut bytes = Vec::new();
        file.take(told).read_to_end(&mut bytes).unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap();
        check(&fs::read(&path).unwrap());
    }
    for (program, script) in [
        ("jq", "jq -re .status agents/a/state.json"),
        ("python3", "python3 -c 'import json; print(json.load(open(\"agents/a/state.json\"))[\"status\"])'"),
    ] {
        if have(world.sandbox(), program) {
            world.wait_status("a", "ready");
            assert_eq!(world.sh("sh", script).out, "ready\n", "{program}");
        }
    }
}

/// In every state `state.json` follows `docs/schema/state.schema.json`. Before the first look at an
/// agent's terminal, and wherever something cannot be told, it says `unknown`.
#[test]
fn it_follows_its_schema() {
    let world = World::new();
    // Every look of every test checks the schema; here is one that nothing is known of.
    world.plant("0000aaaa", "nobody", "no-such-session");
    world.wait_there("agents/nobody");
    world.wait_status("nobody", "gone");
    let state = world.state("agents/nobody");
    assert_eq!(state["diagnostics"]["availability"], "unavailable");
    assert_eq!(state["turn"]["phase"], "unknown");
    assert_eq!(state["surface"]["accepting_input"], "unknown");
    assert_eq!(state["last_turn"]["result"], "none");
    assert_eq!(state["probe_snapshot"], Value::Null);
    assert_eq!(state["identity"]["working_directory"], Value::Null);
    assert!(state["diagnostics"]["parse_error"].as_str().unwrap().contains("manifest"), "{state:#}");

    world.launch("a");
    let state = world.state("agents/a");
    assert_eq!(state["diagnostics"]["availability"], "available");
    assert_eq!(state["turn"]["phase"], "ready");
    assert_eq!(state["surface"]["accepting_input"], "yes");
    assert_eq!(state["identity"]["working_directory"], world.sandbox().work().to_str().unwrap());
    // A program that nobody has described.
    world.launch_program("g", &format!("{} stand-in", crate::support::sandbox::troop_bin().display()));
    let record = fs::canonicalize(world.at("agents/g/record")).unwrap();
    let text = fs::read_to_string(&record).unwrap().replace("\"stand-in\"", "\"home-made\"");
    // As everybody replaces a record: half of one is none.
    fs::write(record.with_extension("new"), text).unwrap();
    fs::rename(record.with_extension("new"), &record).unwrap();
    crate::support::wait_until("the new tool", super::world::LIMIT, || {
        let state = world.state("agents/g");
        let is_new = state["diagnostics"]["parse_status"] == "unsupported_tool";
        if is_new { Ok(()) } else { Err(format!("{state:#} {}", fs::read_to_string(&record).unwrap())) }
    });
}

/// `status` is one word, also found in `state.json`: `starting` (launched, not ready yet), `ready` (waiting
/// for a prompt), `pending` (a prompt was accepted and its turn has not begun), `active` (working),
/// `blocked` (asking a person), `unknown` (alive, but what it does cannot be told), `down` (the program has
/// ended, its session is there) or `gone` (there is no session). Its modification time is when it changed.
#[test]
fn statuses() {
    let world = World::new();
    let is = |status: &str| {
        world.wait_status("a", status);
        let state = world.state("agents/a");
        if state["status"] != status {
            return;
        }
        let since: jiff::Timestamp = state["status_since"].as_str().unwrap().parse().unwrap();
        let mtime = fs::metadata(world.at("agents/a/status")).unwrap().modified().unwrap();
        let mtime = jiff::Timestamp::try_from(mtime).unwrap();
        assert_eq!(mtime.as_millisecond(), since.as_millisecond(), "{status}");
    };
    world.launch_with("a", "--start-delay 400");
    is("starting");
    is("ready");
    world.write("agents/a/prompt", "sim:work=400 sim:ask sim:work=1");
    assert_ne!(world.read("agents/a/status"), "ready\n");
    is("active");
    is("blocked");
    assert_eq!(world.state("agents/a")["attention"], "answer");
    world.write("agents/a/keys", "1\n");
    is("ready");
    suspend_behind_a_shell(&world, "b");
    world.wait_status("b", "unknown");
    assert_eq!(world.state("agents/b")["attention"], "look");
    let session = world.session("a");
    world.write("agents/a/prompt", "sim:exit=3");
    is("down");
    world.tmux(&["kill-session", "-t", &format!("={session}")]);
    is("gone");
    for word in ["starting", "ready", "pending", "active", "blocked", "unknown", "down", "gone"] {
        assert!(Status::ALL.iter().any(|status| status.as_str() == word));
    }
    let seen: Vec<String> = world
        .history("agents/a")
        .iter()
        .filter(|event| event["event"] == "status")
        .map(|event| event["to"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(seen[..2], ["ready", "pending"], "{seen:?}");
    assert_eq!(seen[seen.len() - 2..], ["down", "gone"], "{seen:?}");
}

/// A status counts from when it was written down in the history, for every troop that comes later as well: another command beside
/// the mount, and the next mount. It began anew when somebody has written down another one, a prompt or a start in between.
#[test]
fn since_when() {
    let mut world = World::with("a");
    let since = |world: &World| -> jiff::Timestamp {
        world.state("agents/a")["status_since"].as_str().unwrap().parse().unwrap()
    };
    let listed = |world: &World| -> jiff::Timestamp {
        let said = world.troop(&["list", "--json"]);
        let rows: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(rows[0]["status"], "blocked", "{said:?}");
        rows[0]["since"].as_str().unwrap().parse().unwrap()
    };
    world.write("agents/a/prompt", "sim:ask");
    world.wait_status("a", "blocked");
    let blocked = since(&world);
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert_eq!(listed(&world).as_second(), blocked.as_second(), "beside a mount");
    world.mount().end(nix::sys::signal::Signal::SIGKILL);
    assert_eq!(listed(&world).as_second(), blocked.as_second(), "without one");
    world.mount_again();
    world.wait_status("a", "blocked");
    assert_eq!(since(&world).as_second(), blocked.as_second(), "in the next one");

    world.write("agents/a/control", "interrupt");
    world.wait_status("a", "ready");
    world.write("agents/a/prompt", "sim:ask");
    world.wait_status("a", "blocked");
    assert!(since(&world) > blocked + jiff::SignedDuration::from_secs(1), "it is another question");
}

/// When a turn is over, `last_turn` says how: `success`, or `interrupted` after somebody pressed the
/// interrupt key.
#[test]
fn how_a_turn_ended() {
    let world = World::with("a");
    let ended = |result: &str| {
        world.wait_status("a", "ready");
        let state = world.state("agents/a");
        assert_eq!(state["last_turn"]["result"], result, "{state:#}");
        assert_eq!(state["last_turn"]["source"], "explicit_input");
    };
    world.write("agents/a/prompt", "sim:work=100");
    ended("success");
    world.write("agents/a/prompt", "sim:work=600000");
    world.wait_status("a", "active");
    world.write("agents/a/control", "interrupt\n");
    ended("interrupted");
    world.write("agents/a/prompt", "sim:say=hello");
    ended("success");
}
