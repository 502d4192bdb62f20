//! One open and close is one prompt, and it arrives as it was written.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::Barrier;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::world::{LIMIT, World, have};
use crate::support::user::{USUAL_DEVICE, as_user};
use crate::support::{wait_for, wait_until};

const SHELLS: [&str; 2] = ["bash", "dash"];

/// Everything that is written to `prompt` between open and close is one prompt, however many writes it takes
/// and however many programs the shell starts to make them: `cat big.md > prompt`,
/// `{ echo 'Review this:'; git diff; echo 'Thank you.'; } > prompt`. A character may be split over two
/// writes. `>>` means the same as `>`.
#[test]
fn one_open_and_close_one_prompt() {
    let world = World::with("a");
    let work = world.sandbox().work();
    fs::write(work.join("part"), "several\nlines\n").unwrap();
    let big = "0123456789 abcdefghijklmnopqrstuvwxyz äöü\n".repeat(4000);
    fs::write(work.join("big"), &big).unwrap();
    for shell in SHELLS {
        if !have(world.sandbox(), shell) {
            continue;
        }
        let sent = |script: &str| world.sent(shell, script);
        assert_eq!(sent("echo one > agents/a/prompt"), "one");
        assert_eq!(sent("echo two >> agents/a/prompt"), "two");
        assert_eq!(sent("cat $TMPDIR/part > agents/a/prompt"), "several\nlines");
        assert_eq!(sent("cp $TMPDIR/part agents/a/prompt"), "several\nlines");
        assert_eq!(sent("echo tee | tee agents/a/prompt > /dev/null"), "tee");
        assert_eq!(sent("dd if=$TMPDIR/part of=agents/a/prompt bs=3 2> /dev/null"), "several\nlines");
        assert_eq!(sent("{ echo first; cat $TMPDIR/part; } > agents/a/prompt"), "first\nseveral\nlines");
        let group = "first\nseveral\nlines\nseveral\nlines\nlast";
        let script = "echo first; cat $TMPDIR/part; cat $TMPDIR/part; echo last;";
        assert_eq!(sent(&format!("{{ {script} }} > agents/a/prompt")), group);
        assert_eq!(sent(&format!("( {script} ) >> agents/a/prompt")), group);
        assert_eq!(sent(&format!("f() {{ {script} }}; f > agents/a/prompt")), group);
        assert_eq!(sent(&format!("for i in 1; do {script} done > agents/a/prompt")), group);
        assert_eq!(sent("{ echo $(cat $TMPDIR/part); true; } > agents/a/prompt"), "several lines");
        assert_eq!(sent("exec 3> agents/a/prompt; cat $TMPDIR/part >&3; exec 3>&-"), "several\nlines");
        assert_eq!(sent("printf 'no newline' > agents/a/prompt"), "no newline");
    }
    assert_eq!(world.sent("sh", "cat $TMPDIR/big > agents/a/prompt"), big.trim_end());
    let mut file = OpenOptions::new().write(true).open(world.at("agents/a/prompt")).unwrap();
    let before = world.prompts("a").len();
    for byte in "ä €\r\n🐒".bytes() {
        file.write_all(&[byte]).unwrap();
    }
    drop(file);
    assert_eq!(world.next_prompt("a", before), "ä €\n🐒");
}

#[test]
fn an_ordinary_user_prompts() {
    as_user("semantics::prompt::an_ordinary_user_prompts", USUAL_DEVICE, || {
        let world = World::with("a");
        assert_eq!(world.sent("sh", "{ echo a; cat README; echo b; } | head -n 1 > agents/a/prompt"), "a");
        assert_eq!(world.sent("sh", "{ echo a; cat agents/a/status; echo b; } > agents/a/prompt"), "a\nready\nb");
    });
}

/// A prompt arrives byte for byte, line breaks, tabs and blanks included, and as one submission. Only its
/// ends of lines are tidied: one newline at the end is dropped, and CR LF becomes LF. Where a backslash at the end would
/// make a line break of the submit key, a blank is typed behind it.
#[test]
fn what_arrives_is_what_was_written() {
    let world = World::with("a");
    for (written, arrives) in [
        ("plain\n", "plain"),
        ("two at the end\n\n", "two at the end\n"),
        ("\n  leading\n\n\nand  trailing  \n", "\n  leading\n\n\nand  trailing  "),
        ("a\tb\n\tc\n", "a\tb\n\tc"),
        ("windows\r\nlines\r\n", "windows\nlines"),
        ("emoji 🐒👩‍👩‍👧 and combining e\u{301} ﷽ 漢字\n", "emoji 🐒👩‍👩‍👧 and combining e\u{301} ﷽ 漢字"),
        (
            "$(touch oops) `touch oops` \"; 'rm' \\n %s !! ~ * ; exit\n",
            "$(touch oops) `touch oops` \"; 'rm' \\n %s !! ~ * ; exit",
        ),
        ("-t looks like an option", "-t looks like an option"),
        ("#{pane_id} %1 ;kill-server; \\; {x}", "#{pane_id} %1 ;kill-server; \\; {x}"),
    ] {
        let before = world.prompts("a").len();
        world.write("agents/a/prompt", written);
        assert_eq!(world.next_prompt("a", before), arrives);
        assert_eq!(world.prompts("a").len(), before + 1);
        let last = world.history("agents/a").into_iter().rfind(|event| event["event"] == "prompt").unwrap();
        assert_eq!(last["text"], arrives);
    }
    assert_eq!(world.names("agents"), ["a"]);
}

