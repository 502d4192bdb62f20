//! The tracker on recordings of real programs whose truth is known (`shared/testdata`), on saved screens, and on
//! screens that no program would paint.

use crate::support::skip::shared;
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use troop::model::{Screen, Status};
use troop::replay::{Frame, Score, Truth, Verdict, frames, play};
use troop::tool::{Sight, Tool, Tools};

/// Set to write the timelines anew.
const UPDATE: &str = "TROOP_UPDATE_TIMELINES";
/// How many seconds the fuzzing of screens and definitions takes, each.
const FUZZ_SECONDS: &str = "TROOP_FUZZ_SECONDS";
/// The programs that were recorded, by directory.
const RECORDED: [&str; 8] = ["aider", "claude", "codex", "gemini", "kimi", "kimicode", "opencode", "qwen"];

/// How many frames of opencode have to be right, in per cent: what its screen shows comes late, see below.
const OPENCODE: f64 = 90.0;

/// Recordings whose truth is wrong on its face, and what the screen shows meanwhile.
const WRONG_TRUTH: [(&str, &str, &str); 3] = [
    ("aider", "approval", "busy for 14 s to the end, at an empty prompt and without a request"),
    ("kimicode", "question", "busy for 18 s to the end, in a dialog that asks whether to submit the answers"),
    ("qwen", "drop", "idle for 1 s while it tries again, with two more requests"),
];

/// Saved screens that show something else than their label says.
const WRONG_LABEL: [(&str, &str, &str); 7] = [
    ("aider", "busy_waiting", "its prompt was taken for another request and answered at once: an empty prompt"),
    ("aider", "busy_stalled", "the same"),
    ("aider", "busy_thinking", "the same"),
    ("aider", "busy_draft", "the same: a draft"),
    ("aider", "approval_shell", "the same: an empty prompt"),
    ("kimicode", "approval_write", "a composer and no dialog"),
    ("opencode", "long_output", "its bar still runs"),
];

static TOOLS: LazyLock<Tools> = LazyLock::new(|| {
    let (tools, errors) = Tools::with_overrides(&[]);
    assert!(errors.is_empty(), "{errors:?}");
    tools
});

struct Recording {
    scenario: String,
    frames: Vec<Frame>,
    truth: Truth,
}

fn recordings(program: &str) -> Option<Vec<Recording>> {
    let directory = shared(&format!("testdata/agents/{program}"))?;
    let mut paths: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        path.extension().is_some_and(|end| end == "jsonl") && path.with_extension("truth.json").exists()
    });
    paths.sort();
    let recording = |path: PathBuf| Recording {
        scenario: path.file_stem().unwrap().to_string_lossy().into_owned(),
        frames: frames(&fs::read_to_string(&path).unwrap()).unwrap(),
        truth: Truth::parse(&fs::read_to_string(path.with_extension("truth.json")).unwrap()).unwrap(),
    };
    Some(paths.into_iter().map(recording).collect())
}

fn tool(program: &str) -> &'static Tool {
    TOOLS.get(program).unwrap()
}

/// Where the status changes: seconds from the first frame, status and the rule that decided.
fn timeline(verdicts: &[Verdict]) -> String {
    let start = verdicts.first().map_or(0.0, |first| first.t);
    let mut lines = String::new();
    let mut last = None;
    for verdict in verdicts {
        if last != Some(verdict.status) {
            let rule = verdict.rule.as_deref().unwrap_or("-");
            lines += &format!("{:>6.1}  {:<8}  {rule}\n", verdict.t - start, verdict.status.as_str());
            last = Some(verdict.status);
        }
    }
    lines
}

