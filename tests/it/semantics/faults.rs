//! What goes wrong around an agent: the person at its terminal, its program, its log, its tmux server.

use std::fs;
use std::io::Write;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::world::{LIMIT, World, said};
use crate::support::{wait_for, wait_until};

/// Writes a prompt that must not be typed, and gives the reason: it may be known at once or only at the look before
/// the paste.
#[track_caller]
fn not_typed(world: &World, name: &str) -> String {
    let before = world.prompts(name);
    if fs::write(world.at(format!("agents/{name}/prompt")), "not to be typed").is_ok() {
        let line = world.read(&format!("agents/{name}/wait/turn/{}", before.len() + 1));
        assert!(line.ends_with(" refused\n"), "{line}");
    }
    assert_eq!(world.prompts(name), before);
    world.read(&format!("agents/{name}/error"))
}

#[test]
fn a_person_scrolls_in_the_pane() {
    let world = World::with("a");
    let pane = format!("={}:", world.session("a"));
    world.tmux(&["copy-mode", "-t", &pane]);
    // What is typed goes past the mode to the program: the prompt arrives, and the person goes on reading.
    world.write("agents/a/prompt", "while you read sim:say=done");
    assert_eq!(world.next_prompt("a", 0), "while you read sim:say=done");
    assert_eq!(world.read("agents/a/reply"), "done\n");
    assert_eq!(world.tmux(&["display-message", "-p", "-t", &pane, "#{pane_in_mode}"]), "1\n");
    world.tmux(&["send-keys", "-t", &pane, "-X", "cancel"]);
    assert_eq!(world.prompts_until_fence("a"), ["while you read sim:say=done"]);
}

#[test]
fn a_pane_that_takes_no_input() {
    let world = World::with("a");
    let pane = format!("={}:", world.session("a"));
    world.tmux(&["select-pane", "-d", "-t", &pane]);
    let error = not_typed(&world, "a");
    assert!(error.contains("switched off"), "{error}");
    world.tmux(&["select-pane", "-e", "-t", &pane]);
    assert_eq!(world.prompts_until_fence("a"), [""; 0]);
}

#[test]
fn text_that_means_something_to_tmux() {
    let world = World::with("a");
    for text in ["a command;", ";", "\\;", "one\n;\ntwo \\;", "C-c", "-X", "#(touch oops)", "%1"] {
        let before = world.prompts("a").len();
        world.write("agents/a/prompt", &format!("{text}\r\n"));
        assert_eq!(world.next_prompt("a", before), text);
    }
}

#[test]
fn a_person_presses_escape() {
    let world = World::with("a");
    let pane = format!("={}:", world.session("a"));
    world.write("agents/a/prompt", "sim:say=the-answer-before");
    world.wait_status("a", "ready");
    for turn in 2..5 {
        world.write("agents/a/prompt", "sim:work=600000");
        world.wait_status("a", "active");
        let waits = world.shell("sh", "cat agents/a/wait/ready agents/a/status agents/a/reply");
        let waits = { waits }.stdout(std::process::Stdio::piped()).spawn().unwrap();
        world.tmux(&["send-keys", "-t", &pane, "Escape"]);
        assert_eq!(said(waits.wait_with_output().unwrap()).out, format!("ready ready {turn} interrupted\nready\n"));
        assert_eq!(world.state("agents/a")["last_turn"]["result"], "interrupted");
    }
    world.write("agents/a/prompt", "sim:say=another");
    assert_eq!(world.sh("sh", "cat agents/a/wait/ready agents/a/reply").out, "ready ready 5 success\nanother\n");
}

#[test]
fn its_model_fails() {
    let world = World::with("a");
    world.write("agents/a/prompt", "sim:say=the-answer-before");
    world.wait_status("a", "ready");
    world.write("agents/a/prompt", "sim:work=50 sim:say=half-an-answer sim:fail");
    assert_eq!(world.sh("sh", "cat agents/a/wait/ready agents/a/reply").out, "ready ready 2 known_failure\n");
    let said = world.sh("sh", "exec 3<>agents/a/ask; echo sim:work=50 sim:fail >&3; cat <&3; cat agents/a/error");
    assert!(said.err.contains("Input/output error") && said.out.contains("showed an error"), "{said:?}");
    world.write("agents/a/prompt", "sim:say=another");
    assert_eq!(world.sh("sh", "cat agents/a/wait/ready agents/a/reply").out, "ready ready 4 success\nanother\n");
}

#[test]
fn its_program_is_killed() {
    let world = World::with("a");
    world.write("agents/a/prompt", "sim:say=the-answer-before");
    world.wait_status("a", "ready");
    world.write("agents/a/prompt", "sim:work=600000");
    world.wait_status("a", "active");
    let pid = world.received("a")[0]["pid"].as_i64().unwrap();
    let waits = world.shell("sh", "cat agents/a/wait/settled agents/a/wait/turn/2 agents/a/status agents/a/reply");
    let waits = { waits }.stdout(std::process::Stdio::piped()).spawn().unwrap();
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
    let told = said(waits.wait_with_output().unwrap());
    assert_eq!(told.out, "settled down 2 lost\nturn/2 down 2 lost\ndown\n", "{told:?}");
    assert_eq!(world.refused("agents/a/prompt", "x").0, libc::ESRCH);
    assert_eq!(world.prompts("a").len(), 2);
}