/// Opening, truncating and closing `prompt` without writing sends nothing, and neither does an empty write.
/// Text without a single character that shows is refused. What a program has written when a signal ends it,
/// such as Ctrl-C in `cat > prompt`, is not sent, and what others would add to the same open file is refused.
#[test]
fn nothing_written_nothing_sent() {
    let world = World::with("a");
    for shell in SHELLS {
        if have(world.sandbox(), shell) {
            let said = world.sh(shell, ": > agents/a/prompt; printf '' > agents/a/prompt; cat /dev/null >> agents/a/prompt; cp /dev/null agents/a/prompt");
            assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{shell}");
        }
    }
    drop(File::create(world.at("agents/a/prompt")).unwrap());
    world.sh("sh", "echo > agents/a/prompt; printf ' \\n\\t\\n' > agents/a/prompt");
    assert_eq!(world.read("agents/a/error"), "the prompt is empty; write some text\n");

    for signal in [Signal::SIGINT, Signal::SIGKILL, Signal::SIGTERM] {
        // Whoever runs the tests in the background has SIGINT ignored, and a shell leaves it so.
        let mut cat = world
            .shell("sh", "exec env --default-signal=INT cat > agents/a/prompt")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = cat.stdin.take().unwrap();
        stdin.write_all(b"half a thought\n").unwrap();
        let pid = Pid::from_raw(cat.id().cast_signed());
        // It has written when it waits for more.
        let position = || {
            let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/1")).unwrap_or_default();
            if info.lines().any(|line| line.split_whitespace().eq(["pos:", "15"])) { Ok(()) } else { Err(info) }
        };
        wait_until("cat to write", LIMIT, position);
        kill(pid, signal).unwrap();
        assert_eq!(cat.wait().unwrap().signal(), Some(signal as i32));
    }
    assert_eq!(world.read("agents/a/prompt"), "");
    assert_eq!(world.prompts_until_fence("a"), [""; 0]);
}

/// By the time a prompt is accepted, the status is not `ready` any more: whoever looks after the write, and
/// finds `ready`, sees a state in which that prompt has been dealt with. The `prompt` file reads as the
/// last prompt accepted.
#[test]
fn accepted_means_pending() {
    const AGENTS: usize = 10;
    const ROUNDS: usize = 200;
    let world = World::new();
    let names: Vec<String> = (0..AGENTS).map(|n| format!("a{n}")).collect();
    names.iter().for_each(|name| world.launch_with(name, ""));
    names.iter().for_each(|name| world.wait_status(name, "ready"));
    // Several agents, because most of a round is waiting for a turn to end.
    std::thread::scope(|scope| {
        for name in &names {
            let world = &world;
            scope.spawn(move || {
                for round in 0..ROUNDS / AGENTS {
                    let text = format!("round {round} sim:say=x");
                    world.write(&format!("agents/{name}/prompt"), &text);
                    let status = world.read(&format!("agents/{name}/status"));
                    let state = world.state(&format!("agents/{name}"));
                    let prompt = world.read(&format!("agents/{name}/prompt"));
                    // A turn this short may be over by then; then it has been dealt with.
                    if status == "ready\n" || state["status"] == "ready" {
                        assert!(world.prompts(name).contains(&text), "round {round}: ready without the prompt");
                    }
                    assert_eq!(prompt, format!("{text}\n"));
                    world.wait_status(name, "ready");
                    assert_eq!(world.prompts(name).len(), round + 1, "ready again before the prompt arrived");
                }
            });
        }
    });
}

/// Of several prompts written at once to an agent that is ready, one is accepted and the others are EBUSY.
#[test]
fn one_writer_at_a_time() {
    const WRITERS: usize = 8;
    const ROUNDS: usize = 5;
    let world = World::with("a");
    for round in 0..ROUNDS {
        let barrier = Barrier::new(WRITERS);
        let results: Vec<(String, Option<i32>)> = std::thread::scope(|scope| {
            let write = |writer: usize| {
                let (world, barrier) = (&world, &barrier);
                scope.spawn(move || {
                    let text = format!("round {round} writer {writer} sim:work=50");
                    barrier.wait();
                    let mut errno = None;
                    match OpenOptions::new().write(true).open(world.at("agents/a/prompt")) {
                        Err(error) => errno = error.raw_os_error(),
                        Ok(mut file) => {
                            file.write_all(text.as_bytes()).unwrap();
                            if let Err(error) = nix::unistd::close(file) {
                                errno = Some(error as i32);
                            }
                        }
                    }
                    (text, errno)
                })
            };
            let threads: Vec<_> = (0..WRITERS).map(write).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let accepted: Vec<&String> =
            results.iter().filter(|(_, errno)| errno.is_none()).map(|(text, _)| text).collect();
        assert_eq!(accepted.len(), 1, "{results:?}");
        assert!(results.iter().all(|(_, errno)| matches!(errno, None | Some(libc::EBUSY))), "{results:?}");
        assert_eq!(world.next_prompt("a", round), *accepted[0]);
    }
    // Another process takes the same lock: two mounts and a command line would race for it.
    let world = &world;
    std::thread::scope(|scope| {
        for n in 0..4 {
            scope.spawn(move || world.troop(&["prompt", "a", &format!("command {n} sim:work=50")]));
        }
    });
    wait_for("the turn to end", LIMIT, || world.read("agents/a/status") == "ready\n");
    let prompts = world.prompts("a");
    assert!(prompts.len() > ROUNDS, "{prompts:?}");
    for prompt in &prompts[ROUNDS..] {
        assert!(prompt.starts_with("command ") && prompt.matches("command").count() == 1, "{prompts:?}");
    }
}
