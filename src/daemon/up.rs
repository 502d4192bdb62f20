//! Watches a program that was just started until it is up, or has ended.

use super::effects::Target;
use super::event::Link;
use super::observe::look;
use crate::error::{Error, Kind, Result};
use crate::model::Terminal;
use crate::tool::Shows;
use crate::tracker::{Liveness, read};
use std::time::Duration;
use tokio::time::Instant;

/// How long a program is watched of which its tool's rules know nothing: what fails at once, fails by then.
const UP_LIMIT: Duration = Duration::from_secs(1);
/// How long one is watched that is its tool's own and shows nothing yet. `time troop launch NAME --tool T` with an empty HOME, until
/// the first question of codex, gemini and kimi: 1.1 to 4.0 s on two cores with a load of four.
const SHOWS_LIMIT: Duration = Duration::from_secs(10);
/// How often to look meanwhile: at first, and after [`UP_LIMIT`].
const LOOK_GAP: Duration = Duration::from_millis(25);
const LATE_LOOK_GAP: Duration = Duration::from_millis(250);
/// How many rows of its screen are told of a program that ended, and how much of each.
const LAST_ROWS: usize = 4;
const LAST_ROW_CHARS: usize = 160;
/// How many rows above the screen are looked at for them.
const LAST_SCROLLED: u32 = 50;
/// How the row begins that tmux writes below what a program left.
const DEAD_ROW: &str = "Pane is dead";

/// Looks until the program shows something that its tool's rules know, or has run for [`UP_LIMIT`], [`SHOWS_LIMIT`] for one
/// that its tool knows. Gives why the launch has failed when it ended before; [`Kind::Gone`] when its session is gone.
pub(super) async fn until_up(target: &Target, link: &Link) -> Result<Option<Error>> {
    let began = Instant::now();
    let mut limit = UP_LIMIT;
    loop {
        match look(&link.client, &link.pane).await {
            Ok(look) => {
                let shown = look.screen.text.clone();
                let reading = read(&target.tool, None, &Terminal::Seen(Box::new(look)));
                match &reading.liveness {
                    Liveness::Dead(why) => return Ok(Some(ended(link, why, &shown).await)),
                    Liveness::Alive if reading.posture(false).is_some_and(|found| found.shows != Shows::Starting) => {
                        return Ok(None);
                    }
                    Liveness::Alive if reading.has_rules => limit = SHOWS_LIMIT,
                    _ => {}
                }
            }
            Err(error) if error.kind() == Kind::Gone => return Err(error),
            // Nothing is wrong with a program because its screen cannot be read.
            Err(_) => {}
        }
        if began.elapsed() >= limit {
            return Ok(None);
        }
        tokio::time::sleep(if began.elapsed() < UP_LIMIT { LOOK_GAP } else { LATE_LOOK_GAP }).await;
    }
}

/// Why a launch failed whose program has ended, with what it wrote last, as far as tmux has read that: it does not empty the terminal
/// of a process that has ended.
async fn ended(link: &Link, why: &str, shown: &str) -> Error {
    // tmux moves the screen up by a row to say that the pane is dead.
    let above = link.client.scrollback(&link.pane, LAST_SCROLLED).await.unwrap_or_default();
    let above = above.trim_end();
    // What it showed stands there too when its terminal was taken back.
    let words =
        last_words(&if above.ends_with(shown.trim_end()) { above.to_owned() } else { format!("{above}\n{shown}") });
    Error::new(Kind::Gone, format!("its program ended before it was ready ({why}){words}"))
}

/// The last rows of a screen that are not blank, for a sentence; nothing when there are none.
fn last_words(screen: &str) -> String {
    let of_program = |row: &&str| !row.is_empty() && !row.starts_with(DEAD_ROW);
    let rows: Vec<&str> = screen.lines().map(str::trim).filter(of_program).collect();
    if rows.is_empty() {
        return String::new();
    }
    let last = &rows[rows.len().saturating_sub(LAST_ROWS)..];
    let short = last.iter().map(|row| row.chars().filter(|c| !c.is_control()).take(LAST_ROW_CHARS).collect::<String>());
    format!("; the last it said is: {}", short.collect::<Vec<_>>().join(" / "))
}
