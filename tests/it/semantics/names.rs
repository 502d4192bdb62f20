//! Names of agents, and directories that are made and removed.

use std::fs;

use super::world::{LIMIT, World, errno};
use crate::support::wait_for;

/// The name of a new agent begins with a letter or digit, goes on with letters, digits, `_` and `-`, and
/// has at most 64 bytes; other names are refused with EINVAL, and one that is taken with EEXIST. Records
/// that somebody else wrote may share a name: then each is listed as its name, `~`, and the first eight
/// characters of its id.
#[test]
fn agent_names() {
    let world = World::new();
    for bad in ["-a", "_a", "a b", "ä", "a~b", ".a", "a.b", "a\nb", "houmao-x", &"x".repeat(65)] {
        let made = fs::create_dir(world.at("agents").join(bad));
        assert_eq!(errno(made), libc::EINVAL, "{bad:?}");
    }
    let longest = "x".repeat(64);
    for good in ["A-1_b", &longest] {
        fs::create_dir(world.at("agents").join(good)).unwrap();
        assert_eq!(errno(fs::create_dir(world.at("agents").join(good))), libc::EEXIST);
    }
    assert_eq!(world.names("agents"), ["A-1_b", &longest]);

    world.plant("aaaaaaaa1111", "twin", "no-session-1");
    world.wait_there("agents/twin");
    world.plant("bbbbbbbb2222", "twin", "no-session-2");
    world.wait_there("agents/twin~bbbbbbbb");
    world.wait_there("agents/twin~aaaaaaaa");
    world.wait_gone("agents/twin");
    for (name, id) in [("twin~aaaaaaaa", "aaaaaaaa1111"), ("twin~bbbbbbbb", "bbbbbbbb2222")] {
        let state = world.state(&format!("agents/{name}"));
        assert_eq!((&state["identity"]["agent_id"], &state["identity"]["agent_name"]), (&id.into(), &"twin".into()));
        assert_eq!(fs::read_link(world.at("by-id").join(id)).unwrap().to_str(), Some(&*format!("../agents/{name}")));
    }
    fs::remove_dir_all(world.sandbox().registry().join("live_agents/aaaaaaaa1111")).unwrap();
    world.wait_there("agents/twin");
    assert_eq!(world.state("agents/twin")["identity"]["agent_id"], "bbbbbbbb2222");
    world.wait_gone("agents/twin~bbbbbbbb");
}

/// Whoever launched it, an agent with a live record in the registry appears under `agents/`, and
/// disappears when its record does, without anybody asking for it. The modification time of its
/// directory is when its status changed, so `ls -lt agents` shows the newest change first.
#[test]
fn one_directory_for_each_live_agent() {
    let world = World::new();
    assert_eq!(world.names("agents").len(), 0);
    // A session that somebody else made, and a record of it that somebody else wrote.
    let troop = crate::support::sandbox::troop_bin();
    let argv = format!("{} stand-in --pace 1 --log {}", troop.display(), world.log_path("hers").display());
    world.tmux(&["new-session", "-d", "-s", "hers", "-n", "agent", "-x", "100", "-y", "30", &argv]);
    let record = world.plant("0123456789abcdef", "hers", "hers");
    world.wait_there("agents/hers");
    world.wait_status("hers", "ready");
    world.write("agents/hers/prompt", "hello from the mount");
    assert_eq!(world.next_prompt("hers", 0), "hello from the mount");

    world.launch("mine");
    let newest = |first: &str| {
        wait_for("the newest change to come first", LIMIT, || {
            world.sh("sh", "ls -t agents | head -1").out.trim_end() == first
        });
    };
    newest("mine");
    world.write("agents/hers/prompt", "sim:work=600000");
    world.wait_status("hers", "active");
    newest("hers");

    fs::remove_file(&record).unwrap();
    world.wait_gone("agents/hers");
    assert_eq!(world.names("agents"), ["mine"]);
    // It was not ours to end.
    world.tmux(&["has-session", "-t", "=hers"]);
}

/// `mkdir agents/NAME` launches an agent with the defaults, and returns when it is there. `rmdir` of an agent
/// whose program or session is still there is EBUSY; of one that is gone or stopped it retires the record.
#[test]
fn making_and_removing_directories() {
    let world = World::new();
    fs::create_dir(world.at("agents/bob")).unwrap();
    assert!(["starting\n", "ready\n"].contains(&&*world.read("agents/bob/status")));
    world.wait_status("bob", "ready");
    assert_eq!(world.state("agents/bob")["identity"]["tool"], "stand-in");
    assert_eq!(fs::read_link(world.at("agents/bob/cwd")).unwrap(), world.sandbox().home());
    assert_eq!(errno(fs::remove_dir(world.at("agents/bob"))), libc::EBUSY);
    world.write("agents/bob/prompt", "sim:exit=0");
    world.wait_status("bob", "down");
    assert_eq!(errno(fs::remove_dir(world.at("agents/bob"))), libc::EBUSY);
    let session = world.session("bob");
    world.tmux(&["kill-session", "-t", &format!("={session}")]);
    world.wait_status("bob", "gone");
    fs::remove_dir(world.at("agents/bob")).unwrap();
    world.wait_gone("agents/bob");
    assert_eq!(world.names("stopped").len(), 0);

    fs::create_dir(world.at("agents/bob")).unwrap();
    world.wait_status("bob", "ready");
    world.write("agents/bob/control", "stop --force\n");
    world.wait_there("stopped/bob");
    world.wait_gone("agents/bob");
    // A stopped agent keeps its name until it is retired.
    assert_eq!(errno(fs::create_dir(world.at("agents/bob"))), libc::EEXIST);
    fs::remove_dir(world.at("stopped/bob")).unwrap();
    world.wait_gone("stopped/bob");

    for (path, expected) in [("x", libc::EPERM), ("stopped/x", libc::EPERM), ("agents/bob/x", libc::ENOENT)] {
        assert_eq!(errno(fs::create_dir(world.at(path))), expected, "{path}");
    }
    for path in ["agents", "by-status/ready", "tools"] {
        assert_eq!(errno(fs::remove_dir(world.at(path))), libc::EPERM, "{path}");
    }
}
