//! Names that are none, and names of nobody, given to every command that takes one.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::support::Sandbox;
use crate::support::sandbox::troop_bin;

/// Every command that takes an agent's name, with what else it needs.
const COMMANDS: [(&str, &[&str]); 11] = [
    ("launch", &[]),
    ("prompt", &["hello"]),
    ("wait", &["--until", "ready", "--timeout", "1"]),
    ("interrupt", &[]),
    ("answer", &["1"]),
    ("stop", &[]),
    ("relaunch", &[]),
    ("close", &[]),
    ("retire", &[]),
    ("explain", &[]),
    ("adopt", &[]),
];

#[test]
fn a_bad_name_is_a_sentence() {
    let sandbox = Sandbox::new();
    let long = "x".repeat(300);
    let names: [&[u8]; 11] = [
        b"../x",
        b"../../../../etc/passwd",
        b"/etc/passwd",
        b"a/b",
        b".",
        b"..",
        b"",
        b" ",
        b"two\nlines\x1b[2J",
        b"\xff\xfe",
        long.as_bytes(),
    ];
    for (command, others) in COMMANDS {
        for name in names {
            let output =
                sandbox.command(troop_bin()).arg(command).arg(OsStr::from_bytes(name)).args(others).output().unwrap();
            let what = format!("{command} {:?}", String::from_utf8_lossy(name));
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(matches!(output.status.code(), Some(2 | 3)), "{what}: {:?} {said}", output.status);
            assert!(output.stdout.is_empty(), "{what}");
            assert!(said.starts_with("troop: ") || said.starts_with("error: "), "{what}: {said}");
            assert!(!said.contains("panicked"), "{what}: {said}");
            // Whatever was given is not thrown at the terminal.
            assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "{what}: {said:?}");
            assert!(said.starts_with("error: ") || said.lines().count() == 1, "{what}: {said:?}");
        }
    }
    let left = |dir: std::path::PathBuf| std::fs::read_dir(dir).into_iter().flatten().count();
    assert_eq!((left(sandbox.registry().join("live_agents")), left(sandbox.troop_home().join("sessions"))), (0, 0));
}
