//! What `troop doctor` says of the disk.

use super::*;
use troop::store::wire::encode_record;
use troop::store::{Finding, Severity, doctor};

#[test]
fn a_registry_without_faults_has_no_findings() {
    let fixture = Fixture::new();
    assert_eq!(doctor::check(&fixture.registry, now()), []);
}

#[test]
fn each_fault_is_found_and_nothing_is_touched() {
    let fixture = Fixture::with_legacy();
    let sample = std::fs::read(data("samples/codex_local_interactive_gateway_attached/manifest.json")).unwrap();
    let plant = |record: &Record| fixture.plant(record.id.as_str(), &encode_record(record).unwrap());
    let manifest = |name: &str, bytes: &[u8]| {
        let path = fixture.base.join(format!("{name}.json"));
        std::fs::write(&path, bytes).unwrap();
        Record { manifest_path: path.into(), ..active(name) }
    };
    plant(&Record { manifest_path: fixture.base.join("absent.json").into(), ..active("absent") });
    plant(&manifest("torn", &sample[..100]));
    plant(&manifest("other", &sample));
    plant(&Record { manifest_path: fixture.base.join("other.json").into(), ..expired("late") });
    let retired = Record { manifest_path: Path::new("/not/looked/at").into(), ..active("retired") };
    plant(&troop::store::lifecycle::retired(&retired, "cleanup_session", now()));
    fixture.plant("broken", b"{");
    let stale = fixture.live_agents().join("broken/record.json.0123.tmp");
    std::fs::write(&stale, "").unwrap();
    let fresh = fixture.live_agents().join("broken/record.json.4567.tmp");
    let later: Timestamp = Timestamp::now() + jiff::SignedDuration::from_mins(2);
    std::fs::write(&fresh, "").unwrap();
    std::fs::File::open(&fresh).unwrap().set_modified(later.into()).unwrap();

    let findings = doctor::check(&fixture.registry, later);
    let found = |severity, path: &Path, word: &str| {
        assert!(
            findings.iter().any(|finding: &Finding| finding.severity == severity
                && finding.path == path
                && finding.sentence.contains(word)),
            "{word} at {} is not in {findings:#?}",
            path.display()
        );
    };
    found(Severity::Error, &fixture.base.join("absent.json"), "missing");
    found(Severity::Error, &fixture.base.join("torn.json"), "in the middle");
    found(Severity::Warning, &fixture.base.join("other.json"), "generation");
    found(Severity::Warning, &fixture.base.join("other.json"), "tool");
    found(Severity::Warning, &fixture.record_path(&active("late").id), "lease");
    found(Severity::Error, &fixture.live_agents().join("broken/record.json"), "EOF");
    found(Severity::Note, &stale, "temporary");
    found(Severity::Note, &fixture.base.join("legacy"), "older registry");
    assert!(!findings.iter().any(|finding| finding.path == fresh || finding.path == Path::new("/not/looked/at")));
    assert!(findings.is_sorted_by(|a, b| a.severity >= b.severity));
    assert!(stale.exists());
}
