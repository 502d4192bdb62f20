//! What is refused, where it shows, and in which words.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::Value;

use super::world::{LIMIT, World, errno, have};
use crate::support::wait_for;

/// Shells report a failing open or write and pass over a failing close. So what can be known when a file is
/// opened is refused there, what the bytes tell is refused by the write that has them, and only what is
/// known at the end is left to the close. Of a prompt with a write that was refused nothing is sent.
#[test]
fn refused_where_you_see_it() {
    let world = World::with("a");
    let open = |path: &str| OpenOptions::new().write(true).open(world.at(path));
    // By the bytes, in the write.
    let mut prompt = open("agents/a/prompt").unwrap();
    prompt.write_all(b"good ").unwrap();
    assert_eq!(errno(prompt.write(b"\xff")), libc::EINVAL);
    assert_eq!(errno(prompt.write(b"\x07")), libc::EINVAL);
    // At the end, in the close: it could have become whole.
    let mut half = open("agents/a/prompt").unwrap();
    half.write_all(&"é".as_bytes()[..1]).unwrap();
    assert_eq!(nix::unistd::close(half), Err(nix::Error::EINVAL));
    assert!(world.read("agents/a/error").contains("UTF-8"));
    // Half a prompt is not what was meant: neither what came before nor what comes after is sent.
    assert_eq!(errno(prompt.write(b"better")), libc::EINVAL);
    drop(prompt);
    let work = world.sandbox().work();
    fs::write(work.join("big"), "x".repeat((1 << 20) + 1)).unwrap();
    fs::write(work.join("binary"), [&b"text\n".repeat(100_000)[..], b"\xff"].concat()).unwrap();
    for (script, words) in [
        ("cat $TMPDIR/big > agents/a/prompt", "File too large"),
        ("cat $TMPDIR/binary > agents/a/prompt", "Invalid argument"),
    ] {
        let said = world.sh("sh", script);
        assert!(said.code == Some(1) && said.err.contains(words), "{said:?}");
    }
    assert_eq!((world.read("agents/a/status").as_str(), world.read("agents/a/prompt").as_str()), ("ready\n", ""));
    world.write("agents/a/prompt", "good ");
    assert_eq!(world.next_prompt("a", 0), "good ");

    let shells = |script: &str, words: &str| {
        for shell in ["bash", "dash"] {
            if have(world.sandbox(), shell) {
                let said = world.sh(shell, script);
                assert!(said.code != Some(0), "{shell} {script:?} was not told: {said:?}");
                let words = if shell == "dash" && said.err.contains("I/O error") { "I/O error" } else { words };
                assert!(said.err.contains(words), "{shell} {script:?}: {said:?}");
            }
        }
    };
    shells("echo explode > agents/a/control", "Invalid argument");
    shells("printf 'no\\033newline' > agents/a/prompt", "Invalid argument");
    shells("cat /dev/urandom | head -c 4096 | cat > agents/a/prompt", "Invalid argument");
    // By the state, in the open: nothing is read from a pipe first.
    world.write("agents/a/prompt", "sim:work=600000");
    world.wait_status("a", "active");
    assert_eq!(errno(open("agents/a/prompt")), libc::EBUSY);
    shells("echo more > agents/a/prompt", "Device or resource busy");
    shells("echo more >> agents/a/prompt", "Device or resource busy");
    shells("cat README > agents/a/prompt", "Device or resource busy");
    shells("echo x > agents/a/status", "Operation not permitted");
    if have(world.sandbox(), "python3") {
        let script = "open('agents/a/prompt', 'w').write('more')";
        let said = world.sh("sh", &format!("python3 -c \"{script}\""));
        assert!(said.err.contains("OSError: [Errno 16] Device or resource busy"), "{said:?}");
    }
    // Reading what may not be written stays possible.
    assert_eq!(world.read("agents/a/prompt"), "sim:work=600000\n");
}

