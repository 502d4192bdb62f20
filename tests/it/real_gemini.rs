//! Google's Gemini CLI, as released, launched by troop and driven through the
//! mount. It talks to the mock model server, which logs what really reached the
//! model and when the program hung up: the proofs here come from that log.

use crate::real_support::drive::Program;
use crate::real_support::model::Model;
use crate::real_support::{World, programs, wait};
use serde_json::{Value, json};
use std::fs;

/// A private home in which the program asks nothing and calls nobody.
pub(crate) fn prepare(world: &mut World, model: &Model) {
    let home = world.path("home/.gemini");
    fs::create_dir(&home).unwrap();
    let settings = json!({
        "security": { "auth": { "selectedType": "gemini-api-key" }, "folderTrust": { "enabled": true } },
        "general": { "disableAutoUpdate": true, "enableAutoUpdate": false, "enableAutoUpdateNotification": false, "disableUpdateNag": true },
        "privacy": { "usageStatisticsEnabled": false },
        "telemetry": { "enabled": false },
        "ui": { "hideTips": true },
    });
    fs::write(home.join("settings.json"), settings.to_string()).unwrap();
    let trusted = json!({ world.path("work").to_str().unwrap(): "TRUST_FOLDER" });
    fs::write(home.join("trustedFolders.json"), trusted.to_string()).unwrap();
    world.set("GEMINI_API_KEY", "dummy");
    world.set("GOOGLE_GEMINI_BASE_URL", format!("http://127.0.0.1:{}", model.port));
    world.stay_offline();
}

/// A world with the program and its model, and the program's command line; none where it is not installed.
fn world() -> Option<(World, Model, [String; 2])> {
    let needs = ["bin/node", "gemini/node_modules/.bin/gemini"];
    let real = programs("real_gemini", &needs)?;
    let mut world = World::new(&[&real.join("bin")]);
    let model = Model::start(&world);
    prepare(&mut world, &model);
    Some((world, model, needs.map(|need| real.join(need).to_str().unwrap().to_owned())))
}

#[test]
fn the_gemini_cli_is_launched_prompted_interrupted_and_stopped() {
    let Some((mut world, _model, argv)) = world() else { return };
    world.mount();

    let [node, gemini] = argv;
    let work = world.path("work").to_str().unwrap().to_owned();
    world.troop(&["launch", "g1", "--tool", "gemini", "--cwd", &work, "--", &node, &gemini]);
    world.wait_for("agents/g1/status", "ready");
    let state: Value = serde_json::from_str(&world.read("agents/g1/state.json")).unwrap();
    assert_eq!(state["identity"]["tool"], "gemini");
    assert_eq!(fs::read_link(world.file("agents/g1/cwd")).unwrap(), world.path("work"));

    // The words stand in the prompt with dashes and in the answer without.
    world.echo("mock.say.hello-from-the-mock", "agents/g1/prompt");
    world.wait_to_contain("agents/g1/screen", "hello from the mock");
    world.wait_for("agents/g1/status", "ready");
    let transcript = || fs::read_to_string(world.file("agents/g1/transcript")).unwrap_or_default();
    wait("the transcript", || transcript().contains("hello from the mock").then_some(()), transcript);

    world.troop(&["stop", "g1"]);
    world.wait_to_exist("agents/g1", false);
    let sessions = world.command("tmux").args(["list-sessions", "-F", "#{session_name}"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&sessions.stdout).contains("g1"), "{sessions:?}");
}

#[test]
fn the_gemini_cli_takes_prompts_interrupts_and_answers() {
    let Some((mut world, model, argv)) = world() else { return };
    world.mount();
    let gemini = Program {
        name: "g2",
        tool: "gemini",
        argv: argv.into(),
        // The first prompt of a session has its context before it.
        unframed: |prompt| prompt.rsplit_once("</session_context>\n").map_or(prompt, |(_, prompt)| prompt),
        no_turn: &[],
        clear: &[&["Escape"], &["C-u"]],
        tool_word: "tool",
    };
    gemini.launch(&world);
    gemini.takes_fifty_prompts(&world, &model);
    gemini.is_interrupted(&world, &model);
    gemini.is_answered(&world, &model);
}

#[test]
fn the_gemini_cli_is_told_its_role_as_the_first_prompt() {
    let Some((mut world, model, argv)) = world() else { return };
    let role = world.path("critic.md");
    fs::write(&role, "You are the critic. mock.say.understood\n").unwrap();
    let (work, role) = (world.path("work"), role.to_str().unwrap().to_owned());
    let mut launch = vec!["launch", "g1", "--tool", "gemini", "--cwd", work.to_str().unwrap(), "--role", &role, "--"];
    launch.extend(argv.iter().map(String::as_str));
    // Without a mount: the command line sends it itself.
    world.troop(&launch);
    world.mount();
    world.wait_for("agents/g1/status", "ready");
    world.echo("mock.say.second", "agents/g1/prompt");
    let second = model.request(0, 0, "mock.say.second");
    let prompts = model.requests_after(0);
    assert!(prompts[0].prompt.contains("You are the critic.") && prompts[0].id < second.id, "{prompts:?}");
    assert_eq!(prompts.iter().filter(|request| request.prompt.contains("the critic")).count(), 1, "{prompts:?}");
    world.wait_for("agents/g1/status", "ready");
    world.troop(&["stop", "g1"]);
}
