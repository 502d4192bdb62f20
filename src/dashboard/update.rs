//! What a key does: it changes what is chosen, and may ask for something to be done.

use super::line::Line;
use super::ui::{Confirm, Focus, Homes, Mode, Ui, View};
use crate::command::{Command, Draft, Verb, agent_verbs};
use crate::error::Result;
use crate::model::{AgentId, AgentView, Listing, Snapshot};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::sync::Arc;

/// How far a page goes less than the whole page.
const OVERLAP: usize = 2;
/// How many columns the screen pans at once.
const PAN_COLUMNS: usize = 4;

/// What is to be done outside.
#[derive(Debug, PartialEq, Eq)]
pub enum Act {
    /// End.
    Quit,
    /// Stop, as any program at Ctrl-Z.
    Suspend,
    /// Draw everything anew.
    Redraw,
    /// Find the Homes.
    Homes,
    /// Go to an agent's own terminal.
    Attach(AgentId),
    /// Have a command carried out; the text says what it was.
    Submit(String, Command),
}

impl Ui {
    /// Takes in a key. The only place where commands are made.
    pub fn key(&mut self, key: KeyEvent, snapshot: &Snapshot) -> Option<Act> {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => return Some(Act::Quit),
            KeyCode::Char('z') if control => return Some(Act::Suspend),
            KeyCode::Char('l') if control => return Some(Act::Redraw),
            _ => {}
        }
        self.told = None;
        match std::mem::take(&mut self.mode) {
            Mode::Browse => self.browse(key, snapshot),
            Mode::Help(from) => {
                let page = self.page.saturating_sub(OVERLAP).max(1);
                self.mode = match key.code {
                    KeyCode::Char('j') | KeyCode::Down => Mode::Help(from + 1),
                    KeyCode::Char('k') | KeyCode::Up => Mode::Help(from.saturating_sub(1)),
                    KeyCode::Char(' ') | KeyCode::PageDown => Mode::Help(from + page),
                    KeyCode::PageUp => Mode::Help(from.saturating_sub(page)),
                    _ => Mode::Browse,
                };
                None
            }
            Mode::Search(mut line) => {
                match key.code {
                    KeyCode::Enter => return None,
                    KeyCode::Esc => self.search.clear(),
                    _ => {
                        line.key(key);
                        self.search = line.text().to_owned();
                        self.mode = Mode::Search(line);
                    }
                }
                None
            }
            Mode::Prompt(agent, name, line) => self.prompt(key, agent, name, line),
            Mode::Confirm(confirm) => self.confirm(key, confirm, snapshot),
            Mode::Homes(homes) => self.pick(key, homes),
        }
    }

    /// Takes in text that was pasted: it is typed, where something is being typed.
    pub fn paste(&mut self, text: &str) {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        match &mut self.mode {
            Mode::Prompt(_, _, line) => line.insert(&text),
            Mode::Search(line) => {
                line.insert(text.trim());
                self.search = line.text().to_owned();
            }
            Mode::Homes(homes) if homes.is_typing => homes.search.insert(text.trim()),
            _ => {}
        }
    }

    fn browse(&mut self, key: KeyEvent, snapshot: &Snapshot) -> Option<Act> {
        match key.code {
            KeyCode::Char('q') => return Some(Act::Quit),
            KeyCode::Char('?') | KeyCode::F(1) => self.mode = Mode::Help(0),
            KeyCode::Char('/') => self.mode = Mode::Search(Line::new(&self.search)),
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('f') => self.filter = self.filter.next(1),
            KeyCode::Char('F') => self.filter = self.filter.next(-1),
            KeyCode::Char('H') => {
                self.mode = Mode::Homes(Homes::default());
                return Some(Act::Homes);
            }
            KeyCode::Tab | KeyCode::BackTab => {
                self.focus = if self.focus == Focus::List { Focus::Pane } else { Focus::List };
            }
            KeyCode::Char('z') => self.is_large = !self.is_large,
            KeyCode::Char('v') => self.show(self.view.next()),
            KeyCode::Char('e') if self.view == View::Explain => self.show(View::Screen),
            KeyCode::Char('e') => self.show(View::Explain),
            KeyCode::Char('t') if self.view == View::History => self.show(View::Screen),
            KeyCode::Char('t') => self.show(View::History),
            KeyCode::Char('o') => {
                self.show(View::Screen);
                self.is_overview = !self.is_overview;
            }
            KeyCode::Esc => self.back(),
            _ => return self.act(key, snapshot).or_else(|| self.step(key, snapshot)),
        }
        None
    }

    fn show(&mut self, view: View) {
        if view != self.view {
            (self.view, self.scroll) = (view, 0);
        }
    }

    /// Takes back one choice, the last one first.
    fn back(&mut self) {
        if self.is_large {
            self.is_large = false;
        } else if self.is_overview {
            self.is_overview = false;
        } else if self.focus == Focus::Pane {
            self.focus = Focus::List;
        } else if !self.search.is_empty() {
            self.search.clear();
        } else {
            self.filter = super::rows::Filter::default();
        }
    }

    /// Moves the cursor, or what is shown of the selected agent.
    fn step(&mut self, key: KeyEvent, snapshot: &Snapshot) -> Option<Act> {
        let page = self.page.saturating_sub(OVERLAP).max(1);
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let (sideways, down): (isize, isize) = match key.code {
            KeyCode::Char('d') if control => (0, page as isize / 2),
            KeyCode::Char('u') if control => (0, -(page as isize / 2)),
            KeyCode::Char('j') | KeyCode::Down => (0, 1),
            KeyCode::Char('k') | KeyCode::Up => (0, -1),
            KeyCode::Char('h') | KeyCode::Left => (-1, 0),
            KeyCode::Char('l') | KeyCode::Right => (1, 0),
            KeyCode::PageDown => (0, page as isize),
            KeyCode::PageUp => (0, -(page as isize)),
            KeyCode::Char('g') | KeyCode::Home => (0, isize::MIN),
            KeyCode::Char('G') | KeyCode::End => (0, isize::MAX),
            _ => return None,
        };
        let rows = self.refresh(snapshot);
        if self.focus == Focus::List && sideways == 0 {
            self.at = self.at.saturating_add_signed(down).min(rows.len().saturating_sub(1));
            self.select(rows.get(self.at).map(|row| &row.view));
            return None;
        }
        match self.view {
            View::Screen => {
                let (x, y) = self.pan;
                // Drawing knows how far it can go.
                self.pan = (x.saturating_add_signed(sideways * PAN_COLUMNS as isize), pan_up(y, down));
            }
            View::History => self.scroll = pan_up(self.scroll, down),
            View::Explain => self.scroll = self.scroll.saturating_add_signed(down),
        }
        None
    }

    /// What is asked of the selected agent.
    fn act(&mut self, key: KeyEvent, snapshot: &Snapshot) -> Option<Act> {
        let verb = match key.code {
            _ if key.modifiers.contains(KeyModifiers::CONTROL) => return None,
            KeyCode::Char('p') | KeyCode::Enter | KeyCode::Char('A') => None,
            KeyCode::Char('i') => Some("interrupt".to_owned()),
            KeyCode::Char('a') => Some("approve".to_owned()),
            KeyCode::Char('d') => Some("deny".to_owned()),
            KeyCode::Char('x') => Some("stop".to_owned()),
            KeyCode::Char('r') => Some("relaunch".to_owned()),
            KeyCode::Char(digit @ '1'..='9') => Some(format!("answer {digit}")),
            _ => return None,
        };
        self.refresh(snapshot);
        let Some((listing, view)) = self.selected.as_ref().and_then(|id| snapshot.by_id(id)) else {
            self.tell(Err("no agent is selected".to_owned()));
            return None;
        };
        let view = view.clone();
        let asked = match (verb, key.code) {
            (Some(verb), _) => self.verb(&verb, listing, &view),
            (None, KeyCode::Char('p')) => view.may_prompt().map(|()| {
                self.mode = Mode::Prompt(view.id.clone(), view.dir_name.to_string(), Line::default());
                None
            }),
            (None, _) => Ok(Some(Act::Attach(view.id.clone()))),
        };
        asked.unwrap_or_else(|error| {
            self.tell(Err(error.sentence().to_owned()));
            None
        })
    }

    /// What a word of `control` means here: it is done at once, after a yes, or refused.
    fn verb(&mut self, word: &str, listing: Listing, view: &Arc<AgentView>) -> Result<Option<Act>> {
        let verbs = agent_verbs(word.as_bytes())?;
        let name = &view.dir_name;
        let mut question = None;
        match verbs.first() {
            Some(Verb::Interrupt) => view.may_interrupt()?,
            Some(Verb::Approve | Verb::Deny | Verb::Answer(_)) => {
                question = Some(view.may_answer()?.clone());
                if let Some(why) = &self.no_answers {
                    return Err(why.clone());
                }
            }
            Some(Verb::Stop { .. }) if listing == Listing::Stopped => {
                return Err(crate::Error::new(crate::Kind::Gone, format!("{name} is stopped already")));
            }
            _ => {}
        }
        let command = Command::Control { agent: view.id.clone(), verbs: verbs.clone() };
        if verbs.first() == Some(&Verb::Interrupt) {
            return Ok(Some(Act::Submit(format!("{word} {name}"), command)));
        }
        let choice = match (&question, verbs.first()) {
            (Some(question), Some(Verb::Answer(number))) => {
                let choice = question.choices.iter().find(|choice| choice.number == *number);
                choice.map_or_else(String::new, |choice| format!(": {}", choice.label))
            }
            _ => String::new(),
        };
        let asks = format!("{word} {name}{choice}?");
        self.mode = Mode::Confirm(Confirm { asks, question, agent: view.id.clone(), command });
        Ok(None)
    }

    fn confirm(&mut self, key: KeyEvent, confirm: Confirm, snapshot: &Snapshot) -> Option<Act> {
        match key.code {
            KeyCode::Char('y' | 'Y') => {}
            // Enter would be pressed by who was typing when the question came up.
            KeyCode::Char('n' | 'N' | 'q') | KeyCode::Esc => return None,
            _ => {
                self.mode = Mode::Confirm(confirm);
                return None;
            }
        }
        if let Some(asked) = &confirm.question {
            let now = snapshot.by_id(&confirm.agent).and_then(|(_, view)| view.may_answer().ok());
            if now.is_none_or(|now| !now.is_same(asked)) {
                self.tell(Err("the question has changed meanwhile; nothing was answered".to_owned()));
                return None;
            }
        }
        Some(Act::Submit(confirm.asks.trim_end_matches('?').to_owned(), confirm.command))
    }

    fn prompt(&mut self, key: KeyEvent, agent: AgentId, name: String, mut line: Line) -> Option<Act> {
        match key.code {
            KeyCode::Esc => return None,
            KeyCode::Enter if !key.modifiers.contains(KeyModifiers::ALT) => {
                let mut draft = Draft::default();
                let text = draft.push(line.text().as_bytes()).and_then(|()| draft.finish());
                match text {
                    Ok(text) => {
                        return Some(Act::Submit(format!("prompt to {name}"), Command::Prompt { agent, text }));
                    }
                    Err(error) => self.tell(Err(error.sentence().to_owned())),
                }
            }
            _ => {
                line.key(key);
            }
        }
        self.mode = Mode::Prompt(agent, name, line);
        None
    }

    fn pick(&mut self, key: KeyEvent, mut homes: Homes) -> Option<Act> {
        let last = homes.shown().len();
        match key.code {
            KeyCode::Enter => {
                self.home = homes.at.checked_sub(1).and_then(|at| homes.shown().get(at).map(|home| home.path.clone()));
                return None;
            }
            KeyCode::Esc if homes.is_typing => homes = Homes { is_typing: false, search: Line::default(), ..homes },
            KeyCode::Esc => return None,
            KeyCode::Down => homes.at = (homes.at + 1).min(last),
            KeyCode::Up => homes.at = homes.at.saturating_sub(1),
            _ if homes.is_typing => {
                homes.search.key(key);
                homes.at = homes.shown().len().min(1);
            }
            KeyCode::Char('q' | 'H') => return None,
            KeyCode::Char('/') => homes.is_typing = true,
            KeyCode::Char('j') => homes.at = (homes.at + 1).min(last),
            KeyCode::Char('k') => homes.at = homes.at.saturating_sub(1),
            KeyCode::Char('g') | KeyCode::Home => homes.at = 0,
            KeyCode::Char('G') | KeyCode::End => homes.at = last,
            _ => {}
        }
        self.mode = Mode::Homes(homes);
        None
    }
}

/// What counts from the bottom grows upwards.
fn pan_up(from: usize, down: isize) -> usize {
    if down < 0 { from.saturating_add(down.unsigned_abs()) } else { from.saturating_sub(down.unsigned_abs()) }
}
