//! Moonshot's kimi-code, as released, launched by troop and driven through the mount, offline against the mock model server.

use crate::real_support::drive::Program;
use crate::real_support::model::Model;
use crate::real_support::{World, programs};
use std::fs;

pub(crate) fn prepare(world: &mut World, model: &Model) {
    let home = world.path("home/.kimi-code");
    fs::create_dir(&home).unwrap();
    let config = format!(
        r#"default_model = "mock"
default_permission_mode = "manual"
telemetry = false
[providers.mock]
type = "openai"
base_url = "http://127.0.0.1:{}/v1"
api_key = "dummy"
[models.mock]
provider = "mock"
model = "mock"
max_context_size = 2000000
"#,
        model.port
    );
    fs::write(home.join("config.toml"), config).unwrap();
    fs::write(home.join("tui.toml"), "[upgrade]\nauto_install = false\n[auto_update]\nenabled = false\n").unwrap();
    world.set("KIMI_CODE_NO_AUTO_UPDATE", "1");
    world.stay_offline();
}

#[test]
fn kimi_code_takes_prompts_interrupts_and_answers() {
    let needs = ["bin/node", "kimicode/node_modules/.bin/kimi"];
    let Some(real) = programs("real_kimicode", &needs) else { return };
    let mut world = World::new(&[&real.join("bin")]);
    let model = Model::start(&world);
    prepare(&mut world, &model);
    world.mount();
    let kimi = Program {
        name: "k1",
        tool: "kimi",
        argv: needs.map(|need| real.join(need).to_str().unwrap().to_owned()).into(),
        unframed: |prompt| prompt,
        no_turn: &["bang"],
        clear: &[&["Escape"], &["C-u"]],
        tool_word: "tool",
    };
    kimi.start(&world);
    // A new directory is asked about.
    world.wait_to_contain("agents/k1/question", "Trust this folder");
    world.echo("Enter", "agents/k1/keys");
    kimi.wait_ready(&world);
    kimi.takes_fifty_prompts(&world, &model);
    kimi.is_interrupted(&world, &model);
    kimi.is_answered(&world, &model);
}
