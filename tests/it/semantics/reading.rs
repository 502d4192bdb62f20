//! What reading gives, and that it does nothing else.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;

use super::tree::everything;
use super::world::{LIMIT, World, have};
use crate::support::user::{USUAL_DEVICE, as_user};
use crate::support::{wait_for, wait_until};

/// Reading never touches an agent: no key is sent, no program is started and no state changes. Nothing
/// that is listed blocks a reader. `grep -r`, `find`, `cp -a`, an indexer or a backup may go over
/// the whole mount.
#[test]
fn reading_changes_nothing() {
    check_reading_changes_nothing();
}

#[test]
fn an_ordinary_user_reads_and_changes_nothing() {
    let name = "semantics::reading::an_ordinary_user_reads_and_changes_nothing";
    as_user(name, USUAL_DEVICE, check_reading_changes_nothing);
}

fn check_reading_changes_nothing() {
    let world = World::with("a");
    world.launch("b");
    world.write("agents/b/control", "stop\n");
    world.wait_there("stopped/b");
    world.wait_gone("agents/b");
    world.launch("b2");
    world.write("agents/b2/prompt", "sim:ask");
    world.wait_status("b2", "blocked");
    // Until everything has come to rest, the state of being at rest included.
    for agent in ["a", "b2"] {
        wait_for("a stable state", LIMIT, || world.state(&format!("agents/{agent}"))["stability"]["stable"] == true);
    }
    let picture = || -> Vec<(std::path::PathBuf, Vec<u8>)> {
        let mut paths = everything(&world.at(""));
        paths.sort();
        let files = paths.into_iter().filter(|path| fs::symlink_metadata(path).unwrap().is_file());
        files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    };
    let (before, received) = (picture(), (world.received("a"), world.received("b2")));
    let copy = world.sandbox().work().join("copy");
    let copy = copy.to_str().unwrap();
    for (program, script, works) in [
        ("grep", "grep -r ready . > $TMPDIR/out", true),
        ("find", "find . -type f -exec cat {} + > $TMPDIR/out", true),
        ("find", "find . -ls > $TMPDIR/out", true),
        ("rg", "rg --hidden --no-ignore ready > $TMPDIR/out", true),
        ("cp", &format!("cp -a . {copy}"), true),
        ("tar", "tar cf $TMPDIR/mount.tar .", true),
        ("rsync", "rsync -a . $TMPDIR/rsync", true),
        ("du", "du -a . > $TMPDIR/out", true),
        ("file", "file agents/*/* > $TMPDIR/out", true),
    ] {
        if have(world.sandbox(), program) {
            let said = world.sh("sh", script);
            assert_eq!((said.code == Some(0), said.err.as_str()), (works, ""), "{script}: {said:?}");
        }
    }
    for (path, bytes) in picture() {
        let (_, was) = before.iter().find(|(known, _)| *known == path).unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), String::from_utf8_lossy(was), "{}", path.display());
        let copied = std::path::Path::new(copy).join(path.strip_prefix(world.at("")).unwrap());
        assert_eq!(fs::read(&copied).unwrap(), bytes, "{}", copied.display());
    }
    assert_eq!((world.received("a"), world.received("b2")), received);
}

/// A file is rendered once, when it is opened. Whoever has it open reads that version to its end, however
/// slowly and in whatever pieces; opening it again gives the new one.
#[test]
fn one_reader_one_version() {
    let world = World::with("a");
    let files = ["status", "state.json", "screen", "screen.ansi", "scrollback", "prompt", "control"];
    // From then on nothing changes by itself.
    wait_for("a stable state", LIMIT, || world.state("agents/a")["stability"]["stable"] == true);
    let open: Vec<File> = files.iter().map(|file| File::open(world.at("agents/a").join(file)).unwrap()).collect();
    let before: Vec<String> = files.iter().map(|file| world.read(&format!("agents/a/{file}"))).collect();
    world.write("agents/a/prompt", "sim:say=changed sim:work=600000");
    world.wait_status("a", "active");
    wait_for("the answer to show", LIMIT, || world.read("agents/a/screen").contains("changed"));
    for ((file, mut open), before) in files.iter().zip(open).zip(before) {
        let mut bytes = Vec::new();
        let mut piece = [0; 7];
        while let n @ 1.. = open.read(&mut piece).unwrap() {
            bytes.extend_from_slice(&piece[..n]);
        }
        assert_eq!(String::from_utf8(bytes).unwrap(), before, "{file}");
        let from_there = &before.as_bytes()[before.len().min(3)..];
        let mut rest = vec![0; from_there.len()];
        open.read_exact_at(&mut rest, before.len().min(3) as u64).unwrap();
        assert_eq!(rest, from_there, "{file}");
        if *file != "control" {
            assert_ne!(world.read(&format!("agents/a/{file}")), before, "{file}");
        }
    }
}