#[test]
fn recorded_programs_are_understood() {
    for program in RECORDED {
        let Some(recordings) = recordings(program) else { return };
        let mut all = Score::default();
        for Recording { scenario, frames, truth } in recordings {
            if WRONG_TRUTH.iter().any(|(of, name, _)| (*of, *name) == (program, &scenario)) {
                continue;
            }
            let score = truth.score(&play(tool(program), &frames));
            // The machine that recorded opencode was so busy that a prompt stood in the composer for seconds after Enter.
            // A screen cannot tell; nothing is typed into a draft.
            let ready = score.wrong.iter().filter(|wrong| wrong.contains("but ready"));
            let blind: Vec<_> =
                ready.filter(|wrong| program != "opencode" || !wrong.contains("composer-draft")).collect();
            assert!(blind.is_empty(), "{program}/{scenario} says ready at work: {blind:?}");
            all.add(score);
        }
        let expected = if program == "opencode" { OPENCODE } else { 99.0 };
        assert!(
            all.accuracy() >= expected,
            "{program}: {:.2} % of the frames are right: {:#?}",
            all.accuracy(),
            all.wrong
        );
        if program == "opencode" {
            continue;
        }
        let (median, p95) = (all.delay(0.5).unwrap(), all.delay(0.95).unwrap());
        assert!(median < 0.35 && p95 < 1.5, "{program}: changes are seen after {median:.2} s, 95 of 100 {p95:.2} s");
    }
}

#[test]
fn recorded_programs_have_these_timelines() {
    for program in RECORDED {
        let Some(recordings) = recordings(program) else { return };
        let mut text = String::new();
        for Recording { scenario, frames, .. } in recordings {
            let verdicts = play(tool(program), &frames);
            assert_eq!(verdicts, play(tool(program), &frames), "{program}/{scenario}: played twice, said differently");
            text += &format!("{scenario}\n{}\n", timeline(&verdicts));
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/timelines/{program}.txt"));
        if std::env::var_os(UPDATE).is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &text).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == text,
            "{program} is told otherwise than before; look at what changed in {} with {UPDATE}=1",
            path.display()
        );
    }
}

/// A program that nobody has described: stillness and a few rules must not call work ready either.
#[test]
fn a_program_without_a_definition_is_never_ready_at_work() {
    for program in RECORDED {
        let Some(recordings) = recordings(program) else { return };
        for Recording { scenario, frames, truth } in recordings {
            // opencode, see above; and aider shows nothing at all for 0.9 s between Enter and its spinner.
            if matches!(program, "opencode" | "aider") {
                continue;
            }
            let score = truth.score(&play(tool("generic"), &frames));
            assert_eq!(score.wrong_ready, 0, "{program}/{scenario}: {:?}", score.wrong);
        }
    }
}

/// What a label of a saved screen means for its status, where it means one thing.
fn expected(state: &str) -> Option<Status> {
    let ready = ["idle_fresh", "draft_cleared", "just_finished", "markdown", "trap_idle", "resumed", "long_output"];
    let draft = ["typed_draft", "typed_draft_multiline", "typed_draft_big"];
    let active = ["busy_waiting", "busy_thinking", "busy_stalled", "busy_draft"];
    match state {
        _ if ready.contains(&state) || draft.contains(&state) => Some(Status::Ready),
        _ if active.contains(&state) => Some(Status::Active),
        _ if state.starts_with("approval_") && state != "approval_rejected" => Some(Status::Blocked),
        "question" | "trust" => Some(Status::Blocked),
        _ => None,
    }
}

