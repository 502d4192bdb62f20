//! `troop gc`: takes away what nobody needs any more, in all Homes or in one.

use super::args::Common;
use super::context::Context;
use crate::daemon::{Sweep, has_changed};
use crate::engine::gc::{Action, Found, Line, plan};
use crate::error::Result;
use crate::fuse::mount;
use crate::store::gc::bytes;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long the work takes before a terminal shows how far it has come.
const QUIET: Duration = Duration::from_secs(1);
/// How often it moves while one step takes long.
const TICK: Duration = Duration::from_millis(100);
const LOOKING: &str = "{spinner} {wide_msg}";
const BAR: &str = "{bar:30} {pos}/{len} {wide_msg}";

/// What was done, or would be.
#[derive(Serialize)]
struct Report {
    dry_run: bool,
    /// How many lines take something away, keep it, and could not be carried out.
    removed: usize,
    kept: usize,
    failed: usize,
    /// Of the files that are taken away.
    bytes: u64,
    lines: Vec<Row>,
}

/// One line of the list.
#[derive(Serialize)]
struct Row {
    /// keep; remove files, forget a Home, or detach a mount; failed
    action: &'static str,
    name: Option<String>,
    home: Option<String>,
    path: String,
    reason: String,
    bytes: u64,
}

/// Prints what is done about everything there is, and does it unless `dry_run`. The first of what could not be done is the error.
pub(super) fn run(common: &Common, age: SignedDuration, dry_run: bool, json: bool) -> Result<()> {
    let context = Context::new(common)?;
    // Whoever names a Home, by option or variable, means that one.
    let only = context.is_home_named.then_some(context.settings.roots.home.as_path());
    let progress = Progress::new();
    let mut sweep = Sweep::new(&context.settings, only);
    let mut found = sweep.look()?;
    if only.is_none() {
        found.extend(mounts());
    }
    let lines = plan(found, age, Timestamp::now());
    progress.begin(lines.len());
    let mut report = Report { dry_run, removed: 0, kept: 0, failed: 0, bytes: 0, lines: Vec::new() };
    let mut first = Ok(());
    for line in lines {
        progress.next(&line);
        let mut row = row(&line);
        if !dry_run {
            match carry_out(&sweep, &line) {
                Ok(()) => {}
                Err(error) if has_changed(&error) => (row.action, row.reason) = ("keep", error.to_string()),
                Err(error) => {
                    (row.action, row.reason) = ("failed", error.to_string());
                    first = first.and(Err(error));
                }
            }
        }
        report.add(row);
    }
    progress.end();
    super::print(|out| {
        if json {
            serde_json::to_writer_pretty(&mut *out, &report)?;
            return writeln!(out);
        }
        for row in &report.lines {
            // Of an agent its Home says more than the path of its record.
            let place = match (&row.name, &row.home) {
                (Some(name), Some(home)) => format!("{name}  {home}"),
                (Some(name), None) => format!("{name}  {}", row.path),
                (None, _) => row.path.clone(),
            };
            let line = format!("{:7} {place}: {}", row.action, row.reason);
            writeln!(out, "{}", line.replace(char::is_control, "?"))?;
        }
        writeln!(out, "{}", report.sum())
    })?;
    first
}

impl Report {
    fn add(&mut self, mut row: Row) {
        match row.action {
            "keep" => self.kept += 1,
            "failed" => self.failed += 1,
            _ => self.removed += 1,
        }
        if row.action != "remove" {
            row.bytes = 0;
        }
        self.bytes += row.bytes;
        self.lines.push(row);
    }

    fn sum(&self) -> String {
        if self.lines.is_empty() {
            return "there is nothing".to_owned();
        }
        let failed = if self.failed == 0 { String::new() } else { format!(", {} failed", self.failed) };
        let goes = if self.dry_run { "would go" } else { "gone" };
        format!("{} {goes} ({}), {} kept{failed}", self.removed, indicatif::BinaryBytes(self.bytes), self.kept)
    }
}

fn row(line: &Line) -> Row {
    let (action, goes) = match &line.action {
        Action::Keep => ("keep", None),
        Action::Forget => ("forget", None),
        Action::Detach => ("detach", None),
        Action::Clear | Action::RemoveRoot { whole: true, .. } => ("remove", Some(line.path.clone())),
        Action::RemoveRoot { whole: false, .. } => ("remove", Some(crate::store::lock::our_directory(&line.path))),
        Action::RemoveAgent { root, .. } => ("remove", root.clone()),
    };
    Row {
        action,
        name: line.name.clone(),
        home: line.home.as_ref().map(|home| home.display().to_string()),
        path: line.path.display().to_string(),
        reason: line.reason.clone(),
        bytes: goes.map_or(0, |path| bytes(&path)),
    }
}

fn carry_out(sweep: &Sweep<'_>, line: &Line) -> Result<()> {
    match line.action {
        Action::Detach => mount::detach_dead(&line.path),
        _ => sweep.carry_out(line),
    }
}

/// The mounts of this user.
fn mounts() -> Vec<Found> {
    let pulses = mount::pulses().unwrap_or_else(|error| {
        super::say(&format!("troop: {error}"));
        Vec::new()
    });
    pulses.into_iter().map(|(path, pulse)| Found::Mount { path, pulse }).collect()
}

/// How far the work has come, on a terminal that waits for it longer than [`QUIET`].
struct Progress {
    bar: ProgressBar,
    /// Shows the bar when the time has come, and ends when the sender is dropped.
    shows: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    fn new() -> Self {
        let bar = ProgressBar::hidden().with_message("looking at records, sessions and Homes");
        set_style(&bar, LOOKING);
        let (done, waits) = channel();
        let shown = bar.clone();
        let show = move || {
            if waits.recv_timeout(QUIET) == Err(RecvTimeoutError::Timeout) {
                shown.set_draw_target(ProgressDrawTarget::stderr());
                shown.enable_steady_tick(TICK);
            }
        };
        let shows = std::io::stderr().is_terminal().then(|| std::thread::spawn(show));
        Self { bar, shows: shows.map(|thread| (done, thread)) }
    }

    fn begin(&self, all: usize) {
        self.bar.set_length(all.try_into().unwrap_or(u64::MAX));
        set_style(&self.bar, BAR);
    }

    fn next(&self, line: &Line) {
        self.bar.set_message(line.path.display().to_string().replace(char::is_control, "?"));
        self.bar.inc(1);
    }

    fn end(mut self) {
        if let Some((done, thread)) = self.shows.take() {
            drop(done);
            // It ends at once, and only a panic of its own could have kept it from that.
            let _ = thread.join();
        }
        self.bar.finish_and_clear();
    }
}

fn set_style(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}
