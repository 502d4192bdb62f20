//! The ends of a mount, of a launch, and of the tree: what goes on without it.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::world::{LIMIT, World, said};
use crate::support::disk::SmallDisk;
use crate::support::sandbox::troop_bin;
use crate::support::user::{USUAL_DEVICE, as_user};
use crate::support::{Sandbox, wait_for, wait_until};

/// `troop mount` ends with SIGINT or SIGTERM, or when it is unmounted, and leaves an empty directory. A mount whose
/// program was killed is replaced by the next one; one that is alive is refused with a sentence.
#[test]
fn ending_a_mount() {
    check_ending_a_mount();
}

#[test]
fn an_ordinary_user_ends_a_mount() {
    as_user("semantics::ends::an_ordinary_user_ends_a_mount", USUAL_DEVICE, check_ending_a_mount);
}

fn check_ending_a_mount() {
    let mut world = World::new();
    let path = world.at("").to_str().unwrap().trim_end_matches('/').to_owned();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let status = world.mount().end(signal);
        assert_eq!(status.code(), Some(0), "{signal}: {}", world.mount().log());
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
        world.mount_again();
    }
    let second = world.troop(&["mount", &path]);
    assert_eq!(second.code, Some(4), "{second:?}");
    assert!(second.err.contains("already mounted") && second.err.contains("troop umount"), "{second:?}");

    world.mount().end(Signal::SIGKILL);
    assert_eq!(fs::read_dir(&path).unwrap_err().raw_os_error(), Some(libc::ENOTCONN));
    let doctor = world.troop(&["doctor"]);
    assert!(doctor.out.contains(&format!("{path}: its daemon has died")), "{doctor:?}");
    world.mount_again();
    assert!(world.read("README").contains("troop"));

    let said = world.troop(&["umount", &path]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let status = wait_until("the mount to end", LIMIT, || Ok::<_, String>(world.mount().end(Signal::SIGCONT)));
    assert_eq!(status.code(), Some(0));
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    let again = world.troop(&["umount", &path]);
    assert!(again.code == Some(3) && again.err.starts_with("troop: "), "{again:?}");

    let detached = world.troop(&["mount", "--detach", &path]);
    assert_eq!(detached.code, Some(0), "{detached:?}");
    assert!(world.read("README").contains("troop"));
    assert_eq!(world.troop(&["umount", &path]).code, Some(0));
}

/// `troop mount --detach` returns when the mount answers, and has said by then what it has to complain of. It logs to
/// `mount.log` in `${XDG_STATE_HOME:-~/.local/state}/troop`; where that cannot be written, or its disk is full, it goes on
/// without.
#[test]
fn a_mount_in_the_background() {
    let mut sandbox = Sandbox::new();
    sandbox.set("TROOP_LOG", "trace");
    let mnt = sandbox.path().join("mnt");
    fs::create_dir(&mnt).unwrap();
    fs::create_dir_all(sandbox.home().join(".config/troop/tools")).unwrap();
    fs::write(sandbox.home().join(".config/troop/config.toml"), "[nonsense]\n").unwrap();
    let state = sandbox.home().join(".local/state");
    let Some(disk) = SmallDisk::on(&state) else { return };
    let troop = |args: &[&str]| said(sandbox.troop(args).output().unwrap());
    let path = mnt.to_str().unwrap();
    let serves = || {
        let launched = fs::create_dir(mnt.join("agents/a"));
        let read = fs::read_to_string(mnt.join("README"));
        assert!(read.is_ok(), "{launched:?} {read:?}");
        assert_eq!(troop(&["stop", "a"]).code, Some(0));
        assert_eq!(troop(&["retire", "a"]).code, Some(0));
        assert_eq!(troop(&["umount", path]).code, Some(0));
    };
    let mounted = troop(&["mount", "--detach", path]);
    assert!(mounted.code == Some(0) && mounted.err.contains("config.toml"), "{mounted:?}");
    let log = state.join("troop/mount.log");
    fs::metadata(mnt.join("agents")).unwrap();
    assert!(fs::read_to_string(&log).unwrap().contains("TRACE"), "it logs");
    disk.fill(&log);
    serves();
    disk.free();

    fs::remove_dir_all(state.join("troop")).unwrap();
    fs::write(state.join("troop"), "").unwrap();
    let mounted = troop(&["mount", "--detach", path]);
    assert!(mounted.code == Some(0) && mounted.err.contains("troop: File exists\n"), "{mounted:?}");
    serves();
}

