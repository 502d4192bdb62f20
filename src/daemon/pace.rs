//! How often to look at a pane: at once when it changes now and then, at a bounded rate while it never stops.

use std::time::Duration;
use tokio::time::Instant;

/// The shortest time between two looks at one pane.
const GAP: Duration = Duration::from_millis(30);
/// The time between two looks at a pane that keeps changing.
const PERIOD: Duration = Duration::from_millis(400);
/// How many looks may come ahead of that rate before it holds.
const BURST: u32 = 8;

/// The looks at one pane so far, as the moment up to which they are paid for.
pub(super) struct Pace {
    paid: Option<Instant>,
}

impl Pace {
    /// No look yet.
    pub(super) fn new() -> Self {
        Self { paid: None }
    }

    /// Notes a look and gives the earliest moment of the next.
    pub(super) fn look(&mut self, now: Instant) -> Instant {
        let paid = self.paid.map_or(now, |paid| paid.max(now)) + PERIOD;
        self.paid = Some(paid);
        let ahead = paid.checked_sub(PERIOD * BURST).unwrap_or(now);
        ahead.max(now + GAP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_now_and_then_is_seen_at_once() {
        let (mut pace, start) = (Pace::new(), Instant::now());
        for n in 0..100 {
            let now = start + PERIOD * n;
            assert_eq!(pace.look(now), now + GAP);
        }
    }

    #[test]
    fn a_pane_that_never_stops_is_looked_at_at_a_bounded_rate() {
        let (mut pace, start) = (Pace::new(), Instant::now());
        let mut now = start;
        for _ in 0..BURST - 1 {
            assert_eq!(pace.look(now), now + GAP, "the first looks are not held back");
            now += GAP;
        }
        let mut looks = BURST;
        while now < start + Duration::from_secs(60) {
            now = pace.look(now);
            looks += 1;
        }
        assert!((145..=160).contains(&looks), "{looks}");
        // After a rest it may again.
        now += PERIOD * BURST;
        assert_eq!(pace.look(now), now + GAP);
    }
}
