//! OpenAI's Codex, as released, launched by troop and driven through the mount, offline against the mock model server.

use crate::real_support::drive::Program;
use crate::real_support::model::Model;
use crate::real_support::{World, programs};
use std::fs;

pub(crate) fn prepare(world: &mut World, model: &Model) {
    let (home, work) = (world.path("home/.codex"), world.path("work"));
    fs::create_dir(&home).unwrap();
    let config = format!(
        r#"model = "mock"
model_provider = "mock"
check_for_update_on_startup = false
[analytics]
enabled = false
[feedback]
enabled = false
[model_providers.mock]
name = "mock"
base_url = "http://127.0.0.1:{}/v1"
wire_api = "responses"
env_key = "OPENAI_API_KEY"
request_max_retries = 0
stream_max_retries = 0
[projects."{}"]
trust_level = "trusted"
"#,
        model.port,
        work.display()
    );
    fs::write(home.join("config.toml"), config).unwrap();
    world.set("OPENAI_API_KEY", "dummy");
    world.stay_offline();
}

#[test]
fn codex_takes_prompts_interrupts_and_answers() {
    let needs = ["bin/node", "codex/node_modules/.bin/codex"];
    let Some(real) = programs("real_codex", &needs) else { return };
    let mut world = World::new(&[&real.join("bin")]);
    let model = Model::start(&world);
    prepare(&mut world, &model);
    world.mount();
    let codex = Program {
        name: "c1",
        tool: "codex",
        argv: needs.map(|need| real.join(need).to_str().unwrap().to_owned()).into(),
        unframed: |prompt| prompt,
        no_turn: &["slash unknown", "bang"],
        // Its screen shows a prompt as Markdown, and the beginning of a long one.
        unread: &[
            "code marks",
            "fence",
            "list",
            "emoji of several",
            "ends in escaped semicolon",
            "quote",
            "quotes",
            "shell",
            "markup",
            "60 lines",
            "20 KB in lines",
            "20 KB in one line",
        ],
        clear: &[&["Escape"], &["C-e", "C-u"]],
        tool_word: "risky",
    };
    codex.launch(&world);
    codex.takes_fifty_prompts(&world, &model);
    codex.is_interrupted(&world, &model);
    codex.is_answered(&world, &model);
}
