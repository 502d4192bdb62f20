//! What is typed, and into what.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::world::{LIMIT, World, errno};
use crate::support::sandbox::troop_bin;
use crate::support::{wait_for, wait_until};

/// Launches a stand-in from a shell with job control and suspends it: the shell is in front, and writes
/// down every line it is given.
pub fn suspend_behind_a_shell(world: &World, name: &str) {
    let script = world.sandbox().work().join(format!("{name}.sh"));
    let heard = world.sandbox().work().join(format!("{name}.heard"));
    let text = format!(
        "#!/bin/bash\nset -m\n{} stand-in --pace 1 --log {}\nstty sane; echo 'suspended$'\n\
         while IFS= read -r line; do printf '%s\\n' \"$line\" >> {}; done\n",
        troop_bin().display(),
        world.log_path(name).display(),
        heard.display(),
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    world.launch_program(name, script.to_str().unwrap());
    world.wait_status(name, "ready");
    kill(pid_of(world, name), Signal::SIGTSTP).unwrap();
}

fn pid_of(world: &World, name: &str) -> Pid {
    let pid = || world.received(name).iter().find_map(|event| event["pid"].as_i64()).ok_or("no start");
    Pid::from_raw(i32::try_from(wait_until("the stand-in to start", LIMIT, pid)).unwrap())
}

/// A prompt is typed only when the agent's own program is alive, in the foreground of its pane, and shows an
/// empty composer. When it has ended, was suspended, or another program such as a shell is in front, the
/// prompt is refused, or noted in the history as not delivered, and nothing is typed.
#[test]
fn nothing_is_typed_into_the_wrong_program() {
    let world = World::new();
    // Another program in front.
    suspend_behind_a_shell(&world, "b");
    world.wait_status("b", "unknown");
    let heard = world.sandbox().work().join("b.heard");
    let (number, sentence) = world.refused("agents/b/prompt", "touch oops");
    assert!(number == libc::EBUSY && sentence.contains("not in the foreground"), "{number} {sentence}");
    assert_eq!(world.troop(&["prompt", "b", "touch oops"]).code, Some(4));
    // The shell does take what is typed by other means, so it would have shown.
    let session = world.session("b");
    world.tmux(&["send-keys", "-t", &format!("={session}:"), "by hand", "Enter"]);
    wait_for("the shell to hear", LIMIT, || fs::read_to_string(&heard).is_ok_and(|text| text == "by hand\n"));

    // The program has ended, and a shell is left.
    let script = world.sandbox().work().join("c.sh");
    let heard = world.sandbox().work().join("c.heard");
    let text = format!(
        "{} stand-in --pace 1\nstty sane\nwhile read -r line; do echo $line >> {}; done\n",
        troop_bin().display(),
        heard.display()
    );
    fs::write(&script, text).unwrap();
    world.launch_program("c", &format!("/bin/bash {}", script.display()));
    world.wait_status("c", "ready");
    world.write("agents/c/prompt", "sim:exit=0");
    world.wait_status("c", "down");
    let (number, sentence) = world.refused("agents/c/prompt", "touch oops");
    assert!(number == libc::ESRCH && sentence.contains("does not run in the pane"), "{number} {sentence}");
    assert_eq!(errno(fs::write(world.at("agents/c/keys"), "x\n")), libc::ESRCH);
    let session = world.session("c");
    world.tmux(&["send-keys", "-t", &format!("={session}:"), "by hand", "Enter"]);
    wait_for("the shell to hear", LIMIT, || fs::read_to_string(&heard).is_ok_and(|text| text == "by hand\n"));

    // Stopped where it stands, which raises no event: the look before the paste sees it.
    // (tmux itself continues the first process of a pane.)
    let script = world.sandbox().work().join("a.sh");
    let text =
        format!("{} stand-in --pace 1 --log {}; exit $?\n", troop_bin().display(), world.log_path("a").display());
    fs::write(&script, text).unwrap();
    world.launch_program("a", &format!("/bin/sh {}", script.display()));
    world.wait_status("a", "ready");
    let pid = pid_of(&world, "a");
    kill(pid, Signal::SIGSTOP).unwrap();
    let stopped = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") T ");
    wait_for("the program to stop", LIMIT, stopped);
    if fs::write(world.at("agents/a/prompt"), "touch oops").is_ok() {
        wait_for("the line in its history", LIMIT, || {
            world.history("agents/a").iter().any(|event| event["stage"] == "refused")
        });
    }
    assert!(world.read("agents/a/error").contains("nothing was typed"), "{}", world.read("agents/a/error"));
    kill(pid, Signal::SIGCONT).unwrap();
    assert_eq!(world.prompts_until_fence("a"), [""; 0]);

    // A dead pane, kept to be read.
    world.write("agents/a/prompt", "sim:exit=3");
    world.wait_status("a", "down");
    let dead = world.session("a");
    assert_eq!(world.tmux(&["display-message", "-p", "-t", &format!("={dead}:"), "#{pane_dead}"]), "1\n");
    assert_eq!(world.refused("agents/a/prompt", "touch oops").0, libc::ESRCH);
    assert_eq!(world.troop(&["prompt", "a", "touch oops"]).code, Some(5));
    world.tmux(&["has-session", "-t", &format!("={dead}")]);
}

