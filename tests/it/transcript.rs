//! The readers of the tools' own logs, on what real programs wrote beside their screens (`shared/testdata`).

use crate::support::skip::shared;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use troop::model::transcript::Format;
use troop::model::{Transcript, TurnOutcome};
use troop::transcript::Log;

/// The programs, how they write, and what the names of their logs end with.
const PROGRAMS: [(&str, Format, &str); 6] = [
    ("claude", Format::Claude, ".jsonl"),
    ("codex", Format::Codex, ".jsonl"),
    ("gemini", Format::Gemini, ".jsonl"),
    ("qwen", Format::Qwen, ".jsonl"),
    ("kimi", Format::Kimi, "/wire.jsonl"),
    ("kimicode", Format::KimiCode, "/wire.jsonl"),
];

/// The second prompt of the scenario `queued`.
const SECOND: &str = "second mock.say.second-reply mock.wait.1500";

/// What was asked in a recording.
struct Asked {
    at: Timestamp,
    prompt: String,
    /// What became of it, in the words of the truth: the state at the end and what that came after.
    end: String,
}

fn asked(scenario: &str, truth: &Value) -> Vec<Asked> {
    let last = truth["spans"].as_array().unwrap().last().unwrap();
    let end = format!("{} {}", last["state"].as_str().unwrap(), last["after"].as_str().unwrap());
    let mut prompt = String::new();
    let mut all = Vec::new();
    for mark in truth["marks"].as_array().unwrap() {
        match mark["what"].as_str().unwrap() {
            "draft" => prompt = format!("{scenario} {}", mark["text"].as_str().unwrap()),
            "draft_while_busy" => SECOND.clone_into(&mut prompt),
            "submit" | "submit_while_busy" => {
                let at = Timestamp::from_microsecond((mark["t"].as_f64().unwrap() * 1e6) as i64).unwrap();
                all.push(Asked { at, prompt: prompt.clone(), end: end.clone() });
            }
            _ => {}
        }
    }
    all
}

/// Whether the model server's script for that prompt ends with these words.
fn is_answer(prompt: &str, answer: &str) -> bool {
    let last = prompt.split(' ').rfind(|word| !word.starts_with("mock.wait")).unwrap();
    let words: Vec<&str> = answer.split_whitespace().collect();
    match last.split('.').collect::<Vec<_>>()[..] {
        ["mock", "say", say] => words == say.split('-').collect::<Vec<_>>(),
        ["mock", "text", count, _] => words.len().to_string() == count && words.starts_with(&["the", "quick"]),
        ["mock", "trap"] => answer.starts_with("Here is a screen") && answer.contains("esc to interrupt"),
        _ => panic!("{prompt}"),
    }
}

/// Writes what a recording holds of each log, and reads it.
fn logs(path: &Path, format: Format, end: &str, into: &Path) -> Vec<Transcript> {
    let mut files: BTreeMap<PathBuf, fs::File> = BTreeMap::new();
    let mut logs: BTreeMap<PathBuf, Log> = BTreeMap::new();
    for line in fs::read_to_string(path).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let (name, Some(data)) = (line["file"].as_str().unwrap(), line["data"].as_str()) else { continue };
        if !name.ends_with(end) {
            continue;
        }
        let at = into.join(name.replace('/', "_"));
        let file = files.entry(at.clone()).or_insert_with(|| fs::File::create(&at).unwrap());
        let log = logs.entry(at.clone()).or_insert_with(|| Log::new(at, format));
        // In two parts, so that a torn line is met at every line.
        let half = data.floor_char_boundary(data.len() / 2);
        file.write_all(&data.as_bytes()[..half]).unwrap();
        log.refresh();
        writeln!(file, "{}", &data[half..]).unwrap();
        log.refresh();
    }
    logs.values().map(Log::transcript).collect()
}

/// Prompts of which the log does not say what the truth says, the outcome that it gives, and why.
const OTHERWISE: [(&str, &str, Option<TurnOutcome>, &str); 4] = [
    (
        "codex",
        "queued mock.",
        None,
        "a prompt given at work is taken into the turn, whose answer is that of the second",
    ),
    ("qwen", "drop mock.", Some(TurnOutcome::Success), "it tries again, and the answer to that is an answer"),
    ("qwen", "error-401 mock.", None, "it writes down each failed request, and not that it gives up"),
    ("qwen", "error-500 mock.", None, "the same, until it is interrupted"),
];

#[test]
fn what_real_programs_write_is_understood() {
    let mut read = 0;
    let mut wrong = Vec::new();
    for (program, format, end) in PROGRAMS {
        let Some(directory) = shared(&format!("testdata/agents/{program}")) else { return };
        let mut paths: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.to_string_lossy().ends_with(".side.jsonl"));
        paths.sort();
        for path in paths {
            let scenario = path.file_name().unwrap().to_str().unwrap().strip_suffix(".side.jsonl").unwrap();
            let truth = fs::read_to_string(path.with_file_name(format!("{scenario}.truth.json"))).unwrap();
            let into = tempfile::tempdir().unwrap();
            let logs = logs(&path, format, end, into.path());
            for Asked { at, prompt, end } in asked(scenario, &serde_json::from_str(&truth).unwrap()) {
                let found: Vec<_> = logs.iter().filter_map(|log| log.answer_to(&prompt, at)).collect();
                let name = format!("{program}/{scenario} {prompt:?} {end}");
                read += 1;
                let [exchange] = found[..] else {
                    wrong.push(format!("{name}: in {} logs", found.len()));
                    continue;
                };
                let otherwise = OTHERWISE.iter().find(|it| it.0 == program && prompt.starts_with(it.1));
                // Nothing in Gemini's log says that a turn has succeeded.
                let expected = match &*end {
                    _ if otherwise.is_some() => otherwise.unwrap().2,
                    "idle finished" => (program != "gemini").then_some(TurnOutcome::Success),
                    "idle interrupted" => Some(TurnOutcome::Interrupted),
                    "idle error" => Some(TurnOutcome::KnownFailure),
                    _ => None,
                };
                if exchange.ended != expected
                    || (otherwise.is_none() && end == "idle finished" && !is_answer(&prompt, &exchange.answer))
                {
                    wrong.push(format!("{name}: {:?} {:?} {:?}", exchange.ended, exchange.is_over, exchange.answer));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "of {read} prompts: {wrong:#?}");
    assert!(read > 80, "only {read} prompts");
}
