//! OpenAI's Codex, as released, launched by troop and driven through the mount, offline against the mock model server.

use crate::real_support::drive::Program;
use crate::real_support::model::Model;
use crate::real_support::{World, programs};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// What codex leaves in the machine's `/tmp` whatever TMPDIR says: the sockets of its server, each with a lock.
struct Sockets {
    dir: PathBuf,
    before: BTreeSet<PathBuf>,
}

impl Sockets {
    fn new() -> Self {
        let dir = Path::new("/tmp").join(format!("codex-daemon-{}", nix::unistd::getuid()));
        Self { before: paths(&dir).collect(), dir }
    }
}

impl Drop for Sockets {
    /// Takes away what has come since, unless somebody listens there.
    fn drop(&mut self) {
        let new = paths(&self.dir).filter(|path| !self.before.contains(path) && path.extension().is_none());
        for socket in new.filter(|socket| UnixStream::connect(socket).is_err()) {
            let _ = fs::remove_file(socket.with_extension("lock"));
            let _ = fs::remove_file(socket);
        }
        // Fails while anything is in it.
        let _ = fs::remove_dir(&self.dir);
    }
}

fn paths(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path())
}

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
    let _sockets = Sockets::new();
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
        clear: &[&["Escape"], &["C-e", "C-u"]],
        tool_word: "risky",
    };
    codex.launch(&world);
    codex.takes_fifty_prompts(&world, &model);
    codex.is_interrupted(&world, &model);
    codex.is_answered(&world, &model);
}

#[test]
fn codex_is_told_its_role_with_every_request() {
    let needs = ["bin/node", "codex/node_modules/.bin/codex"];
    let Some(real) = programs("real_codex", &needs) else { return };
    let mut world = World::new(&[&real.join("bin")]);
    let model = Model::start(&world);
    prepare(&mut world, &model);
    world.mount();
    let role = world.path("critic.md");
    fs::write(&role, "You are the critic.\nSay \"no\" and $HOME\n").unwrap();
    let (work, role) = (world.path("work"), role.to_str().unwrap().to_owned());
    let argv = needs.map(|need| real.join(need).to_str().unwrap().to_owned());
    let launch = |name: &str, options: &[&str]| {
        let mut launch = vec!["launch", name, "--tool", "codex", "--cwd", work.to_str().unwrap(), "--role", &role];
        launch.extend(["--model", "mock-two"].iter().chain(options).chain(&["--"]));
        launch.extend(argv.iter().map(String::as_str));
        world.troop(&launch);
    };
    launch("c1", &[]);
    world.wait_for("agents/c1/status", "ready");
    world.echo("mock.say.hello", "agents/c1/prompt");
    let request = model.request(0, 0, "mock.say.hello");
    let body = model.body(&request);
    let said = r#"You are the critic.\nSay \"no\" and $HOME"#;
    assert!(body.contains(said) && body.contains("mock-two"), "{body}");
    // It is no prompt of the conversation.
    assert!(!request.prompt.contains("critic"), "{request:?}");
    world.wait_for("agents/c1/status", "ready");
    world.troop(&["stop", "c1"]);
    // The same conversation goes on, with the role and the model said anew.
    launch("c2", &["--resume", "last"]);
    world.wait_for("agents/c2/status", "ready");
    world.echo("mock.say.again", "agents/c2/prompt");
    let body = model.body(&model.request(request.id, 0, "mock.say.again"));
    assert!(
        body.contains("mock.say.hello") && body.contains("You are the critic") && body.contains("mock-two"),
        "{body}"
    );
    world.wait_for("agents/c2/status", "ready");
    world.troop(&["stop", "c2"]);
}
