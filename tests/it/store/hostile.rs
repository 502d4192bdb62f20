//! Fifty ways to be wrong. Each is named, none is deleted, the others are seen.

use super::*;
use serde_json::json;
use std::os::unix::fs::{PermissionsExt, symlink};
use troop::store::wire::{MAX_RECORD_BYTES, encode_record};
use troop::store::{Finding, Severity};

/// A good record of version 3 as JSON, to be spoilt.
fn good() -> Value {
    let mut record = active("spoilt");
    record.gateway = Some(troop::model::record::Gateway {
        host: "127.0.0.1".into(),
        port: 40353,
        state_path: "/g/state.json".into(),
    });
    serde_json::from_slice(&encode_record(&record).unwrap()).unwrap()
}

/// The good record with one field set, `/terminal/kind` for one.
fn with(pointer: &str, value: Value) -> Vec<u8> {
    let mut document = good();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap()[key] = value;
    document.to_string().into_bytes()
}

/// The good record without one field.
fn without(pointer: &str) -> Vec<u8> {
    let mut document = good();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key).unwrap();
    document.to_string().into_bytes()
}

fn stopped_with(pointer: &str, value: Value) -> Vec<u8> {
    let record = troop::store::lifecycle::stopped(&active("spoilt"), "operator_stop", now()).unwrap();
    let mut document: Value = serde_json::from_slice(&encode_record(&record).unwrap()).unwrap();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap()[key] = value;
    document.to_string().into_bytes()
}

/// Every kind of wrong bytes, and a word of the sentence it must get.
pub(super) fn wrong_bytes() -> Vec<(Vec<u8>, &'static str)> {
    let text = good().to_string();
    let identity_as_array = with("/identity", json!(["local_interactive", "claude"]));
    let twice = text.replacen("\"agent_name\"", "\"agent_name\":\"x\",\"agent_name\"", 1);
    let twice_inside = text.replacen("\"tool\"", "\"tool\":\"x\",\"tool\"", 1);
    let mut not_utf8 = text.clone().into_bytes();
    let name = text.find("spoilt").unwrap();
    not_utf8[name] = 0xff;
    let too_large = with("/generation_id", json!("g".repeat(usize::try_from(MAX_RECORD_BYTES).unwrap())));
    vec![
        (b"".to_vec(), "EOF"),
        (b"{".to_vec(), "EOF"),
        (text.as_bytes()[..text.len() / 2].to_vec(), "EOF"),
        (format!("{text}{text}").into_bytes(), "trailing"),
        (b"not json".to_vec(), "expected"),
        (b"[]".to_vec(), "a JSON object"),
        (b"null".to_vec(), "a JSON object"),
        (b"\xef\xbb\xbf{}".to_vec(), "expected"),
        ("[".repeat(100_000).into_bytes(), "a JSON object"),
        (format!("{{\"schema_version\":{}", "[".repeat(100_000)).into_bytes(), "recursion"),
        (not_utf8, "UTF-8"),
        (too_large, "larger"),
        (twice.into_bytes(), "duplicate"),
        (twice_inside.into_bytes(), "duplicate"),
        (with("/extra", json!(1)), "unknown field"),
        (with("/lifecycle/extra", json!(1)), "unknown field"),
        (with("/identity/extra", json!(1)), "unknown field"),
        (with("/runtime/extra", json!(1)), "unknown field"),
        (with("/terminal/extra", json!(1)), "unknown field"),
        (with("/liveness/extra", json!(1)), "unknown field"),
        (with("/gateway/extra", json!(1)), "unknown field"),
        (with("/schema_version", json!(4)), "newer program"),
        (with("/schema_version", json!(1)), "schema_version"),
        (with("/schema_version", json!("3")), "schema_version"),
        (with("/schema_version", json!(3.0)), "schema_version"),
        (with("/schema_version", Value::Null), "schema_version"),
        (without("/schema_version"), "unknown field"),
        (without("/agent_name"), "agent_name"),
        (without("/identity/backend"), "backend"),
        (without("/terminal/last_session_name"), "last_session_name"),
        (with("/agent_name", json!(7)), "expected a string"),
        (with("/agent_name", json!("two words")), "agent_name"),
        (with("/agent_id", json!("../up")), "agent_id"),
        (with("/generation_id", json!(" \u{1c}")), "generation_id"),
        (identity_as_array, "a JSON object"),
        (with("/identity/backend", json!("gemini_headless")), "gemini_headless"),
        (with("/identity/backend", json!({"local_interactive": null})), "expected a string"),
        (with("/identity/tool", json!("")), "identity.tool"),
        (with("/runtime/manifest_path", json!(" ")), "manifest_path"),
        (with("/runtime/session_root", json!("")), "session_root"),
        (with("/terminal/kind", json!("screen")), "screen"),
        (with("/terminal/current_session_name", Value::Null), "current_session_name"),
        (with("/liveness", Value::Null), "liveness"),
        (with("/liveness/lease_expires_at", json!("2026-11-21T09:00:00+00:00")), "not after"),
        (with("/liveness/published_at", json!("2026-11-21T09:00:00")), "offset"),
        (with("/liveness/published_at", json!("yesterday\u{1b}[2J")), "offset"),
        (with("/gateway/host", json!("10.0.0.1")), "gateway.host"),
        (with("/gateway/port", json!(0)), "gateway.port"),
        (with("/gateway/port", json!(65536)), "65536"),
        (with("/gateway/protocol_version", json!("v2")), "v2"),
        (with("/lifecycle/state", json!("zombie")), "zombie"),
        (with("/lifecycle/relaunchable", json!("yes")), "boolean"),
        (with("/lifecycle/stopped_at", json!("2026-11-21T09:00:00Z")), "stopped_at"),
        (with("/lifecycle/stop_reason", json!("why")), "stop_reason"),
        (with("/lifecycle/state", json!("stopped")), "stopped_at"),
        (stopped_with("/lifecycle/state", json!("retired")), "relaunchable"),
        (stopped_with("/terminal/current_session_name", json!("s")), "current_session_name"),
        (with("/mailbox", json!({"transport": "pigeon"})), "pigeon"),
        (with("/mailbox", json!(["filesystem"])), "a JSON object"),
        (
            with(
                "/mailbox",
                json!({"transport": "filesystem", "principal_id": "", "address": "a", "filesystem_root": "f", "bindings_version": "1"}),
            ),
            "mailbox",
        ),
    ]
}

