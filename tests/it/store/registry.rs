//! Looking up and changing.

use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};
use troop::Kind;
use troop::store::Expect;
use troop::store::wire::encode_record;

#[test]
fn an_empty_registry_is_no_error_and_is_not_made_by_looking() {
    let fixture = Fixture::new();
    assert_eq!(fixture.registry.scan(), troop::store::Scan::default());
    assert_eq!(fixture.registry.read(&AgentId("x".into())).unwrap(), None);
    assert_eq!(fixture.registry.find("x").unwrap_err().kind(), Kind::NotFound);
    assert!(!fixture.base.join("registry").exists());
}

#[test]
fn a_published_record_is_houmaos_shape_and_private() {
    let fixture = Fixture::new();
    let record = active("alice");
    fixture.registry.publish(&record, &Expect::New, now()).unwrap();
    let path = fixture.record_path(&record.id);
    assert_valid(RECORD_SCHEMA, &std::fs::read(&path).unwrap());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let entry = fixture.registry.read(&record.id).unwrap().unwrap();
    assert_eq!((entry.record, entry.path.clone(), entry.read_only), (record, path, false));
    let beside: Vec<_> = std::fs::read_dir(entry.path.parent().unwrap()).unwrap().collect();
    assert_eq!(beside.len(), 1, "no temporary file is left");
}

#[test]
fn stopping_and_retiring() {
    let fixture = Fixture::new();
    let record = active("alice");
    fixture.registry.publish(&record, &Expect::New, now()).unwrap();
    let stopped = fixture.registry.stop(&record.id, &record.generation, "operator_stop", now()).unwrap();
    assert_eq!(stopped.lifecycle.state, LifecycleState::Stopped);
    assert_eq!(fixture.registry.read(&record.id).unwrap().unwrap().record, stopped);
    assert_valid(RECORD_SCHEMA, &std::fs::read(fixture.record_path(&record.id)).unwrap());
    // Once more changes nothing.
    assert_eq!(fixture.registry.stop(&record.id, &record.generation, "other", now()).unwrap(), stopped);
    let retired = fixture.registry.retire(&record.id, &record.generation, "cleanup_session", now()).unwrap();
    assert_eq!(retired.lifecycle.stop_reason.as_deref(), Some("cleanup_session"));
    assert_valid(RECORD_SCHEMA, &std::fs::read(fixture.record_path(&record.id)).unwrap());
    let refused = fixture.registry.stop(&record.id, &record.generation, "operator_stop", now()).unwrap_err();
    assert_eq!(refused.kind(), Kind::NotPermitted);
}

#[test]
fn whoever_holds_another_generation_stands_down() {
    let fixture = Fixture::new();
    let first = active("alice");
    let second = Record { generation: "second".into(), ..first.clone() };
    let publish = |record: &Record, expected: Expect| fixture.registry.publish(record, &expected, now());
    publish(&first, Expect::New).unwrap();
    assert_eq!(publish(&second, Expect::New).unwrap_err().kind(), Kind::Exists);
    assert_eq!(publish(&second, Expect::Generation("third".into())).unwrap_err().kind(), Kind::Gone);
    publish(&second, Expect::Generation(first.generation.clone())).unwrap();
    let refused = fixture.registry.stop(&first.id, &first.generation, "operator_stop", now()).unwrap_err();
    assert_eq!(refused.kind(), Kind::Gone);
    assert!(refused.sentence().contains("second"), "{refused}");
    assert_eq!(fixture.registry.read(&first.id).unwrap().unwrap().record, second);
    let nobody = fixture.registry.stop(&AgentId("nobody".into()), "g", "operator_stop", now()).unwrap_err();
    assert_eq!(nobody.kind(), Kind::Gone);
    let over = fixture.registry.publish(&expired("late"), &Expect::New, now()).unwrap_err();
    assert_eq!(over.kind(), Kind::Invalid);
}

#[test]
fn a_lease_that_is_over_and_a_stopped_agent_give_way() {
    let fixture = Fixture::new();
    fixture.plant(expired("a").id.as_str(), &encode_record(&expired("a")).unwrap());
    let new = Record { generation: "new".into(), ..active("a") };
    fixture.registry.publish(&new, &Expect::New, now()).unwrap();
    fixture.registry.stop(&new.id, "new", "operator_stop", now()).unwrap();
    fixture.registry.publish(&active("a"), &Expect::New, now()).unwrap();
    assert_eq!(fixture.registry.read(&new.id).unwrap().unwrap().record, active("a"));
}

