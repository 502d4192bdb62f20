//! How often to look at a pane: at once when it changes now and then, at a bounded rate while it never stops. The more panes
//! keep changing, the lower the rate of each, and their looks come together: one turn of the tmux server and one
//! publication then serve many.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// The shortest time between two looks at one pane.
const GAP: Duration = Duration::from_millis(30);
/// The time between two looks at a pane that keeps changing, for each that does.
const SHARE: Duration = Duration::from_millis(10);
/// The least and the most that comes of it.
const PERIODS: [Duration; 2] = [Duration::from_millis(40), Duration::from_millis(400)];
/// How many looks may come ahead of that rate before it holds.
const BURST: u32 = 8;
/// Looks that are held back for longer come at multiples of this.
const TICK: Duration = Duration::from_millis(50);

/// Everybody who looks at panes.
pub(super) struct Crowd {
    epoch: Instant,
    /// How many panes keep changing.
    changing: AtomicU32,
}

impl Crowd {
    /// Nobody yet. Ticks are counted from `epoch`.
    pub(super) fn new(epoch: Instant) -> Self {
        Self { epoch, changing: AtomicU32::new(0) }
    }

    fn period(&self) -> Duration {
        (SHARE * self.changing.load(Ordering::Relaxed)).clamp(PERIODS[0], PERIODS[1])
    }

    /// The first tick that is not before `at`.
    fn tick(&self, at: Instant) -> Instant {
        let since = at.saturating_duration_since(self.epoch);
        let over = Duration::from_nanos(u64::try_from(since.as_nanos() % TICK.as_nanos()).unwrap_or_default());
        if over.is_zero() { at } else { at + (TICK - over) }
    }
}

/// The looks at one pane so far, as the moment up to which they are paid for.
pub(super) struct Pace {
    crowd: Arc<Crowd>,
    paid: Option<Instant>,
    changing: bool,
}

impl Pace {
    /// No look yet.
    pub(super) fn new(crowd: Arc<Crowd>) -> Self {
        Self { crowd, paid: None, changing: false }
    }

    /// Notes a look and gives the earliest moment of the next. `changing` says that the pane keeps changing.
    pub(super) fn look(&mut self, now: Instant, changing: bool) -> Instant {
        self.count(changing);
        let period = self.crowd.period();
        // What was paid for at a lower rate is not waited for at a higher one.
        let paid = self.paid.map_or(now, |paid| paid.clamp(now, now + period * BURST)) + period;
        self.paid = Some(paid);
        let ahead = paid.checked_sub(period * BURST).unwrap_or(now);
        let soonest = now + GAP;
        match ahead > soonest {
            true if period > TICK => self.crowd.tick(ahead),
            true => ahead,
            false => soonest,
        }
    }

    fn count(&mut self, changing: bool) {
        match (self.changing, changing) {
            (false, true) => self.crowd.changing.fetch_add(1, Ordering::Relaxed),
            (true, false) => self.crowd.changing.fetch_sub(1, Ordering::Relaxed),
            _ => return,
        };
        self.changing = changing;
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.count(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks_in_a_minute(pace: &mut Pace, start: Instant) -> u32 {
        let (mut now, mut looks) = (start, 0);
        while now < start + Duration::from_secs(60) {
            let next = pace.look(now, true);
            let epoch = pace.crowd.epoch;
            let at_tick = (next - epoch).as_millis().is_multiple_of(TICK.as_millis());
            assert!(next == now + GAP || at_tick || pace.crowd.period() <= TICK, "{next:?}");
            now = next;
            looks += 1;
        }
        looks
    }

    #[test]
    fn a_change_now_and_then_is_seen_at_once() {
        let start = Instant::now();
        let mut pace = Pace::new(Arc::new(Crowd::new(start)));
        for n in 0..100 {
            let now = start + PERIODS[0] * n;
            assert_eq!(pace.look(now, false), now + GAP);
        }
    }

    #[test]
    fn a_pane_that_never_stops_is_looked_at_at_a_bounded_rate() {
        let start = Instant::now();
        let mut pace = Pace::new(Arc::new(Crowd::new(start)));
        let mut now = start;
        for _ in 0..BURST - 1 {
            assert_eq!(pace.look(now, false), now + GAP, "the first looks are not held back");
            now += GAP;
        }
        let looks = looks_in_a_minute(&mut pace, now);
        assert!((1490..=1510).contains(&looks), "{looks}");
        // After a rest it may again.
        now += Duration::from_secs(60) + PERIODS[0] * BURST;
        assert_eq!(pace.look(now, false), now + GAP);
    }

    #[test]
    fn a_hundred_panes_that_never_stop_share_what_one_may_have() {
        let start = Instant::now();
        let crowd = Arc::new(Crowd::new(start));
        let mut paces: Vec<Pace> = (0..100).map(|_| Pace::new(crowd.clone())).collect();
        for pace in &mut paces {
            pace.look(start, true);
        }
        let looks = looks_in_a_minute(&mut paces[0], start);
        assert!((145..=160).contains(&looks), "{looks}");
        paces.truncate(1);
        let looks = looks_in_a_minute(&mut paces[0], start + Duration::from_secs(120));
        assert!((1490..=1510).contains(&looks), "the others have gone: {looks}");
    }
}