///     EBUSY    the agent is starting, pending, active or blocked, its state cannot be told,
///              somebody's unsent text stands in its composer, or there is nothing to interrupt
///     ESRCH    the agent is gone or down
///     EINVAL   an unknown verb, a wrong argument, text that is not UTF-8, or control characters
///     EFBIG    a prompt of more than 1 MiB, or more than 16 KiB of verbs or keys
///     EPERM    not something one writes, makes, changes or removes
///     ENXIO    an agent of this kind has no terminal to type into
#[test]
fn what_each_error_means() {
    let world = World::new();
    let refused = |path: &str, text: &str, number: i32, words: &str| {
        let (errno, sentence) = world.refused(path, text);
        assert_eq!(errno, number, "{path} {:?}: {sentence}", text.get(..40).unwrap_or(text));
        assert!(sentence.contains(words), "{words:?} is not in {sentence:?}");
    };
    world.launch_with("a", "--start-delay 500");
    if world.read("agents/a/status") == "starting\n" {
        refused("agents/a/prompt", "x", libc::EBUSY, "a is still starting; wait until");
    }
    world.wait_status("a", "ready");
    world.write("agents/a/prompt", "sim:work=300 sim:ask");
    refused("agents/a/prompt", "x", libc::EBUSY, "wait until its status is ready");
    world.wait_status("a", "blocked");
    refused("agents/a/prompt", "x", libc::EBUSY, "a is asking a question; answer it first");
    world.write("agents/a/keys", "3\n");
    world.wait_status("a", "ready");
    world.write("agents/a/keys", "d\nr\n");
    wait_for("the draft", LIMIT, || world.state("agents/a")["surface"]["editing_input"] == "yes");
    refused("agents/a/prompt", "x", libc::EBUSY, "unsent text in its composer");
    world.write("agents/a/keys", "BSpace\nBSpace\n");
    wait_for("the empty composer", LIMIT, || world.state("agents/a")["surface"]["editing_input"] == "no");

    refused("agents/a/control", "explode\n", libc::EINVAL, "\"explode\" is not a verb here; the verbs are");
    refused("agents/a/control", "resize 1x1\n", libc::EINVAL, "not a terminal size");
    refused("agents/a/control", "stop now\n", libc::EINVAL, "write stop [--force]");
    refused("agents/a/keys", "NoSuchKey\n", libc::EINVAL, "NoSuchKey");
    refused("agents/a/prompt", "\u{1b}[2J", libc::EINVAL, "U+001B");
    refused("agents/a/prompt", "a\rb", libc::EINVAL, "carriage return");
    let big = "x".repeat((1 << 20) + 1);
    refused("agents/a/prompt", &big, libc::EFBIG, "longer than 1048576 bytes");
    refused("agents/a/control", &"x".repeat((16 << 10) + 1), libc::EFBIG, "16384 is the limit");
    refused("agents/a/keys", &"Up\n".repeat(6000), libc::EFBIG, "limit");
    for path in ["README", "index", "agents/a/status", "agents/a/state.json", "agents/a/history", "tools/claude.toml"] {
        assert_eq!(world.refused(path, "x").0, libc::EPERM, "{path}");
    }

    world.write("agents/a/prompt", "sim:exit=3");
    world.wait_status("a", "down");
    // tmux takes a moment to learn the status.
    wait_for("the reason", LIMIT, || {
        world.state("agents/a")["sources"][0]["says"] == "the program exited with status 3"
    });
    for path in ["agents/a/prompt", "agents/a/keys"] {
        refused(path, "x", libc::ESRCH, "a is down (the program exited with status 3)");
    }
    refused("agents/a/control", "interrupt\n", libc::ESRCH, "a is down");
    world.plant("0000aaaa", "g", "no-such-session");
    world.wait_there("agents/g");
    world.wait_status("g", "gone");
    refused("agents/g/prompt", "x", libc::ESRCH, "g is gone");
    let mut headless = super::world::record("0000bbbb", "h", "no-such-session-2", world.sandbox().path());
    headless["identity"] = serde_json::json!({ "backend": "cao_rest", "tool": "claude" });
    world.plant_bytes("0000bbbb", headless.to_string().as_bytes());
    world.wait_there("agents/h");
    refused("agents/h/prompt", "x", libc::ENXIO, "h runs as cao_rest, which is not driven from here");
    refused("agents/h/keys", "x", libc::ENXIO, "cao_rest");
    assert!(world.prompts("a").iter().all(|prompt| prompt.starts_with("sim:")));
}

/// The reason for the last refused write stands in the agent's `error` by the time the call fails, and is a
/// line in its history, where the same refusal within a second is not repeated. For the `control` at the top,
/// reading that file shows it.
#[test]
fn the_sentence_behind_a_refusal() {
    let world = World::with("a");
    for word in ["explode", "implode"] {
        let (_, sentence) = world.refused("agents/a/control", &format!("{word}\n"));
        assert!(sentence.starts_with(&format!("\"{word}\" is not a verb here")), "{sentence}");
        let last: Value = world.history("agents/a").pop().unwrap();
        assert_eq!((&last["event"], &last["what"]), (&"refused".into(), &"control".into()));
        assert_eq!(last["error"].as_str().unwrap(), sentence.trim_end());
        assert_eq!((&last["actor"]["via"], &last["actor"]["pid"]), (&"mount".into(), &std::process::id().into()));
    }
    assert!(world.read("agents/a/history").lines().last().unwrap().contains("refused control: \"implode\""));
    assert_eq!(world.refused("control", "launch ../x\n").0, libc::EINVAL);
    assert!(world.read("control").contains("# last refused: \"../x\" cannot be an agent's name"));
    // What is read to be written back is understood, and the last line is only a comment.
    assert!(world.read("control").lines().last().unwrap().starts_with('#'));
}

