//! Beside real Houmao 2.4.0: its agents are agents of the mount, and ours are agents of its. The same registry, the
//! same manifests, prompts through the same terminal. The programs in the terminals are fakes, which log what they
//! were given.

use crate::real_support::{World, programs, repo, wait};
use crate::support::sandbox::troop_bin;
use crate::support::skip::shared;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

/// The prompts the fake program received.
fn prompts(world: &World) -> Vec<String> {
    let log = fs::read_to_string(world.path("fake.jsonl")).unwrap_or_default();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter_map(|line| Some(line["prompt"].as_str()?.to_owned())).collect()
}

/// A program that Houmao left running: its gateway is a process of its own that nobody ends.
struct Gateway(i32);

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.0), Signal::SIGKILL);
    }
}

/// A world with Houmao and fake programs in front of everything, and the mount.
fn world_with_houmao() -> Option<World> {
    let real = programs("real_houmao", &["houmao/bin/houmao-mgr"])?;
    let fakes = repo("tests/support/fakebin");
    let mut world = World::new(&[&fakes, &real.join("houmao/bin")]);
    // Houmao starts programs in a login shell, whose profile resets PATH.
    fs::write(world.path("home/.bash_profile"), format!("export PATH='{}':\"$PATH\"\n", fakes.display())).unwrap();
    world.set("FAKE_LOG", world.path("fake.jsonl").to_str().unwrap());
    world.set("FAKE_TURN_SECONDS", "1");
    world.set("PYTHONWARNINGS", "ignore");
    // What the fake is told does not pass of itself.
    let claude = fs::read_to_string(repo("src/tool/claude.toml")).unwrap();
    let inherits = "inherit_env = [";
    assert!(claude.contains(inherits));
    let tools = world.path("home/.config/troop/tools");
    fs::create_dir_all(&tools).unwrap();
    let claude = claude.replacen(inherits, &format!("{inherits}\"FAKE_LOG\", \"FAKE_TURN_SECONDS\", "), 1);
    fs::write(tools.join("claude.toml"), claude).unwrap();
    Some(world)
}

