//! Agents that ran already, in panes that somebody else made.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::world::{LIMIT, World};
use crate::real_support::Running;
use crate::support::sandbox::troop_bin;
use crate::support::{Sandbox, wait_until};

/// The command line of a stand-in that logs what it receives.
fn stand_in(world: &World, name: &str) -> String {
    format!("{} stand-in --pace 1 --log {}", troop_bin().display(), world.log_path(name).display())
}

/// A person's session `hers`: a stand-in called `first` in its first pane, another called `second` beside it, which
/// runs in a shell. Gives the two panes.
fn her_session(world: &World) -> (String, String) {
    let (first, second) = (stand_in(world, "first"), stand_in(world, "second"));
    let work = world.sandbox().work();
    let new = ["new-session", "-d", "-s", "hers", "-n", "mine", "-x", "120", "-y", "60", "-c", work.to_str().unwrap()];
    let first = world.tmux(&[&new[..], &["-P", "-F", "#{pane_id}", &format!("exec {first}")]].concat());
    let second = world.tmux(&["split-window", "-t", "=hers:", "-P", "-F", "#{pane_id}", &format!("{second}; cat")]);
    let (first, second) = (first.trim().to_owned(), second.trim().to_owned());
    for pane in [&first, &second] {
        let shows = || world.tmux(&["capture-pane", "-p", "-t", pane]);
        wait_until("its composer", LIMIT, || Some(shows()).filter(|text| text.contains("╰─")).ok_or(shows()));
    }
    (first, second)
}

/// What `troop discover --json` says.
#[track_caller]
fn rows(world: &World, args: &[&str]) -> Vec<Value> {
    let said = world.troop(&[&["discover", "--json"], args].concat());
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    serde_json::from_str(&said.out).unwrap()
}

/// The same of one server, by pane.
#[track_caller]
fn discovered(world: &World, args: &[&str]) -> BTreeMap<String, Value> {
    rows(world, args).into_iter().map(|row| (row["pane"].as_str().unwrap().to_owned(), row)).collect()
}

/// Everything of a server that a client could change.
fn everything(world: &World) -> Vec<String> {
    let facts = "#{session_name} #{session_attached} #{session_last_attached} #{session_activity} #{window_id} #{window_name} \
                 #{window_layout} #{window_active} #{pane_id} #{pane_active} #{pane_pid} #{pane_width}x#{pane_height} \
                 #{pane_in_mode} #{pane_title} #{cursor_x},#{cursor_y} #{history_size}";
    let mut all = vec![
        world.tmux(&["list-panes", "-a", "-F", facts]),
        world.tmux(&["list-clients"]),
        world.tmux(&["list-buffers"]),
        world.tmux(&["show-environment", "-t", "=hers:"]),
        world.tmux(&["show-environment", "-g"]),
        world.tmux(&["show-hooks", "-g"]),
    ];
    for options in [&["-s"][..], &["-g"], &["-gw"], &["-t", "=hers:"], &["-w", "-t", "=hers:"], &["-p", "-t", "=hers:"]]
    {
        all.push(world.tmux(&[&["show-options"], options].concat()));
    }
    for pane in world.tmux(&["list-panes", "-a", "-F", "#{pane_id}"]).lines() {
        all.push(world.tmux(&["capture-pane", "-p", "-e", "-t", pane]));
    }
    all
}

