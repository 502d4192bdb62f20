//! Google's Gemini CLI, as released, launched by troop and driven through the
//! mount. It talks to the mock model server, which logs what really reached the
//! model and when the program hung up: the proofs here come from that log.

use crate::real_support::{Running, World, programs, repo, wait};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

/// The mock model server; a prompt's `mock.VERB` words say what the model does.
struct Model {
    _server: Running,
    port: u16,
    log: PathBuf,
}

impl Model {
    fn start(world: &World) -> Self {
        let (port_file, log) = (world.path("model.port"), world.path("model.jsonl"));
        let mut command = world.command("python3");
        command
            .arg(repo("tests/support/agentmock.py"))
            .args(["--port", "0", "--port-file"])
            .arg(&port_file)
            .arg("--log")
            .arg(&log);
        let server = Running(command.stdout(Stdio::null()).spawn().unwrap());
        let port = wait("the model server", || fs::read_to_string(&port_file).ok()?.trim().parse().ok(), String::new);
        Self { _server: server, port, log }
    }

    /// What it logged; a line that is still being written is left out.
    fn events(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for the request whose prompt ends in `tail`, other than the program's own side jobs.
    fn request(&self, tail: &str) -> Value {
        let is = |e: &Value| {
            e["ev"] == "request" && e["kind"] == "main" && e["prompt_tail"].as_str().is_some_and(|t| t.ends_with(tail))
        };
        wait(
            &format!("a request ending in {tail:?}"),
            || self.events().into_iter().find(is),
            || format!("{:#?}", self.events()),
        )
    }

    /// Waits until the answer to `request` ends, and says how.
    fn end_of(&self, request: &Value) -> String {
        let is = |e: &Value| e["ev"] == "end" && e["id"] == request["id"];
        let end =
            wait("the end of an answer", || self.events().into_iter().find(is), || format!("{:#?}", self.events()));
        end["how"].as_str().unwrap_or_default().to_owned()
    }
}

/// A private home in which the program asks nothing and calls nobody.
fn prepare(world: &mut World, model: &Model) {
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
    // Whatever else it would call ends at a port where nobody listens.
    world.set("HTTP_PROXY", "http://127.0.0.1:9");
    world.set("HTTPS_PROXY", "http://127.0.0.1:9");
    world.set("NO_PROXY", "127.0.0.1,localhost");
}

#[test]
fn the_gemini_cli_is_launched_prompted_interrupted_and_stopped() {
    let needs = ["bin/node", "gemini/node_modules/.bin/gemini"];
    let Some(real) = programs("real_gemini", &needs) else { return };
    let mut world = World::new(&[&real.join("bin")]);
    let model = Model::start(&world);
    prepare(&mut world, &model);
    world.mount();

    let [node, gemini] = needs.map(|need| real.join(need).to_str().unwrap().to_owned());
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

    // Several lines arrive as one submission, byte for byte.
    let lines = "first line\n    if x < 1: # indented\n\nlast lïne, with \"quotes\" and $HOME";
    world.echo(lines, "agents/g1/prompt");
    let request = model.request("quotes\" and $HOME");
    assert_eq!(request["prompt_head"], lines);
    assert_eq!(request["prompt_bytes"], lines.len());
    assert_eq!(model.end_of(&request), "completed");
    world.wait_for("agents/g1/status", "ready");

    world.echo("mock.wait.600000 mock.say.never", "agents/g1/prompt");
    let request = model.request("mock.say.never");
    world.wait_for("agents/g1/status", "active");
    world.echo("interrupt", "agents/g1/control");
    assert_eq!(model.end_of(&request), "client_gone");
    world.wait_for("agents/g1/status", "ready");
    assert!(!world.read("agents/g1/screen").contains("✦ never"));

    world.troop(&["stop", "g1"]);
    world.wait_to_exist("agents/g1", false);
    let sessions = world.command("tmux").args(["list-sessions", "-F", "#{session_name}"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&sessions.stdout).contains("g1"), "{sessions:?}");
}
