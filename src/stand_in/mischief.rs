//! What programs do to a paste when they are in a bad mood, on purpose: for tests of
//! whoever types into them. Each was seen in a real program.

use clap::ValueEnum;
use std::time::Duration;

/// How long a late paste takes to show.
pub(super) const LATE: Duration = Duration::from_millis(350);
/// How long a stray dialog stays.
pub(super) const STRAY: Duration = Duration::from_millis(900);

/// One kind of mischief.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// A paste shows late, and Enter before that does nothing.
    Late,
    /// The first Enter after a paste is lost.
    Swallow,
    /// A list opens under the draft and takes the first Enter.
    Popup,
    /// A paste is shown as a note of its length.
    Fold,
    /// A dialog opens just before a paste, which is lost in it.
    Dialog,
    /// The program ends in the middle of a paste.
    Die,
}

/// Which mischief comes when: half of all pastes are left in peace.
#[derive(Debug, Clone)]
pub(super) struct Mischief {
    kinds: Vec<Kind>,
    state: u64,
}

impl Mischief {
    /// Mischief of these kinds, in an order that `seed` decides.
    pub(super) fn new(kinds: Vec<Kind>, seed: u64) -> Self {
        Self { kinds, state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 }
    }

    /// What happens to the next paste.
    pub(super) fn next(&mut self) -> Option<Kind> {
        // Xorshift: any order will do, as long as it can be had again.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let draw = usize::try_from(self.state >> 33).unwrap_or(0);
        self.kinds.get(draw % (2 * self.kinds.len()).max(1)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_all_pastes_are_left_in_peace() {
        let mut mischief = Mischief::new(vec![Kind::Late, Kind::Swallow], 7);
        let drawn: Vec<_> = (0..1000).map(|_| mischief.next()).collect();
        let peaceful = drawn.iter().filter(|kind| kind.is_none()).count();
        assert!((400..600).contains(&peaceful), "{peaceful}");
        assert_eq!(Mischief::new(Vec::new(), 7).next(), None);
    }
}
