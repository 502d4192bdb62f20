//! Leaving a tmux server without harm to it.
//!
//! tmux 3.3a gives up, with every session in it ("not enough data"), when a client
//! goes while output of a busy pane is still queued for it: the pane's buffer no
//! longer counts that client. And it keeps a client for ever that does not take what is
//! still to be said to it. So a client first has its panes paused, which empties
//! the queue, and then reads to the end. ([`sweep`](super::sweep) removes the clients of a process that was killed.)

use super::door::Door;
use crate::model::PaneId;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;

/// How long a client that was told to go may take before it is killed.
pub(super) const GOODBYE_DEADLINE: Duration = Duration::from_secs(2);

/// Lets an attached client go: with its input closed it detaches and ends, and the
/// session stays. One that does not is killed. `talkers` are the panes that have written to it.
pub(super) async fn detach(
    mut child: Child,
    mut stdin: ChildStdin,
    mut stdout: ChildStdout,
    door: &Door,
    talkers: &BTreeSet<PaneId>,
) {
    let held = door.shared().await;
    // A server that does not answer is left all the same.
    let _ = timeout(GOODBYE_DEADLINE, hush(&mut stdin, &mut stdout, talkers)).await;
    drop(stdin);
    let goodbye = async {
        // Whether by its end or by an error: there is no more to come.
        let _ = tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await;
        child.wait().await
    };
    if timeout(GOODBYE_DEADLINE, goodbye).await.is_err() {
        // Nothing is left to be done about a process that cannot be killed.
        let _ = child.kill().await;
    }
    held.settle().await;
}

/// Pauses the panes and returns when the server has, or has let us go already.
async fn hush(stdin: &mut ChildStdin, stdout: &mut ChildStdout, talkers: &BTreeSet<PaneId>) -> std::io::Result<()> {
    if talkers.is_empty() {
        return Ok(());
    }
    // A word that no pane can have written by now.
    let word = format!("troop-{}", uuid::Uuid::new_v4().simple());
    let mut lines = "refresh-client".to_owned();
    for pane in talkers {
        // Writing to a String cannot fail.
        let _ = write!(lines, " -A '{pane}:pause'");
    }
    let _ = write!(lines, "\ndisplay-message -p {word}\n");
    // Both at once: the server may have to be read from before it reads.
    let (sent, heard) = tokio::join!(stdin.write_all(lines.as_bytes()), read_until(stdout, word.as_bytes()));
    sent.and(heard)
}

/// Reads past `word` or to the end.
async fn read_until(stdout: &mut ChildStdout, word: &[u8]) -> std::io::Result<()> {
    let mut seen = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = stdout.read(&mut buffer).await?;
        seen.extend_from_slice(&buffer[..count]);
        if count == 0 || seen.windows(word.len()).any(|part| part == word) {
            return Ok(());
        }
        // The word may be split between two reads.
        seen.drain(..seen.len().saturating_sub(word.len()));
    }
}
