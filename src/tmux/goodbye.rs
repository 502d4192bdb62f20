//! Leaving a tmux server without harm to it.
//!
//! tmux 3.3a gives up, with every session in it ("not enough data"), when a client
//! goes while output of a busy pane is still queued for it: the pane's buffer no
//! longer counts that client. And it keeps a client for ever that does not take what is
//! still to be said to it. So a client hears nothing of panes until it asks to, and first has them all paused
//! when it goes, which empties the queue; then it reads to the end. ([`sweep`](super::sweep) removes the clients of a process that was killed.)

use super::door::Door;
use crate::model::PaneId;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;

/// What stands before a pane's id in the reply to the question which panes there are.
const PANE_MARK: &str = "troop-pane-of-session ";

/// The most that is kept of what a server says while it is asked, in bytes.
const MAX_HEARD: usize = 256 * 1024;

/// How long a client that was told to go may take before it is killed.
pub(super) const GOODBYE_DEADLINE: Duration = Duration::from_secs(2);

/// Lets an attached client go: with its input closed it detaches and ends, and the
/// session stays. One that does not is killed.
pub(super) async fn detach(mut child: Child, mut stdin: ChildStdin, mut stdout: ChildStdout, door: &Door) {
    let held = door.shared().await;
    // A server that does not answer is left all the same.
    let _ = timeout(GOODBYE_DEADLINE, hush(&mut stdin, &mut stdout)).await;
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

/// Pauses every pane of the session and returns when the server has, or has let us go already. A pane that has
/// written nothing to us yet may be about to.
async fn hush(stdin: &mut ChildStdin, stdout: &mut ChildStdout) -> std::io::Result<()> {
    let heard = ask(stdin, stdout, &format!("list-panes -s -F '{PANE_MARK}#{{pane_id}}'")).await?;
    let panes: BTreeSet<PaneId> = String::from_utf8_lossy(&heard)
        .lines()
        .filter_map(|line| PaneId::parse(line.trim_end().strip_prefix(PANE_MARK)?))
        .collect();
    if panes.is_empty() {
        return Ok(());
    }
    let mut line = "refresh-client".to_owned();
    for pane in panes {
        // Writing to a String cannot fail.
        let _ = write!(line, " -A '{pane}:pause'");
    }
    ask(stdin, stdout, &line).await.map(drop)
}

/// Runs one command line and gives what was heard until it was done, at most the last [`MAX_HEARD`] bytes.
async fn ask(stdin: &mut ChildStdin, stdout: &mut ChildStdout, line: &str) -> std::io::Result<Vec<u8>> {
    // A word that no pane can have written by now.
    let word = format!("troop-{}", uuid::Uuid::new_v4().simple());
    let lines = format!("{line}\ndisplay-message -p {word}\n");
    // Both at once: the server may have to be read from before it reads.
    let (sent, heard) = tokio::join!(stdin.write_all(lines.as_bytes()), read_until(stdout, word.as_bytes()));
    sent.and(heard)
}

/// Reads past `word` or to the end.
async fn read_until(stdout: &mut ChildStdout, word: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut seen = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = stdout.read(&mut buffer).await?;
        let new = seen.len().saturating_sub(word.len());
        seen.extend_from_slice(&buffer[..count]);
        // The word may be split between two reads.
        if count == 0 || seen[new..].windows(word.len()).any(|part| part == word) {
            return Ok(seen);
        }
        seen.drain(..seen.len().saturating_sub(MAX_HEARD));
    }
}
