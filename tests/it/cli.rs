//! The command line: every verb, its exit codes, and bad input.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::Value;

use crate::support::sandbox::troop_bin;
use crate::support::skip;
use crate::support::user::{USUAL_DEVICE, as_user};
use crate::support::{Sandbox, wait_for};

const LIMIT: Duration = Duration::from_secs(30);

/// Runs troop; the exit code, standard output and standard error.
fn troop(sandbox: &Sandbox, args: &[&str]) -> (i32, String, String) {
    run(sandbox.command(troop_bin()).args(args))
}

fn run(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

#[track_caller]
fn does(sandbox: &Sandbox, args: &[&str]) -> String {
    let (code, out, err) = troop(sandbox, args);
    assert_eq!((code, err.as_str()), (0, ""), "{args:?}: {out}");
    out
}

/// The exit code is `code`, and the whole of what is said is one sentence with `words` in it.
#[track_caller]
fn refuses(sandbox: &Sandbox, args: &[&str], code: i32, words: &str) {
    says(args, troop(sandbox, args), code, words);
}

#[track_caller]
fn says(what: &[&str], said: (i32, String, String), code: i32, words: &str) {
    let (was, out, err) = said;
    assert_eq!((was, out.as_str()), (code, ""), "{what:?}: {err}");
    let sentence = err.strip_prefix("troop: ").and_then(|rest| rest.strip_suffix('\n'));
    let sentence = sentence.unwrap_or_else(|| panic!("{what:?} said {err:?}"));
    assert!(!sentence.contains('\n') && !sentence.ends_with('.'), "{what:?} said {err:?}");
    assert!(sentence.contains(words), "{what:?} said {sentence:?}, without {words:?}");
}

fn status(sandbox: &Sandbox, name: &str) -> String {
    let (_, out, _) = troop(sandbox, &["list", "--json"]);
    let rows: Vec<Value> = serde_json::from_str(&out).unwrap();
    let row = rows.iter().find(|row| row["name"] == name);
    row.map_or("absent", |row| row["status"].as_str().unwrap()).to_owned()
}

#[track_caller]
fn wait_status(sandbox: &Sandbox, name: &str, wanted: &str) {
    wait_for(&format!("{name} to be {wanted}"), LIMIT, || status(sandbox, name) == wanted);
}

#[track_caller]
fn launch(sandbox: &Sandbox, name: &str) {
    does(sandbox, &["launch", name]);
    wait_status(sandbox, name, "ready");
}

/// Everything on disk that a launch would make.
fn made(sandbox: &Sandbox) -> Vec<String> {
    let sessions = sandbox.troop_home().join("sessions/local_interactive");
    let records = sandbox.registry().join("live_agents");
    let list = |dir: std::path::PathBuf| fs::read_dir(dir).into_iter().flatten();
    list(sessions).chain(list(records)).map(|entry| entry.unwrap().path().display().to_string()).collect()
}

#[test]
fn every_verb() {
    let sandbox = Sandbox::new();
    assert_eq!(does(&sandbox, &["list"]), "no agents; launch one with: troop launch NAME\n");
    assert_eq!(does(&sandbox, &["list", "--json"]).trim(), "[]");
    assert_eq!(does(&sandbox, &["doctor"]), "nothing is wrong\n");
    launch(&sandbox, "alice");
    does(
        &sandbox,
        &["launch", "bob", "--tool", "stand-in", "--cwd", "/", "--", troop_bin().to_str().unwrap(), "stand-in"],
    );
    wait_status(&sandbox, "bob", "ready");
    let table = does(&sandbox, &["list"]);
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "STATUS", "TOOL", "SINCE", "CWD"]);
    assert_eq!((lines[1][0], lines[1][1], lines[1][4]), ("alice", "ready", sandbox.work().to_str().unwrap()));
    assert_eq!((lines[2][0], lines[2][4]), ("bob", "/"));
    // Columns stand below each other.
    let column = table.lines().next().unwrap().find("STATUS").unwrap();
    assert!(table.lines().skip(1).all(|line| line[column..].starts_with("ready")), "{table}");

    does(&sandbox, &["prompt", "alice", "sim:work=600000"]);
    wait_status(&sandbox, "alice", "active");
    does(&sandbox, &["interrupt", "alice"]);
    wait_status(&sandbox, "alice", "ready");
    let file = sandbox.work().join("prompt");
    fs::write(&file, "from a file\nof two lines\n").unwrap();
    let said = run(sandbox.command(troop_bin()).args(["prompt", "alice"]).stdin(fs::File::open(&file).unwrap()));
    assert_eq!((said.0, said.2.as_str()), (0, ""));
    wait_status(&sandbox, "alice", "ready");
    let id = serde_json::from_str::<Vec<Value>>(&does(&sandbox, &["list", "--json"])).unwrap()[0]["id"].clone();
    does(&sandbox, &["prompt", id.as_str().unwrap(), "by its id"]);
    wait_status(&sandbox, "alice", "ready");

    does(&sandbox, &["stop", "alice", "bob"]);
    assert_eq!(status(&sandbox, "alice"), "absent");
    let all: Vec<Value> = serde_json::from_str(&does(&sandbox, &["list", "--all", "--json"])).unwrap();
    assert_eq!(all.iter().map(|row| row["status"].as_str().unwrap()).collect::<Vec<_>>(), ["stopped", "stopped"]);
    does(&sandbox, &["retire", "alice", "bob"]);
    let all: Vec<Value> = serde_json::from_str(&does(&sandbox, &["list", "--all", "--json"])).unwrap();
    assert_eq!(all.iter().map(|row| row["status"].as_str().unwrap()).collect::<Vec<_>>(), ["retired", "retired"]);
    // With their last session the server ends as well.
    assert!(!sandbox.tmux(["list-sessions"]).output().unwrap().status.success());
    launch(&sandbox, "alice");
    does(&sandbox, &["stop", "--force", "alice"]);
}

