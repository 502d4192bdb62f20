//! From entries, in order, to exchanges.

use super::Entry;
use crate::model::Exchange;
use crate::model::transcript::{MAX_EXCHANGES, bounded};
use jiff::Timestamp;
use std::collections::VecDeque;
use std::sync::Arc;

/// Between a message and more of it.
const PARAGRAPH: &str = "\n\n";

/// What was asked and answered, the last [`MAX_EXCHANGES`].
#[derive(Debug, Default)]
pub struct Conversation {
    session: Option<Arc<str>>,
    exchanges: VecDeque<Arc<Exchange>>,
}

impl Conversation {
    /// Takes in the next entry. What a program says before anybody asked, or where the reading began in the middle of an
    /// exchange, answers nothing and is left out.
    pub fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Session(id) => self.session = Some(id.into()),
            Entry::Prompt { text, at } => self.begin(&text, at),
            Entry::Unprompted => self.begin("", None),
            Entry::Said { text, continues } => self.change(|exchange| {
                let answer = match continues && !exchange.answer.is_empty() {
                    true => format!("{}{PARAGRAPH}{text}", exchange.answer),
                    false => text,
                };
                exchange.answer = bounded(&answer).into();
                // It goes on after all: something other than the person made it.
                exchange.ended = None;
            }),
            Entry::Ended { outcome, answer } => self.change(|exchange| {
                if exchange.ended.is_none() {
                    exchange.ended = Some(outcome);
                    if let Some(answer) = answer {
                        exchange.answer = bounded(&answer).into();
                    }
                }
            }),
        }
    }

    /// The session, where the log has it.
    pub fn session(&self) -> Option<Arc<str>> {
        self.session.clone()
    }

    /// The exchanges, oldest first.
    pub fn exchanges(&self) -> Arc<[Arc<Exchange>]> {
        self.exchanges.iter().cloned().collect()
    }

    fn begin(&mut self, prompt: &str, at: Option<Timestamp>) {
        self.change(|exchange| exchange.is_over = true);
        if self.exchanges.len() == MAX_EXCHANGES {
            self.exchanges.pop_front();
        }
        let (prompt, answer) = (bounded(prompt).into(), Arc::default());
        self.exchanges.push_back(Arc::new(Exchange { prompt, at, answer, ended: None, is_over: false }));
    }

    fn change(&mut self, change: impl FnOnce(&mut Exchange)) {
        if let Some(last) = self.exchanges.back_mut() {
            change(Arc::make_mut(last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TurnOutcome;
    use crate::model::transcript::MAX_TEXT_BYTES;

    fn prompt(text: &str) -> Entry {
        Entry::Prompt { text: text.to_owned(), at: None }
    }

    fn said(text: &str, continues: bool) -> Entry {
        Entry::Said { text: text.to_owned(), continues }
    }

    fn fold(entries: Vec<Entry>) -> Vec<Arc<Exchange>> {
        let mut conversation = Conversation::default();
        entries.into_iter().for_each(|entry| conversation.take(entry));
        conversation.exchanges().to_vec()
    }

    #[test]
    fn the_last_message_is_the_answer() {
        let entries = vec![
            said("of an exchange before", false),
            prompt("p"),
            said("I will look", false),
            said("one", false),
            said("two", true),
            Entry::ended(TurnOutcome::Success),
            Entry::ended(TurnOutcome::Interrupted),
        ];
        let exchanges = fold(entries);
        assert_eq!(exchanges.len(), 1);
        assert_eq!((&*exchanges[0].answer, exchanges[0].ended), ("one\n\ntwo", Some(TurnOutcome::Success)));
    }

    #[test]
    fn an_exchange_goes_on_until_the_next() {
        let exchanges = fold(vec![prompt("p"), Entry::ended(TurnOutcome::Success), said("a", false), prompt("q")]);
        assert_eq!((&*exchanges[0].answer, exchanges[0].ended, exchanges[0].is_over), ("a", None, true));
        assert!(!exchanges[1].is_over);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let long = "é".repeat(MAX_TEXT_BYTES);
        let entries = (0..MAX_EXCHANGES + 3).flat_map(|_| [prompt(&long), said(&long, false), said(&long, true)]);
        let exchanges = fold(entries.collect());
        assert_eq!(exchanges.len(), MAX_EXCHANGES);
        assert!(exchanges.iter().all(|e| e.prompt.len() == MAX_TEXT_BYTES && e.answer.len() <= MAX_TEXT_BYTES));
    }
}
