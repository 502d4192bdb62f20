//! Typing into a pane: text through a paste buffer, keys by name.
//!
//! Whether the pane can take it is asked inside the server, in the same command:
//! tmux 3.3a crashes, with every session in it, when something is pasted into a
//! dead pane (reference "FUSE and tmux", section 7), and a pane with its input off
//! swallows everything without a word.

use super::client::{Client, quote_path};
use super::connection::refusal;
use super::protocol::Reply;
use super::{Key, quote};
use crate::error::{Error, Kind, Result};
use crate::model::PaneId;
use std::path::Path;

/// The most keys that are pressed at once.
pub const MAX_KEYS: usize = 256;

/// What is answered when the keys went in.
const DONE: &str = "troop-done";

/// What stands before the reasons when they did not.
const REFUSED: &str = "troop-refused ";

impl Client {
    /// Pastes a file's bytes as they are, in paste brackets if the program asked for
    /// them. [`Kind::Gone`] when the pane is dead or not there, [`Kind::Busy`]
    /// when its input is switched off. The server keeps no copy, whatever happens.
    ///
    /// `file` is read by the server and must be absolute. After
    /// [`Kind::TimedOut`] it is not known whether the text arrived.
    pub async fn paste(&self, pane: &PaneId, file: &Path) -> Result<()> {
        let buffer = buffer_name();
        let name = quote_path(file)?;
        check_text(file)?;
        let paste = format!("paste-buffer -p -r -d -b {buffer} -t {pane}");
        let line = format!("load-buffer -b {buffer} {name} ; {}", guarded(pane, REFUSING, &paste));
        self.type_in(pane, line, Some(&buffer))
            .await
            .map_err(|e| e.while_doing(format!("cannot paste into pane {pane}")))
    }

    /// Presses the key that submits what stands in the composer. Enter also works
    /// while a person scrolls back in copy mode, and leaves that alone; any other key would
    /// move them about and is refused then ([`Kind::Busy`]).
    pub async fn submit(&self, pane: &PaneId, key: &Key) -> Result<()> {
        if !key.is_enter() {
            return self.keys(pane, std::slice::from_ref(key)).await;
        }
        let buffer = buffer_name();
        let paste = format!("paste-buffer -r -d -b {buffer} -t {pane}");
        let line = format!("set-buffer -b {buffer} {} ; {}", quote("\r"), guarded(pane, REFUSING, &paste));
        self.type_in(pane, line, Some(&buffer))
            .await
            .map_err(|e| e.while_doing(format!("cannot press Enter in pane {pane}")))
    }

    /// Presses keys, one after the other. [`Kind::Busy`] while copy mode or another
    /// mode is on top, because that would get them instead of the program.
    pub async fn keys(&self, pane: &PaneId, keys: &[Key]) -> Result<()> {
        if keys.len() > MAX_KEYS {
            let sentence = format!("{} keys are too many at once; {MAX_KEYS} is the limit", keys.len());
            return Err(Error::new(Kind::TooLarge, sentence));
        }
        if keys.is_empty() {
            return Ok(());
        }
        let press: Vec<_> = keys.iter().map(|key| format!("send-keys -t {pane} {}", key.arguments())).collect();
        let line = guarded(pane, REFUSING_IN_MODE, &press.join(" ; "));
        self.type_in(pane, line, None).await.map_err(|e| e.while_doing(format!("cannot press keys in pane {pane}")))
    }

    async fn type_in(&self, pane: &PaneId, line: String, buffer: Option<&str>) -> Result<()> {
        // tmux from 3.4 on tells every control client about changed buffers.
        let _held = match buffer {
            Some(_) => Some(self.hold_door().await),
            None => None,
        };
        let mut lines = vec![line];
        // In the same request, so that the text is gone even if nobody waits for the
        // answer; after a paste it is gone already and this fails.
        lines.extend(buffer.map(|buffer| format!("delete-buffer -b {buffer}")));
        let mut replies = self.ask(lines).await?;
        if buffer.is_some() {
            replies.pop();
        }
        verdict(pane, &replies)
    }
}

/// When a paste is refused.
const REFUSING: &str = "#{||:#{pane_dead},#{pane_input_off}}";

/// When keys are refused.
const REFUSING_IN_MODE: &str = "#{||:#{pane_dead},#{||:#{pane_input_off},#{pane_in_mode}}}";

/// A command that runs `action` unless the condition holds, and says which.
///
/// For a pane that is not there tmux looks at another one, so the id is compared too.
fn guarded(pane: &PaneId, refusing: &str, action: &str) -> String {
    let refusing = format!("#{{||:#{{!=:#{{pane_id}},{pane}}},{refusing}}}");
    let why = format!("{REFUSED}#{{pane_id}} #{{pane_dead}} #{{pane_input_off}}");
    let why = format!("display-message -p -t {pane} {}", quote(&why));
    let action = format!("{action} ; display-message -p {DONE}");
    format!("if-shell -F -t {pane} {} {} {}", quote(&refusing), quote(&why), quote(&action))
}

fn verdict(pane: &PaneId, replies: &[Reply]) -> Result<()> {
    if let Some(failed) = replies.iter().find(|reply| reply.failed) {
        return Err(refusal(&failed.text()));
    }
    let last = replies.last().map(Reply::text).unwrap_or_default();
    if last == DONE {
        return Ok(());
    }
    let Some(why) = last.strip_prefix(REFUSED) else {
        return Err(Error::new(Kind::Io, format!("tmux did not say whether pane {pane} took the keys")));
    };
    let mut why = why.split(' ');
    let there = why.next() == Some(pane.as_str());
    let (dead, off) = (why.next() == Some("1"), why.next() == Some("1"));
    Err(if !there {
        Error::new(Kind::Gone, format!("there is no pane {pane} any more"))
    } else if dead {
        Error::new(Kind::Gone, format!("the program in pane {pane} has ended"))
    } else if off {
        let remedy = format!("tmux select-pane -e -t {pane}");
        Error::new(Kind::Busy, format!("the input of pane {pane} is switched off; switch it on with: {remedy}"))
    } else {
        let sentence = "is in copy mode or another mode, which would take the key; leave that mode first";
        Error::new(Kind::Busy, format!("pane {pane} {sentence}"))
    })
}

/// Refuses what the server could not read: it would say so only after the command.
fn check_text(file: &Path) -> Result<()> {
    let bytes = std::fs::metadata(file)
        .map_err(|e| Error::io(format!("cannot paste {}", file.display()), &e))
        .map(|metadata| if metadata.is_file() { metadata.len() } else { 0 })?;
    if bytes == 0 {
        return Err(Error::new(Kind::Invalid, format!("there is no text in {}, so nothing is pasted", file.display())));
    }
    Ok(())
}

/// A name no other program uses, and no second prompt.
fn buffer_name() -> String {
    format!("troop-{}", uuid::Uuid::new_v4().simple())
}
