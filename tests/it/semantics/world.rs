//! A mounted troop with stand-ins in it, and what its user does.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};

use super::state;
use crate::support::sandbox::troop_bin;
use crate::support::{Mount, Sandbox, wait_until};

/// How long anything may take; nothing here takes long on a machine that has time for it.
pub const LIMIT: Duration = Duration::from_secs(30);

/// A troop of its own, mounted.
pub struct World {
    // Dropped first: the sandbox holds what it is mounted on.
    mount: Option<Mount>,
    sandbox: Sandbox,
}

/// How a program ended and what it said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl World {
    #[track_caller]
    pub fn new() -> Self {
        Self::mounted(Sandbox::new(), &[])
    }

    #[track_caller]
    pub fn mounted(sandbox: Sandbox, args: &[&str]) -> Self {
        Self { mount: Some(sandbox.mount_with(args)), sandbox }
    }

    /// A world with one stand-in that is ready.
    #[track_caller]
    pub fn with(name: &str) -> Self {
        let world = Self::new();
        world.launch(name);
        world
    }

    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    pub fn mount(&mut self) -> &mut Mount {
        self.mount.as_mut().unwrap()
    }

    /// One more variable for what is started from now on.
    pub fn set(&mut self, name: &'static str, value: &str) {
        self.sandbox.set(name, value);
    }

    /// Mounts again after [`Mount::end`].
    #[track_caller]
    pub fn mount_again(&mut self) {
        self.mount = None;
        self.mount = Some(self.sandbox.mount());
    }

    /// A path in the mount.
    pub fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.sandbox.path().join("mnt").join(path)
    }

    #[track_caller]
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    #[track_caller]
    pub fn write(&self, path: &str, text: &str) {
        let error = || fs::read_to_string(self.at(path).with_file_name("error"));
        fs::write(self.at(path), text).unwrap_or_else(|number| panic!("{path}: {number}: {:?}", error()));
    }

    /// Writes what must be refused: the errno, and the sentence in the `error` beside it.
    #[track_caller]
    pub fn refused(&self, path: &str, text: &str) -> (i32, String) {
        let number = errno(fs::write(self.at(path), text));
        let error = self.at(path).with_file_name("error");
        (number, fs::read_to_string(error).unwrap_or_default())
    }

    /// Launches a stand-in that logs what it receives, and waits until it is ready.
    #[track_caller]
    pub fn launch(&self, name: &str) {
        self.launch_with(name, "");
        self.wait_status(name, "ready");
    }

    /// The same with more arguments for the stand-in, and without waiting.
    #[track_caller]
    pub fn launch_with(&self, name: &str, args: &str) {
        let (troop, log) = (troop_bin(), self.log_path(name));
        self.launch_program(name, &format!("{} stand-in --pace 1 --log {} {args}", troop.display(), log.display()));
    }

    #[track_caller]
    pub fn launch_program(&self, name: &str, argv: &str) {
        let work = self.sandbox.work();
        self.write("control", &format!("launch {name} --cwd {} -- {argv}\n", work.display()));
        self.wait_there(&format!("agents/{name}"));
    }

    pub fn log_path(&self, name: &str) -> PathBuf {
        self.sandbox.path().join(format!("{name}.log"))
    }

    #[track_caller]
    pub fn wait_status(&self, name: &str, status: &str) {
        let path = self.at(format!("agents/{name}/status"));
        let is = || match fs::read_to_string(&path) {
            Ok(text) if text.trim_end() == status => Ok(()),
            other => {
                let read = |file: &str| fs::read_to_string(path.with_file_name(file)).unwrap_or_default();
                let state = serde_json::from_str::<Value>(&read("state.json")).unwrap_or_default();
                let refused = fs::read_to_string(self.at("control")).unwrap_or_default();
                let refused = refused.lines().find(|line| line.starts_with("# last refused")).map(str::to_owned);
                Err(format!("{other:?}, {}, {}, {refused:?}", state["sources"], read("screen")))
            }
        };
        wait_until(&format!("{name} to be {status}"), LIMIT, is);
        self.state(&format!("agents/{name}"));
    }

    #[track_caller]
    pub fn wait_there(&self, path: &str) {
        wait_until(path, LIMIT, || fs::symlink_metadata(self.at(path)));
    }

    #[track_caller]
    pub fn wait_gone(&self, path: &str) {
        let gone = || match fs::symlink_metadata(self.at(path)) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            other => Err(format!("{:?}; {:?}", other.map(|_| "there"), self.names("agents"))),
        };
        wait_until(&format!("{path} to go"), LIMIT, gone);
    }

    /// What the stand-in received so far.
    pub fn received(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.log_path(name)).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The prompts it received so far.
    pub fn prompts(&self, name: &str) -> Vec<String> {
        let prompts = self.received(name).into_iter().filter(|event| event["event"] == "prompt");
        prompts.map(|event| event["text"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until one more prompt has come than `before`, and for its turn to end; gives the prompt.
    #[track_caller]
    pub fn next_prompt(&self, name: &str, before: usize) -> String {
        let next = || {
            let prompts = self.prompts(name);
            prompts.get(before).cloned().ok_or_else(|| (prompts, self.read(&format!("agents/{name}/history"))))
        };
        let prompt = wait_until("a prompt to arrive", LIMIT, next);
        self.wait_status(name, "ready");
        prompt
    }

    /// Writes a prompt with a shell script and gives what arrived.
    #[track_caller]
    pub fn sent(&self, shell: &str, script: &str) -> String {
        let before = self.prompts("a").len();
        let said = self.sh(shell, script);
        assert_eq!(said.code, Some(0), "{shell} {script:?}: {said:?}\n{}", self.read("agents/a/history"));
        self.next_prompt("a", before)
    }

    /// Sends a last prompt and gives everything that arrived before it: whatever
    /// was typed earlier would stand in front of it.
    #[track_caller]
    pub fn prompts_until_fence(&self, name: &str) -> Vec<String> {
        self.wait_status(name, "ready");
        self.write(&format!("agents/{name}/prompt"), "the fence");
        let fence = || {
            let prompts = self.prompts(name);
            prompts.iter().position(|prompt| prompt.ends_with("the fence")).ok_or(prompts)
        };
        wait_until("the fence", LIMIT, fence);
        self.wait_status(name, "ready");
        let mut prompts = self.prompts(name);
        assert_eq!(prompts.pop().as_deref(), Some("the fence"));
        prompts
    }

    #[track_caller]
    pub fn history(&self, path: &str) -> Vec<Value> {
        let text = self.read(&format!("{path}/history.jsonl"));
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
    }

    /// The state of the agent in that directory, checked against its schema.
    #[track_caller]
    pub fn state(&self, path: &str) -> Value {
        let bytes = fs::read(self.at(path).join("state.json")).unwrap();
        state::check(&bytes)
    }

    pub fn names(&self, path: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.at(path))
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Runs a script in the mount with a shell.
    #[track_caller]
    pub fn sh(&self, shell: &str, script: &str) -> Said {
        said(self.shell(shell, script).output().unwrap())
    }

    /// The same, not yet started.
    pub fn shell(&self, shell: &str, script: &str) -> Command {
        let mut command = self.sandbox.command(shell);
        command.arg("-c").arg(script).current_dir(self.at("")).env("LC_ALL", "C.UTF-8");
        command
    }

    #[track_caller]
    pub fn troop(&self, args: &[&str]) -> Said {
        said(self.sandbox.command(troop_bin()).args(args).output().unwrap())
    }

    #[track_caller]
    pub fn tmux(&self, args: &[&str]) -> String {
        let said = said(self.sandbox.tmux(args).env_remove("TMUX").output().unwrap());
        assert_eq!(said.code, Some(0), "tmux {args:?}: {said:?}");
        said.out
    }

    /// The tmux session of an agent.
    #[track_caller]
    pub fn session(&self, name: &str) -> String {
        self.state(&format!("agents/{name}"))["identity"]["tmux_session_name"].as_str().unwrap().to_owned()
    }

    /// A record as somebody else would write it, of an agent in a tmux session of that name.
    pub fn plant(&self, id: &str, name: &str, session: &str) -> PathBuf {
        self.plant_bytes(id, record(id, name, session, self.sandbox.path()).to_string().as_bytes())
    }

    /// Any bytes in the place of a record.
    pub fn plant_bytes(&self, id: &str, bytes: &[u8]) -> PathBuf {
        plant(&self.sandbox, id, bytes)
    }
}

/// Writes a record the way other programs do: beside its place, then renamed.
pub fn plant(sandbox: &Sandbox, id: &str, bytes: &[u8]) -> PathBuf {
    let dir = sandbox.registry().join("live_agents").join(id);
    fs::create_dir_all(&dir).unwrap();
    let (temporary, path) = (dir.join("record.json.1.tmp"), dir.join("record.json"));
    fs::write(&temporary, bytes).unwrap();
    fs::rename(&temporary, &path).unwrap();
    path
}

/// A record of version 3, long since active.
pub fn record(id: &str, name: &str, session: &str, root: &Path) -> Value {
    let session_root = root.join("foreign").join(id);
    json!({
        "schema_version": 3,
        "agent_id": id,
        "agent_name": name,
        "generation_id": format!("generation-of-{id}"),
        "lifecycle": {
            "state": "active", "relaunchable": true, "state_updated_at": "2026-01-01T00:00:00+00:00",
            "stopped_at": null, "stop_reason": null,
        },
        "identity": { "backend": "local_interactive", "tool": "stand-in" },
        "runtime": {
            "manifest_path": session_root.join("manifest.json"), "session_root": session_root, "agent_def_dir": null,
        },
        "terminal": { "kind": "tmux", "current_session_name": session, "last_session_name": session },
        "liveness": { "published_at": "2026-01-01T00:00:00+00:00", "lease_expires_at": "2126-01-01T00:00:00+00:00" },
        "gateway": null,
        "mailbox": null,
    })
}

pub fn said(output: Output) -> Said {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Whether the sandbox has `program`; says SKIPPED when it has not.
pub fn have(sandbox: &Sandbox, program: &str) -> bool {
    let path: OsString = sandbox.env().into_iter().find(|(name, _)| *name == "PATH").unwrap().1;
    let found = std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    if !found {
        crate::support::skip::skip(&format!("needs the program {program}"));
    }
    found
}

/// The errno of what must fail.
#[track_caller]
pub fn errno<T>(result: std::io::Result<T>) -> i32 {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(error) => error.raw_os_error().unwrap(),
    }
}
