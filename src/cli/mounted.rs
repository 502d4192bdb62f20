//! What mounts know already: quicker than looking at every agent again.

use crate::fuse;
use crate::model::listed::Listed;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long mounts may take to answer before they count as none.
const LIMIT: Duration = Duration::from_millis(100);
/// The most mounts that are asked.
const MAX_MOUNTS: usize = 16;

/// The mounts that have been asked and may still answer.
pub(super) struct Asked {
    answers: Receiver<Vec<Listed>>,
    until: Instant,
}

/// Asks all mounts of this user for the agents that they show, each on a thread of its own, because a server that is slow holds
/// whoever asks it. One that is stopped is not asked: a program that waits for it cannot even end.
pub(super) fn ask() -> Asked {
    let (answer, answers) = channel();
    let stopped = fuse::mount::stopped();
    for mount in fuse::mount::own_mounts().unwrap_or_default().into_iter().take(MAX_MOUNTS) {
        if !fuse::mount::can_be_asked(&mount, &stopped) {
            continue;
        }
        let answer = answer.clone();
        let ask = move || {
            if let Some(agents) = read(&mount.path) {
                let _ = answer.send(agents);
            }
        };
        // One that cannot be asked does not answer.
        let _ = std::thread::Builder::new().name("troop-asks".to_owned()).spawn(ask);
    }
    Asked { answers, until: Instant::now() + LIMIT }
}

impl Asked {
    /// The first answer for which `fits` makes something; none when no mount gives one in time.
    pub(super) fn first<T>(self, fits: impl Fn(Vec<Listed>) -> Option<T>) -> Option<T> {
        loop {
            let left = self.until.saturating_duration_since(Instant::now());
            if let Some(found) = fits(self.answers.recv_timeout(left).ok()?) {
                return Some(found);
            }
        }
    }
}

/// The live agents that a mount shows; none when one of its lines is not understood.
fn read(mount: &Path) -> Option<Vec<Listed>> {
    let lines = std::fs::read_to_string(mount.join("agents.jsonl")).ok()?;
    lines.lines().map(|line| serde_json::from_str(line).ok()).collect()
}