/// Runs Houmao, which has to succeed, and gives what it printed as JSON.
fn houmao(world: &World, arguments: &str) -> Value {
    let arguments: Vec<&str> = std::iter::once("--print-json").chain(arguments.split(' ')).collect();
    let output = world.run("houmao-mgr", &arguments);
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

/// The record of the agent of that name, and where it is.
fn record(world: &World, name: &str) -> (PathBuf, Value) {
    let all = fs::read_dir(world.path("registry/live_agents")).unwrap();
    let read = |path: PathBuf| Some((path.clone(), serde_json::from_slice::<Value>(&fs::read(path).ok()?).ok()?));
    let mut records = all.filter_map(|entry| read(entry.unwrap().path().join("record.json")));
    records.find(|(_, record)| record["agent_name"] == name).unwrap_or_else(|| panic!("no record of {name}"))
}

/// Launches the fake `claude` as an agent of ours.
fn launch_ours(world: &World) {
    world.echo(&format!("launch ours --tool claude --cwd {}", world.path("work").display()), "control");
    world.wait_to_exist("agents/ours", true);
    world.wait_for("agents/ours/status", "ready");
}

#[test]
fn an_agent_of_houmao_appears_takes_a_prompt_and_stops() {
    let Some(mut world) = world_with_houmao() else { return };
    world.mount();

    let houmao = |arguments: &str| houmao(&world, arguments);
    houmao("project init");
    houmao("project specialist create --name coder --tool claude --system-prompt fake --api-key sk-fake --yes");
    houmao("project agents launch --specialist coder --name hgpu --no-gateway");

    // Its record is the truth that the mount has to agree with.
    let (_, record) = record(&world, "hgpu");
    world.wait_for("agents/hgpu/status", "ready");
    let manifest = fs::read_link(world.file("agents/hgpu/manifest")).unwrap();
    assert_eq!(manifest.to_str(), record["runtime"]["manifest_path"].as_str());
    assert!(serde_json::from_slice::<Value>(&fs::read(manifest).unwrap()).is_ok());
    let state: Value = serde_json::from_str(&world.read("agents/hgpu/state.json")).unwrap();
    assert_eq!(state["identity"]["agent_id"], record["agent_id"]);
    assert_eq!(state["identity"]["generation_id"], record["generation_id"]);

    let text = "from the mount:\n  two lines, ünicode and $HOME";
    world.echo(text, "agents/hgpu/prompt");
    wait("the prompt", || (prompts(&world) == [text]).then_some(()), || format!("{:?}", prompts(&world)));
    world.wait_to_contain("agents/hgpu/screen", "● echo");
    world.wait_for("agents/hgpu/status", "ready");

    let manifest = fs::read_link(world.file("agents/hgpu/manifest")).unwrap();
    world.echo("and be interrupted", "agents/hgpu/prompt");
    world.wait_for("agents/hgpu/status", "active");
    world.echo("interrupt", "agents/hgpu/control");
    world.wait_to_contain("agents/hgpu/screen", "Interrupted");
    world.wait_for("agents/hgpu/status", "ready");
    // A manifest that is being written is taken for what it was; one of another generation is an agent's all the same.
    let whole = fs::read(&manifest).unwrap();
    fs::write(&manifest, &whole[..whole.len() / 2]).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(world.read("agents/hgpu/status").trim(), "ready");
    fs::write(&manifest, &whole).unwrap();
    houmao("agents single --agent-name hgpu state");
    assert_eq!(world.read("agents/hgpu/status").trim(), "ready");

    world.echo("stop", "agents/hgpu/control");
    world.wait_to_exist("agents/hgpu", false);
    world.wait_to_exist("stopped/hgpu", true);
    assert_eq!(world.read("stopped/hgpu/status").trim(), "gone");
    assert_eq!(prompts(&world), [text, "and be interrupted"], "nothing was sent twice");
    let listed = houmao("agents global list --state stopped");
    assert!(listed["agents"].to_string().contains("hgpu"), "{listed}");
}

#[test]
fn an_agent_of_ours_is_one_of_houmao() {
    let Some(mut world) = world_with_houmao() else { return };
    world.mount();
    launch_ours(&world);
    // One that ran already, in a session of somebody's own, beside another pane.
    let log = format!("FAKE_LOG={}", world.path("fake.jsonl").display());
    let new =
        ["new-session", "-d", "-s", "hers", "-x", "120", "-y", "60", "-e", &log, "-P", "-F", "#{pane_id}", "codex"];
    let pane = String::from_utf8(world.run("tmux", &new).stdout).unwrap();
    let pane = pane.trim();
    wait(
        "codex to be recognised",
        || {
            world
                .command(troop_bin())
                .args(["adopt", pane, "--name", "joined"])
                .status()
                .unwrap()
                .success()
                .then_some(())
        },
        String::new,
    );
    world.wait_for("agents/joined/status", "ready");

    let listed = houmao(&world, "agents global list");
    for name in ["ours", "joined"] {
        let agent = listed["agents"].as_array().unwrap().iter().find(|agent| agent["agent_name"] == name);
        assert_eq!(agent.unwrap_or_else(|| panic!("{listed}"))["lifecycle_state"], "active");
        let generation = record(&world, name).1["generation_id"].clone();
        houmao(&world, &format!("agents single --agent-name {name} state"));
        houmao(&world, &format!("agents single --agent-name {name} prompt --prompt from-houmao-to-{name}"));
        let arrived = || prompts(&world).contains(&format!("from-houmao-to-{name}")).then_some(());
        wait("the prompt", arrived, || format!("{:?}", prompts(&world)));
        // Its state rewrites manifest and record; they stay ours.
        assert_eq!(record(&world, name).1["generation_id"], generation);
        let manifest: Value = serde_json::from_str(&world.read(&format!("agents/{name}/manifest"))).unwrap();
        assert_eq!(manifest["launch_plan"]["metadata"]["owner"], "troop");
        world.wait_for(&format!("agents/{name}/status"), "ready");
        world.echo("from the mount", &format!("agents/{name}/prompt"));
        world.wait_for(&format!("agents/{name}/status"), "ready");
    }
    assert_eq!(prompts(&world).iter().filter(|prompt| *prompt == "from the mount").count(), 2);

    // Its gateway attached to ours is the one who types, until it is detached.
    houmao(&world, "agents single --agent-name ours gateway attach --background");
    let (_, attached) = record(&world, "ours");
    let state_path = PathBuf::from(attached["gateway"]["state_path"].as_str().unwrap());
    let instance = fs::read(state_path.with_file_name("run").join("current-instance.json")).unwrap();
    let instance: Value = serde_json::from_slice(&instance).unwrap();
    let gateway = Gateway(i32::try_from(instance["pid"].as_i64().unwrap()).unwrap());
    let address = || {
        serde_json::from_str::<Value>(&world.read("agents/ours/state.json")).ok()?["identity"]["gateway"]
            .as_str()
            .map(str::to_owned)
    };
    let known = wait("the gateway", address, || world.show("agents/ours/status"));
    assert_eq!(known, format!("127.0.0.1:{}", attached["gateway"]["port"]));
    let refused = fs::write(world.file("agents/ours/prompt"), "two at once").unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EBUSY));
    assert!(world.read("agents/ours/error").contains("gateway detach"), "{}", world.read("agents/ours/error"));
    houmao(&world, "agents single --agent-name ours gateway prompt --prompt through-the-gateway");
    let arrived = || prompts(&world).contains(&"through-the-gateway".to_owned()).then_some(());
    wait("the prompt", arrived, || format!("{:?}", prompts(&world)));
    world.wait_for("agents/ours/status", "ready");
    // One that dies without a word keeps nobody out.
    drop(gateway);
    wait("the gateway to go", || address().is_none().then_some(()), || world.show("agents/ours/status"));
    world.echo("after the gateway", "agents/ours/prompt");
    world.wait_for("agents/ours/status", "ready");
    assert_eq!(prompts(&world).last().map(String::as_str), Some("after the gateway"));

    houmao(&world, "agents single --agent-name ours stop");
    world.wait_to_exist("stopped/ours", true);
    assert!(!prompts(&world).contains(&"two at once".to_owned()));
    world.echo("stop", "agents/joined/control");
    world.wait_to_exist("stopped/joined", true);
    world.run("tmux", &["has-session", "-t", "=hers"]);
}

