//! The mock model server: what reached the model, and when a program hung up.

use super::{Running, World, repo, wait};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

/// The mock model server; a prompt's `mock.VERB` words say what the model does.
pub(crate) struct Model {
    _server: Running,
    pub(crate) port: u16,
    log: PathBuf,
    dump: PathBuf,
}

/// One request of a turn: not one of the program's own side jobs.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) id: u64,
    /// How many results of tools follow the prompt.
    pub(crate) step: u64,
    /// The newest message of the user, whole.
    pub(crate) prompt: String,
}

impl Model {
    pub(crate) fn start(world: &World) -> Self {
        let (port_file, log, dump) = (world.path("model.port"), world.path("model.jsonl"), world.path("model"));
        let mut command = world.command("python3");
        command.arg(repo("tests/support/agentmock.py")).args(["--port", "0", "--port-file"]).arg(&port_file);
        command.arg("--log").arg(&log).arg("--dump").arg(&dump);
        let server = Running(command.stdout(Stdio::null()).spawn().unwrap());
        let port = wait("the model server", || fs::read_to_string(&port_file).ok()?.trim().parse().ok(), String::new);
        Self { _server: server, port, log, dump }
    }

    /// What it logged; a line that is still being written is left out.
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The requests of turns that came after that one, oldest first.
    pub(crate) fn requests_after(&self, id: u64) -> Vec<Request> {
        let is = |e: &Value| e["ev"] == "request" && e["kind"] == "main" && e["id"].as_u64() > Some(id);
        self.events().iter().filter(|event| is(event)).map(|event| self.request_of(event)).collect()
    }

    fn request_of(&self, event: &Value) -> Request {
        let id = event["id"].as_u64().unwrap();
        let file = self.dump.join(format!("{id:04}-{}.json", event["api"].as_str().unwrap()));
        let body: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        Request { id, step: event["step"].as_u64().unwrap(), prompt: body["prompt"].as_str().unwrap().to_owned() }
    }

    /// Everything that a request sent.
    pub(crate) fn body(&self, request: &Request) -> String {
        let mut files = fs::read_dir(&self.dump).unwrap().map(|entry| entry.unwrap());
        let start = format!("{:04}-", request.id);
        let file = files.find(|file| file.file_name().to_string_lossy().starts_with(&start)).unwrap();
        fs::read_to_string(file.path()).unwrap()
    }

    /// The last request of a turn, or 0.
    pub(crate) fn last_id(&self) -> u64 {
        let of_turns = |e: &Value| (e["ev"] == "request" && e["kind"] == "main").then(|| e["id"].as_u64());
        self.events().iter().filter_map(of_turns).flatten().max().unwrap_or(0)
    }

    /// Waits for the first request after `id` with that many results of tools whose prompt contains `text`.
    pub(crate) fn request(&self, id: u64, step: u64, text: &str) -> Request {
        wait(
            &format!("a request with {text:?} and {step} results"),
            || self.requests_after(id).into_iter().find(|r| r.step == step && r.prompt.contains(text)),
            || format!("{:#?}", self.events()),
        )
    }

    /// Waits until the answer to `request` ends, and says how.
    pub(crate) fn end_of(&self, request: &Request) -> String {
        let is = |e: &Value| e["ev"] == "end" && e["id"] == request.id;
        let end =
            wait("the end of an answer", || self.events().into_iter().find(is), || format!("{:#?}", self.events()));
        end["how"].as_str().unwrap_or_default().to_owned()
    }
}

/// What the mock answers to a prompt without a word of its script.
pub(crate) fn answer_to(prompt: &str) -> String {
    use sha2::Digest;
    let sum: String = sha2::Sha256::digest(prompt.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("Mock reply: got {} characters, sha256 {}.", prompt.chars().count(), &sum[..16])
}