#[test]
fn exit_codes_are_those_of_the_help() {
    let sandbox = Sandbox::new();
    let help = does(&sandbox, &["--help"]);
    for code in 0..=7 {
        assert!(help.contains(&format!("\n  {code}  ")), "{code} is not in {help}");
    }
    // 2: wrong usage.
    for args in [&["explode"][..], &["launch"], &["list", "--bogus"], &["prompt"], &["stop"], &[]] {
        let (code, out, err) = troop(&sandbox, args);
        assert!(code == 2 && out.is_empty() && err.contains("Usage:"), "{args:?}: {code} {out} {err}");
    }
    for name in ["a b", "../a", "", "_x", &"x".repeat(65), "houmao-x"] {
        refuses(&sandbox, &["launch", name], 2, "name");
    }
    // 3: not there.
    for verb in ["prompt", "interrupt", "stop", "retire"] {
        let args = if verb == "prompt" { vec![verb, "nobody", "x"] } else { vec![verb, "nobody"] };
        refuses(&sandbox, &args, 3, "nobody");
    }
    refuses(
        &sandbox,
        &["launch", "a", "--tool", "nonesuch"],
        3,
        "there is no tool \"nonesuch\"; the tools are aider, claude,",
    );
    refuses(&sandbox, &["launch", "a", "--cwd", "/nonexistent"], 3, "/nonexistent is not a directory");
    refuses(&sandbox, &["launch", "a", "--", "no-such-program"], 3, "there is no program \"no-such-program\"");
    refuses(&sandbox, &["launch", "a", "--tool", "claude"], 3, "there is no program \"claude\" for the tool claude");
    refuses(&sandbox, &["umount", "/nonexistent/place"], 3, "there is no directory /nonexistent");
    assert_eq!(made(&sandbox), [""; 0], "something was half done");

    launch(&sandbox, "a");
    // 2: bad text; 6: taken; 4: nothing to do now.
    refuses(&sandbox, &["prompt", "a", "an \u{1b}[2J escape"], 2, "control character");
    refuses(&sandbox, &["prompt", "a", "  "], 2, "the prompt is empty");
    refuses(&sandbox, &["prompt", "a"], 2, "the prompt is empty");
    refuses(&sandbox, &["launch", "a"], 6, "there is an agent named a already");
    refuses(&sandbox, &["interrupt", "a"], 4, "nothing to interrupt");
    refuses(&sandbox, &["retire", "a"], 4, "stop it first");
    does(&sandbox, &["prompt", "a", "sim:work=600000"]);
    wait_status(&sandbox, "a", "active");
    refuses(&sandbox, &["prompt", "a", "more"], 4, "a is working; wait until");
    does(&sandbox, &["interrupt", "a"]);
    wait_status(&sandbox, "a", "ready");
    // 5: down, then gone.
    refuses(&sandbox, &["prompt", "a", "sim:exit=3"], 5, "whose program ended before a turn was seen");
    wait_status(&sandbox, "a", "down");
    refuses(&sandbox, &["prompt", "a", "more"], 5, "a is down (the program exited with status 3)");
    refuses(&sandbox, &["interrupt", "a"], 5, "a");
    does(&sandbox, &["stop", "a"]);
    for args in [&["prompt", "a", "more"][..], &["interrupt", "a"]] {
        refuses(&sandbox, args, 5, "a is gone");
    }
    refuses(&sandbox, &["stop", "a"], 5, "a is stopped already");
    // Every one that can be is stopped, and every one that cannot is named.
    launch(&sandbox, "c");
    let (code, _, err) = troop(&sandbox, &["stop", "nobody", "c", "nothing"]);
    assert!(code == 3 && err.contains("nobody") && err.contains("nothing"), "{code} {err}");
    assert_eq!(status(&sandbox, "c"), "absent");
}