#[test]
fn fifty_wrong_records_hide_none_of_the_right_ones() {
    let fixture = Fixture::new();
    let wrong = wrong_bytes();
    assert!(wrong.len() >= 50);
    for (index, (bytes, _)) in wrong.iter().enumerate() {
        fixture.plant(&format!("bad{index:03}"), bytes);
    }
    for name in ["alice", "bob"] {
        fixture.plant(active(name).id.as_str(), &encode_record(&active(name)).unwrap());
    }
    let before = tree(&fixture.base);
    let scan = fixture.registry.scan();
    assert_eq!(fixture.names(), ["alice", "bob"]);
    for (index, (bytes, word)) in wrong.iter().enumerate() {
        let path = fixture.live_agents().join(format!("bad{index:03}/record.json"));
        let found: Vec<&Finding> = scan.problems.iter().filter(|finding| finding.path == path).collect();
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]);
        let [finding] = found[..] else { panic!("{index} {shown}: {found:?}") };
        assert_eq!(finding.severity, Severity::Error);
        assert!(finding.sentence.contains(word), "{index}: {:?} says nothing of {word}", finding.sentence);
        assert!(!finding.sentence.chars().any(char::is_control), "{:?}", finding.sentence);
        assert!(finding.sentence.len() < 2000);
    }
    assert_eq!(scan.problems.len(), wrong.len());
    assert_eq!(tree(&fixture.base), before, "nothing is deleted or written");
}

/// Every path below `base` with its content.
fn tree(base: &Path) -> std::collections::BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = std::collections::BTreeMap::new();
    let mut todo = vec![base.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                todo.push(path.clone());
            }
            found.insert(path.clone(), std::fs::read(&path).ok());
        }
    }
    found
}

