//! Manifests, read and written.

use super::*;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc;
use troop::Kind;
use troop::model::{ChatSession, PaneId, Role, RoleMethod};
use troop::store::launch::{self, LaunchManifest};
use troop::store::manifest::{check, read};
use troop::store::wire::decode_record;

fn launch() -> LaunchManifest {
    LaunchManifest {
        name: "alice".into(),
        id: names::agent_id_for("alice"),
        generation: "generation-of-alice".into(),
        session_id: "local_interactive-20261121-090000Z-0123abcd".into(),
        backend: Backend::LocalInteractive,
        own_backend: None,
        tool: "claude".into(),
        argv: vec!["claude".into(), "--model".into(), "x y".into()],
        cwd: "/work/dir".into(),
        home_variable: "CLAUDE_CONFIG_DIR".into(),
        home_path: "/home/somebody/.claude".into(),
        session: "HOUMAO-alice-1".into(),
        window: None,
        pane: None,
        tmux_socket: Some("/run/tmux/socket".into()),
        tool_version: Some("2.1.296".into()),
        has_hooks: false,
        chat: ChatSession::New,
        model: None,
        profile: None,
        env: Vec::new(),
        role: None,
        now: now(),
    }
}

fn role(name: &str) -> Role {
    Role { name: name.to_owned(), text: "Be brief.\nAlways \"so\".".to_owned() }
}

/// A session root written for [`launch`], with its directory.
fn written() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("sessions/local_interactive/s");
    launch::write_session(&root, &launch()).unwrap();
    (dir, root)
}

/// The manifest of [`launch`] with one field set.
fn spoilt(pointer: &str, value: Value) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let mut document: Value = serde_json::from_slice(&launch().to_json(Path::new("/root")).unwrap()).unwrap();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap()[key] = value;
    let path = dir.path().join("manifest.json");
    std::fs::write(&path, document.to_string()).unwrap();
    (dir, path)
}

#[test]
fn what_houmao_wrote_is_read_and_agrees_with_its_record() {
    for sample in samples() {
        let path = sample.join("manifest.json");
        let manifest = read(&path).unwrap();
        let record = decode_record(&std::fs::read(sample.join("record.json")).unwrap()).unwrap();
        assert_eq!(check(&path, &record).unwrap(), Vec::<String>::new(), "{}", sample.display());
        assert!(manifest.pane.is_some(), "{manifest:?}");
        assert_eq!(manifest.tmux_socket, None);
        assert_eq!(manifest.joined, sample.ends_with("joined_tmux_stopped"));
        assert_eq!(manifest.tool_version.is_some(), !manifest.joined);
    }
}

#[test]
fn a_session_is_written_whole_and_private() {
    let (_dir, root) = written();
    let bytes = std::fs::read(root.join("manifest.json")).unwrap();
    assert_valid(MANIFEST_SCHEMA, &bytes);
    let document: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(
        document["launch_plan"]["metadata"],
        serde_json::json!({"owner": "troop", "troop_tmux_socket": "/run/tmux/socket"})
    );
    assert_eq!(document["registry_generation_id"], "generation-of-alice");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&root), 0o700);
    for file in ["manifest.json", "brain_manifest.json", "launch.env", "agent_def/roles/alice/system-prompt.md"] {
        assert_eq!(mode(&root.join(file)), 0o600, "{file}");
    }
    assert_eq!(std::fs::read(root.join("launch.env")).unwrap(), b"");
    let manifest = read(&root.join("manifest.json")).unwrap();
    assert_eq!(manifest.tmux_socket.as_deref(), Some(Path::new("/run/tmux/socket")));
    assert_eq!(manifest.tool_version.as_deref(), Some("2.1.296"));
    assert_eq!((manifest.pane, manifest.joined), (None, false));
}

#[test]
fn a_manifest_without_what_is_not_known_is_valid_too() {
    let launch = LaunchManifest { tmux_socket: None, tool_version: None, ..launch() };
    let bytes = launch.to_json(Path::new("/root")).unwrap();
    assert_valid(MANIFEST_SCHEMA, &bytes);
    let document: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(document["launch_plan"]["metadata"], serde_json::json!({"owner": "troop"}));
}

