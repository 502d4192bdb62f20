//! An agent that real Houmao 2.4.0 launches is an agent of the mount: the same
//! registry, the same manifest, a prompt through the same terminal. The program
//! in the terminal is a fake `claude`, which logs what it was given.

use crate::real_support::{World, programs, repo, wait};
use serde_json::Value;
use std::fs;

/// The prompts the fake program received.
fn prompts(world: &World) -> Vec<String> {
    let log = fs::read_to_string(world.path("fake.jsonl")).unwrap_or_default();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter_map(|line| Some(line["prompt"].as_str()?.to_owned())).collect()
}

#[test]
fn an_agent_of_houmao_appears_takes_a_prompt_and_stops() {
    let Some(real) = programs("real_houmao", &["houmao/bin/houmao-mgr"]) else { return };
    let fakes = repo("tests/support/fakebin");
    let mut world = World::new(&[&fakes, &real.join("houmao/bin")]);
    // Houmao starts programs in a login shell, whose profile resets PATH.
    fs::write(world.path("home/.bash_profile"), format!("export PATH='{}':\"$PATH\"\n", fakes.display())).unwrap();
    world.set("FAKE_LOG", world.path("fake.jsonl").to_str().unwrap());
    world.set("FAKE_TURN_SECONDS", "1");
    world.set("PYTHONWARNINGS", "ignore");
    world.mount();

    let houmao = |arguments: &str| world.run("houmao-mgr", &arguments.split(' ').collect::<Vec<_>>());
    houmao("project init");
    houmao("project specialist create --name coder --tool claude --system-prompt fake --api-key sk-fake --yes");
    houmao("project agents launch --specialist coder --name hgpu --no-gateway");

    // Its record is the truth that the mount has to agree with.
    let records = fs::read_dir(world.path("registry/live_agents")).unwrap();
    let [record] =
        records.map(|entry| entry.unwrap().path().join("record.json")).collect::<Vec<_>>().try_into().unwrap();
    let record: Value = serde_json::from_slice(&fs::read(record).unwrap()).unwrap();
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

    houmao("agents single --agent-name hgpu stop");
    world.wait_to_exist("agents/hgpu", false);
    world.wait_to_exist("stopped/hgpu", true);
    assert_eq!(world.read("stopped/hgpu/status").trim(), "gone");
    assert_eq!(prompts(&world), [text], "nothing was sent twice");
}