#[test]
fn two_in_one_directory() {
    let world = World::new();
    for name in ["a", "b"] {
        world.launch_with(
            name,
            &format!("--transcript {}", world.sandbox().path().join(format!("{name}.said")).display()),
        );
        world.wait_status(name, "ready");
    }
    assert_eq!(
        world.read("agents/a/state.json").matches("/work\"").count(),
        world.read("agents/b/state.json").matches("/work\"").count()
    );
    assert_eq!(fs::read_link(world.at("agents/a/cwd")).unwrap(), fs::read_link(world.at("agents/b/cwd")).unwrap());
    for round in 0..5 {
        for name in ["a", "b"] {
            world.write(&format!("agents/{name}/prompt"), &format!("sim:work=50 sim:say={name}-{round}"));
        }
        for name in ["a", "b"] {
            let said = world.sh("sh", &format!("cat agents/{name}/wait/ready agents/{name}/reply"));
            assert_eq!(said.out, format!("ready ready {} success\n{name} {round}\n", round + 1));
        }
    }
}

#[test]
fn its_log_is_torn() {
    let world = World::new();
    let log = world.sandbox().path().join("a.said");
    world.launch_with("a", &format!("--transcript {}", log.display()));
    world.wait_status("a", "ready");
    let ask = |answer: &str| {
        world.write("agents/a/prompt", &format!("sim:say={}", answer.replace(' ', "-")));
        let said = world.sh("sh", "cat agents/a/wait/ready agents/a/reply");
        let (line, reply) = said.out.split_once('\n').unwrap();
        assert!(line.starts_with("ready ready ") && line.ends_with(" success"), "{said:?}");
        assert_eq!(reply, format!("{answer}\n"), "{}", world.read("agents/a/history"));
    };
    ask("the first answer");
    // Cut in the middle of a line, which the next one continues.
    let cut = |bytes: u64| {
        let file = fs::File::options().write(true).open(&log).unwrap();
        file.set_len(file.metadata().unwrap().len() - bytes).unwrap();
    };
    cut(9);
    ask("the second answer");
    ask("the third answer");
    // Half a line of somebody else's, and bytes that are no text.
    fs::File::options().append(true).open(&log).unwrap().write_all(b"{\"event\":\"us\xff\xfe").unwrap();
    ask("the fourth answer");
    cut(fs::metadata(&log).unwrap().len());
    ask("the fifth answer");
    fs::remove_file(&log).unwrap();
    ask("the sixth answer");
    assert_eq!(world.names("agents/a/turns"), ["1", "2", "3", "4", "5", "6", "last"]);
}

#[test]
fn its_tmux_server_is_started_again() {
    let world = World::with("a");
    world.launch("b");
    world.write("agents/a/prompt", "sim:say=before");
    world.wait_status("a", "ready");
    world.write("agents/a/prompt", "sim:work=600000");
    world.wait_status("a", "active");
    let session = world.session("a");
    let waits = |script: &str| {
        let mut waits = world.shell("sh", &format!("timeout 30 cat agents/{script}"));
        waits.stdout(std::process::Stdio::piped()).spawn().unwrap()
    };
    let waiting = [waits("a/wait/ready"), waits("a/wait/gone"), waits("b/wait/active")];
    let server = world.tmux(&["display-message", "-p", "#{pid}"]).trim().parse().unwrap();
    kill(Pid::from_raw(server), Signal::SIGKILL).unwrap();
    for child in waiting {
        let told = said(child.wait_with_output().unwrap());
        assert!(told.code == Some(0) && told.out.starts_with("gone gone "), "{told:?}");
    }
    // Another server, on which a session of the same name is somebody else's.
    wait_until("a new server", LIMIT, || {
        let mut new = world.sandbox().tmux(["new-session", "-d", "-s", &session, "sleep 600"]);
        if new.status().unwrap().success() { Ok(()) } else { Err("refused") }
    });
    world.launch("c");
    world.write("agents/c/prompt", "sim:say=here");
    assert_eq!(
        world.sh("sh", "timeout 60 cat agents/c/wait/ready agents/c/reply").out,
        "ready ready 1 success\nhere\n"
    );
    for name in ["a", "b"] {
        assert_eq!(world.refused(&format!("agents/{name}/prompt"), "x").0, libc::ESRCH, "{name}");
        assert!(["gone\n", "down\n"].contains(&world.read(&format!("agents/{name}/status")).as_str()), "{name}");
    }
    assert_eq!(world.read("agents/b/status"), "gone\n");
    wait_for("the turn to be lost", LIMIT, || world.read("agents/a/turns/last/turn.json").contains("\"lost\""));
    assert_eq!(world.read("agents/a/reply"), "");
    assert_eq!(world.sh("sh", "timeout 60 grep -r TODO-that-is-nowhere . > /dev/null").code, Some(1));
}
