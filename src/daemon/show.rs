//! When what is known is published.

use super::run::Loop;
use jiff::Timestamp;

impl Loop {
    /// Whether anybody is served by what is known so far. While all is read for the first time, each part of it would be made
    /// anew with every next one; and who only wants one look waits for that.
    pub(super) fn is_shown(&self) -> bool {
        self.settled || (self.scanned && self.settings.follows) || self.world.agents.is_empty()
    }

    /// Publishes what has changed, when that serves anybody.
    pub(super) fn show(&mut self, now: Timestamp) {
        if self.is_shown() || !self.accepted.is_empty() {
            self.publish(now);
        }
    }

    /// Publishes what has changed, and answers the commands that waited for it.
    pub(super) fn publish(&mut self, now: Timestamp) {
        if let Some(snapshot) = self.world.publish(now) {
            self.hub.publish(snapshot);
        }
        for answer in self.accepted.drain(..) {
            answer(Ok(()));
        }
    }
}