/// `troop discover [SERVER]...` lists the agents that run in tmux panes, whoever started them, on the servers named or else
/// on your own and that of `--tmux-socket`: pane, session, tool, status, process, directory, server, and the name under which
/// an agent is registered. A program is recognised by its own name, or by its name as the first argument of another program
/// when its screen agrees. Nothing is touched: no client attaches, and no size, option, buffer, screen or key changes.
#[test]
fn discovering_touches_nothing() {
    let world = World::new();
    world.launch("ours");
    let (first, second) = her_session(&world);
    // Of that name, and of that name as an argument only.
    let (work, codex) = (world.sandbox().work(), world.sandbox().work().join("codex"));
    fs::write(&codex, "#!/bin/sh\nsleep 1000\n").unwrap();
    fs::set_permissions(&codex, fs::Permissions::from_mode(0o755)).unwrap();
    nix::unistd::mkfifo(&work.join("stand-in"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let third = world.tmux(&["new-window", "-t", "=hers:", "-P", "-F", "#{pane_id}", codex.to_str().unwrap()]);
    world.tmux(&["new-window", "-t", "=hers:", "-c", work.to_str().unwrap(), "exec cat stand-in"]);
    world.tmux(&["-L", "side", "new-session", "-d", "-s", "other", "-x", "100", "-y", "30", &stand_in(&world, "side")]);

    let attached = world.sandbox().path().join("attached");
    world.tmux(&["set-hook", "-g", "client-attached", &format!("run-shell 'touch {}'", attached.display())]);
    // The daemon's own clients must not come or go meanwhile.
    let (before, logs) = (everything(&world), ["first", "second"].map(|name| world.received(name)));
    let found = wait_until("the program to have its name", LIMIT, || {
        let found = discovered(&world, &[]);
        if found.len() == 4 { Ok(found) } else { Err(format!("{found:#?}")) }
    });
    assert_eq!(everything(&world), before);
    assert!(!attached.exists(), "a client has attached");
    assert_eq!(["first", "second"].map(|name| world.received(name)), logs, "it received something");

    let server = world.tmux(&["display-message", "-p", "#{socket_path}"]);
    let pid = |pane: &str| world.tmux(&["display-message", "-p", "-t", pane, "#{pane_pid}"]).trim().to_owned();
    let of = |pane: &str| &found[pane];
    assert_eq!((of(&first)["session"].as_str(), of(&first)["tool"].as_str()), (Some("hers"), Some("stand-in")));
    assert_eq!(of(&first)["pid"].to_string(), pid(&first));
    assert_ne!(of(&second)["pid"].to_string(), pid(&second), "the shell is not the agent");
    for pane in [&first, &second] {
        assert_eq!((of(pane)["status"].as_str(), &of(pane)["agent"]), (Some("ready"), &Value::Null));
        assert_eq!(of(pane)["cwd"].as_str(), work.to_str());
        assert_eq!(of(pane)["socket"].as_str(), Some(server.trim()));
    }
    assert_eq!(
        (of(third.trim())["tool"].as_str(), of(third.trim())["status"].as_str()),
        (Some("codex"), Some("unknown"))
    );
    let ours = found.values().find(|row| row["agent"] == "ours").unwrap();
    assert_eq!(ours["session"].as_str().unwrap(), world.session("ours"));

    let side = world.tmux(&["-L", "side", "display-message", "-p", "#{socket_path}"]);
    let on_side = |args: &[&str]| {
        wait_until("it to paint", LIMIT, || {
            rows(&world, args).into_iter().find(|row| row["session"] == "other").ok_or("not found")
        })
    };
    assert_eq!(on_side(&["side"])["socket"].as_str(), Some(side.trim()));
    on_side(&[side.trim(), server.trim()]);
    on_side(&["--tmux-socket", "side"]);
    assert!(discovered(&world, &["no-such-server"]).is_empty());
    let table = world.troop(&["discover"]);
    assert!(table.out.starts_with("PANE ") && table.out.contains("hers:0.1"), "{table:?}");
}

/// `troop adopt PANE [--name N] [--tool T]`, or `adopt PANE` on the `control` at the top, registers the agent in a pane
/// (`%7`, `SESSION`, `SESSION:WINDOW` or `SESSION:WINDOW.PANE`): then it is one like the others, and its history says who
/// adopted it. Nothing is changed in its session, which stays its owner's. `stop` only leaves it: program, pane and session
/// go on, and it can be adopted again. A pane that is an agent already and a name that is taken are EEXIST, a pane in which no
/// known program runs ENOENT, unless `--tool` says what it is.
#[test]
fn adopting_an_agent() {
    let world = World::new();
    let (first, second) = her_session(&world);
    let shell = world.tmux(&["new-window", "-d", "-t", "=hers:", "-P", "-F", "#{pane_id}", "exec cat"]);
    let pids = || {
        world.tmux(&["list-panes", "-a", "-F", "#{pane_id} #{pane_pid} #{pane_width}x#{pane_height} #{window_name}"])
    };
    let before = pids();

    let adopted = world.troop(&["adopt", &second, "--name", "bob"]);
    assert_eq!((adopted.code, adopted.err.as_str()), (Some(0), ""), "{adopted:?}");
    world.wait_status("bob", "ready");
    let state = world.state("agents/bob");
    assert_eq!(
        (&state["identity"]["managed"], &state["identity"]["tmux_session_name"]),
        (&true.into(), &"hers".into())
    );
    assert_eq!(state["probe_snapshot"]["pane_id"].as_str(), Some(second.as_str()));
    let manifest: Value = serde_json::from_str(&world.read("agents/bob/manifest")).unwrap();
    assert_eq!(manifest["agent_launch_authority"]["session_origin"], "joined_tmux");
    let adoption = &world.history("agents/bob")[0];
    assert_eq!((&adoption["event"], &adoption["actor"]["via"]), (&"adopted".into(), &"cli".into()), "{adoption}");
    assert_eq!(adoption["actor"]["uid"], nix::unistd::getuid().as_raw());

    world.write("agents/bob/prompt", "hello bob");
    wait_until("it to arrive", LIMIT, || world.prompts("second").pop().ok_or("not yet"));
    world.wait_status("bob", "ready");
    world.write("agents/bob/prompt", "sim:work=600000");
    world.wait_status("bob", "active");
    world.write("agents/bob/control", "interrupt");
    world.wait_status("bob", "ready");
    assert_eq!(world.prompts("second"), ["hello bob", "sim:work=600000"]);

    for (args, code, words) in [
        (&["adopt", &second][..], 6, "is the agent bob already"),
        (&["adopt", &first, "--name", "bob"], 6, "there is an agent named bob already"),
        (&["adopt", shell.trim()], 3, "no agent program that troop knows runs in pane"),
        (&["adopt", "%9999"], 3, "there is no pane %9999"),
        (&["adopt", "hers:7.1"], 3, "there is no pane hers:7.1"),
        (&["adopt", "%x"], 2, "names no pane"),
        (&["adopt", &first, "--tool", "codex"], 2, "stand-in runs in pane"),
        (&["adopt", &first, "--tool", "nonesuch"], 3, "there is no tool"),
        (&["adopt", &first, "--name", "../x"], 2, "name"),
    ] {
        let said = world.troop(args);
        assert!(said.code == Some(code) && said.err.contains(words), "{args:?}: {said:?}");
    }
    assert_eq!(super::world::errno(fs::write(world.at("control"), "adopt %x\n")), libc::EINVAL);

    // The only one left in the session, by the session's name; it is called by its tool and pane.
    world.write("control", "adopt hers\n");
    let made_up = format!("stand-in-{}", &first[1..]);
    world.wait_status(&made_up, "ready");
    let all = world.troop(&["adopt", "hers"]);
    assert!(all.code == Some(6) && all.err.contains("registered already"), "{all:?}");
    assert_eq!(world.history(&format!("agents/{made_up}"))[0]["actor"]["via"], "mount");
    let generic = world.troop(&["adopt", shell.trim(), "--tool", "generic", "--name", "cat"]);
    assert_eq!(generic.code, Some(0), "{generic:?}");
    world.wait_there("agents/cat");
    assert_eq!(discovered(&world, &[])[&first]["agent"], made_up);

    for name in ["bob", &made_up, "cat"] {
        world.write(&format!("agents/{name}/control"), "stop");
        world.wait_gone(&format!("agents/{name}"));
    }
    assert_eq!(pids(), before, "nothing has changed and everything lives on");
    assert_eq!(world.troop(&["retire", "bob"]).code, Some(0));
    assert_eq!(world.troop(&["adopt", &second, "--name", "bob"]).code, Some(0));
    world.wait_status("bob", "ready");
    world.write("agents/bob/prompt", "again");
    wait_until("it to arrive", LIMIT, || world.prompts("second").pop().filter(|last| last == "again").ok_or("not yet"));
    assert_eq!(world.prompts("first"), [""; 0]);
}

/// An agent that was adopted is the one in its pane and no other. When that pane is closed it is `gone`, whatever else
/// runs in the session.
#[test]
fn an_adopted_agent_is_its_pane() {
    let world = World::new();
    let (_, second) = her_session(&world);
    assert_eq!(world.troop(&["adopt", &second, "--name", "bob"]).code, Some(0));
    world.wait_status("bob", "ready");
    world.tmux(&["kill-pane", "-t", &second]);
    world.wait_status("bob", "gone");
    assert_eq!(world.refused("agents/bob/prompt", "for bob alone").0, libc::ESRCH);
    let said = world.troop(&["prompt", "bob", "for bob alone"]);
    assert_eq!(said.code, Some(5), "{said:?}");
    // Asked anew it is told the same, and the session is left alone.
    world.write("agents/bob/control", "stop");
    world.wait_there("stopped/bob");
    assert_eq!(world.prompts("first"), [""; 0]);
    world.tmux(&["has-session", "-t", "=hers"]);
}

/// `troop mount --discover` also shows agents that nobody has registered, on your own tmux server and that of
/// `--tmux-socket`. They are listed under `agents/` as their tool and the number of their pane, `claude-7`, and take no name
/// away from others. `managed` in `state.json` is false. They can be read like all others, but have no `manifest`, `record`
/// and `session`, and whatever is written to one is ENXIO, with the sentence that says how to adopt it. One appears within
/// three seconds of its program, and goes with it or when it is registered. What is observed of it is kept in memory only.
#[test]
fn agents_that_nobody_has_registered() {
    let world = World::mounted(Sandbox::new(), &["--discover"]);
    world.launch("ours");
    let (first, second) = her_session(&world);
    let sizes = || {
        world.tmux(&[
            "list-panes",
            "-s",
            "-t",
            "=hers",
            "-F",
            "#{pane_id} #{pane_width}x#{pane_height} #{window_layout}",
        ])
    };
    let before =
        (sizes(), world.tmux(&["show-options", "-t", "=hers:"]), world.tmux(&["show-options", "-w", "-t", "=hers:"]));
    let [a, b] = [&first, &second].map(|pane| format!("stand-in-{}", &pane[1..]));
    for name in [&a, &b] {
        world.wait_status(name, "ready");
    }
    let dir = format!("agents/{a}");
    let state = world.state(&dir);
    assert_eq!((&state["identity"]["managed"], &state["identity"]["tool"]), (&false.into(), &"stand-in".into()));
    assert_eq!(world.state("agents/ours")["identity"]["managed"], true);
    assert!(world.read("index").contains(&format!("{a}\tready\tstand-in\t")));
    for link in [format!("by-tool/stand-in/{a}"), format!("by-status/ready/{a}"), format!("{dir}/cwd")] {
        fs::metadata(world.at(&link)).unwrap_or_else(|error| panic!("{link}: {error}"));
    }
    for missing in ["manifest", "record", "session"] {
        assert!(!world.names(&dir).contains(&missing.to_owned()));
        assert_eq!(super::world::errno(fs::symlink_metadata(world.at(&dir).join(missing))), libc::ENOENT);
    }
    for (file, text) in
        [("prompt", "x"), ("keys", "Enter\n"), ("control", "stop\n"), ("control", "interrupt\n"), ("queue/1", "x")]
    {
        let written = fs::write(world.at(&dir).join(file), text);
        assert_eq!(written.map_err(|error| error.raw_os_error()), Err(Some(libc::ENXIO)), "{file}");
    }
    assert_eq!(
        world.read(&format!("{dir}/error")).trim(),
        format!("{a} is not registered and can only be read; adopt it first: troop adopt {first}")
    );
    assert_eq!(super::world::errno(fs::remove_dir(world.at(&dir))), libc::ENXIO);
    assert_eq!(world.read(&format!("{dir}/control")), "");
    assert!(world.history(&dir).iter().all(|event| event["event"] == "refused" || event["event"] == "status"));

    // What its person does is seen.
    world.tmux(&["send-keys", "-t", &first, "sim:work=600000", "Enter"]);
    world.wait_status(&a, "active");
    world.tmux(&["send-keys", "-t", &first, "Escape"]);
    world.wait_status(&a, "ready");
    let after =
        (sizes(), world.tmux(&["show-options", "-t", "=hers:"]), world.tmux(&["show-options", "-w", "-t", "=hers:"]));
    assert_eq!(after, before);

    // Registered, it is there once, and the other one stays.
    world.write("control", &format!("adopt {first} --name carol\n"));
    world.wait_status("carol", "ready");
    assert_eq!(world.names("agents"), ["carol", "ours", &b]);
    // A name that somebody is given is his.
    world.launch(&format!("{b}-x"));
    world.write("agents/carol/control", "stop");
    world.wait_there(&dir);
    world.tmux(&["kill-pane", "-t", &second]);
    world.wait_gone(&format!("agents/{b}"));
    // Started in a shell that was there, which nobody announces.
    let shell = world.tmux(&["new-window", "-t", "=hers:", "-P", "-F", "#{pane_id}", "sh"]);
    let late = format!("stand-in-{}", &shell.trim()[1..]);
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert!(!world.names("agents").contains(&late));
    world.tmux(&["send-keys", "-t", shell.trim(), &stand_in(&world, "late"), "Enter"]);
    world.wait_status(&late, "ready");
    let made = fs::read_dir(world.sandbox().troop_home().join("sessions/local_interactive")).unwrap();
    assert_eq!(made.count(), 3, "ours, carol, and the one whose name is like hers");
}

/// While a gateway of Houmao is attached to an agent, its process lives and its port answers, a prompt is EBUSY, with the
/// sentence that names the two ways out: prompt through the gateway, or detach it. So the terminal has one who types into
/// it. What is in the queue waits, `interrupt`, `keys` and `stop` work, and `gateway` in `state.json` says where it answers. A
/// gateway that a record only names, without a process or an answer, keeps nobody from anything.
#[test]
fn a_gateway_of_houmao() {
    let world = World::with("a");
    let root = fs::read_link(world.at("agents/a/session")).unwrap();
    let (record, gateway) = (world.at("agents/a/record"), root.join("gateway"));
    let record = fs::read_link(record).unwrap();
    fs::create_dir_all(gateway.join("run")).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut process = Running(std::process::Command::new("sleep").arg("1000").spawn().unwrap());
    let instance = |pid: u32, port: u16| {
        let instance = serde_json::json!({"schema_version": 1, "protocol_version": "v1", "pid": pid, "host": "127.0.0.1", "port": port});
        fs::write(gateway.join("run/current-instance.json"), instance.to_string()).unwrap();
    };
    let attach =
        |port: Option<u16>| {
            let mut bytes: Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
            bytes["gateway"] = port.map_or(Value::Null, |port| serde_json::json!({
            "host": "127.0.0.1", "port": port, "protocol_version": "v1", "state_path": gateway.join("state.json"),
        }));
            super::world::plant(
                world.sandbox(),
                world.state("agents/a")["identity"]["agent_id"].as_str().unwrap(),
                bytes.to_string().as_bytes(),
            );
        };
    let is_attached = || world.state("agents/a")["identity"]["gateway"].clone();

    // Named and not there: without a process, and with one that is something else.
    for (n, (pid, port)) in [(u32::MAX >> 2, port), (process.0.id(), 1)].into_iter().enumerate() {
        instance(pid, port);
        attach(Some(port));
        world.write("agents/a/prompt", &format!("past {n}"));
        assert_eq!(world.next_prompt("a", n), format!("past {n}"));
        assert_eq!(is_attached(), Value::Null);
    }

    let answering = std::thread::spawn(move || {
        for stream in listener.incoming() {
            use std::io::{Read, Write};
            let mut stream = stream.unwrap();
            let mut asked = [0; 512];
            let length = stream.read(&mut asked).unwrap();
            if asked[..length].starts_with(b"STOP") {
                return;
            }
            let body = r#"{"protocol_version":"v1","status":"ok"}"#;
            stream
                .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
                .unwrap();
        }
    });
    instance(process.0.id(), port);
    attach(None);
    attach(Some(port));
    wait_until("the gateway to be known", LIMIT, || {
        Some(()).filter(|()| is_attached() == format!("127.0.0.1:{port}")).ok_or_else(is_attached)
    });
    let before = world.prompts("a").len();
    let (number, sentence) = world.refused("agents/a/prompt", "not now");
    assert!(
        number == libc::EBUSY && sentence.contains("gateway prompt") && sentence.contains("gateway detach"),
        "{sentence}"
    );
    let said = world.troop(&["prompt", "a", "not", "now"]);
    assert!(said.code == Some(4) && said.err.contains("gateway"), "{said:?}");
    world.write("agents/a/queue/1", "later");
    world.write("agents/a/keys", "x\nBSpace\n");
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(world.prompts("a").len(), before);

    process.0.kill().unwrap();
    process.0.wait().unwrap();
    assert_eq!(world.next_prompt("a", before), "later");
    assert_eq!(is_attached(), Value::Null);
    world.write("agents/a/prompt", "and now");
    assert_eq!(world.next_prompt("a", before + 1), "and now");
    std::io::Write::write_all(&mut std::net::TcpStream::connect(("127.0.0.1", port)).unwrap(), b"STOP").unwrap();
    answering.join().unwrap();
}