/// `../shared/interop`: 31 checks in three directions, with our verbs as writer and reader.
#[test]
fn the_interoperability_test_passes() {
    let Some(run) = shared("interop/run_interop.py") else { return };
    let Some(real) = programs("real_houmao", &["houmao/bin/houmao-mgr"]) else { return };
    let world = World::new(&[]);
    // It looks for its fakes beside itself, where they need not be executable, and for the schemas below.
    let directory = world.path("interop");
    fs::create_dir(&directory).unwrap();
    fs::copy(&run, directory.join("run_interop.py")).unwrap();
    symlink(repo("tests/support/fakebin"), directory.join("fakebin")).unwrap();
    symlink(run.parent().unwrap().with_file_name("reference"), world.path("reference")).unwrap();
    let verb = |verb: &str| format!("{} {verb}", troop_bin().display());
    let mut command = world.command("python3");
    command.arg(directory.join("run_interop.py")).arg("--houmao-bin").arg(real.join("houmao/bin"));
    command.arg("--writer").arg(verb("interop-write")).arg("--reader").arg(verb("interop-read"));
    let output = command.arg("--work").arg(world.path("run")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("\n31 passed, 0 failed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_record_of_another_generation_is_another_life() {
    let Some(mut world) = world_with_houmao() else { return };
    world.mount();
    launch_ours(&world);
    let (path, mut record) = record(&world, "ours");
    record["generation_id"] = json!("another");
    fs::write(&path, record.to_string()).unwrap();
    let generation = || {
        serde_json::from_str::<Value>(&world.read("agents/ours/state.json")).ok()?["identity"]["generation_id"]
            .as_str()
            .map(str::to_owned)
    };
    wait("the other generation", || generation().filter(|is| is == "another"), || world.show("agents/ours/status"));
    world.wait_for("agents/ours/status", "ready");
    // The manifest is not of that generation, which doctor says; nothing of it is lost.
    let doctor = world.command(troop_bin()).arg("doctor").output().unwrap();
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("generation"), "{doctor:?}");
    fs::write(&path, &record.to_string()[..100]).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(fs::read(&path).unwrap().len(), 100, "what cannot be understood stays");
    fs::write(&path, record.to_string()).unwrap();
    world.wait_for("agents/ours/status", "ready");
    world.echo("still there", "agents/ours/prompt");
    wait(
        "the prompt",
        || prompts(&world).contains(&"still there".to_owned()).then_some(()),
        || world.show("agents/ours/status"),
    );
}
