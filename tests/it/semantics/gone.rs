//! What happens to names and open files of an agent that goes away.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};

use super::world::{World, errno};

/// The name of an agent that has gone is ENOENT, also for a program that has looked it up before. A file
/// that is still open goes on reading what it had; read again from its beginning it is ESRCH.
#[test]
fn a_name_that_goes_away() {
    let world = World::new();
    let record = world.plant("0000aaaa", "a", "no-such-session");
    world.wait_there("agents/a");
    world.wait_status("a", "gone");
    let paths = ["agents/a", "agents/a/status", "by-id/0000aaaa", "by-status/gone/a", "by-tool/stand-in/a"];
    for path in paths {
        fs::symlink_metadata(world.at(path)).unwrap();
    }
    let mut partly = File::open(world.at("agents/a/state.json")).unwrap();
    let unread = File::open(world.at("agents/a/status")).unwrap();
    let mut history = File::open(world.at("agents/a/history")).unwrap();
    let mut begun = [0; 10];
    partly.read_exact(&mut begun).unwrap();
    let mut text = String::new();
    history.read_to_string(&mut text).unwrap();
    // A program in the directory.
    let mut inside = world.shell("sh", "cd agents/a && echo there && read -r _; cat status");
    let inside = inside
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut inside = inside.spawn().unwrap();
    inside.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();

    fs::remove_file(record).unwrap();
    for path in paths {
        world.wait_gone(path);
        assert_eq!(errno(File::open(world.at(path))), libc::ENOENT, "{path}");
    }
    assert_eq!(world.names("agents").len() + world.names("by-id").len() + world.names("by-tool").len(), 0);

    let mut rest = Vec::new();
    partly.read_to_end(&mut rest).unwrap();
    super::state::check(&[&begun[..], &rest].concat());
    assert_eq!(std::io::read_to_string(&unread).unwrap(), "gone\n");
    for mut file in [partly, unread, history] {
        file.seek(SeekFrom::Start(0)).unwrap();
        assert_eq!(errno(file.read(&mut [0; 10])), libc::ESRCH);
    }
    drop(inside.stdin.take());
    let output = inside.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("No such file or directory"), "{output:?}");
}
