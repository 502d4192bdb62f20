//! Records on the wire.

use super::*;
use proptest::prelude::*;
use serde_json::json;
use troop::Kind;
use troop::model::record::{Gateway, Mailbox};
use troop::store::wire::{decode_record, encode_record};

#[test]
fn what_houmao_wrote_is_read_and_written_back_byte_for_byte() {
    for sample in samples() {
        let bytes = std::fs::read(sample.join("record.json")).unwrap();
        let record = decode_record(&bytes).unwrap_or_else(|error| panic!("{}: {error}", sample.display()));
        let written = encode_record(&record).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), String::from_utf8(bytes).unwrap(), "{}", sample.display());
    }
}

fn v2() -> Value {
    json!({
        "schema_version": 2, "agent_name": "gpu", "agent_id": "0aa0be2a866411d9ff03515227454947",
        "generation_id": "g", "published_at": "2026-03-01T10:00:00Z", "lease_expires_at": "2026-03-02T12:00:00+02:00",
        "identity": {"backend": "codex_headless", "tool": "codex"},
        "runtime": {"manifest_path": "/m", "session_root": "/r", "agent_def_dir": null},
        "terminal": {"kind": "tmux", "session_name": "HOUMAO-gpu-1"}
    })
}

#[test]
fn version_2_becomes_an_active_record_of_version_3() {
    assert_valid("live_agent_registry_record.v2.schema.json", v2().to_string().as_bytes());
    let mut unversioned = v2();
    unversioned.as_object_mut().unwrap().remove("schema_version");
    for document in [v2(), unversioned] {
        let record = decode_record(document.to_string().as_bytes()).unwrap();
        assert_eq!(record.lifecycle.state, LifecycleState::Active);
        assert!(record.lifecycle.relaunchable);
        assert_eq!(record.session.as_deref(), Some("HOUMAO-gpu-1"));
        assert_eq!(record.last_session, "HOUMAO-gpu-1");
        assert_eq!(record.lifecycle.updated_at, record.lease.unwrap().published_at);
        let written = encode_record(&record).unwrap();
        assert_valid(RECORD_SCHEMA, &written);
        let written: Value = serde_json::from_slice(&written).unwrap();
        assert_eq!(written["schema_version"], 3);
        assert_eq!(written["liveness"]["lease_expires_at"], "2026-03-02T10:00:00+00:00");
    }
    let mut rootless = v2();
    rootless["runtime"]["session_root"] = Value::Null;
    assert!(!decode_record(rootless.to_string().as_bytes()).unwrap().lifecycle.relaunchable);
}

#[test]
fn both_kinds_of_mailbox_are_carried_along() {
    let filesystem = json!({"transport": "filesystem", "principal_id": "p", "address": "a@b", "filesystem_root": "/f",
        "bindings_version": "1"});
    let stalwart = json!({"transport": "stalwart", "principal_id": "p", "address": "a@b", "bindings_version": "1",
        "jmap_url": "http://j", "management_url": "http://m", "login_identity": "l", "credential_ref": "c"});
    for mailbox in [filesystem, stalwart] {
        let record = Record { mailbox: Some(Mailbox(mailbox.clone())), ..active("m") };
        let written = encode_record(&record).unwrap();
        assert_valid(RECORD_SCHEMA, &written);
        assert_eq!(decode_record(&written).unwrap(), record);
        let mut unknown = record.clone();
        unknown.mailbox = Some(Mailbox(json!({"transport": "pigeon"})));
        assert_eq!(encode_record(&unknown).unwrap_err().kind(), Kind::Invalid);
    }
}

#[test]
fn a_newer_schema_says_what_to_do() {
    let error = decode_record(br#"{"schema_version": 4, "anything": true}"#).unwrap_err();
    assert_eq!(error.kind(), Kind::Malformed);
    assert!(error.sentence().contains("newer program") && error.sentence().contains("use a newer troop"), "{error}");
}

#[test]
fn what_breaks_a_rule_is_not_written() {
    let stopped_without_time = {
        let mut record = active("a");
        record.lifecycle.state = LifecycleState::Stopped;
        record
    };
    let not_utf8 = {
        use std::os::unix::ffi::OsStrExt;
        Record { manifest_path: Path::new(std::ffi::OsStr::from_bytes(b"/\xff")).into(), ..active("a") }
    };
    for record in [
        stopped_without_time,
        not_utf8,
        Record { name: "no spaces".into(), ..active("a") },
        Record { id: AgentId("../../etc".into()), ..active("a") },
        Record { generation: " ".into(), ..active("a") },
        Record { session: None, ..active("a") },
        Record { lease: None, ..active("a") },
        Record { gateway: Some(Gateway { host: "1.2.3.4".into(), port: 1, state_path: "/s".into() }), ..active("a") },
    ] {
        assert_eq!(encode_record(&record).unwrap_err().kind(), Kind::Invalid, "{record:?}");
    }
}

fn second() -> impl Strategy<Value = Timestamp> {
    // Up to the year 9800, so that a lease still fits.
    (0_i64..247_000_000_000).prop_map(|second| Timestamp::from_second(second).unwrap())
}

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,20}[a-zà-ü\"\\\\]\\PC{0,20}"
}

