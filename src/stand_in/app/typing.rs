//! What keys and pastes do: in the composer, and in a question.

use super::{App, CHOICES, EXIT_WINDOW, Phase, Turn};
use crate::stand_in::keys::Key;
use crate::stand_in::log::{Record, Target};
use crate::stand_in::mischief::{Kind, LATE};
use crate::stand_in::script;
use crate::stand_in::text;
use crate::stand_in::words;

/// A draft that would be longer than this many bytes does not grow.
pub(in crate::stand_in) const MAX_DRAFT: usize = 8 << 20;
/// Prompts that wait for their turn; more are refused and stay in the draft.
const MAX_QUEUED: usize = 100;
/// The exit code of a program that ends in the middle of a paste.
const DIED: u8 = 9;

impl App {
    fn target(&self) -> Target {
        match &self.phase {
            Phase::Turn(Turn { question: Some(_), .. }) => Target::Question,
            _ => Target::Composer,
        }
    }

    pub(super) fn paste(&mut self, pasted: &str, dropped: usize) {
        let mischief = if matches!(self.phase, Phase::Idle) { self.mischief.next() } else { None };
        match mischief {
            Some(Kind::Dialog) => self.stray_dialog(),
            Some(Kind::Die) => return self.end(DIED),
            Some(Kind::Swallow) => self.swallows = true,
            Some(Kind::Popup) => self.popup = true,
            Some(Kind::Fold) => self.folded = true,
            Some(Kind::Late) | None => {}
        }
        let into = self.target();
        self.records.push(Record::Paste { bytes: pasted.len(), dropped, into });
        if into == Target::Composer {
            // A terminal sends the newlines of a paste as carriage returns unless it is told not to.
            let text = pasted.replace("\r\n", "\n").replace('\r', "\n");
            match mischief {
                Some(Kind::Late) => self.arriving = Some((self.now + LATE, text)),
                _ => self.type_text(&text),
            }
        }
    }

    pub(super) fn key(&mut self, key: Key) {
        if self.target() == Target::Question {
            return self.key_in_question(key);
        }
        let armed = self.armed.take();
        match key {
            Key::Char(c) => self.type_text(c.encode_utf8(&mut [0; 4])),
            Key::Newline => self.type_text("\n"),
            Key::Enter => self.submit(),
            Key::Backspace => {
                let end = text::clusters(&self.draft).last().map_or(0, str::len);
                self.draft.truncate(self.draft.len() - end);
            }
            Key::Ctrl('u') => self.draft.clear(),
            Key::Up if self.draft.is_empty() => self.draft.clone_from(&self.last_prompt),
            Key::Escape | Key::Ctrl('c') if matches!(self.phase, Phase::Turn(_)) => self.interrupt(),
            Key::Ctrl('c') if armed.is_some() => self.end(0),
            Key::Ctrl('c') => self.armed = Some(self.now + EXIT_WINDOW),
            _ => self.ignore(key),
        }
    }

    fn key_in_question(&mut self, key: Key) {
        let Phase::Turn(Turn { question: Some(question), .. }) = &mut self.phase else { return };
        let denial = CHOICES.len() - 1;
        match key {
            Key::Up => question.selected = question.selected.saturating_sub(1),
            Key::Down => question.selected = (question.selected + 1).min(denial),
            Key::Enter => {
                let selected = question.selected;
                self.answer(selected);
            }
            Key::Escape | Key::Ctrl('c') => self.answer(denial),
            Key::Char(digit @ '1'..='3') => self.answer(digit as usize - '1' as usize),
            _ => self.ignore(key),
        }
    }

    pub(super) fn type_text(&mut self, typed: &str) {
        if self.draft.len() + typed.len() <= MAX_DRAFT {
            self.draft.push_str(typed);
        } else {
            words::complain(&mut self.transcript, "The draft is full: send it, or clear it with ctrl-u.");
        }
    }

    fn submit(&mut self) {
        if std::mem::take(&mut self.swallows) || std::mem::take(&mut self.popup) {
            return;
        }
        match self.draft.trim() {
            "" => return,
            "/help" => return self.command(|app| words::help(&mut app.transcript)),
            "/exit" => return self.command(|app| app.end(0)),
            _ => {}
        }
        let queued = matches!(self.phase, Phase::Turn(_));
        if queued && self.queue.len() == MAX_QUEUED {
            return words::complain(
                &mut self.transcript,
                "The queue is full: wait until a turn ends, then press enter again.",
            );
        }
        let prompt = std::mem::take(&mut self.draft);
        self.folded = false;
        self.last_prompt.clone_from(&prompt);
        self.records.push(Record::Prompt {
            bytes: prompt.len(),
            sha1: script::sha1(&prompt),
            text: prompt.clone(),
            queued,
        });
        if queued {
            self.queue.push_back(prompt);
        } else {
            self.begin(&prompt);
        }
    }

    fn command(&mut self, run: fn(&mut Self)) {
        let text = std::mem::take(&mut self.draft);
        self.records.push(Record::Command { text: text.trim().to_owned() });
        run(self);
    }

    fn ignore(&mut self, key: Key) {
        let into = self.target();
        self.records.push(Record::Ignored { key: format!("{key:?}"), into });
    }
}