#[test]
fn what_cannot_be_parsed_is_never_replaced() {
    let fixture = Fixture::new();
    let record = active("alice");
    let path = fixture.plant(record.id.as_str(), br#"{"schema_version": 9}"#);
    let publish = fixture.registry.publish(&record, &Expect::New, now()).unwrap_err();
    let stop = fixture.registry.stop(&record.id, &record.generation, "operator_stop", now()).unwrap_err();
    for error in [publish, stop] {
        assert_eq!(error.kind(), Kind::Malformed);
        assert!(error.sentence().contains("newer"), "{error}");
    }
    assert_eq!(std::fs::read(path).unwrap(), br#"{"schema_version": 9}"#);
}

#[test]
fn symlinks_are_neither_followed_nor_removed() {
    let record = active("alice");
    for place in ["live_agents", "directory", "record", "lock"] {
        let fixture = Fixture::new();
        let outside = fixture.base.join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("victim"), "precious").unwrap();
        let directory = fixture.live_agents().join(record.id.as_str());
        let link = match place {
            "live_agents" => fixture.live_agents(),
            "directory" => directory,
            "record" => directory.join("record.json"),
            _ => fixture.base.join("registry/.troop.lock"),
        };
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        let target = if ["record", "lock"].contains(&place) { outside.join("victim") } else { outside.clone() };
        symlink(&target, &link).unwrap();
        let error = fixture.registry.publish(&record, &Expect::New, now()).unwrap_err();
        assert!(matches!(error.kind(), Kind::NotPermitted | Kind::Io), "{place}: {error}");
        assert!(link.is_symlink(), "{place}");
        assert_eq!(std::fs::read(outside.join("victim")).unwrap(), b"precious");
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1, "{place}");
    }
}

#[test]
fn of_two_launches_of_one_name_exactly_one_wins() {
    for _ in 0..20 {
        let fixture = Fixture::new();
        let start = std::sync::Barrier::new(4);
        let won: Vec<std::sync::Arc<str>> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..4)
                .map(|racer| {
                    let record = Record { generation: format!("racer-{racer}").into(), ..active("alice") };
                    let (registry, start) = (&fixture.registry, &start);
                    scope.spawn(move || {
                        start.wait();
                        match registry.publish(&record, &Expect::New, now()) {
                            Ok(()) => Some(record.generation),
                            Err(error) => {
                                assert_eq!(error.kind(), Kind::Exists, "{error}");
                                None
                            }
                        }
                    })
                })
                .collect();
            racers.into_iter().filter_map(|racer| racer.join().unwrap()).collect()
        });
        let there = fixture.registry.read(&active("alice").id).unwrap().unwrap().record.generation;
        assert_eq!(won, [there]);
    }
}

#[test]
fn finding_by_id_and_by_name() {
    let fixture = Fixture::new();
    let plant = |record: &Record| fixture.plant(record.id.as_str(), &encode_record(record).unwrap());
    let twin = |id: &str| Record { id: AgentId(id.into()), ..active("twin") };
    let ended = |id: &str| troop::store::lifecycle::stopped(&twin(id), "operator_stop", now()).unwrap();
    plant(&active("alice"));
    plant(&ended("t-old"));
    plant(&twin("t-1"));
    assert_eq!(fixture.registry.find("alice").unwrap().record, active("alice"));
    assert_eq!(fixture.registry.find(active("alice").id.as_str()).unwrap().record, active("alice"));
    assert_eq!(fixture.registry.find("twin").unwrap().record.id.as_str(), "t-1", "the live one counts");
    plant(&twin("t-2"));
    let error = fixture.registry.find("twin").unwrap_err();
    assert_eq!(error.kind(), Kind::Ambiguous);
    assert!(error.sentence().contains("t-1") && error.sentence().contains("t-2"), "{error}");
    assert!(!error.sentence().contains("t-old"), "{error}");
    assert_eq!(fixture.registry.find("t-2").unwrap().record.id.as_str(), "t-2");
    assert_eq!(fixture.registry.find("twin~t-1").unwrap().record.id.as_str(), "t-1");
    // Exact, not a prefix.
    assert_eq!(fixture.registry.find("ali").unwrap_err().kind(), Kind::NotFound);
    fixture.plant("broken", b"{");
    let error = fixture.registry.find("nobody").unwrap_err();
    assert!(error.sentence().contains("troop list") && error.sentence().contains("troop doctor"), "{error}");
}

