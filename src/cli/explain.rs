//! `troop explain`: the evidence behind a status, live or on a saved screen.

use super::args::Common;
use super::context::{Context, tools};
use super::print;
use crate::error::{Error, Kind, Result};
use crate::model::Screen;
use crate::tool::Sight;
use std::path::Path;

/// The largest saved screen that is read, in bytes.
const MAX_SCREEN: u64 = 16 << 20;

/// Prints what the mounted `explain` shows, and the question when there is one.
pub(super) fn agent(common: &Common, name: &str) -> Result<()> {
    let context = Context::new(common)?;
    let (_daemon, _, view) = context.one(name)?;
    let question = view.evidence.question();
    print(|out| {
        out.write_all(view.evidence.explain(&view.state).as_bytes())?;
        if question.is_empty() { Ok(()) } else { write!(out, "\n{question}") }
    })
}

/// Asks a tool's rules about one saved screen: each rule that matches, the one that decides first.
pub(super) fn screen(path: &Path, tool: &str, title: &str, dir: Option<&Path>) -> Result<()> {
    let tools = tools(dir);
    let tool = tools.get(tool).ok_or_else(|| {
        let known: Vec<&str> = tools.texts().map(|(name, _)| name).collect();
        Error::new(Kind::NotFound, format!("there is no tool {tool:?}; the tools are {}", known.join(", ")))
    })?;
    let failed = |error: std::io::Error| Error::io(format!("cannot read the screen {}", path.display()), &error);
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_SCREEN {
        return Err(Error::new(
            Kind::TooLarge,
            format!("{} has {size} bytes, which is no screen; {MAX_SCREEN} is the limit", path.display()),
        ));
    }
    let screen = Screen::parse(&std::fs::read(path).map_err(failed)?);
    let rows = u16::try_from(screen.text.lines().count().saturating_sub(1)).unwrap_or(u16::MAX);
    let sight = Sight::new(title, &screen.text, &screen.ansi, (0, rows), true);
    let found = tool.find(&sight, None);
    print(|out| {
        if found.is_empty() {
            writeln!(out, "unknown: no rule of {} matches", tool.name)?;
        }
        for found in &found {
            writeln!(
                out,
                "{}: {} rule {} (priority {})",
                found.shows.as_str(),
                found.source,
                found.rule,
                found.priority
            )?;
            for line in &found.lines {
                writeln!(out, "  | {line}")?;
            }
        }
        let asks = found.iter().find(|found| found.shows.is_posture()).filter(|found| found.shows.is_blocked());
        if let Some(asks) = asks {
            let question = Some(tool.question(&sight, asks));
            write!(out, "\n{}", crate::model::Evidence { question, ..Default::default() }.question())?;
        }
        Ok(())
    })
}
