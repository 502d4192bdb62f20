//! What an agent is started with, and what is left of a start that fails.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::world::{errno, said};
use super::{LIMIT, World};
use crate::support::sandbox::troop_bin;
use crate::support::{Sandbox, wait_for, wait_until};

const STAND_IN: &str = include_str!("../../../src/tool/stand-in.toml");
const BY_ARGUMENT: &str = "method = \"native_append_system_prompt\"\nargs = [\"--role\", \"{role}\"]";

/// A sandbox with the tools `teller`, a stand-in that is told its role by an argument, and `typist`, one that is told it
/// as its first prompt, both logging to `work/log`, with two roles, and with that configuration.
fn sandbox(config: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let tools = sandbox.home().join(".config/troop/tools");
    fs::create_dir_all(&tools).unwrap();
    let command =
        format!("[\"{{troop}}\", \"stand-in\", \"--pace\", \"1\", \"--log\", {:?}]", sandbox.work().join("log"));
    let teller =
        STAND_IN.replace("name = \"stand-in\"", "name = \"teller\"").replace("[\"{troop}\", \"stand-in\"]", &command);
    assert!(teller.contains(BY_ARGUMENT) && teller.contains("--log"));
    fs::write(tools.join("teller.toml"), &teller).unwrap();
    let typist = teller.replace("\"teller\"", "\"typist\"").replace(BY_ARGUMENT, "method = \"bootstrap_message\"");
    fs::write(tools.join("typist.toml"), typist).unwrap();
    for name in ["critic", "scout"] {
        fs::write(role(&sandbox, name), format!("You are the {name}.\r\n\"Quote\" $HOME `x` \\\n\n")).unwrap();
    }
    fs::write(sandbox.home().join(".config/troop/config.toml"), config).unwrap();
    sandbox
}

fn role(sandbox: &Sandbox, name: &str) -> PathBuf {
    sandbox.path().join(format!("{name}.md"))
}

/// What the program is to be told of the role in that file.
fn told(name: &str) -> String {
    format!("You are the {name}.\n\"Quote\" $HOME `x` \\")
}

/// What programs have logged in `work/log`, of one kind of event.
fn logged(sandbox: &Sandbox, event: &str) -> Vec<Value> {
    let text = fs::read_to_string(sandbox.work().join("log")).unwrap_or_default();
    let all = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    all.filter(|line| line["event"] == event).collect()
}

/// What the program that was launched last was told by its arguments: role, model, conversation.
#[track_caller]
fn last_told(sandbox: &Sandbox, before: usize) -> [String; 3] {
    let told = wait_until("the program to start", LIMIT, || logged(sandbox, "told").get(before).cloned().ok_or(()));
    ["role", "model", "resume"].map(|key| told[key].as_str().unwrap_or_default().to_owned())
}