#[test]
fn names_that_are_not_unique() {
    let sandbox = Sandbox::new();
    for id in ["aaaaaaaa1111", "bbbbbbbb2222"] {
        let record = crate::semantics::record(id, "twin", &format!("no-session-{id}"), sandbox.path());
        crate::semantics::plant(&sandbox, id, record.to_string().as_bytes());
    }
    let (code, _, err) = troop(&sandbox, &["prompt", "twin", "x"]);
    assert!(code == 2 && err.contains("aaaaaaaa1111") && err.contains("bbbbbbbb2222"), "{code} {err}");
    refuses(&sandbox, &["prompt", "twin~aaaaaaaa", "x"], 5, "gone");
    does(&sandbox, &["retire", "aaaaaaaa1111"]);
    refuses(&sandbox, &["prompt", "twin", "x"], 5, "gone");
}

#[test]
fn completions_and_the_manual_page() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = does(&sandbox, &["completions", shell]);
        assert!(script.contains("troop") && script.contains("umount"), "{shell}");
    }
    let script = sandbox.work().join("troop.bash");
    fs::write(&script, does(&sandbox, &["completions", "bash"])).unwrap();
    let source = format!("source {}; complete -p troop", script.display());
    let (code, out, err) = run(sandbox.command("bash").args(["--norc", "-c", &source]));
    assert!(code == 0 && err.is_empty() && out.contains("troop"), "{out}{err}");
    let manual = does(&sandbox, &["man"]);
    assert!(manual.contains(".TH troop 1") && manual.contains("Exit codes"), "{manual}");
    if sandbox.command("man").arg("--version").output().is_ok() {
        let page = sandbox.work().join("troop.1");
        fs::write(&page, manual).unwrap();
        let (code, out, err) = run(sandbox.command("man").arg("--warnings").arg(&page));
        assert!(code == 0 && err.is_empty() && out.contains("Live AI agents as files"), "{out}{err}");
    }
    assert!(does(&sandbox, &["--version"]).starts_with("troop 0."));
    // A reader that goes away is no failure.
    let (code, _, err) = run(sandbox
        .command("bash")
        .args(["-c", "set -o pipefail; \"$0\" man | head -c 1 > /dev/null"])
        .arg(troop_bin()));
    assert_eq!((code, err.as_str()), (0, ""));
}

#[test]
fn a_machine_without_tmux() {
    let mut sandbox = Sandbox::new();
    sandbox.set("PATH", sandbox.work().into_os_string());
    let mnt = sandbox.path().join("mnt");
    fs::create_dir(&mnt).unwrap();
    refuses(&sandbox, &["mount", mnt.to_str().unwrap()], 7, "tmux");
    refuses(&sandbox, &["mount", "--detach", mnt.to_str().unwrap()], 7, "tmux");
    refuses(&sandbox, &["launch", "a"], 7, "tmux");
    assert_eq!(status(&sandbox, "a"), "absent");
    let (code, out, _) = troop(&sandbox, &["doctor"]);
    assert!(code == 1 && out.contains("tmux"), "{out}");
    let (code, out, _) = troop(&sandbox, &["list", "--all", "--json"]);
    let rows: Vec<Value> = serde_json::from_str(&out).unwrap();
    assert!(code == 0 && rows.iter().all(|row| row["status"] == "retired"), "{out}");
}