/// Nothing can be renamed, linked, deleted or created, and no mode, owner or extended attribute changed:
/// EPERM, or ENOTSUP for attributes. Truncating, touching and setting the mode and owner a file has already are
/// accepted on files that can be written, because shells and editors do so on their way, and so is any mode in a
/// `queue`, where it changes nothing, because `mv`, `cp -p` and `rsync` do.
#[test]
fn nothing_else_can_be_changed() {
    let world = World::with("a");
    world.launch("b");
    let (status, prompt) = (world.at("agents/a/status"), world.at("agents/a/prompt"));
    assert_eq!(errno(fs::rename(&status, world.at("agents/a/x"))), libc::EPERM);
    assert_eq!(errno(fs::rename(&prompt, world.at("agents/b/prompt"))), libc::EPERM);
    assert_eq!(errno(fs::rename(world.at("agents/a"), world.at("agents/c"))), libc::EPERM);
    assert_eq!(errno(fs::hard_link(&status, world.at("x"))), libc::EPERM);
    assert_eq!(errno(symlink("a", world.at("agents/c"))), libc::EPERM);
    for path in ["README", "agents/a/prompt", "agents/a/manifest", "by-tool/stand-in/a"] {
        assert_eq!(errno(fs::remove_file(world.at(path))), libc::EPERM, "{path}");
    }
    for path in ["x", "agents/x", "agents/a/x", "tools/x.toml"] {
        assert_eq!(errno(File::create(world.at(path))), libc::EPERM, "{path}");
    }
    let mode = |path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    assert_eq!(errno(mode(&status, 0o666)), libc::EPERM);
    assert_eq!(errno(mode(&prompt, 0o666)), libc::EPERM);
    mode(&prompt, 0o600).unwrap();
    assert_eq!(errno(std::os::unix::fs::chown(&prompt, Some(1), None)), libc::EPERM);
    let own = nix::unistd::getuid().as_raw();
    std::os::unix::fs::chown(&prompt, Some(own), None).unwrap();
    let fifo = nix::unistd::mkfifo(&world.at("agents/a/fifo"), nix::sys::stat::Mode::S_IRWXU);
    assert_eq!(fifo, Err(nix::Error::EPERM));
    let said = world.sh(
        "sh",
        "touch agents/a/prompt && truncate -s 0 agents/a/prompt && : > agents/a/prompt && : >> agents/a/keys
         for f in 'touch agents/a/status' 'touch new' 'truncate -s 5 agents/a/prompt' 'truncate -s 0 README' \\
            'sed -i s/a/b/ agents/a/prompt' 'mv agents/a/prompt agents/b' 'rm -f agents/a/history' 'rm -rf agents/a' \\
            'mkdir new' 'cp README agents/a/new' 'install README agents/a/new'; do
             $f 2> $TMPDIR/err && echo \"$f was accepted\"
         done",
    );
    assert_eq!((said.out.as_str(), said.err.as_str()), ("", ""));
    if have(world.sandbox(), "python3") {
        let script = "import os, sys, errno
for path in sys.argv[1:]:
    for call in [lambda: os.setxattr(path, 'user.x', b'1'), lambda: os.getxattr(path, 'user.x'), lambda: os.removexattr(path, 'user.x')]:
        try:
            print('accepted', path, call())
        except OSError as error:
            if error.errno != errno.ENOTSUP: print(error)
";
        fs::write(world.sandbox().work().join("xattr.py"), script).unwrap();
        let said = world.sh("sh", "python3 $TMPDIR/xattr.py agents/a/prompt agents/a/status agents/a README");
        assert_eq!((said.out.as_str(), said.err.as_str()), ("", ""));
    }
    if have(world.sandbox(), "vim") {
        // An editor that writes in place sends what it has written; it leaves nothing behind.
        let script = "vim -Nu NONE -i NONE -es -c 'normal ifrom an editor' -c wq agents/a/prompt < /dev/null";
        assert_eq!(world.sent("sh", script), "from an editor");
    }
    assert_eq!(world.names("agents"), ["a", "b"]);
    assert_eq!(world.names("agents/a"), world.names("agents/b"));
    let received = world.prompts("a").len();
    assert!(world.prompts_until_fence("a").len() == received && world.prompts_until_fence("b").is_empty());
}