#[test]
fn saved_screens_say_what_their_labels_say() {
    let mut wrong = Vec::new();
    for program in RECORDED {
        let Some(directory) = shared(&format!("testdata/screens/{program}")) else { return };
        let labels = fs::read_to_string(directory.join("labels.jsonl")).unwrap();
        for label in labels.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()) {
            let text = |key: &str| label[key].as_str().unwrap_or_default();
            let Some(status) = expected(text("state")).filter(|_| text("dead") == "0") else { continue };
            if WRONG_LABEL.iter().any(|(of, name, _)| (*of, *name) == (program, text("state"))) {
                continue;
            }
            let screen = Screen::parse(&fs::read(directory.join(text("file"))).unwrap());
            let cursor = (text("cx").parse().unwrap(), text("cy").parse().unwrap());
            let found = tool(program)
                .find(&Sight::new(text("title"), &screen.text, &screen.ansi, cursor, text("cursor") == "1"), None);
            let deciding =
                found.iter().find(|f| f.shows.is_posture() && !f.moving && !(f.source == "title" && f.shows.is_idle()));
            let said = deciding.map(|found| match found.shows {
                shows if shows.is_idle() => Status::Ready,
                shows if shows.is_blocked() => Status::Blocked,
                troop::tool::Shows::Active => Status::Active,
                _ => Status::Unknown,
            });
            if said != Some(status) {
                wrong.push(format!("{program}/{}: {status} but {said:?}", text("state")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Bytes made of parts of real screens and definitions and of noise.
fn mutated(seeds: &[Vec<u8>], random: &mut impl FnMut(usize) -> usize) -> Vec<u8> {
    let mut bytes = seeds[random(seeds.len())].clone();
    for _ in 0..=random(12) {
        let (at, len) = (random(bytes.len() + 1), random(200));
        let end = (at + len).min(bytes.len());
        match random(4) {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let other = &seeds[random(seeds.len())];
                let from = random(other.len() + 1);
                let part = other[from..(from + len).min(other.len())].to_vec();
                bytes.splice(at..at, part);
            }
            2 => drop(bytes.splice(at..end, (0..len % 9).map(|_| random(256) as u8).collect::<Vec<_>>())),
            _ => bytes.extend_from_slice(b"\x1b[38;2;1;2;3m\x1b]8;;x\x07\xe2\x9d\xaf"),
        }
    }
    bytes
}

/// Runs `on` with mutations of `seeds` for as long as [`FUZZ_SECONDS`] says, at least some hundred times.
fn fuzz(seeds: &[Vec<u8>], mut on: impl FnMut(&[u8])) {
    let seconds = std::env::var(FUZZ_SECONDS).ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 11).unwrap() % below.max(1)
    };
    let (start, mut count) = (Instant::now(), 0);
    while count < 200 || start.elapsed() < Duration::from_secs(seconds) {
        on(&mutated(seeds, &mut random));
        count += 1;
    }
}

#[test]
fn any_screen_is_read() {
    let mut seeds = vec![b"\x1b[1mready\x1b[0m\n> \n".to_vec()];
    for program in RECORDED {
        let Some(directory) = shared(&format!("testdata/screens/{program}")) else { break };
        let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        seeds.extend(
            paths.filter(|path| path.extension().is_some_and(|end| end == "esc")).map(|path| fs::read(path).unwrap()),
        );
    }
    fuzz(&seeds, |bytes| {
        let screen = Screen::parse(bytes);
        for tool in TOOLS.iter() {
            let sight = Sight::new("", &screen.text, &screen.ansi, (3, 7), true);
            for found in tool.find(&sight, None) {
                assert!(!found.shows.is_blocked() || tool.question(&sight, &found).choices.len() <= 20);
            }
        }
    });
}

#[test]
fn any_definition_is_understood_or_refused_in_a_sentence() {
    let seeds: Vec<Vec<u8>> = TOOLS.iter().map(|tool| tool.text.as_bytes().to_vec()).collect();
    fuzz(&seeds, |bytes| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let (tools, errors) = Tools::with_overrides(&[("fuzzed.toml".to_owned(), text)]);
        assert!(tools.get("claude").is_some());
        assert!(
            errors.iter().all(|error| error.sentence().contains("fuzzed.toml") && !error.sentence().contains('\n')),
            "{errors:?}"
        );
    });
}

proptest! {
    #[test]
    fn any_lines_are_a_recording_or_not(text: String) {
        if let Ok(frames) = frames(&text) {
            play(tool("claude"), &frames);
        }
        let _ = Truth::parse(&text);
    }

    /// Frames with any time, in any order.
    #[test]
    fn any_clock_is_survived(times: Vec<f64>) {
        let line = |(i, t): (usize, &f64)| format!(r#"{{"i":{i},"t":{},"meta":{{"w":"80","h":"24"}},"esc":"❯ {i}"}}"#, if t.is_finite() { *t } else { 0.0 });
        let text: Vec<String> = times.iter().enumerate().map(line).collect();
        let frames = frames(&text.join("\n")).unwrap();
        prop_assert_eq!(play(tool("claude"), &frames).len(), times.len());
    }
}
