//! `troop replay`: recordings through the tracker, verdicts or a score out.

use super::args::Replay;
use super::context::tools;
use super::print;
use crate::error::{Error, Kind, Result};
use crate::replay::{Frame, Score, Truth, frames, houmao, play};
use crate::tool::{Tool, Tools};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest recording that is read, in bytes.
const MAX_RECORDING: u64 = 1 << 30;

/// What a recording of the Houmao project keeps its samples in.
const HOUMAO: &str = "recording/pane_snapshots.ndjson";

/// Plays recordings, or scores them against the truth beside them.
pub(super) fn run(options: &Replay) -> Result<()> {
    let tools = tools(options.tools.as_deref());
    if options.score { score(options, &tools) } else { verdicts(options, &tools) }
}

fn verdicts(options: &Replay, tools: &Tools) -> Result<()> {
    let for_people = !options.json && std::io::stdout().is_terminal();
    for path in &options.files {
        let tool = tool(options, tools, path);
        let verdicts = play(&tool, &recording(path)?);
        print(|out| {
            for verdict in &verdicts {
                if for_people {
                    let rule = verdict.rule.as_deref().unwrap_or("-");
                    writeln!(out, "{:>6} {:>14.3} {:<9} {rule}", verdict.i, verdict.t, verdict.status.as_str())?;
                } else {
                    writeln!(out, "{}", serde_json::to_string(verdict)?)?;
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn score(options: &Replay, tools: &Tools) -> Result<()> {
    let mut scores: BTreeMap<(String, String), Score> = BTreeMap::new();
    let (labelled, files): (Vec<_>, Vec<_>) =
        recordings(&options.files)?.into_iter().partition(|path| path.join(HOUMAO).exists());
    if !labelled.is_empty() {
        labels(options, tools, &labelled)?;
    }
    for path in files {
        let tool = tool(options, tools, &path);
        let truth_path = path.with_extension("truth.json");
        let truth = Truth::parse(&read(&truth_path)?).map_err(|error| at(&truth_path, error))?;
        let scenario = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let verdicts = play(&tool, &recording(&path)?);
        let label =
            path.parent().and_then(Path::file_name).map_or(tool.name.clone(), |dir| dir.to_string_lossy().into_owned());
        scores.entry((label, scenario)).or_default().add(truth.score(&verdicts));
    }
    if options.json {
        let rows: Vec<_> = scores
            .iter()
            .map(|((tool, scenario), score)| serde_json::json!({"tool": tool, "scenario": scenario, "score": score}))
            .collect();
        return print(|out| writeln!(out, "{}", serde_json::to_string_pretty(&rows)?));
    }
    if scores.is_empty() {
        return Ok(());
    }
    let mut totals: BTreeMap<&str, Score> = BTreeMap::new();
    for ((tool, _), score) in &scores {
        totals.entry(tool).or_default().add(score.clone());
    }
    print(|out| {
        writeln!(
            out,
            "| tool | scenario | frames | right % | wrong ready | wrong active | changes | missed | median s | p95 s |"
        )?;
        writeln!(out, "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|")?;
        for ((tool, scenario), score) in &scores {
            row(out, tool, scenario, score)?;
        }
        for (tool, score) in &totals {
            row(out, tool, "**all**", score)?;
        }
        if options.wrong {
            for ((tool, scenario), score) in &scores {
                for line in &score.wrong {
                    writeln!(out, "{tool}/{scenario}: {line}")?;
                }
            }
        }
        Ok(())
    })
}

/// Prints how recordings of the Houmao project compare with their labels.
fn labels(options: &Replay, tools: &Tools, paths: &[PathBuf]) -> Result<()> {
    let mut rows = Vec::new();
    for path in paths {
        let file = |name: &str| read(&path.join(name));
        let files = houmao::Files {
            snapshots: file(HOUMAO)?,
            inputs: file("recording/input_events.ndjson")?,
            runtime: file("runtime_observations.ndjson")?,
            labels: file("recording/labels.json")?,
        };
        let segments = houmao::compare(&tool(options, tools, path), &files).map_err(|error| at(path, error))?;
        rows.push((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), segments));
    }
    print(|out| {
        writeln!(out, "| recording | labels | all seven agree | fields | agree |")?;
        writeln!(out, "|---|---:|---:|---:|---:|")?;
        for (name, segments) in &rows {
            let whole = segments.iter().filter(|segment| segment.differs.is_empty()).count();
            let fields: usize = segments.iter().map(|segment| segment.fields).sum();
            let differ: usize = segments.iter().map(|segment| segment.differs.len()).sum();
            writeln!(out, "| {name} | {} | {whole} | {fields} | {} |", segments.len(), fields - differ)?;
        }
        if options.wrong {
            for (name, segments) in &rows {
                for segment in segments {
                    for (field, label, is) in &segment.differs {
                        writeln!(
                            out,
                            "{name} {} {}: {field} label {label}, troop {is}",
                            segment.label, segment.sample
                        )?;
                    }
                }
            }
        }
        Ok(())
    })
}

fn row(out: &mut dyn Write, tool: &str, scenario: &str, score: &Score) -> std::io::Result<()> {
    let delay = |part| score.delay(part).map_or("-".to_owned(), |seconds| format!("{seconds:.2}"));
    writeln!(
        out,
        "| {tool} | {scenario} | {} | {:.2} | {} | {} | {} | {} | {} | {} |",
        score.frames,
        score.accuracy(),
        score.wrong_ready,
        score.wrong_active,
        score.edges.len(),
        score.missed(),
        delay(0.5),
        delay(0.95)
    )
}

/// The tool that was named, or the one the recording's directory is named after.
fn tool(options: &Replay, tools: &Tools, path: &Path) -> Arc<Tool> {
    let named = options.tool.clone().or_else(|| Some(path.parent()?.file_name()?.to_string_lossy().into_owned()));
    let name = named.unwrap_or_default();
    if tools.get(&name).is_none() {
        super::say(&format!(
            "troop: there is no tool {name:?}, so {} is played as {:?}",
            path.display(),
            crate::tool::GENERIC
        ));
    }
    tools.get_or_generic(&name).clone()
}

/// The recordings among `paths`: files as they are, directories down to what has a truth beside it.
fn recordings(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        if !path.is_dir() || path.join(HOUMAO).exists() {
            found.push(path.clone());
            continue;
        }
        let failed = |error: std::io::Error| Error::io(format!("cannot list {}", path.display()), &error);
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?.path();
            let scored =
                entry.extension().is_some_and(|end| end == "jsonl") && entry.with_extension("truth.json").exists();
            if entry.is_dir() || scored {
                inside.push(entry);
            }
        }
        inside.sort();
        found.extend(recordings(&inside)?);
    }
    Ok(found)
}

fn recording(path: &Path) -> Result<Vec<Frame>> {
    frames(&read(path)?).map_err(|error| at(path, error))
}

fn read(path: &Path) -> Result<String> {
    let failed = |error: std::io::Error| Error::io(format!("cannot read {}", path.display()), &error);
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_RECORDING {
        return Err(Error::new(
            Kind::TooLarge,
            format!("{} has {size} bytes; {MAX_RECORDING} is the limit", path.display()),
        ));
    }
    std::fs::read_to_string(path).map_err(failed)
}

fn at(path: &Path, error: Error) -> Error {
    error.while_doing(format!("cannot use {}", path.display()))
}
