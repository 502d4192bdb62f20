//! What was asked of each agent last, and which log is taken for its own: two agents that were asked the same must not
//! be given each other's log.

use crate::model::{Exchange, Transcript};
use jiff::Timestamp;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::sync::Arc;

/// A prompt and when it was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::daemon) struct Asked {
    pub(super) prompt: Arc<str>,
    pub(super) at: Timestamp,
}

impl Asked {
    /// Where it is in there.
    pub(super) fn find_in<'a>(&self, transcript: &'a Transcript) -> Option<&'a Arc<Exchange>> {
        transcript.answer_to(&self.prompt, self.at)
    }
}

/// All claims there are.
#[derive(Clone, Default)]
pub(super) struct Claims(Rc<RefCell<Vec<Weak<Claim>>>>);

/// One agent's claim. It ends when this is dropped.
#[derive(Default)]
pub(super) struct Claim {
    asked: RefCell<Option<Asked>>,
    path: RefCell<Option<PathBuf>>,
}

impl Claims {
    /// A new one.
    pub(super) fn begin(&self) -> Rc<Claim> {
        let claim = Rc::new(Claim::default());
        let mut all = self.0.borrow_mut();
        all.retain(|claim| claim.strong_count() > 0);
        all.push(Rc::downgrade(&claim));
        claim
    }

    /// Whether a log that holds what was asked of the agent of `mine` may be another agent's: it is known to be, or
    /// another that has none was asked the same, and it may as well be that which is in it.
    pub(super) fn is_contested(&self, mine: &Rc<Claim>, transcript: &Transcript) -> bool {
        let found = mine.asked().and_then(|asked| asked.find_in(transcript).cloned());
        let others = self.0.borrow().iter().filter_map(Weak::upgrade).collect::<Vec<_>>();
        others.iter().filter(|other| !Rc::ptr_eq(other, mine)).any(|other| match &*other.path.borrow() {
            Some(path) => *path == *transcript.path,
            None => {
                let others = other.asked.borrow().as_ref().and_then(|asked| asked.find_in(transcript).cloned());
                others.zip(found.as_ref()).is_some_and(|(others, found)| Arc::ptr_eq(&others, found))
            }
        })
    }
}

impl Claim {
    pub(super) fn ask(&self, asked: Option<Asked>) {
        *self.asked.borrow_mut() = asked;
    }

    pub(super) fn asked(&self) -> Option<Asked> {
        self.asked.borrow().clone()
    }

    pub(super) fn take(&self, path: Option<&Path>) {
        *self.path.borrow_mut() = path.map(Path::to_owned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::constant(1_795_226_700, 0);

    fn asked(prompt: &str) -> Option<Asked> {
        Some(Asked { prompt: prompt.into(), at: AT })
    }

    fn transcript(path: &str, prompt: &str) -> Transcript {
        let (prompt, answer) = (prompt.into(), Arc::default());
        let exchange = Exchange { prompt, at: Some(AT), answer, ended: None, is_over: false };
        Transcript {
            path: Path::new(path).into(),
            session: None,
            has_ends: true,
            exchanges: [Arc::new(exchange)].into(),
        }
    }

    #[test]
    fn the_same_asked_of_two() {
        let claims = Claims::default();
        let (one, other) = (claims.begin(), claims.begin());
        one.ask(asked("go"));
        let log = transcript("/a", "go");
        assert!(!claims.is_contested(&one, &log));
        other.ask(asked("go"));
        assert!(claims.is_contested(&one, &log), "it may be the other's");
        let mut later = log.clone();
        later.exchanges = log.exchanges.iter().chain(&*transcript("/a", "on").exchanges).cloned().collect();
        one.ask(asked("on"));
        assert!(!claims.is_contested(&one, &later), "only one was asked that");
        one.ask(asked("go"));
        other.take(Some(Path::new("/b")));
        assert!(!claims.is_contested(&one, &log), "the other has its own");
        assert!(claims.is_contested(&one, &transcript("/b", "go")));
        drop(other);
        assert!(!claims.is_contested(&one, &transcript("/b", "go")));
    }
}
