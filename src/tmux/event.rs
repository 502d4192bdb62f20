//! What a client notices by itself, coalesced so that a slow reader costs nothing.

use crate::model::PaneId;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Which [`Client`](super::Client) of this process an event comes from; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub(super) u64);

/// Something a client noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The client.
    pub client: ClientId,
    /// The session it was attached to, by the name it was attached with.
    pub session: Arc<str>,
    /// What it noticed.
    pub what: What,
}

/// The kinds of event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The pane's screen, title or mode may be different: look again.
    Dirty(PaneId),
    /// Windows of the session were added or have another size, name or active pane.
    Windows,
    /// Some session of the server came, went, lost a window or has another name.
    Sessions,
    /// The connection is over, because the session ended, the server did, or the
    /// connection failed. The last event of a client.
    Closed {
        /// Why, as far as it is known.
        reason: String,
    },
}

/// The most panes of one session whose changes are kept apart; of more, some
/// are reported late (with their next output).
pub(super) const MAX_DIRTY_PANES: usize = 256;

/// What is to be reported and has not been: one flag for each thing that can
/// happen, however often it happened.
#[derive(Debug, Default)]
pub(super) struct Pending {
    dirty: BTreeSet<PaneId>,
    windows: bool,
    sessions: bool,
}

impl Pending {
    pub(super) fn dirty(&mut self, pane: PaneId) {
        if self.dirty.len() < MAX_DIRTY_PANES {
            self.dirty.insert(pane);
        }
    }

    pub(super) fn windows(&mut self) {
        self.windows = true;
    }

    pub(super) fn sessions(&mut self) {
        self.sessions = true;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.dirty.is_empty() && !self.windows && !self.sessions
    }

    /// Takes one of them.
    pub(super) fn take(&mut self) -> Option<What> {
        if std::mem::take(&mut self.sessions) {
            return Some(What::Sessions);
        }
        if std::mem::take(&mut self.windows) {
            return Some(What::Windows);
        }
        self.dirty.pop_first().map(What::Dirty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_outputs_are_one_event() {
        let pane = PaneId::parse("%1").unwrap();
        let mut pending = Pending::default();
        for _ in 0..1000 {
            pending.dirty(pane.clone());
            pending.sessions();
        }
        assert_eq!(pending.take(), Some(What::Sessions));
        assert_eq!(pending.take(), Some(What::Dirty(pane)));
        assert_eq!(pending.take(), None);
        assert!(pending.is_empty());
    }

    #[test]
    fn panes_are_bounded() {
        let mut pending = Pending::default();
        for n in 0..10 * MAX_DIRTY_PANES {
            pending.dirty(PaneId::parse(&format!("%{n}")).unwrap());
        }
        assert_eq!(std::iter::from_fn(|| pending.take()).count(), MAX_DIRTY_PANES);
    }
}
