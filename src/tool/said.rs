//! What a program says of itself elsewhere than on its terminal, as one source understood it.

use super::Shows;
use jiff::Timestamp;

/// The longest time for which a definition may let one statement count: a day.
pub(super) const MAX_FRESH_MS: u64 = 24 * 3600 * 1000;

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// In the program's own words, as the definition lists them.
    pub words: String,
    /// What that shows.
    pub shows: Shows,
    /// When it was said.
    pub at: Timestamp,
}

/// What is wrong with a source's table of words or its time, if anything is. `source` names it.
pub(super) fn check<'a>(
    source: &str,
    shows: impl IntoIterator<Item = (&'a String, &'a Shows)>,
    fresh_ms: u64,
) -> Result<(), String> {
    if fresh_ms > MAX_FRESH_MS {
        return Err(format!("lets its {source} count for {fresh_ms} ms; {MAX_FRESH_MS} ms is the limit"));
    }
    match shows.into_iter().find(|(_, shows)| !shows.is_posture()) {
        Some((words, shows)) => {
            Err(format!("takes {words:?} of its {source} for {}, which is not a state", shows.as_str()))
        }
        None => Ok(()),
    }
}
