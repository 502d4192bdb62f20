//! What is there, whose it is, and where links lead.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::world::{LIMIT, World, said};
use crate::support::user::{USUAL_DEVICE, as_user};
use crate::support::{skip, wait_until};

/// Everything below `dir`, links not followed.
pub fn everything(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![dir.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                left.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found
}

///     README          how to use the mount
///     control         verbs for the whole troop; reading lists them
///     index           one line per agent, TAB-separated: name, status, tool, since, cwd
///     agents.jsonl    one line per live agent, an object as in `troop list --json`, with `source`: its generation and record
///     history.jsonl   every agent's events in one file, one a line
///     history.jsonl.1 what it was before it was full; there from then on
///     agents/NAME/    one directory per live agent
///     stopped/NAME/   the same files for agents that were stopped and can be relaunched
///     by-id/          links to agents by their registry id
///     by-status/      a directory per status with links to the agents that have it
///     by-tool/        a directory per tool with links to the agents that run it
///     homes/          the Homes of this machine by number, each with path, summary.json and links to its agents
///     tools/          the tool definitions in force, as TOML
///
/// The directory of an agent holds `status`, `state.json`, `history`, `history.jsonl`, `screen`,
/// `screen.ansi`, `scrollback`, `reply`, `question`, `explain`, `prompt`, `control`, `keys`,
/// `delivery.jsonl`, `error`, the directories `queue`, `turns` and `wait`, the links `manifest`, `record`,
/// `session`, `transcript` and `cwd`, and once one was full `history.1`, `history.jsonl.1` and
/// `delivery.jsonl.1`; `ask` is there and not listed. Names and columns may be added; none is taken away.
#[test]
fn the_names() {
    let world = World::with("a");
    let top = [
        "README",
        "agents",
        "agents.jsonl",
        "by-id",
        "by-status",
        "by-tool",
        "control",
        "history.jsonl",
        "homes",
        "index",
        "stopped",
        "tools",
    ];
    assert_eq!(world.names(""), top);
    let agent = [
        "control",
        "cwd",
        "delivery.jsonl",
        "error",
        "explain",
        "history",
        "history.jsonl",
        "keys",
        "manifest",
        "prompt",
        "question",
        "queue",
        "record",
        "reply",
        "screen",
        "screen.ansi",
        "scrollback",
        "session",
        "state.json",
        "status",
        "transcript",
        "turns",
        "wait",
    ];
    assert_eq!(world.names("agents/a"), agent);
    assert_eq!(
        world.names("by-status"),
        ["active", "blocked", "down", "gone", "pending", "ready", "starting", "unknown"]
    );
    assert_eq!(world.names("by-tool"), ["stand-in"]);
    for tool in ["claude.toml", "codex.toml", "gemini.toml", "generic.toml", "kimi.toml", "stand-in.toml"] {
        assert!(world.names("tools").contains(&tool.to_owned()));
        world.read(&format!("tools/{tool}")).parse::<toml::Table>().unwrap();
    }

    let readme = world.read("README");
    for name in top.iter().chain(&agent) {
        assert!(readme.lines().any(|line| line.trim().trim_end_matches('/').starts_with(name)), "{name}: {readme}");
    }
    let index = world.read("index");
    let columns: Vec<&str> = index.strip_suffix('\n').unwrap().split('\t').collect();
    assert_eq!((columns[0], columns[1], columns[2]), ("a", "ready", "stand-in"));
    columns[3].parse::<jiff::Timestamp>().unwrap();
    assert_eq!(Path::new(columns[4]), world.sandbox().work());
    let mut line: serde_json::Value = serde_json::from_str(&world.read("agents.jsonl")).unwrap();
    let source = line.as_object_mut().unwrap().remove("source").unwrap();
    let record: serde_json::Value = serde_json::from_str(&world.read("agents/a/record")).unwrap();
    assert_eq!(source["generation"], record["generation_id"]);
    assert_eq!(source["record"].as_str(), fs::read_link(world.at("agents/a/record")).unwrap().to_str());
    let listed: serde_json::Value = serde_json::from_str(&world.troop(&["list", "--json"]).out).unwrap();
    assert_eq!(listed, serde_json::json!([line]));
    let control = world.read("control");
    assert!(control.starts_with("launch NAME") && control.contains("\nrescan"), "{control}");
    assert!(world.read("agents/a/screen").contains("ready"));
    assert!(world.read("agents/a/keys").contains("Enter"));
}

/// Everything belongs to the user who mounted it. Directories are 0700, files 0600 when they can be
/// written and 0400 when they cannot, and other users cannot even look.
#[test]
fn only_the_owner() {
    check_owner_and_modes();
    if !skip::have_root() || !skip::have_program("setpriv") {
        return;
    }
    let world = World::with("a");
    // The way to the mount is open, so that only the mount itself can refuse.
    fs::set_permissions(world.sandbox().path(), fs::Permissions::from_mode(0o755)).unwrap();
    for path in ["", "README", "agents/a/status"] {
        let mut cat = Command::new("setpriv");
        cat.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--", "cat"]).arg(world.at(path));
        let said = said(cat.output().unwrap());
        assert!(said.code == Some(1) && said.err.contains("Permission denied"), "{path}: {said:?}");
    }
}

#[test]
fn an_ordinary_user_owns_their_mount() {
    as_user("semantics::tree::an_ordinary_user_owns_their_mount", USUAL_DEVICE, check_owner_and_modes);
}

fn check_owner_and_modes() {
    let world = World::with("a");
    for path in everything(&world.at("")) {
        let about = fs::symlink_metadata(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let mode = match name {
            _ if about.is_symlink() => 0o777,
            _ if about.is_dir() => 0o700,
            "prompt" | "control" | "keys" => 0o600,
            _ => 0o400,
        };
        assert_eq!(about.mode() & 0o7777, mode, "{}", path.display());
        assert_eq!(about.uid(), nix::unistd::getuid().as_raw());
    }
    assert_eq!(world.at("").metadata().unwrap().mode() & 0o7777, 0o700);
}

/// Every link but `transcript` can always be followed: those below `by-id`, `by-status` and `by-tool` to the agent's directory,
/// `manifest` and `record` to the files on disk that describe it, `session` to the directory that
/// holds them, `cwd` to where it works. An agent is in exactly one directory of `by-status`, the one
/// its `status` names.
#[test]
fn links_lead_somewhere() {
    let world = World::with("a");
    let ino = |path: &str| fs::metadata(world.at(path)).unwrap_or_else(|e| panic!("{path}: {e}")).ino();
    let record = world.read("agents/a/record");
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    let id = record["agent_id"].as_str().unwrap();
    assert_eq!(world.names("by-id"), [id]);
    for link in [&format!("by-id/{id}"), "by-tool/stand-in/a", "by-status/ready/a"] {
        assert_eq!(ino(link), ino("agents/a"), "{link}");
    }
    let manifest: serde_json::Value = serde_json::from_str(&world.read("agents/a/manifest")).unwrap();
    assert_eq!(manifest["schema_version"], 4);
    let session = fs::canonicalize(world.at("agents/a/session")).unwrap();
    assert_eq!(fs::canonicalize(world.at("agents/a/manifest")).unwrap(), session.join("manifest.json"));
    assert_eq!(fs::canonicalize(world.at("agents/a/cwd")).unwrap(), world.sandbox().work());

    world.write("agents/a/prompt", "sim:work=600000");
    world.wait_status("a", "active");
    world.wait_there("by-status/active/a");
    world.wait_gone("by-status/ready/a");
    let found = world.sh("sh", "ls -d by-status/*/a");
    assert_eq!(found.out, "by-status/active/a\n");
    assert_eq!(world.sh("sh", "find -L . -type l ! -name transcript").out, "");
}

/// However fast an agent changes its status and whoever looks for it meanwhile, it is found under no status that it does not have.
#[test]
fn no_name_outlives_what_it_names() {
    let world = World::with("a");
    let statuses = world.names("by-status");
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // A test that fails does not say that it has ended.
            let last = Instant::now() + LIMIT;
            while !ended.load(Ordering::Relaxed) && Instant::now() < last {
                for status in &statuses {
                    let _ = fs::symlink_metadata(world.at(format!("by-status/{status}/a")));
                }
            }
        });
        for _ in 0..4 {
            world.write("agents/a/prompt", "sim:work=150");
            world.wait_status("a", "ready");
        }
        ended.store(true, Ordering::Relaxed);
    });
    // What the kernel has kept is told by asking, not by listing.
    wait_until("it to be found under its own status alone", LIMIT, || {
        let found = |status: &&String| fs::symlink_metadata(world.at(format!("by-status/{status}/a"))).is_ok();
        let found: Vec<&String> = statuses.iter().filter(found).collect();
        if found == ["ready"] { Ok(()) } else { Err(format!("{found:?}")) }
    });
}