/// The size that `stat` gives is the number of bytes there are to read, so `wc -c`, `tail -c`, `cp`,
/// `tar` and editors get all of a file and no more.
#[test]
fn sizes_are_true() {
    let world = World::with("a");
    world.write("agents/a/prompt", "sim:lines=200");
    world.next_prompt("a", 0);
    world.refused("agents/a/control", "explode\n");
    wait_for("a stable state", LIMIT, || world.state("agents/a")["stability"]["stable"] == true);
    wait_for("the scrollback", LIMIT, || world.read("agents/a/scrollback").lines().count() > 200);
    for path in everything(&world.at("")) {
        let about = fs::symlink_metadata(&path).unwrap();
        if about.is_file() {
            assert_eq!(fs::read(&path).unwrap().len() as u64, about.len(), "{}", path.display());
        } else if about.is_symlink() {
            assert_eq!(fs::read_link(&path).unwrap().as_os_str().len() as u64, about.len(), "{}", path.display());
        }
    }
    let script = "set -e
        for f in README index agents/a/*; do
            [ -f $f ] || continue
            case $f in *manifest|*record) continue;; esac
            cp $f $TMPDIR/copy
            cmp $f $TMPDIR/copy
            n=$(cat $f | wc -c)
            [ $(wc -c < $f) = $n ] && [ $(stat -c %s $f) = $n ]
            tail -c 9 $f > $TMPDIR/tail
            cat $f | tail -c 9 | cmp - $TMPDIR/tail
            head -c $n $f | cmp - $TMPDIR/copy
            dd if=$f of=$TMPDIR/dd bs=100 2> /dev/null && cmp $TMPDIR/dd $TMPDIR/copy
        done";
    let said = world.sh("sh", script);
    assert!(said.code == Some(0) && said.err.is_empty(), "{said:?}");
    if have(world.sandbox(), "vim") {
        let script = "vim -Nu NONE -es -c 'w! $TMPDIR/vim' -c q! agents/a/scrollback < /dev/null; cmp agents/a/scrollback $TMPDIR/vim";
        assert_eq!(world.sh("sh", script).code, Some(0));
    }
}

/// Whatever a program has painted before, what stands on its screen when it pauses is what `screen` shows, within half a second
/// for a program that has been painting all the time, and mostly within a few milliseconds for one that has not.
#[test]
fn the_last_of_many_changes() {
    let world = World::new();
    // Paints as fast as it can, for another number of rounds each time, and pauses until it is told to go on.
    let painter = world.sandbox().work().join("painter");
    let script = "#!/bin/bash\nfor pause in {0..11}; do for ((n = 0; n < 37 * pause * pause; n++)); do printf '\\033[Hround %s' $n; done\n\
                  printf '\\033[2J\\033[Hpause %s.' $pause; read -rs; done\n";
    fs::write(&painter, script).unwrap();
    fs::set_permissions(&painter, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    world.launch_program("painter", painter.to_str().unwrap());
    for pause in 0..12 {
        let last = format!("pause {pause}.");
        wait_until(&last, LIMIT, || {
            let screen = world.read("agents/painter/screen");
            if screen.trim() == last { Ok(()) } else { Err(screen) }
        });
        world.tmux(&["send-keys", "-t", &format!("={}:", world.session("painter")), "Enter"]);
    }
}

/// A file with one value is one line with a newline at its end. A file with nothing to say is empty.
#[test]
fn values_end_in_a_newline() {
    let world = World::with("a");
    assert_eq!(world.read("agents/a/status"), "ready\n");
    assert_eq!((world.read("agents/a/prompt"), world.read("agents/a/error")), (String::new(), String::new()));
    world.write("agents/a/prompt", "two\nlines");
    world.next_prompt("a", 0);
    assert_eq!(world.read("agents/a/prompt"), "two\nlines\n");
    world.refused("agents/a/control", "explode\n");
    let error = world.read("agents/a/error");
    assert!(error.ends_with('\n') && error.lines().count() == 1, "{error:?}");
    for path in everything(&world.at("")) {
        if fs::symlink_metadata(&path).unwrap().is_file() {
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.is_empty() || text.ends_with('\n'), "{}: {text:?}", path.display());
        }
    }
}

/// Terminal control characters are removed from everything but `screen.ansi`, so that what an agent prints
/// cannot do anything to the terminal of the person who reads it.
#[test]
fn no_control_characters() {
    let world = World::new();
    let script = world.sandbox().work().join("attack.sh");
    fs::write(
        &script,
        "printf '\\033]0;\\007evil\\007title\\033\\\\ \\033[31mred\\033[0m \\302\\233 \\r\\033P1$r\\033\\\\shown\\n'\n\
         for i in $(seq 100); do printf '\\033[32mline %s\\033[0m\\n' $i; done; sleep 600\n",
    )
    .unwrap();
    world.launch_program("a", &format!("sh {}", script.display()));
    let scrolled = || match world.read("agents/a/scrollback") {
        text if text.contains("line 100") && text.contains("line 1\n") => Ok(()),
        text => Err(text),
    };
    wait_until("the lines to scroll", LIMIT, scrolled);
    world.launch("b");
    world.write("agents/b/keys", "C-a\n");
    assert!(world.refused("agents/b/prompt", "an \u{1b}[31mescape").1.contains("control character"));
    assert!(world.read("agents/a/screen.ansi").contains("\u{1b}[32m"));
    for path in everything(&world.at("")) {
        if path.ends_with("screen.ansi") || !fs::symlink_metadata(&path).unwrap().is_file() {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let control = text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t'));
        assert_eq!(control, None, "{}: {text:?}", path.display());
    }
}