/// `control` takes one verb a line: `interrupt`, `stop`, `stop --force`, `relaunch [new|last|exact ID]`, `close` and
/// `resize COLSxROWS` for an agent,
/// `launch NAME [OPTION...] [-- ARG...]`, `adopt PANE [--name N] [--tool T] [--tmux-socket S]` and
/// `rescan` at the top. A write with several lines is
/// understood whole before the first verb runs, so one wrong line means that nothing is done; `cat` makes one
/// write of several lines, the `echo` and `printf` of bash one of each. Reading the file lists the verbs that
/// would be accepted now.
#[test]
fn control_verbs() {
    let world = World::with("a");
    for (shell, script) in [
        ("dash", "printf 'stop\\nexplode\\n' > agents/a/control"),
        ("dash", "printf 'launch b\\nlaunch ../c\\n' > control"),
        ("bash", "cat > agents/a/control << END\nstop\nexplode\nEND"),
        ("bash", "printf 'launch b\\nlaunch ../c\\n' | cat > control"),
    ] {
        let said = world.sh(shell, script);
        assert!(said.code != Some(0) && !said.err.is_empty(), "{shell} {script}: {said:?}");
    }
    // A name that is taken is found out before the first of them is launched, too.
    assert_eq!(world.refused("control", "launch b\nlaunch a\n").0, libc::EEXIST);
    assert_eq!((world.names("agents"), world.names("stopped").len()), (vec!["a".to_owned()], 0));
    assert_eq!(world.read("agents/a/status"), "ready\n");

    world.write("agents/a/control", "resize 90x25\n");
    let session = world.session("a");
    let size = || {
        let size =
            world.tmux(&["display-message", "-p", "-t", &format!("={session}:"), "#{pane_width}x#{pane_height}"]);
        if size == "90x25\n" { Ok(()) } else { Err(size) }
    };
    wait_until("the new size", LIMIT, size);
    // Several at once, the last without its newline.
    world.write(
        "control",
        &format!("\nrescan\n  launch b --tool stand-in --cwd {}\nlaunch c", world.sandbox().work().display()),
    );
    world.wait_there("agents/b");
    world.wait_there("agents/c");
    assert_eq!(fs::read_link(world.at("agents/b/cwd")).unwrap(), world.sandbox().work());

    let verbs = |path: &str| -> Vec<String> {
        world.read(path).lines().map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
    };
    assert_eq!(verbs("agents/a/control"), ["stop", "relaunch", "close", "resize"]);
    world.write("agents/a/prompt", "sim:work=600000");
    world.wait_status("a", "active");
    assert_eq!(verbs("agents/a/control"), ["interrupt", "stop", "relaunch", "close", "resize"]);
    world.write("agents/a/control", "interrupt\n");
    world.wait_status("a", "ready");
    world.write("agents/a/prompt", "sim:exit=1");
    world.wait_status("a", "down");
    assert_eq!(verbs("agents/a/control"), ["stop", "relaunch", "close"]);
    world.write("agents/a/control", "stop --force");
    world.wait_there("stopped/a");
    world.wait_gone("agents/a");
    assert_eq!(verbs("stopped/a/control"), ["relaunch"]);
    assert_eq!(world.refused("stopped/a/control", "stop\n").0, libc::ESRCH);
    assert!(world.read("stopped/a/error").contains("stopped already"));
}

/// `interrupt` ends the turn and keeps the agent, which becomes `ready` again. An agent that is waiting for a
/// prompt has nothing to interrupt: EBUSY, and no key is pressed.
#[test]
fn interrupt() {
    let world = World::with("a");
    for shell in ["bash", "dash"] {
        world.write("agents/a/prompt", "sim:work=600000");
        world.wait_status("a", "active");
        assert_eq!(world.sh(shell, "echo interrupt > agents/a/control").code, Some(0));
        world.wait_status("a", "ready");
    }
    let ended = |world: &World| {
        let ended = world.received("a").into_iter().filter(|event| event["event"] == "turn_ended");
        ended.map(|event| event["outcome"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ended(&world), ["interrupted", "interrupted"]);
    let before = world.received("a");
    let (number, sentence) = world.refused("agents/a/control", "interrupt\n");
    assert!(number == libc::EBUSY && sentence.contains("nothing to interrupt"), "{number} {sentence}");
    assert_eq!(world.received("a"), before);
    assert_eq!(world.prompts_until_fence("a").len(), 2);
}

/// `keys` takes the names of keys, one a line, and presses them in the terminal whatever the agent's state:
/// the way to answer a question or to clear a draft. One wrong name means that no key is pressed.
#[test]
fn keys() {
    let world = World::with("a");
    world.write("agents/a/prompt", "sim:ask=rm");
    world.wait_status("a", "blocked");
    assert_eq!(world.refused("agents/a/keys", "2\nNoSuchKey\n").0, libc::EINVAL);
    assert_eq!(world.sh("sh", "printf '%s\\n' Down Enter > agents/a/keys").code, Some(0));
    world.wait_status("a", "ready");
    let answers: Vec<_> = world.received("a").into_iter().filter(|event| event["event"] == "answer").collect();
    assert_eq!((answers.len(), &answers[0]["choice"]), (1, &2.into()), "{answers:?}");
    world.write("agents/a/keys", "h\ni\nSpace\n!\nEnter\n");
    assert_eq!(world.next_prompt("a", 1), "hi !");
    assert!(world.history("agents/a").iter().any(|event| event["event"] == "keys"));
}