#[test]
fn things_that_are_no_records_are_named_and_stay() {
    let fixture = Fixture::new();
    let outside = fixture.base.join("outside");
    let good = encode_record(&active("alice")).unwrap();
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("record.json"), &good).unwrap();
    fixture.plant("keeper", &encode_record(&Record { id: AgentId("keeper".into()), ..active("keeper") }).unwrap());
    let live = fixture.live_agents();
    let mut expected = Vec::new();

    symlink(&outside, live.join("linked-directory")).unwrap();
    expected.push(("linked-directory/record.json", Severity::Error, "symlink"));
    std::fs::create_dir(live.join("linked-record")).unwrap();
    symlink(outside.join("record.json"), live.join("linked-record/record.json")).unwrap();
    expected.push(("linked-record/record.json", Severity::Error, "symlink"));
    std::fs::create_dir(live.join("dangling")).unwrap();
    symlink("nowhere", live.join("dangling/record.json")).unwrap();
    expected.push(("dangling/record.json", Severity::Error, "symlink"));
    std::fs::create_dir(live.join("pipe")).unwrap();
    nix::unistd::mkfifo(&live.join("pipe/record.json"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    expected.push(("pipe/record.json", Severity::Error, "regular file"));
    std::fs::create_dir_all(live.join("directory/record.json")).unwrap();
    expected.push(("directory/record.json", Severity::Error, "regular file"));
    std::fs::create_dir(live.join("empty")).unwrap();
    expected.push(("empty", Severity::Note, "no record.json"));
    std::fs::write(live.join("notes.txt"), "hello").unwrap();
    expected.push(("notes.txt", Severity::Note, "ignored"));
    fixture.plant("other-name", &good);
    expected.push(("other-name/record.json", Severity::Warning, "not named after"));
    if !nix::unistd::geteuid().is_root() {
        let path = fixture.plant("unreadable", &good);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o000)).unwrap();
        expected.push(("unreadable/record.json", Severity::Error, "denied"));
    }

    let scan = fixture.registry.scan();
    assert_eq!(fixture.names(), ["alice", "keeper"]);
    for (path, severity, word) in &expected {
        let finding = scan.problems.iter().find(|finding| finding.path == live.join(path));
        let finding = finding.unwrap_or_else(|| panic!("{path} is not in {:?}", scan.problems));
        assert_eq!(finding.severity, *severity, "{finding:?}");
        assert!(finding.sentence.contains(word), "{finding:?}");
    }
    assert_eq!(scan.problems.len(), expected.len(), "{:?}", scan.problems);
    assert!(live.join("linked-directory").is_symlink() && live.join("dangling/record.json").is_symlink());
}

#[test]
fn a_registry_that_is_a_symlink_below_its_root_is_one_finding() {
    let fixture = Fixture::new();
    std::fs::create_dir_all(fixture.base.join("registry")).unwrap();
    std::fs::create_dir(fixture.base.join("elsewhere")).unwrap();
    symlink(fixture.base.join("elsewhere"), fixture.live_agents()).unwrap();
    let scan = fixture.registry.scan();
    assert_eq!(scan.problems.len(), 1);
    assert!(scan.problems[0].sentence.contains("symlink"));
}

#[test]
fn entries_that_come_and_go_while_scanning_are_no_problem() {
    let fixture = Fixture::new();
    let bytes = encode_record(&active("flicker")).unwrap();
    let id = active("flicker").id;
    fixture.plant(active("steady").id.as_str(), &encode_record(&active("steady")).unwrap());
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for _ in 0..200 {
                fixture.plant("temporary", b"");
                std::fs::remove_dir_all(fixture.live_agents().join("temporary")).unwrap();
                let dir = fixture.live_agents().join(id.as_str());
                std::fs::create_dir_all(&dir).unwrap();
                troop::store::atomic::write_replace(&dir.join("record.json"), &bytes, 0o600).unwrap();
                std::fs::remove_dir_all(dir).unwrap();
            }
        });
        while !writer.is_finished() {
            let scan = fixture.registry.scan();
            assert!(scan.entries.iter().any(|entry| entry.record.name == "steady"));
            for finding in scan.problems {
                let torn = finding.path.to_string_lossy().contains("temporary") && finding.sentence.contains("EOF");
                let not_yet = finding.severity == Severity::Note && finding.sentence.contains("no record.json");
                assert!(torn || not_yet, "{finding:?}");
            }
        }
    });
}
