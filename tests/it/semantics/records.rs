//! Records of others: bad ones, and those on other tmux servers.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use super::world::{LIMIT, World, plant, record};
use crate::support::sandbox::troop_bin;
use crate::support::{Sandbox, wait_for};

/// Every bad record there can be, by id, and a word of what `troop doctor` says of it.
fn plant_bad(sandbox: &Sandbox) -> Vec<(&'static str, &'static str)> {
    let good = |id: &str| record(id, &format!("name-of-{id}"), &format!("session-{id}"), sandbox.path());
    let changed = |id: &str, change: &dyn Fn(&mut Value)| {
        let mut record = good(id);
        change(&mut record);
        plant(sandbox, id, record.to_string().as_bytes());
    };
    plant(sandbox, "torn", &good("torn").to_string().as_bytes()[..100]);
    plant(sandbox, "bytes", b"\xff\xfe\x00\x1b[2J");
    plant(sandbox, "empty", b"");
    plant(sandbox, "huge", &vec![b' '; 32 << 20]);
    plant(sandbox, "deep", "[".repeat(100_000).as_bytes());
    changed("newer", &|record| record["schema_version"] = json!(4));
    changed("foreign", &|record| record["surprise"] = json!(true));
    changed("expired", &|record| record["liveness"]["lease_expires_at"] = json!("2026-01-02T00:00:00+00:00"));
    changed("badname", &|record| record["agent_name"] = json!("../../etc"));
    changed("badtime", &|record| record["lifecycle"]["state_updated_at"] = json!("yesterday"));
    let live_agents = sandbox.registry().join("live_agents");
    fs::create_dir(live_agents.join("link")).unwrap();
    let target = sandbox.path().join("elsewhere.json");
    fs::write(&target, good("link").to_string()).unwrap();
    symlink(&target, live_agents.join("link/record.json")).unwrap();
    symlink(sandbox.path(), live_agents.join("linked-dir")).unwrap();
    fs::create_dir(live_agents.join("nothing")).unwrap();
    fs::create_dir(live_agents.join("fifo")).unwrap();
    nix::unistd::mkfifo(&live_agents.join("fifo/record.json"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::create_dir_all(live_agents.join("dir/record.json")).unwrap();
    vec![
        ("torn", ""),
        ("bytes", ""),
        ("empty", ""),
        ("huge", ""),
        ("deep", ""),
        ("newer", "schema"),
        ("foreign", "surprise"),
        ("expired", "lease"),
        ("badname", "agent_name"),
        ("badtime", "state_updated_at"),
        ("link", ""),
        ("linked-dir", ""),
        ("nothing", "no record.json"),
        ("fifo", ""),
        ("dir", ""),
    ]
}

/// A record that is malformed, expired, a symbolic link, of a newer schema or not an agent's at all is passed
/// over. Every other agent is listed, nothing of it is deleted, and `troop doctor` names its path and what
/// is wrong with it.
#[test]
fn a_bad_record_hides_nobody() {
    let sandbox = Sandbox::new();
    plant(&sandbox, "0000aaaa", record("0000aaaa", "before", "no-session", sandbox.path()).to_string().as_bytes());
    let bad = plant_bad(&sandbox);
    let live_agents = sandbox.registry().join("live_agents");
    let on_disk = || -> Vec<_> {
        let mut paths = super::tree::everything(&live_agents);
        paths.retain(|path| bad.iter().any(|(id, _)| path.starts_with(live_agents.join(id))));
        paths.sort();
        paths.into_iter().map(|path| (fs::symlink_metadata(&path).unwrap().len(), path)).collect()
    };
    let before = on_disk();
    let world = World::mounted(sandbox, &[]);
    world.wait_there("agents/before");
    world.launch("mine");
    world.plant("0000bbbb", "after", "no-session-2");
    world.wait_there("agents/after");
    assert_eq!(world.names("agents"), ["after", "before", "mine"]);
    // Bad ones that come later are no different, and a good one that turns bad goes.
    world.plant_bytes("late", b"{}");
    world.plant_bytes("0000bbbb", b"not a record any more");
    world.wait_gone("agents/after");
    assert_eq!(world.names("agents"), ["before", "mine"]);
    world.write("agents/mine/prompt", "still here");
    assert_eq!(world.next_prompt("mine", 0), "still here");

    let said = world.troop(&["doctor", "--json"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let findings: Vec<Value> = serde_json::from_str(&said.out).unwrap();
    for (id, words) in bad.iter().chain(&[("late", ""), ("0000bbbb", "")]) {
        let place = world.sandbox().registry().join("live_agents").join(id);
        let of_it = |finding: &&Value| std::path::Path::new(finding["path"].as_str().unwrap()).starts_with(&place);
        let sentences: Vec<&str> =
            findings.iter().filter(of_it).map(|finding| finding["sentence"].as_str().unwrap()).collect();
        assert!(sentences.iter().any(|sentence| sentence.contains(words)), "{id}: {sentences:?} {findings:#?}");
        assert!(sentences.iter().all(|sentence| !sentence.contains(|c: char| c.is_control())), "{sentences:?}");
    }
    assert_eq!(on_disk(), before);
    let list = world.troop(&["list"]);
    assert!(list.code == Some(0) && list.err.contains("see troop doctor"), "{list:?}");
}

/// An agent is looked for on the tmux server that its manifest names, and on the user's default server when
/// it names none. Sessions of the same name on different servers are not mixed up.
#[test]
fn other_tmux_servers() {
    let world = World::with("a");
    let other = world.sandbox().path().join("other.sock");
    let other = other.to_str().unwrap();
    let log = world.log_path("far");
    let troop = troop_bin();
    let argv = [troop.to_str().unwrap(), "stand-in", "--pace", "1", "--log", log.to_str().unwrap()];
    let said = world.troop(&[&["--tmux-socket", other, "launch", "far", "--"][..], &argv].concat());
    assert_eq!(said.code, Some(0), "{said:?}");
    world.wait_there("agents/far");
    world.wait_status("far", "ready");
    assert_eq!(world.state("agents/far")["identity"]["tmux_socket"], other);
    assert_eq!(world.state("agents/a")["identity"]["tmux_socket"], Value::Null);
    let session = world.session("far");
    assert!(!world.tmux(&["list-sessions", "-F", "#S"]).contains(&session));
    world.write("agents/far/prompt", "hello over there");
    assert_eq!(world.next_prompt("far", 0), "hello over there");

    // One of the same name here, which is not the agent's.
    world.tmux(&["new-session", "-d", "-s", &session, "cat > /dev/null"]);
    world.tmux(&["-S", other, "kill-session", "-t", &format!("={session}")]);
    world.wait_status("far", "gone");
    assert_eq!(world.refused("agents/far/prompt", "x").0, libc::ESRCH);
    world.write("agents/far/control", "stop\n");
    world.wait_gone("agents/far");
    world.tmux(&["has-session", "-t", &format!("={session}")]);
    wait_for("the other server to end", LIMIT, || {
        !world.sandbox().tmux(["-S", other, "list-sessions"]).output().unwrap().status.success()
    });
    assert_eq!(world.read("agents/a/status"), "ready\n");
}