/// The manifests of all sessions.
fn manifests(sandbox: &Sandbox) -> Vec<(PathBuf, Value)> {
    let sessions = sandbox.troop_home().join("sessions/local_interactive");
    let dirs = fs::read_dir(sessions).into_iter().flatten().map(|entry| entry.unwrap().path());
    dirs.map(|dir| {
        let manifest = serde_json::from_slice(&fs::read(dir.join("manifest.json")).unwrap()).unwrap();
        (dir, manifest)
    })
    .collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A launch says what it wants with options, the same in `control` and on the command line: `--tool`, `--cwd`,
/// `--role FILE`, `--model M`, `--env NAME=VALUE` (several), `--resume last|ID`, `--profile P`, and after `--`
/// a command line in place of the tool's. What it does not say comes from the profile, then from `[defaults]` of
/// `~/.config/troop/config.toml`, then from the tool. A model there counts for the tool that stands beside it,
/// and what is written after `--` gets no model and no role of `[defaults]`. `mkdir` takes the defaults.
#[test]
fn what_a_launch_takes() {
    let sandbox = sandbox_with_defaults();
    let (scout, work) = (role(&sandbox, "scout"), sandbox.work());
    let world = World::mounted(sandbox, &[]);
    fs::create_dir(world.at("agents/plain")).unwrap();
    assert_eq!(last_told(world.sandbox(), 0), [told("critic"), "default-model".into(), String::new()]);
    world.write("control", "launch fast --profile fast --resume last\n");
    assert_eq!(last_told(world.sandbox(), 1), [told("critic"), "fast-model".into(), "last".into()]);
    let line = format!("launch own --profile fast --model own-model --role {} --resume 0-1\n", scout.display());
    world.write("control", &line);
    assert_eq!(last_told(world.sandbox(), 2), [told("scout"), "own-model".into(), "0-1".into()]);
    let cli = ["launch", "cli", "--profile", "fast", "--role", "../scout.md", "--model", "own-model"];
    assert_eq!(world.troop(&cli).code, Some(0));
    assert_eq!(last_told(world.sandbox(), 3), [told("scout"), "own-model".into(), String::new()]);
    // Another tool's model, and a command line of somebody's own.
    world.write("control", "launch other --tool stand-in\n");
    world.wait_status("other", "ready");
    let own = format!("{} stand-in --log {}", troop_bin().display(), world.log_path("mine").display());
    world.write("control", &format!("launch mine --cwd {} -- {own}\n", work.display()));
    world.wait_status("mine", "ready");
    assert!(world.received("mine").iter().all(|event| event["event"] != "told"));
    let args = |name: &str| {
        let all = manifests(world.sandbox()).into_iter().find(|(_, manifest)| manifest["agent_name"] == name);
        all.unwrap().1["launch_plan"]["args"].to_string()
    };
    assert_eq!(args("other"), r#"["stand-in"]"#);
    assert!(args("own").ends_with(r#","--model","own-model"]"#), "{}", args("own"));
    for (line, part) in [
        ("launch x --profile nope\n", "the profiles are fast"),
        ("launch x --role critic.md\n", "begins with '/'"),
        ("launch x --tool generic --role /r.md -- sh\n", "generic has no way to be told a role"),
        ("launch x --tool generic --model m -- sh\n", "generic takes no model"),
        ("launch x --tool aider --resume 7\n", "aider cannot go on with a conversation by its id"),
        ("launch x --env HOUMAO_AGENT_ID=1\n", "leave it out"),
    ] {
        world.refused("control", line);
        let sentence = world.read("control");
        assert!(sentence.contains(part), "{line}: {sentence}");
    }
    assert!(!world.names("agents").contains(&"x".to_owned()));
}

fn sandbox_with_defaults() -> Sandbox {
    let made = sandbox("");
    let config = format!(
        "[defaults]\ntool = \"teller\"\nmodel = \"default-model\"\nrole = {:?}\ncwd = {:?}\n[profiles.fast]\nmodel = \"fast-model\"\n",
        role(&made, "critic"),
        made.work(),
    );
    fs::write(made.home().join(".config/troop/config.toml"), config).unwrap();
    made
}

/// The configuration is understood whole or not at all: an unknown key or a wrong value is said with file and
/// line by every command, and nothing of the file counts then. A launch that names a profile is refused, all else
/// goes on with what is built in.
#[test]
fn a_mistake_in_the_configuration() {
    let world = World::mounted(sandbox("[defaults]\ntool = \"teller\"\n[profiles.p]\nmodle = \"x\"\n"), &[]);
    let listed = world.troop(&["list"]);
    assert_eq!(listed.code, Some(0));
    assert!(listed.err.contains("config.toml is wrong at line 4: ") && listed.err.contains("modle"), "{}", listed.err);
    assert_eq!(world.troop(&["launch", "a", "--profile", "p"]).code, Some(1));
    world.refused("control", "launch a --profile p\n");
    let sentence = world.read("control");
    assert!(sentence.contains("line 4"), "{sentence}");
    world.write("control", "launch a\n");
    world.wait_status("a", "ready");
    assert_eq!(world.state("agents/a")["identity"]["tool"], "stand-in");
}

/// A role is the text of a file: UTF-8, 96 KiB at most, without control characters but tab and newline. A program
/// is told it in the way that `tools/` names for it: by an argument at every start, or as its first prompt. That
/// one waits in the queue as `0-role`, is sent when the program is ready and before the status says so, has its
/// receipt as any prompt, and is never sent into a conversation that is gone on with. `troop launch` returns
/// when it has been sent.
#[test]
fn a_role() {
    let sandbox = sandbox("");
    let (critic, odd) = (role(&sandbox, "critic"), sandbox.path().join("odd.md"));
    let world = World::mounted(sandbox, &[]);
    let launch = |name: &str, rest: &str| {
        let work = world.sandbox().work();
        world.write("control", &format!("launch {name} --cwd {} {rest}\n", work.display()));
    };
    launch("a", &format!("--tool typist --role {}", critic.display()));
    let waited = world.sh("sh", "until [ -e agents/a/wait/ready ]; do sleep 0.01; done; cat agents/a/wait/ready");
    assert_eq!(waited.code, Some(0), "{waited:?}");
    // Whoever waits for ready finds an agent that knows its role.
    let prompts = || logged(world.sandbox(), "prompt").iter().map(|event| event["text"].clone()).collect::<Vec<_>>();
    assert_eq!(prompts(), [told("critic")]);
    world.write("agents/a/prompt", "first of mine");
    wait_for("the second prompt", LIMIT, || prompts().len() == 2);
    assert_eq!(world.names("agents/a/queue"), [""; 0]);
    let receipts = world.read("agents/a/delivery.jsonl");
    assert!(receipts.lines().count() >= 1 && receipts.contains("\"stage\":\"confirmed\""), "{receipts}");
    let injection = &manifests(world.sandbox())[0].1["launch_plan"]["role_injection"];
    assert_eq!((&injection["method"], &injection["role_name"]), (&"bootstrap_message".into(), &"critic".into()));
    // Told already.
    launch("b", &format!("--tool typist --resume last --role {}", critic.display()));
    world.wait_status("b", "ready");
    assert_eq!(prompts().len(), 2);
    // By the command line, with a mount and, below, without one.
    let cli = ["launch", "c", "--tool", "typist", "--role", critic.to_str().unwrap()];
    assert_eq!(world.troop(&cli).code, Some(0));
    // It writes its log after its screen.
    wait_for("the third role", LIMIT, || prompts().len() == 3);
    for (bytes, part) in [(&b"\xff"[..], "UTF-8"), (b"\x1b[2J", "control characters"), (b" \n", "is empty")] {
        fs::write(&odd, bytes).unwrap();
        let said = world.troop(&["launch", "d", "--tool", "teller", "--role", odd.to_str().unwrap()]);
        assert!(said.code == Some(2) && said.err.contains(part), "{said:?}");
    }
    fs::write(&odd, "x".repeat((96 << 10) + 1)).unwrap();
    let said = world.troop(&["launch", "d", "--tool", "teller", "--role", odd.to_str().unwrap()]);
    assert!(said.code == Some(2) && said.err.contains("longer than"), "{said:?}");
    let inside = format!("launch d --tool teller --role {}\n", world.at("README.md").display());
    assert_eq!(errno(fs::write(world.at("control"), inside)), libc::EINVAL);
    assert!(world.read("control").contains("inside the mount"), "{}", world.read("control"));
    assert!(!world.names("agents").contains(&"d".to_owned()));
}

#[test]
fn a_role_is_sent_without_a_mount_and_a_long_one_arrives_whole() {
    let sandbox = sandbox("");
    let critic = role(&sandbox, "critic");
    let launch = |name: &str, tool: &str, role: &Path| {
        let args = ["launch", name, "--tool", tool, "--role", role.to_str().unwrap()];
        let launched = said(sandbox.command(troop_bin()).args(args).output().unwrap());
        assert_eq!((launched.code, launched.err.as_str()), (Some(0), ""), "{name}");
    };
    launch("a", "typist", &critic);
    wait_for("its log", LIMIT, || !logged(&sandbox, "prompt").is_empty());
    assert_eq!(logged(&sandbox, "prompt")[0]["text"], told("critic"));
    let long = sandbox.path().join("long.md");
    let text = "line \"x\" $y 'é' \\ ;\t#{pane_id}\n".repeat(3000);
    assert!(text.len() > 90_000 && text.len() < 96 << 10);
    fs::write(&long, &text).unwrap();
    launch("b", "teller", &long);
    assert_eq!(last_told(&sandbox, 0)[0], text.trim_end());
}

/// The variables of `--env` reach that agent's program and no other. Their values are in `launch.env` of its
/// session (mode 0600) and nowhere else on disk; its manifest has their names. Those that say who and where an
/// agent is cannot be set.
#[test]
fn variables_of_one_launch() {
    let sandbox = sandbox("[profiles.p]\nenv = { FROM_PROFILE = \"p\", KEY = \"profile\" }\n");
    let script = sandbox.work().join("env.sh");
    fs::write(&script, "env > $0.$1.tmp; mv $0.$1.tmp $0.$1; exec sleep 600\n").unwrap();
    let world = World::mounted(sandbox, &[]);
    let launch = |name: &str, options: &[&str]| {
        let head = [&["launch", name], options, &["--", "/bin/sh", script.to_str().unwrap(), name]].concat();
        assert_eq!(world.troop(&head).code, Some(0));
        let out = PathBuf::from(format!("{}.{name}", script.display()));
        wait_until("the program to say", LIMIT, || fs::read_to_string(&out))
    };
    let first = launch("a", &["--profile", "p", "--env", "KEY=sk 'secret' \"x\" $HOME", "--env", "EMPTY="]);
    for line in ["KEY=sk 'secret' \"x\" $HOME", "EMPTY=", "FROM_PROFILE=p"] {
        assert!(first.lines().any(|found| found == line), "{line}\n{first}");
    }
    let second = launch("b", &[]);
    assert!(!second.contains("KEY=") && !second.contains("FROM_PROFILE"), "{second}");
    assert!(!world.tmux(&["show-environment", "-g"]).contains("secret"));
    let found = said(
        world
            .sandbox()
            .command("grep")
            .args(["-rl", "sk 'secret'"])
            .arg(world.sandbox().troop_home())
            .output()
            .unwrap(),
    );
    let files: Vec<&str> = found.out.lines().collect();
    assert!(files.len() == 1 && files[0].ends_with("/launch.env"), "{files:?}");
    assert_eq!(mode(Path::new(files[0])), 0o600);
    let all = manifests(world.sandbox());
    let manifest = &all.iter().find(|(_, manifest)| manifest["agent_name"] == "a").unwrap().1;
    assert_eq!(manifest["launch_plan"]["env_var_names"], serde_json::json!(["FROM_PROFILE", "KEY", "EMPTY"]));
}

/// A program in an agent finds the registry, Home and tmux server of whoever launched or relaunched it, however those were
/// given: where its environment alone would lead elsewhere, it has `HOUMAO_GLOBAL_REGISTRY_DIR`, `TROOP_HOME` and
/// `TROOP_TMUX_SOCKET`. So `troop list` there lists the agent itself, and agents that it launches appear beside it. Whether
/// questions may be answered is not handed on.
#[test]
fn agents_that_drive_agents() {
    let mut sandbox = Sandbox::new();
    let (home, script) = (sandbox.path().join("other-home"), sandbox.work().join("boss.sh"));
    // Blank counts as absent: what is here was given by options, or by a variable that does not reach the agent.
    sandbox.set("TROOP_HOME", "");
    sandbox.set("TROOP_TMUX_SOCKET", " ");
    sandbox.set("HOUMAO_GLOBAL_REGISTRY_DIR", "");
    sandbox.set("XDG_CONFIG_HOME", sandbox.path().join("config"));
    sandbox.set("TROOP_ALLOW_APPROVALS", "true");
    let troop = troop_bin();
    let text = "cd $(dirname $0); TROOP list > $1.tmp 2>&1; env >> $1.tmp; mv $1.tmp $1\nTROOP launch $1-helper -- TROOP stand-in > $1.launch 2>&1\nexec sleep 600\n";
    fs::write(&script, text.replace("TROOP", troop.to_str().unwrap())).unwrap();
    let options = ["--home", home.to_str().unwrap(), "--tmux-socket", "team"];
    let world = World::mounted(sandbox, &options);
    let said = |name: &str| {
        let path = world.sandbox().work().join(name);
        let text = wait_until("the agent to list", LIMIT, || fs::read_to_string(&path));
        fs::remove_file(path).unwrap();
        assert!(text.lines().any(|line| line.starts_with(&format!("{name} "))), "{text}");
        assert!(!text.contains("TROOP_ALLOW_APPROVALS"), "{text}");
    };
    let argv = ["/bin/sh", script.to_str().unwrap()].join(" ");
    world.launch_program("boss", &format!("{argv} boss"));
    said("boss");
    // It is there with its Home and on its server.
    world.wait_status("boss-helper", "ready");
    let state = world.state("agents/boss-helper");
    let root = state["identity"]["session_root"].as_str().unwrap();
    assert!(Path::new(root).starts_with(&home), "{root}");
    assert!(state["identity"]["tmux_socket"].as_str().is_some_and(|path| path.ends_with("/team")), "{state}");
    let relaunched = world.troop(&[&["relaunch", "boss"][..], &options].concat());
    assert_eq!(relaunched.code, Some(0), "{relaunched:?}");
    said("boss");
}

/// `troop launch` returns when the program is up: it shows something that its tool's rules know, or has run for a
/// second, for ten when it is its tool's own. When it ended before, or could not be started, the reason has the last
/// rows it wrote, no session is left, and the name is free. A launch through the mount returns when the agent is listed,
/// and fails when it cannot be started; why its program ended later, `control` tells. `troop prompt` to an agent that is
/// starting waits until it is not.
#[test]
fn a_launch_that_fails_leaves_nothing() {
    let world = World::with("other");
    let script = world.sandbox().work().join("fail.sh");
    // tmux 3.3a may lose what is written right before the end.
    fs::write(&script, "echo one; printf 'no \\033[31mkey\\n\\n'; echo set KEY; sleep 0.5; exit 3\n").unwrap();
    let argv = ["/bin/sh", script.to_str().unwrap()];
    let failed = world.troop(&[&["launch", "a", "--"][..], &argv].concat());
    assert_eq!(failed.code, Some(5), "{failed:?}");
    assert!(failed.err.contains("ended before it was ready (the program exited with status 3)"), "{}", failed.err);
    assert!(failed.err.contains("one / no key / set KEY"), "{}", failed.err);
    world.write("control", &format!("launch a -- {}\n", argv.join(" ")));
    wait_for("the failure to be told", LIMIT, || world.read("control").contains("one / no key / set KEY"));
    let killed = world.troop(&["launch", "k", "--", "/bin/sh", "-c", "kill -SEGV $$"]);
    assert!(killed.code == Some(5) && killed.err.contains("(the program was ended by signal 11)"), "{killed:?}");
    world.wait_gone("agents/a");
    assert_eq!(world.tmux(&["list-sessions", "-F", "#{session_name}"]).trim(), world.session("other"));
    for (verb, part) in [
        ("launch a --cwd /nonexistent\n", "/nonexistent is not a directory"),
        ("launch a -- /nonexistent/program\n", "there is no program \"/nonexistent/program\""),
        ("adopt %999\n", "there is no pane %999"),
    ] {
        assert_eq!(errno(fs::write(world.at("control"), verb)), libc::ENOENT, "{verb}");
        assert!(world.read("control").contains(part), "{verb}: {}", world.read("control"));
    }
    assert_eq!(errno(fs::create_dir(world.at("agents/-x"))), libc::EINVAL);
    assert!(world.read("control").contains("\"-x\" cannot be an agent's name"), "{}", world.read("control"));
    // The name is free, and the agent is there when the write returns.
    let troop = troop_bin();
    world.write("control", &format!("launch quick --cwd / -- {} stand-in\n", troop.display()));
    assert_eq!(world.names("agents"), ["other", "quick"]);
    world.launch_with("a", "--start-delay 1500");
    let prompted = world.troop(&["prompt", "a", "hi"]);
    assert_eq!((prompted.code, world.prompts("a")), (Some(0), vec!["hi".to_owned()]), "{prompted:?}");
    // Whoever stops it before it is up has stopped it: it has not failed.
    world.launch_with("c", "--start-delay 30000");
    assert_eq!(world.troop(&["stop", "c"]).code, Some(0));
    world.wait_there("stopped/c");
    world.wait_gone("agents/c");
    // A program that its tool knows may take its time to fail.
    let slow = ["stand-in", "--start-delay", "1500", "--log", "/nonexistent/log"];
    let failed = world.troop(&[&["launch", "b", "--", troop_bin().to_str().unwrap()], &slow[..]].concat());
    assert!(failed.code == Some(5) && failed.err.contains("/nonexistent/log"), "{failed:?}");
}

/// Whoever launches may be killed at any point: the record is written before the session, so what runs has a
/// record. A record whose session never came is `gone` ten seconds after, and once retired its name is free.
#[cfg(debug_assertions)]
#[test]
fn a_launcher_that_is_killed() {
    for by_mount in [false, true] {
        for (point, runs) in
            [("written", None), ("published", Some(false)), ("spawned", Some(true)), ("panes", Some(true))]
        {
            killed_at(&format!("launch.{point}"), runs, by_mount);
        }
    }
}

/// `runs` says whether the program runs then; nothing when there is no record either.
#[track_caller]
fn killed_at(point: &str, runs: Option<bool>, by_mount: bool) {
    let mut sandbox = Sandbox::new();
    sandbox.set("TROOP_CRASH_AT", point);
    let status = if by_mount {
        let mut mount = sandbox.mount();
        // It may be gone before it answers.
        let _ = fs::write(mount.join("control"), "launch a\n");
        mount.end(nix::sys::signal::Signal::SIGCONT)
    } else {
        sandbox.command(troop_bin()).args(["launch", "a"]).status().unwrap()
    };
    assert_eq!(status.signal(), Some(9), "{point}");
    sandbox.set("TROOP_CRASH_AT", "");
    let troop = |args: &[&str]| said(sandbox.command(troop_bin()).args(args).output().unwrap());
    let status = || {
        let rows: Vec<Value> = serde_json::from_str(&troop(&["list", "--json"]).out).unwrap();
        rows.iter().find(|row| row["name"] == "a").map(|row| row["status"].as_str().unwrap().to_owned())
    };
    let sessions = said(sandbox.tmux(["list-sessions", "-F", "#{session_name}"]).output().unwrap()).out;
    assert_eq!(sessions.lines().count(), usize::from(runs == Some(true)), "{point}: {sessions}");
    let wanted = runs.map(|runs| if runs { "ready" } else { "gone" }.to_owned());
    wait_until(&format!("{point}: {wanted:?}"), LIMIT, || {
        Some(status()).filter(|status| *status == wanted).ok_or_else(status)
    });
    match runs {
        None => {}
        Some(false) => assert_eq!(troop(&["retire", "a"]).code, Some(0), "{point}"),
        Some(true) => {
            assert_eq!(troop(&["stop", "a"]).code, Some(0), "{point}");
            assert_eq!(troop(&["retire", "a"]).code, Some(0), "{point}");
        }
    }
    let again = troop(&["launch", "a"]);
    assert_eq!((again.code, again.err.as_str()), (Some(0), ""), "{point}");
}
