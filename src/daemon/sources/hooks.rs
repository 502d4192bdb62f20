//! What the hooks report that we gave a program at its launch. Their file lies in our directory of the session root, which
//! is watched for the journal already.

use super::super::clock::now;
use super::{Follow, News};
use crate::store::reports::{Tail, hooks_path};
use crate::tool::Tool;
use crate::tracker::Report;
use jiff::Timestamp;
use std::path::Path;
use std::sync::Arc;

/// What the evidence calls it.
const NAME: &str = "hook";

pub(super) struct Source {
    tool: Arc<Tool>,
    tail: Tail,
    /// What was written before is of an earlier launch in the same session root.
    since: Timestamp,
}

impl Source {
    /// `again` says that other programs were followed before: what is in the file is theirs.
    pub(super) fn of(follow: &Follow, again: bool) -> Option<Self> {
        follow.tool.hooks.as_ref()?;
        let mut tail = Tail::new(hooks_path(&follow.root));
        if again {
            tail.read_new();
        }
        Some(Self { tool: follow.tool.clone(), tail, since: follow.launched_at })
    }
}

impl super::Source for Source {
    fn concerns(&self, path: &Path) -> bool {
        self.tail.path() == path
    }

    fn read(&mut self) -> News {
        let Some((hooks, lines)) = self.tool.hooks.as_ref().zip(self.tail.read_new()) else { return News::Nothing };
        let now = now();
        let at = Timestamp::try_from(lines.written).map_or(now, |written| written.min(now));
        if at < self.since {
            return News::Nothing;
        }
        match hooks.read(lines.bytes.split(|byte| *byte == b'\n'), at) {
            None => News::Nothing,
            Some(said) => {
                News::Says(said.map(|said| Report::new(NAME, said.words, said.shows, said.at, hooks.fresh_for())))
            }
        }
    }

    fn name(&self) -> Option<&'static str> {
        Some(NAME)
    }
}