/// The mount can be killed at any moment and started again. Agents go on, their history continues where it
/// was, and no prompt is sent twice.
#[test]
fn agents_outlive_the_mount() {
    let mut world = World::with("a");
    world.write("agents/a/prompt", "before sim:say=x");
    world.next_prompt("a", 0);
    let before = world.read("agents/a/history.jsonl");
    world.write("agents/a/prompt", "during sim:work=300");
    world.mount().end(Signal::SIGKILL);
    world.mount_again();
    world.wait_status("a", "ready");
    // Killed right after the prompt was accepted: it was typed once or not at all.
    let sent = world.prompts("a");
    assert!(sent.len() <= 2 && sent[0] == "before sim:say=x", "{sent:?}");
    let after = world.read("agents/a/history.jsonl");
    assert!(after.starts_with(&before), "{before}\n{after}");
    assert_eq!(world.read("agents/a/prompt"), "during sim:work=300\n");
    for (n, event) in world.history("agents/a").iter().enumerate() {
        assert_eq!(event["seq"], n + 1);
    }
    for round in 0..3 {
        let count = world.prompts("a").len();
        world.write("agents/a/prompt", &format!("round {round}"));
        assert_eq!(world.next_prompt("a", count), format!("round {round}"));
        world.mount().end(Signal::SIGKILL);
        world.mount_again();
        world.wait_status("a", "ready");
    }
    let prompts = world.prompts_until_fence("a");
    let distinct: std::collections::BTreeSet<&String> = prompts.iter().collect();
    assert_eq!(distinct.len(), prompts.len(), "{prompts:?}");
    // What happened to it while nobody looked is seen when somebody does.
    world.mount().end(Signal::SIGKILL);
    // Killed and not asked to end: tmux 3.3a may keep a client whose reader was killed, and then does not end.
    let server = world.tmux(&["display-message", "-p", "#{pid}"]).trim().parse().unwrap();
    kill(Pid::from_raw(server), Signal::SIGKILL).unwrap();
    world.mount_again();
    let missing = |world: &World| world.state("agents/a")["diagnostics"]["transport_state"] == "tmux_missing";
    wait_for("the session to be missed", LIMIT, || missing(&world));
    assert_ne!(world.refused("agents/a/prompt", "x").0, 0);
}

/// A launched program gets a short list of variables (PATH, HOME, USER, LOGNAME, SHELL, the locale, TZ,
/// TMPDIR, TMUX_TMPDIR, the proxies), those its tool definition names, and what tells it which agent it is
/// and where the others are.
/// Nothing else of the launcher's environment reaches it, nor of the tmux server's, whoever started that
/// one; tmux adds only what describes the pane. No signal is blocked in it.
#[test]
fn what_a_program_inherits() {
    launch_and_look(false);
    launch_and_look(true);
}

