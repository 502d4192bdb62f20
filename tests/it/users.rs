//! Two users of one machine, whose tmux servers are in one directory, as in /tmp.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::sandbox::troop_bin;
use crate::support::{Sandbox, skip};

/// `nobody`, who owns nothing.
const USER: u32 = 65534;

/// One of the users, with a home of their own.
struct User<'a> {
    sandbox: &'a Sandbox,
    uid: u32,
    troop: PathBuf,
}

impl User<'_> {
    fn troop(&self, args: &[&str]) -> (i32, String, String) {
        let (user, group) = (format!("--reuid={}", self.uid), format!("--regid={}", self.uid));
        let mut command = self.sandbox.command("setpriv");
        command.args([&user, &group, "--clear-groups", "--"]).arg(&self.troop).args(args);
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }

    #[track_caller]
    fn does(&self, args: &[&str]) -> String {
        let (code, out, err) = self.troop(args);
        assert_eq!((code, err.as_str()), (0, ""), "{args:?} as {}: {out}", self.uid);
        out
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn names(list: &str, key: &str) -> Vec<String> {
    let rows: Vec<Value> = serde_json::from_str(list).unwrap();
    rows.iter().map(|row| row[key].as_str().unwrap_or("-").to_owned()).collect()
}

#[test]
fn users_are_not_in_each_others_way() {
    if !skip::have_root() || !skip::have_program("setpriv") {
        return;
    }
    // The sandbox that is dropped last has what both use.
    let (mut first, mut second) = (Sandbox::new(), Sandbox::new());
    let shared = first.path().join("shared");
    fs::create_dir(&shared).unwrap();
    set_mode(&shared, 0o1777);
    set_mode(first.path(), 0o711);
    for sandbox in [&mut first, &mut second] {
        sandbox.set("TMUX_TMPDIR", shared.clone());
        sandbox.set("TMPDIR", shared.clone());
    }
    let troop = first.path().join("troop");
    fs::hard_link(troop_bin(), &troop).or_else(|_| fs::copy(troop_bin(), &troop).map(drop)).unwrap();
    let chowned = first.command("chown").args(["-R", "65534:65534"]).arg(second.path()).status().unwrap();
    assert!(chowned.success());
    let root = User { sandbox: &first, uid: 0, troop: troop.clone() };
    let user = User { sandbox: &second, uid: USER, troop };

    std::thread::scope(|scope| {
        for who in [&root, &user] {
            scope.spawn(|| who.does(&["launch", "a"]));
        }
    });
    user.does(&["launch", "b"]);
    assert_eq!(names(&root.does(&["list", "--json"]), "name"), ["a"]);
    assert_eq!(names(&user.does(&["list", "--json"]), "name"), ["a", "b"]);
    assert_eq!(names(&root.does(&["discover", "--json"]), "agent"), ["a"]);
    assert_eq!(names(&user.does(&["discover", "--json"]), "agent"), ["a", "b"]);
    assert_eq!(user.does(&["doctor"]), "nothing is wrong\n");
    // Nothing of troop is where both write.
    let mut left: Vec<String> =
        fs::read_dir(&shared).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, ["tmux-0", "tmux-65534"]);
    // Whom a server belongs to, nobody else looks into.
    let (code, out, err) = user.troop(&["discover", "--json", shared.join("tmux-0/default").to_str().unwrap()]);
    assert!(code == 1 && out == "[]\n" && err.starts_with("troop: "), "{code} {out} {err}");

    user.does(&["stop", "a", "b"]);
    // Somebody was first at the name of the directory.
    fs::remove_dir_all(shared.join("tmux-65534")).unwrap();
    for owner in [0, USER] {
        let squatted = shared.join("tmux-65534");
        fs::create_dir(&squatted).unwrap();
        chown(&squatted, Some(owner), Some(owner)).unwrap();
        set_mode(&squatted, 0o777);
        let (code, out, err) = user.troop(&["launch", "c"]);
        assert!(code != 0 && out.is_empty() && err.lines().count() == 1, "{code} {out} {err}");
        assert!(err.contains(squatted.to_str().unwrap()) && err.contains("somebody else"), "{err}");
        assert_eq!(names(&user.does(&["list", "--json"]), "name"), [""; 0]);
        fs::remove_dir_all(&squatted).unwrap();
    }
    user.does(&["launch", "c"]);
    root.does(&["stop", "a"]);
}
