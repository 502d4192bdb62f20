//! A thousand records, fifty of them malformed in fifty ways.

use super::hostile::wrong_bytes;
use crate::semantics::{plant, record};
use crate::support::Sandbox;
use crate::support::sandbox::troop_bin;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Plants as many records, the first of them wrong in as many ways; gives all files by path.
fn plant_many(sandbox: &Sandbox, all: usize, wrong: usize) -> BTreeMap<PathBuf, Vec<u8>> {
    let bad = wrong_bytes();
    assert!(bad.len() >= wrong);
    (0..all)
        .map(|n| {
            let id = format!("id{n:04}");
            let bytes = match bad.get(n).filter(|_| n < wrong) {
                Some((bytes, _)) => bytes.clone(),
                None => {
                    record(&id, &format!("agent-{n:04}"), "no-such-session", sandbox.path()).to_string().into_bytes()
                }
            };
            (plant(sandbox, &id, &bytes), bytes)
        })
        .collect()
}

#[test]
fn fifty_malformed_records_of_a_thousand_are_named_and_kept() {
    let (all, wrong) = (1000, 50);
    let sandbox = Sandbox::new();
    let planted = plant_many(&sandbox, all, wrong);
    let troop = |args: &[&str]| {
        let output = sandbox.command(troop_bin()).args(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, out, err) = troop(&["list", "--json"]);
    let rows: Vec<Value> = serde_json::from_str(&out).unwrap();
    assert_eq!((code, rows.len()), (Some(0), all - wrong), "{err}");
    assert_eq!(err, format!("troop: {wrong} files could not be understood; see troop doctor\n"));

    let (code, out, _) = troop(&["doctor", "--json"]);
    assert_eq!(code, Some(1));
    let findings: Vec<Value> = serde_json::from_str(&out).unwrap();
    let sentences = |path: &PathBuf| -> Vec<&str> {
        let of_path = findings.iter().filter(|finding| finding["path"].as_str() == path.to_str());
        of_path.map(|finding| finding["sentence"].as_str().unwrap()).collect()
    };
    for ((path, _), (_, word)) in planted.iter().zip(wrong_bytes()).take(wrong) {
        let said = sentences(path);
        assert!(said.len() == 1 && said[0].contains(word), "{}: {said:?} says nothing of {word}", path.display());
    }
    assert!(planted.keys().skip(wrong).all(|path| sentences(path).is_empty()));
    for (path, bytes) in &planted {
        assert!(std::fs::read(path).unwrap() == *bytes, "{} is another", path.display());
    }
}