#[test]
fn a_record_in_a_directory_of_another_name_is_seen_and_not_changed() {
    let fixture = Fixture::new();
    let record = active("alice");
    fixture.plant("misplaced", &encode_record(&record).unwrap());
    assert_eq!(fixture.registry.find("alice").unwrap().record, record);
    let error = fixture.registry.stop(&record.id, &record.generation, "operator_stop", now()).unwrap_err();
    assert_eq!(error.kind(), Kind::NotPermitted);
    assert!(error.sentence().contains("misplaced"), "{error}");
    // In its own directory it counts, and the copy does not.
    fixture.plant(record.id.as_str(), &encode_record(&record).unwrap());
    let scan = fixture.registry.scan();
    assert_eq!(scan.entries.len(), 1);
    assert_eq!(scan.entries[0].path, fixture.record_path(&record.id));
    assert_eq!(scan.problems.len(), 1);
}

#[test]
fn the_older_registry_is_read_and_never_written() {
    let fixture = Fixture::with_legacy();
    let legacy = fixture.base.join("legacy/live_agents");
    let old = active("old");
    let path = plant(&legacy, old.id.as_str(), &encode_record(&old).unwrap());
    let both = active("both");
    plant(&legacy, both.id.as_str(), &encode_record(&Record { generation: "older".into(), ..both.clone() }).unwrap());
    fixture.registry.publish(&both, &Expect::New, now()).unwrap();
    assert_eq!(fixture.names(), ["both", "old"]);
    assert_eq!(fixture.registry.find("both").unwrap().record, both);
    assert!(fixture.registry.find("old").unwrap().read_only);
    let error = fixture.registry.stop(&old.id, &old.generation, "operator_stop", now()).unwrap_err();
    assert_eq!(error.kind(), Kind::NotPermitted);
    assert_eq!(std::fs::read(path).unwrap(), encode_record(&old).unwrap());
}

#[test]
fn external_agents_are_listed_and_not_found() {
    let external = |id: &str, name: &str| {
        serde_json::json!({
            "schema_version": 1, "kind": "external_communication_only", "local_name": name, "external_agent_id": id,
            "generation_id": "g", "pair_api_base_url": "http://127.0.0.1:9891", "remote_agent_ref": "r",
            "gateway_expected": false, "lifecycle_owner": "remote", "created_at_utc": "2026-03-01T10:00:00Z",
            "updated_at_utc": "2026-03-01T10:00:00Z", "verified_at_utc": null,
            "cached_identity": {"tracked_agent_id": "t", "transport": "tui", "tool": "codex", "lifecycle_state": "active",
                "management_kind": "external_communication_only", "lifecycle_owner": "remote"}
        })
        .to_string()
        .into_bytes()
    };
    assert_valid("external_managed_agent_registry_record.v1.schema.json", &external("external-1", "far"));
    let fixture = Fixture::new();
    let section = fixture.base.join("registry/external_agents");
    plant(&section, "external-1", &external("external-1", "far"));
    plant(&section, "external-2", &external("external-2", "far"));
    plant(&section, "external-3", &external("external-3", "houmao-x"));
    let scan = fixture.registry.scan();
    assert!(scan.entries.is_empty());
    assert_eq!(scan.external.len(), 1);
    assert_eq!((scan.external[0].name.as_str(), scan.external[0].tool.as_str()), ("far", "codex"));
    assert_eq!(scan.problems.len(), 2, "{:?}", scan.problems);
    assert_eq!(fixture.registry.find("far").unwrap_err().kind(), Kind::Unsupported);
}

#[test]
fn a_registry_that_cannot_be_written_is_a_sentence() {
    let fixture = Fixture::new();
    std::fs::write(fixture.base.join("registry"), "a file").unwrap();
    let error = fixture.registry.publish(&active("a"), &Expect::New, now()).unwrap_err();
    assert!(error.sentence().contains("registry"), "{error}");
    assert_eq!(fixture.registry.scan().problems.len(), 2, "both sections say so");
}
