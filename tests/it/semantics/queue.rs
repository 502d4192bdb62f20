//! Prompts that wait.

use super::world::{LIMIT, World, errno};
use crate::support::wait_for;
use nix::sys::signal::Signal;
use std::fs;

/// A file made in `queue`, by `cp`, `echo >` or an editor, waits there until the agent is ready, and is then delivered like a
/// prompt; those with smaller names go first. `cat` shows what waits, `rm` takes it out, `mv` gives it another
/// place, and writing to it again replaces it. Names that begin with a dot wait for another name. At most 256
/// prompts and 8 MiB wait for one agent; more is EAGAIN. The queue is kept on disk: it outlives the mount.
#[test]
fn prompts_that_wait() {
    let mut world = World::with("a");
    world.write("agents/a/prompt", "sim:work=600000");
    world.wait_status("a", "active");
    let said = world.sh(
        "sh",
        "cd agents/a/queue && echo third > c && echo second > b && echo zero > z && mv z 0 && printf 'first\\nlines\\n' > $TMPDIR/x \
         && cp $TMPDIR/x a && echo draft > .d && echo gone > e && rm e && echo again > b && cat a && ls -A",
    );
    assert_eq!((said.code, said.out.as_str()), (Some(0), "first\nlines\n.d\n0\na\nb\nc\n"), "{said:?}");
    assert_eq!(errno(fs::write(world.at("agents/a/queue/x"), "esc \u{1b}[201~")), libc::EINVAL);
    assert!(world.read("agents/a/error").contains("control character"), "{}", world.read("agents/a/error"));
    assert_eq!(errno(fs::create_dir(world.at("agents/a/queue/dir"))), libc::EPERM);
    world.mount().end(Signal::SIGKILL);
    world.mount_again();
    world.wait_status("a", "active");
    assert_eq!(world.names("agents/a/queue"), [".d", "0", "a", "b", "c"]);
    world.write("agents/a/control", "interrupt\n");
    wait_for("the queue to empty", LIMIT, || world.names("agents/a/queue") == [".d"]);
    assert_eq!(world.prompts_until_fence("a"), ["sim:work=600000", "zero", "first\nlines", "again", "third"]);
    let queued = world.history("agents/a").into_iter().filter(|event| event["actor"]["via"] == "queue");
    let names: Vec<String> = queued
        .filter(|event| event["event"] == "prompt")
        .map(|event| event["actor"]["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["0", "a", "b", "c"]);
    fs::rename(world.at("agents/a/queue/.d"), world.at("agents/a/queue/d")).unwrap();
    wait_for("the draft", LIMIT, || world.prompts("a").last().is_some_and(|last| last == "draft"));
}

#[test]
fn what_keeps_modes_can_put_a_file_there() {
    let world = World::with("a");
    world.write("agents/a/prompt", "sim:work=600000");
    world.wait_status("a", "active");
    let said = world.sh(
        "sh",
        "cd $TMPDIR && for name in 1 2; do echo $name > $name && chmod 644 $name; done && Q=$OLDPWD/agents/a/queue \
         && cp -p 1 $Q && mv 2 $Q && chmod 755 $Q/1 && stat -c %a $Q/*",
    );
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), "600\n600\n", ""));
}

#[test]
fn a_full_queue_says_so() {
    let world = World::with("a");
    world.write("agents/a/prompt", "sim:work=600000");
    world.wait_status("a", "active");
    let said =
        world.sh("sh", "cd agents/a/queue; i=0; while [ $i -lt 256 ]; do echo $i > q$i || exit 3; i=$((i+1)); done");
    assert_eq!(said.code, Some(0), "{said:?}");
    let more = fs::write(world.at("agents/a/queue/more"), "x");
    assert_eq!(errno(more), libc::EAGAIN);
    assert!(world.read("agents/a/error").contains("the queue is full"), "{}", world.read("agents/a/error"));
    assert_eq!(world.names("agents/a/queue").len(), 256);
}

/// A prompt whose delivery was cut off, because troop was killed in the middle of it, is not typed again: the next
/// mount writes `unconfirmed` into its receipt.
#[test]
fn killed_in_the_middle() {
    let mut world = World::new();
    world.launch_with("a", "");
    world.wait_status("a", "ready");
    for round in 0..6_u64 {
        world.write("agents/a/prompt", &format!("round {round} {}", "x".repeat(2000)));
        std::thread::sleep(std::time::Duration::from_millis(round * 12));
        world.mount().end(Signal::SIGKILL);
        world.mount_again();
        let settled = || {
            let text = world.read("agents/a/delivery.jsonl");
            text.lines().filter(|line| line.contains("confirmed")).count() as u64 > round
        };
        wait_for("the receipt", LIMIT, settled);
        // What was pasted and not submitted stands there; a person would clear it.
        let session = world.session("a");
        if world.state("agents/a")["surface"]["editing_input"] == "yes" {
            world.tmux(&["send-keys", "-t", &format!("={session}:"), "C-u"]);
            wait_for("an empty composer", LIMIT, || world.state("agents/a")["surface"]["editing_input"] == "no");
        }
        world.wait_status("a", "ready");
    }
    let prompts = world.prompts("a");
    for round in 0..6 {
        let same = prompts.iter().filter(|prompt| prompt.starts_with(&format!("round {round} "))).count();
        assert!(same <= 1, "round {round} arrived {same} times");
    }
}