fn token() -> impl Strategy<Value = String> {
    "[A-Za-z0-9][A-Za-z0-9_-]{0,40}"
}

fn backend() -> impl Strategy<Value = Backend> {
    use Backend::*;
    prop::sample::select(vec![
        LocalInteractive,
        CodexHeadless,
        CodexAppServer,
        ClaudeHeadless,
        KimiHeadless,
        CaoRest,
        HoumaoServerRest,
    ])
}

fn mailbox() -> impl Strategy<Value = Mailbox> {
    (text(), text(), text(), text()).prop_map(|(a, b, c, d)| {
        Mailbox(json!({"transport": "filesystem", "principal_id": a, "address": b, "filesystem_root": c, "bindings_version": d}))
    })
}

fn gateway() -> impl Strategy<Value = Gateway> {
    (prop::sample::select(vec!["127.0.0.1", "0.0.0.0"]), 1_u16.., text()).prop_map(|(host, port, path)| Gateway {
        host: host.to_owned(),
        port,
        state_path: path.into(),
    })
}

prop_compose! {
    fn any_record()(
        identity in (token(), token(), text(), backend(), text()),
        paths in (text(), prop::option::of(text()), prop::option::of(text())),
        sessions in (text(), text()),
        times in (second(), second(), second(), 1_i64..1_000_000),
        state in prop::sample::select(vec![
            LifecycleState::Active, LifecycleState::Relaunching, LifecycleState::Stopped, LifecycleState::Retired,
        ]),
        relaunchable in any::<bool>(),
        reason in prop::option::of(text()),
        gateway in prop::option::of(gateway()),
        mailbox in prop::option::of(mailbox()),
    ) -> Record {
        let live = state.is_live();
        let (updated_at, stopped_at, published_at, length) = times;
        Record {
            id: AgentId(identity.0.into()),
            name: identity.1,
            generation: identity.2.into(),
            lifecycle: Lifecycle {
                state,
                relaunchable: relaunchable && state != LifecycleState::Retired,
                updated_at,
                stopped_at: (!live).then_some(stopped_at),
                stop_reason: reason.filter(|_| !live),
            },
            backend: identity.3,
            tool: identity.4,
            manifest_path: PathBuf::from(paths.0).into(),
            session_root: paths.1.map(|path| PathBuf::from(path).into()),
            agent_def_dir: paths.2.map(|path| PathBuf::from(path).into()),
            session: live.then_some(sessions.0),
            last_session: sessions.1,
            lease: live.then(|| Lease {
                published_at,
                expires_at: published_at + jiff::SignedDuration::from_secs(length),
            }),
            gateway: gateway.filter(|_| live),
            mailbox,
        }
    }
}

proptest! {
    #[test]
    fn every_valid_record_survives_the_disk(record in any_record()) {
        let bytes = encode_record(&record).unwrap();
        assert_valid(RECORD_SCHEMA, &bytes);
        prop_assert_eq!(decode_record(&bytes).unwrap(), record);
        prop_assert_eq!(bytes.last(), Some(&b'\n'));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode_record(&bytes);
        let _ = troop::store::wire::external::decode(&bytes);
    }

    /// Damage to a real record is refused or harmless, and said in printable words.
    #[test]
    fn no_damage_panics(at in 0_usize..1200, byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = std::fs::read(data("samples/codex_local_interactive_gateway_attached/record.json")).unwrap();
        let at = at % bytes.len();
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        if let Err(error) = decode_record(&bytes) {
            prop_assert_eq!(error.kind(), Kind::Malformed);
            prop_assert!(!error.sentence().chars().any(char::is_control), "{}", error);
        }
    }

    #[test]
    fn stopping_and_retiring_keep_the_rules(record in any_record(), at in second()) {
        use troop::store::lifecycle::{retired, stopped};
        let gone = retired(&record, "cleanup_session", at);
        prop_assert_eq!(gone.lifecycle.state, LifecycleState::Retired);
        encode_record(&gone).unwrap();
        match stopped(&record, "operator_stop", at) {
            Ok(stopped) => {
                prop_assert_eq!(stopped.lifecycle.state, LifecycleState::Stopped);
                prop_assert_eq!(&stopped.last_session, record.session.as_ref().unwrap_or(&record.last_session));
                encode_record(&stopped).unwrap();
            }
            Err(error) => {
                prop_assert_eq!(record.lifecycle.state, LifecycleState::Retired);
                prop_assert_eq!(error.kind(), Kind::NotPermitted);
            }
        }
    }
}