#[test]
fn bad_places_to_mount() {
    let sandbox = Sandbox::new();
    let at = |name: &str| sandbox.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("file"), "").unwrap();
    fs::create_dir(at("full")).unwrap();
    fs::write(at("full/x"), "").unwrap();
    refuses(&sandbox, &["mount", &at("file")], 2, "is not a directory");
    refuses(&sandbox, &["mount", &at("full")], 2, "is not empty");
    refuses(&sandbox, &["mount", &at("absent")], 3, "there is no directory");
    refuses(&sandbox, &["mount", "/proc"], 4, "a proc filesystem");
    refuses(&sandbox, &["mount", "--detach", &at("full")], 2, "is not empty");
    refuses(&sandbox, &["umount", &at("full")], 3, "full");
    refuses(&sandbox, &["umount", "/proc"], 6, "no troop");
    let mut mounted = sandbox.mount();
    refuses(&sandbox, &["mount", &at("mnt")], 4, "already mounted");
    fs::write(mounted.join("control"), format!("launch a --cwd {}/agents\n", at("mnt"))).unwrap_err();
    assert!(fs::read_to_string(mounted.join("control")).unwrap().contains("inside the mount"));
    assert_eq!(made(&sandbox), [""; 0]);
    assert!(mounted.end(nix::sys::signal::Signal::SIGTERM).success());
}

#[test]
fn a_registry_that_cannot_be_read() {
    as_user("cli::a_registry_that_cannot_be_read", USUAL_DEVICE, || {
        let sandbox = Sandbox::new();
        fs::create_dir_all(sandbox.registry().join("live_agents")).unwrap();
        fs::set_permissions(sandbox.registry(), fs::Permissions::from_mode(0o000)).unwrap();
        let (code, out, _) = troop(&sandbox, &["doctor"]);
        assert!(code == 1 && out.contains(sandbox.registry().to_str().unwrap()), "{code} {out}");
        let (code, _, err) = troop(&sandbox, &["launch", "a"]);
        assert!(code == 1 || code == 7, "{code} {err}");
        assert!(err.starts_with("troop: ") && err.lines().count() == 1, "{err}");
        assert!(err.contains(sandbox.registry().to_str().unwrap()), "{err}");
        assert!(!sandbox.tmux(["list-sessions"]).output().unwrap().status.success(), "something was half done");
        fs::set_permissions(sandbox.registry(), fs::Permissions::from_mode(0o700)).unwrap();
        // Nothing is in the way of the next one.
        does(&sandbox, &["launch", "a"]);
        does(&sandbox, &["stop", "a"]);
    });
}

#[test]
fn a_record_of_a_newer_schema() {
    let sandbox = Sandbox::new();
    does(&sandbox, &["launch", "a"]);
    let record = fs::read_dir(sandbox.registry().join("live_agents")).unwrap().next().unwrap().unwrap().path();
    let record = record.join("record.json");
    let text = fs::read_to_string(&record).unwrap();
    let newer = text.replace("\"schema_version\": 3", "\"schema_version\": 4");
    assert_ne!(newer, text);
    fs::write(&record, &newer).unwrap();
    let (code, out, _) = troop(&sandbox, &["doctor"]);
    assert!(code == 1 && out.contains(record.to_str().unwrap()) && out.contains('4'), "{code} {out}");
    refuses(&sandbox, &["prompt", "a", "x"], 3, "a");
    // What cannot be understood is never replaced.
    let (code, _, err) = troop(&sandbox, &["launch", "a"]);
    assert!(code != 0 && err.contains(record.to_str().unwrap()), "{code} {err}");
    assert_eq!(fs::read_to_string(&record).unwrap(), newer);
}

#[test]
fn a_full_disk() {
    if !skip::have_root() {
        return;
    }
    for place in ["registry", "troop-home"] {
        let sandbox = Sandbox::new();
        let dir = sandbox.path().join(place);
        fs::create_dir(&dir).unwrap();
        mount(Some("tmpfs"), &dir, Some("tmpfs"), MsFlags::empty(), Some("size=64k,mode=700")).unwrap();
        let filler = dir.join("filler");
        let _ = fs::write(&filler, vec![0; 1 << 20]);
        let said = troop(&sandbox, &["launch", "a"]);
        let sessions = sandbox.tmux(["list-sessions"]).output().unwrap();
        fs::remove_file(&filler).unwrap();
        let again = troop(&sandbox, &["launch", "a"]);
        sandbox.tmux(["kill-server"]).output().unwrap();
        umount2(&dir, MntFlags::MNT_DETACH).unwrap();
        says(&["launch on a full", place], said, 1, "No space left on device");
        assert!(!sessions.status.success(), "{place}: something runs: {sessions:?}");
        assert_eq!(again.0, 0, "{place}: {again:?}");
    }
}
