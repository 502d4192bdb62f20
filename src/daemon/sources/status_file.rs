//! The file in which a program keeps its own status, whoever launched it.

use super::super::clock::now;
use super::place::{Place, Places};
use super::{Follow, News};
use crate::process;
use crate::store::reports::read_status;
use crate::tool::{StatusFile, Tool};
use crate::tracker::Report;
use std::path::Path;
use std::sync::Arc;

/// What the evidence calls it.
const NAME: &str = "status file";

pub(super) struct Source {
    tool: Arc<Tool>,
    /// Where each program keeps it, and when that program started: a program may run under another that has its name
    /// and keeps none.
    files: Vec<(Place, u64)>,
    last: Option<Report>,
}

impl Source {
    pub(super) fn of(follow: &Follow, places: &Places) -> Option<Self> {
        let definition = follow.tool.status_file.as_ref()?;
        let file = |program: &crate::model::Process| {
            let path = definition.path(program.pid, |name| process::variable(program.pid, name))?;
            Some((places.hold(path)?, program.start_time))
        };
        let files = follow.programs.iter().filter_map(file).collect();
        Some(Self { tool: follow.tool.clone(), files, last: None })
    }

    fn report(&mut self, definition: &StatusFile) -> Option<Report> {
        let now = now();
        let said = self.files.iter_mut().find_map(|(place, start_time)| {
            let bytes = read_status(place.settle()?)?;
            definition.read(&bytes, *start_time, now)
        })?;
        Some(Report::new(NAME, said.words, said.shows, said.at, definition.fresh_for()))
    }
}

impl super::Source for Source {
    fn concerns(&self, path: &Path) -> bool {
        self.files.iter().any(|(place, _)| place.concerns(path))
    }

    fn read(&mut self) -> News {
        let tool = self.tool.clone();
        let report = tool.status_file.as_ref().and_then(|definition| self.report(definition));
        if report == self.last {
            return News::Nothing;
        }
        self.last.clone_from(&report);
        News::Says(report)
    }

    fn name(&self) -> Option<&'static str> {
        Some(NAME)
    }
}
