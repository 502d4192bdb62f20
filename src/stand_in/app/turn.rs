//! A turn: what a prompt has it play, one beat after the other, and the question it may wait for.

use super::{App, CHOICES, Phase, Question, Turn};
use crate::stand_in::line::Style;
use crate::stand_in::log::{Outcome, Record};
use crate::stand_in::mischief::STRAY;
use crate::stand_in::script::{self, Beat};
use crate::stand_in::text;
use crate::stand_in::transcript::{Entry, INDENT};
use crate::stand_in::words;
use std::collections::VecDeque;

/// Numbered lines between two looks at the keyboard.
const LINES_AT_ONCE: u32 = 200;

impl App {
    /// Begins the turn of a prompt.
    pub(super) fn begin(&mut self, prompt: &str) {
        words::echo(&mut self.transcript, prompt);
        self.pages.begin(prompt);
        self.turns += 1;
        self.records.push(Record::TurnBegan { turn: self.turns });
        self.phase = Phase::Turn(Turn {
            number: self.turns,
            began: self.now,
            due: self.now,
            beats: script::beats(prompt, self.pace),
            answering: false,
            question: None,
        });
    }

    /// Plays every beat that is due; stops early so that a flood leaves time to draw and to listen.
    pub(super) fn advance(&mut self) {
        loop {
            match &mut self.phase {
                Phase::Starting { until } if *until <= self.now => {
                    self.phase = Phase::Idle;
                    self.records.push(Record::Ready);
                    words::greet(&mut self.transcript, &self.name);
                }
                Phase::Turn(turn) if turn.question.is_none() && turn.due <= self.now => {
                    let Some(beat) = turn.beats.pop_front() else {
                        self.end_turn(Outcome::Finished);
                        continue;
                    };
                    let flood = matches!(beat, Beat::Lines { .. });
                    self.play(beat);
                    if flood {
                        break;
                    }
                }
                _ => break,
            }
        }
    }

    fn play(&mut self, beat: Beat) {
        let Phase::Turn(turn) = &mut self.phase else { return };
        let first_of_answer = !std::mem::replace(&mut turn.answering, true);
        let mark = if first_of_answer { "● " } else { INDENT };
        match beat {
            Beat::Pause(time) => {
                turn.due = self.now + time;
                turn.answering = !first_of_answer;
            }
            Beat::Word { text, first: false } => {
                turn.due = self.now + self.pace;
                self.pages.say(" ", &text);
                self.transcript.extend(&text);
            }
            Beat::Word { text, first: true } => {
                turn.due = self.now + self.pace;
                self.transcript.space();
                self.pages.say("\n\n", &text);
                self.transcript.push(Entry::new(text, Style::Plain).marked(mark, Style::Accent));
            }
            Beat::Quote(text) => {
                self.pages.say("\n", text);
                words::block(&mut self.transcript, text, mark, Style::Plain);
            }
            Beat::Lines { next, last } => {
                let end = last.min(next.saturating_add(LINES_AT_ONCE - 1));
                if end < last {
                    turn.beats.push_front(Beat::Lines { next: end + 1, last });
                }
                for number in next..=end {
                    let line = format!("line {number}");
                    self.pages.say("\n", &line);
                    self.transcript.push(Entry::new(line, Style::Plain));
                }
            }
            Beat::Ask(command) => {
                self.pages.pause();
                self.records.push(Record::Asked { command: command.clone() });
                turn.question = Some(Question { command: text::printable(&command), selected: 0 });
                self.armed = None;
            }
            Beat::Fail => {
                words::complain(&mut self.transcript, words::FAILURE);
                self.end_turn(Outcome::Failed);
            }
            Beat::Exit(code) => self.end(code),
            Beat::Title(on) => self.titles = on,
        }
    }

    /// Takes the choice of that number, from 0, as the answer to the open question.
    pub(super) fn answer(&mut self, choice: usize) {
        let Phase::Turn(turn) = &mut self.phase else { return };
        let Some(question) = turn.question.take() else { return };
        self.stray_until = None;
        turn.due = self.now;
        turn.answering = false;
        let text = CHOICES[choice];
        self.records.push(Record::Answer { choice: choice + 1, text });
        words::answered(&mut self.transcript, text, &question.command);
    }

    /// Ends the turn by the interrupt key.
    pub(super) fn interrupt(&mut self) {
        words::interrupted(&mut self.transcript);
        self.end_turn(Outcome::Interrupted);
    }

    fn end_turn(&mut self, outcome: Outcome) {
        if let Phase::Turn(turn) = std::mem::replace(&mut self.phase, Phase::Idle) {
            self.transcript.space();
            self.pages.end(outcome);
            self.records.push(Record::TurnEnded { turn: turn.number, outcome });
        }
        if let Some(prompt) = self.queue.pop_front() {
            self.begin(&prompt);
        }
    }

    /// Opens a dialog that belongs to no turn and goes away by itself.
    pub(super) fn stray_dialog(&mut self) {
        let command = "a stray dialog".to_owned();
        self.records.push(Record::Asked { command: command.clone() });
        self.stray_until = Some(self.now + STRAY);
        self.phase = Phase::Turn(Turn {
            number: 0,
            began: self.now,
            due: self.now + STRAY,
            beats: VecDeque::new(),
            answering: false,
            question: Some(Question { command, selected: 0 }),
        });
    }
}
