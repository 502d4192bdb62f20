//! What the person has chosen, and nothing about the agents themselves.

use super::line::Line;
use super::rows::{Filter, Row, Sort, rows};
use super::run::Home;
use crate::command::Command;
use crate::error::Error;
use crate::model::{AgentId, AgentView, Question, Snapshot};
use std::path::PathBuf;
use std::sync::Arc;

/// Everything that was chosen.
#[derive(Debug, Default)]
pub struct Ui {
    /// The agent the cursor stands on.
    pub(super) selected: Option<AgentId>,
    /// Where it stood in the list, for when the agent goes.
    pub(super) at: usize,
    /// What the arrows move.
    pub(super) focus: Focus,
    /// Whether the focus has all of the terminal.
    pub(super) is_large: bool,
    /// What is shown of the selected agent.
    pub(super) view: View,
    /// Whether its screen is scaled down.
    pub(super) is_overview: bool,
    /// How far the screen is panned: columns from the left, rows from the bottom.
    pub(super) pan: (usize, usize),
    /// How far a text is scrolled: lines from where it begins to be shown.
    pub(super) scroll: usize,
    /// Words that a listed agent must have.
    pub(super) search: String,
    /// The order.
    pub(super) sort: Sort,
    /// Which statuses.
    pub(super) filter: Filter,
    /// Of which Home; none means all.
    pub(super) home: Option<PathBuf>,
    /// What keys mean now.
    pub(super) mode: Mode,
    /// What is told until the next key.
    pub(super) told: Option<Told>,
    /// Whether there are colours.
    pub(super) has_colour: bool,
    /// Why questions are not answered from here.
    pub(super) no_answers: Option<Error>,
    /// How many lines of the pane there are at the moment, as it was drawn last.
    pub(super) page: usize,
}

/// What the arrows move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Focus {
    /// The cursor in the list.
    #[default]
    List,
    /// What is shown of the selected agent.
    Pane,
}

/// What is shown of the selected agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum View {
    /// Its screen.
    #[default]
    Screen,
    /// What happened to it.
    History,
    /// What its status rests on.
    Explain,
}

impl View {
    /// Its word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Screen => "screen",
            Self::History => "history",
            Self::Explain => "explain",
        }
    }

    /// The one after it.
    pub(super) fn next(self) -> Self {
        match self {
            Self::Screen => Self::History,
            Self::History => Self::Explain,
            Self::Explain => Self::Screen,
        }
    }
}

/// What keys mean.
#[derive(Debug, Default)]
pub(super) enum Mode {
    /// Moving about.
    #[default]
    Browse,
    /// The keys are listed, from that line on.
    Help(usize),
    /// Words to search for are typed.
    Search(Line),
    /// A prompt for an agent is typed.
    Prompt(AgentId, String, Line),
    /// Something is to be confirmed.
    Confirm(Confirm),
    /// A Home is picked.
    Homes(Homes),
}

/// What is done after a yes.
#[derive(Debug)]
pub(super) struct Confirm {
    /// What is asked, in a sentence.
    pub(super) asks: String,
    /// What the agent asked when this was shown; an answer is only for that question.
    pub(super) question: Option<Question>,
    /// On whom.
    pub(super) agent: AgentId,
    /// What is done.
    pub(super) command: Command,
}

/// The picker of Homes.
#[derive(Debug, Default)]
pub(super) struct Homes {
    /// Those there are; none until they are known.
    pub(super) known: Option<Vec<Home>>,
    /// The line the cursor stands on; the first means all Homes.
    pub(super) at: usize,
    /// Words that a path must have.
    pub(super) search: Line,
    /// Whether words are being typed.
    pub(super) is_typing: bool,
}

impl Homes {
    /// Those that are shown.
    pub(super) fn shown(&self) -> Vec<&Home> {
        let words: Vec<String> = self.search.text().split_whitespace().map(str::to_lowercase).collect();
        let has = |home: &&Home| {
            let path = home.path.display().to_string().to_lowercase();
            words.iter().all(|word| path.contains(word))
        };
        self.known.iter().flatten().filter(has).collect()
    }
}

/// A sentence for the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    /// It.
    pub(super) text: String,
    /// Whether something was refused.
    pub(super) is_refusal: bool,
}

impl Ui {
    /// As it is at the start.
    pub fn new(has_colour: bool) -> Self {
        Self { has_colour, ..Self::default() }
    }

    /// The same, where questions are not answered, for that reason.
    pub fn refusing_answers(self, why: Error) -> Self {
        Self { no_answers: Some(why), ..self }
    }

    /// The listed agents, once the cursor stands on one of them: where its agent has gone, on the next.
    pub(super) fn refresh(&mut self, snapshot: &Snapshot) -> Vec<Row> {
        let rows = rows(snapshot, self);
        let found = rows.iter().position(|row| Some(&row.view.id) == self.selected.as_ref());
        self.at = found.unwrap_or(self.at.min(rows.len().saturating_sub(1)));
        if found.is_none() {
            self.select(rows.get(self.at).map(|row| &row.view));
        }
        rows
    }

    /// Puts the cursor on an agent, whose view is shown from its begin.
    pub(super) fn select(&mut self, view: Option<&Arc<AgentView>>) {
        let id = view.map(|view| view.id.clone());
        if id != self.selected {
            (self.selected, self.pan, self.scroll) = (id, (0, 0), 0);
        }
    }

    /// Tells the person what came of something. A refusal stays until the next key.
    pub(super) fn tell(&mut self, result: Result<String, String>) {
        let is_refusal = result.is_err();
        if !is_refusal && self.told.as_ref().is_some_and(|told| told.is_refusal) {
            return;
        }
        let text = result.unwrap_or_else(|sentence| sentence);
        self.told = Some(Told { text, is_refusal });
    }

    /// The Homes are known now, while the picker is open.
    pub(super) fn take_homes(&mut self, homes: Vec<Home>) {
        if let Mode::Homes(picker) = &mut self.mode {
            let current = self.home.as_deref();
            picker.at = homes.iter().position(|home| Some(&*home.path) == current).map_or(0, |at| at + 1);
            picker.known = Some(homes);
        }
    }
}