/// What programs have on a server that troop has started, or a stranger with the same login.
#[track_caller]
fn launch_and_look(stranger: bool) {
    let mut sandbox = Sandbox::new();
    for (name, value) in [
        ("SECRET_TOKEN", "hunter2"),
        ("TMUX", "/nonexistent/tmux,1,0"),
        ("TMUX_PANE", "%99"),
        ("LD_PRELOAD_X", "x"),
        ("USER", "somebody"),
        ("TZ", "UTC"),
        ("HTTPS_PROXY", "http://127.0.0.1:9"),
        ("CLAUDE_CODE_SESSION", "1"),
    ] {
        sandbox.set(name, value);
    }
    let script = sandbox.work().join("env.sh");
    fs::write(&script, "env > $0.out.tmp; grep ^SigBlk: /proc/$$/status | tr -d '\\t' | tr : = >> $0.out.tmp; mv $0.out.tmp $0.out; exec sleep 600\n").unwrap();
    if stranger {
        let mut server = sandbox.tmux(["new-session", "-d", "sleep 600"]);
        assert!(server.env("API_KEY", "hunter2").env_remove("TMUX").status().unwrap().success());
    }
    let world = World::mounted(sandbox, &[]);
    if stranger {
        for name in ["NODE_OPTIONS", "NO_PROXY", "HOUMAO_TOOL", "LC_ALL", "ODD NAME"] {
            world.tmux(&["set-environment", "-g", name, "hunter2"]);
        }
        let global = world.tmux(&["show-environment", "-g"]);
        assert!(global.lines().filter(|line| line.ends_with("=hunter2")).count() >= 7, "{global}");
    }
    let inherited = |how: &str| {
        let out = world.sandbox().work().join("env.sh.out");
        let text = wait_until("the environment", LIMIT, || fs::read_to_string(&out));
        fs::remove_file(&out).unwrap();
        let mut names: Vec<&str> = text.lines().map(|line| line.split('=').next().unwrap()).collect();
        names.sort_unstable();
        let allowed = [
            "PATH",
            "HOME",
            "USER",
            "LOGNAME",
            "SHELL",
            "LANG",
            "LC_ALL",
            "LC_CTYPE",
            "TZ",
            "TMPDIR",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "NO_PROXY",
            "TERM",
            "COLORTERM",
            "HOUMAO_MANIFEST_PATH",
            "HOUMAO_AGENT_ID",
            "HOUMAO_TOOL",
            "SigBlk",
            "HOUMAO_AGENT_DEF_DIR",
            "HOUMAO_GLOBAL_REGISTRY_DIR",
            "TROOP_HOME",
            "TMUX_TMPDIR", // ours
            "TMUX",
            "TMUX_PANE",
            "TERM_PROGRAM",
            "TERM_PROGRAM_VERSION", // tmux's own
            "PWD",
            "OLDPWD",
            "SHLVL",
            "_", // the shell's own
        ];
        let foreign: Vec<_> = names.iter().filter(|name| !allowed.contains(name)).collect();
        assert!(foreign.is_empty(), "{how}: {foreign:?}");
        for line in [
            "USER=somebody",
            "TZ=UTC",
            "HTTPS_PROXY=http://127.0.0.1:9",
            "HOUMAO_TOOL=stand-in",
            "SigBlk=0000000000000000",
        ] {
            assert!(text.lines().any(|seen| seen == line), "{how}: no {line} in {text}");
        }
        assert!(!text.contains("hunter") && !text.contains("/nonexistent"), "{how}: {text}");
    };
    world.launch_program("a", &format!("/bin/sh {}", script.display()));
    inherited("the mount");
    assert_eq!(world.troop(&["launch", "b", "--", "/bin/sh", script.to_str().unwrap()]).code, Some(0));
    inherited("the command line");
    // Nor does it find it in the session.
    let session = world.session("a");
    let session_env = world.tmux(&["show-environment", "-t", &format!("={session}")]);
    assert!(session_env.contains("HOUMAO_AGENT_ID=") && !session_env.contains("hunter2"), "{session_env}");
}

/// Every command works on the same registry, with or without a mount: what one does, the other shows, and
/// both write to the same history.
#[test]
fn without_a_mount() {
    let mut world = World::new();
    world.mount().end(Signal::SIGTERM);
    let log = world.log_path("a");
    let troop = troop_bin();
    let argv = [troop.to_str().unwrap(), "stand-in", "--pace", "1", "--log", log.to_str().unwrap()];
    assert_eq!(world.troop(&[&["launch", "a", "--"][..], &argv].concat()).code, Some(0));
    let row = |world: &World| -> Value {
        let said = world.troop(&["list", "--json"]);
        serde_json::from_str::<Vec<Value>>(&said.out).unwrap_or_else(|e| panic!("{e}: {said:?}"))[0].clone()
    };
    wait_for("the agent to be ready", LIMIT, || row(&world)["status"] == "ready");
    assert_eq!(world.troop(&["prompt", "a", "without", "a", "mount"]).code, Some(0));
    wait_for("the prompt", LIMIT, || world.prompts("a") == ["without a mount"]);
    world.mount_again();
    world.wait_status("a", "ready");
    let events = |world: &World, via: &str| -> Vec<String> {
        let history = world.history("agents/a");
        let of = history.iter().filter(|event| event["actor"]["via"] == via);
        of.map(|event| event["event"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(events(&world, "cli"), ["launched", "prompt", "receipt"]);
    // Beside a mount, which sees what the command line does.
    world.write("agents/a/prompt", "sim:work=600000");
    world.wait_status("a", "active");
    assert_eq!(row(&world)["status"], "active");
    assert_eq!(world.troop(&["interrupt", "a"]).code, Some(0));
    world.wait_status("a", "ready");
    let interrupted = || events(&world, "cli").contains(&"interrupted".to_owned());
    wait_for("the line in the history", LIMIT, interrupted);
    assert_eq!(world.troop(&["stop", "a"]).code, Some(0));
    world.wait_there("stopped/a");
    world.wait_gone("agents/a");
    assert_eq!(world.troop(&["retire", "a"]).code, Some(0));
    world.wait_gone("stopped/a");
}