/// A stopped agent moves from `agents/` to `stopped/` with all its files. Its status is `gone`, its last
/// screen stays, and its history goes on. `rmdir stopped/NAME` retires it: then it is not listed any more.
#[test]
fn stopped_agents() {
    let world = World::with("a");
    let session = world.session("a");
    world.write("agents/a/control", "stop\n");
    world.wait_there("stopped/a");
    world.wait_gone("agents/a");
    assert_eq!(world.read("stopped/a/status"), "gone\n");
    assert_eq!(world.state("stopped/a")["lifecycle"]["state"], "stopped");
    assert!(world.read("stopped/a/screen").starts_with("◇ stand-in"), "{}", world.read("stopped/a/screen"));
    crate::support::wait_for("the line in its history", super::world::LIMIT, || {
        world.history("stopped/a").iter().any(|event| event["event"] == "stopped")
    });
    assert!(!world.sandbox().tmux(["has-session", "-t", &format!("={session}")]).output().unwrap().status.success());
    assert_eq!(world.names("by-id").len(), 1);
    fs::remove_dir(world.at("stopped/a")).unwrap();
    world.wait_gone("stopped/a");
    assert_eq!((world.names("stopped").len(), world.names("by-id").len()), (0, 0));
    // The name is free again.
    world.launch("a");
}
