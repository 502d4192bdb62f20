//! Turns that are processes of their own: their process proves that the prompt has arrived.

use super::{Notes, TurnLog};
use crate::model::Stage;
use jiff::Timestamp;

/// What receipts call the proof.
const PROOF: &str = "process";

impl TurnLog {
    /// The program of that prompt's turn was started then: the prompt has arrived, also one of which that was doubted.
    pub(in crate::engine) fn has_process(&mut self, prompt_id: &str, at: Timestamp, now: Timestamp) -> Notes {
        if self.delivery.is_none() && self.unproven.as_ref().is_some_and(|known| known.receipt.prompt_id == prompt_id) {
            self.delivery = self.unproven.take();
        }
        match &mut self.delivery {
            Some(delivery) if delivery.receipt.prompt_id == prompt_id => {
                delivery.receipt.pasted_at.get_or_insert(at);
                delivery.receipt.submitted_at.get_or_insert(at);
                self.settle(Stage::Confirmed, Some(PROOF), None, now)
            }
            _ => Vec::new(),
        }
    }
}