#[test]
fn everything_a_start_needs_again_is_there_and_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let launch = LaunchManifest {
        has_hooks: true,
        chat: ChatSession::Exact("0-1".into()),
        model: Some("opus".into()),
        profile: Some("reviewer".into()),
        env: vec![("KEY".into(), "sk-secret \"x\"".into()), ("B".into(), String::new())],
        role: Some((role("critic"), RoleMethod::NativeAppendSystemPrompt)),
        ..launch()
    };
    launch::write_session(&root, &launch).unwrap();
    let bytes = std::fs::read(root.join("manifest.json")).unwrap();
    assert_valid(MANIFEST_SCHEMA, &bytes);
    assert!(!String::from_utf8_lossy(&bytes).contains("sk-secret"));
    assert!(!std::fs::read_to_string(root.join("brain_manifest.json")).unwrap().contains("sk-secret"));
    let document: Value = serde_json::from_slice(&bytes).unwrap();
    let plan = &document["launch_plan"];
    assert_eq!((&plan["executable"], &plan["args"]), (&"claude".into(), &serde_json::json!(["--model", "x y"])));
    assert_eq!(plan["env_var_names"], serde_json::json!(["KEY", "B"]));
    let injection = serde_json::json!({"method": "native_append_system_prompt", "role_name": "critic"});
    assert_eq!((&plan["role_injection"], &document["role_name"]), (&injection, &"critic".into()));
    for (key, value) in [
        ("troop_hooks", true.into()),
        ("troop_model", Value::from("opus")),
        ("troop_profile", "reviewer".into()),
        ("troop_chat_session", "exact 0-1".into()),
    ] {
        assert_eq!(plan["metadata"][key], value, "{key}");
    }
    let prompt = &document["system_prompt"];
    assert_eq!((&prompt["text"], &prompt["role_name"]), (&role("").text.into(), &"critic".into()));
    assert_eq!(prompt["sha256"], "3517f36ae92a7d515310adbb8935fe70bd5f837180092aa25d9781869bcb4357");
    let text = std::fs::read_to_string(root.join("agent_def/roles/critic/system-prompt.md")).unwrap();
    assert_eq!(text, role("").text);
    assert_eq!(troop::store::launch_env::read(&root).unwrap(), launch.env);
    let mode = std::fs::metadata(root.join("launch.env")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn panes_are_filled_in_and_the_rest_stays() {
    let (_dir, root) = written();
    let path = root.join("manifest.json");
    // What Houmao changes between is kept.
    let mut document: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    document["interactive"]["turn_index"] = 7.into();
    std::fs::write(&path, document.to_string()).unwrap();
    launch::update_panes(&root, "@3", &PaneId::parse("%7").unwrap()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert_valid(MANIFEST_SCHEMA, &bytes);
    document["backend_state"]["tmux_window_id"] = "@3".into();
    document["backend_state"]["tmux_pane_id"] = "%7".into();
    for section in ["tmux", "agent_launch_authority"] {
        document[section]["primary_window_id"] = "@3".into();
        document[section]["primary_pane_id"] = "%7".into();
    }
    assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), document);
    assert_eq!(read(&path).unwrap().pane, PaneId::parse("%7"));
    assert_eq!(launch::update_panes(&root, "3", &PaneId::parse("%7").unwrap()).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn what_cannot_stand_in_a_manifest_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    for launch in [
        LaunchManifest { argv: vec![], ..launch() },
        LaunchManifest { tool: " ".into(), ..launch() },
        LaunchManifest { role: Some((role("../../up"), RoleMethod::BootstrapMessage)), ..launch() },
        LaunchManifest { env: vec![("A".into(), "two\nlines".into())], ..launch() },
        LaunchManifest { name: "two words".into(), ..launch() },
    ] {
        assert_eq!(launch::write_session(&root, &launch).unwrap_err().kind(), Kind::Invalid, "{launch:?}");
        assert!(!root.exists());
    }
}

#[test]
fn every_broken_cross_check_is_named() {
    let null = Value::Null;
    let both = serde_json::json!({"session_id": null, "turn_index": 0, "role_bootstrap_applied": true, "working_directory": "/w"});
    for (pointer, value, word) in [
        ("/schema_version", 3.into(), "schema_version"),
        ("/schema_version", 5.into(), "newer program"),
        ("/unknown", 1.into(), "unknown field"),
        ("/tmux/unknown", 1.into(), "unknown field"),
        ("/launch_plan/unknown", 1.into(), "unknown field"),
        ("/launch_plan/backend", "codex_headless".into(), "launch_plan.backend"),
        ("/launch_plan/tool", "codex".into(), "launch_plan.tool"),
        ("/tmux/session_name", "other".into(), "tmux.session_name"),
        ("/tmux", null.clone(), "tmux"),
        ("/interactive", null.clone(), "interactive"),
        ("/agent_launch_authority", null.clone(), "agent_launch_authority"),
        ("/gateway_authority", null.clone(), "gateway_authority"),
        ("/agent_name", null.clone(), "agent_name"),
        ("/agent_id", "../x".into(), "agent_id"),
        ("/runtime/registry_generation_id", "other".into(), "registry_generation_id"),
        ("/runtime/registry_launch_authority", "external".into(), "registry_launch_authority"),
        ("/runtime/memory_root", "/m".into(), "memory_root"),
        ("/runtime/agent_pid", 0.into(), "agent_pid"),
        ("/local_interactive", null, "local_interactive"),
        ("/headless", both, "headless"),
        ("/agent_launch_authority/launch_args", serde_json::json!(["x"]), "launch_args"),
        ("/agent_launch_authority/posture_kind", "tui_launch_options".into(), "launch_args"),
        ("/launch_plan/metadata/troop_tmux_socket", "relative".into(), "troop_tmux_socket"),
        ("/launch_plan/metadata/troop_tmux_socket", 7.into(), "troop_tmux_socket"),
        ("/working_directory", " ".into(), "working_directory"),
        ("/runtime", serde_json::json!([]), "a JSON object"),
    ] {
        let (_dir, path) = spoilt(pointer, value);
        let error = read(&path).unwrap_err();
        assert_eq!(error.kind(), Kind::Malformed, "{pointer}: {error}");
        assert!(error.sentence().contains(word), "{pointer}: {error}");
        assert!(error.sentence().contains("manifest.json"), "{error}");
    }
}

#[test]
fn disagreements_with_the_record_are_sentences() {
    let (_dir, root) = written();
    let path = root.join("manifest.json");
    let record = Record { session: Some("HOUMAO-alice-1".into()), ..active("alice") };
    assert_eq!(check(&path, &record).unwrap(), Vec::<String>::new());
    let other = Record {
        generation: "another".into(),
        tool: "codex".into(),
        backend: Backend::CodexHeadless,
        session: Some("elsewhere".into()),
        ..record
    };
    let sentences = check(&path, &other).unwrap().join("\n");
    for word in ["another", "codex", "codex_headless", "elsewhere"] {
        assert!(sentences.contains(word), "{sentences}");
    }
}

#[test]
fn a_torn_manifest_is_read_again_until_it_is_whole() {
    let (_dir, root) = written();
    let path = root.join("manifest.json");
    let whole = std::fs::read(&path).unwrap();
    for torn in [0, 1, whole.len() / 2, whole.len() - 3] {
        std::fs::write(&path, &whole[..torn]).unwrap();
        let (opened, seen) = mpsc::channel();
        let read = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                opened.send(()).unwrap();
                // One reading gives up after a while; a daemon reads again, and so do we.
                loop {
                    match read(&path) {
                        Err(error) => assert!(error.sentence().contains("in the middle"), "{error}"),
                        Ok(manifest) => return manifest,
                    }
                }
            });
            seen.recv().unwrap();
            std::fs::write(&path, &whole).unwrap();
            reader.join().unwrap()
        });
        assert_eq!(read.working_directory, Path::new("/work/dir"));
    }
}

#[test]
fn one_that_stays_torn_or_is_no_file_is_an_error_soon() {
    let (_dir, root) = written();
    let path = root.join("manifest.json");
    std::fs::write(&path, "{\"schema_version\": 4").unwrap();
    assert_eq!(read(&path).unwrap_err().kind(), Kind::Malformed);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(read(&path).unwrap_err().kind(), Kind::NotFound);
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(read(&path).unwrap_err().kind(), Kind::Malformed);
    assert_eq!(read(Path::new("/dev/zero")).unwrap_err().kind(), Kind::Malformed);
}

proptest::proptest! {
    #[test]
    fn no_damage_panics(at in 0_usize..20_000, byte in proptest::prelude::any::<u8>()) {
        let mut bytes = std::fs::read(data("samples/joined_tmux_stopped/manifest.json")).unwrap();
        let at = at % bytes.len();
        bytes[at] = byte;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("manifest.json");
        std::fs::write(&path, bytes).unwrap();
        if let Err(error) = read(&path) {
            proptest::prop_assert_eq!(error.kind(), Kind::Malformed);
        }
    }
}
