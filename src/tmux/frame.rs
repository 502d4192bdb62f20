//! One look at a pane: its facts and its screen, taken in one command sequence
//! and therefore consistent with each other.

use super::client::Client;
use super::connection::refusal;
use super::protocol::Reply;
use super::quote;
use crate::error::{Error, Kind, Result};
use crate::model::{Pane, PaneId, Screen};
use std::borrow::Cow;

/// The most rows of history that are given.
pub const MAX_SCROLLBACK_LINES: u32 = 50_000;

/// The facts in order, title and command last: both are what a program says. The
/// title's length in bytes stands before it, so that it may hold anything.
pub(super) const FORMAT: &str = "#{pane_id} #{pane_pid} #{pane_dead} #{pane_dead_status} #{pane_dead_signal} \
    #{cursor_x} #{cursor_y} #{cursor_flag} #{pane_width} #{pane_height} #{alternate_on} #{pane_input_off} #{pane_in_mode} \
    #{history_size} #{bracket_paste_flag} #{n:pane_title} #{pane_title} #{pane_current_command}";

/// How many fields of [`FORMAT`] come before the title.
const FIELDS: usize = 16;

/// How often a look is repeated when a pane's text ended its reply early.
const LOOKS: usize = 3;

/// A pane and what it showed at that moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The facts.
    pub pane: Pane,
    /// The visible screen.
    pub screen: Screen,
}

/// How rows of a pane come to us. tmux before 3.6 never gives back the memory of what `capture-pane -p` tells a control
/// client (tmux issue 4590): 5 KiB for each look. A paste buffer it does give back; from 3.4 on every client
/// would be told of it, and iTerm2 would put it into the clipboard, so only the releases before that take this way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Capture {
    /// `capture-pane -p`.
    #[default]
    Printed,
    /// A paste buffer, shown and deleted in the same line.
    Buffer,
}

/// The paste buffer of [`Capture::Buffer`], there for as long as one line of commands runs.
const BUFFER: &str = "troop-capture";

/// The reply of the first command, and the rows.
type Shown<'r> = (&'r Reply, Cow<'r, [u8]>);

impl Capture {
    /// The right one for a server of that version. How others before 3.4 show a buffer has not been tried.
    pub(super) fn of_version(version: &str) -> Self {
        if matches!(version, "3.3" | "3.3a") { Self::Buffer } else { Self::Printed }
    }

    /// The commands that capture a pane; `range` says which rows.
    fn commands(self, pane: &PaneId, range: &str) -> String {
        match self {
            Self::Printed => format!("capture-pane -p -e -t {pane}{range}"),
            Self::Buffer => format!(
                "capture-pane -e -b {BUFFER} -t {pane}{range} ; show-buffer -b {BUFFER} ; delete-buffer -b {BUFFER}"
            ),
        }
    }

    /// The reply of the first command and the rows, or `None` when the replies are not what was asked for.
    /// [`Kind::Gone`] for a pane that is not there.
    fn read<'r>(self, pane: &PaneId, replies: &'r [Reply]) -> Result<Option<Shown<'r>>> {
        match replies.iter().find(|reply| reply.failed) {
            // tmux's own errors have one line; more is a screen that ended in a guess.
            Some(failed) if failed.lines().count() == 1 => {
                return Err(refusal(&failed.text()).while_doing(format!("cannot look at pane {pane}")));
            }
            Some(_) => return Ok(None),
            None => {}
        }
        Ok(match (self, replies) {
            (Self::Printed, [first, rows]) if !rows.truncated => Some((first, rows.body().into())),
            (Self::Buffer, [first, _, rows, _]) if !rows.truncated => {
                // A buffer ends in a newline of its own, and in one more when it is shown.
                let shown = rows.body();
                Some((first, unescape(shown.strip_suffix(b"\n").unwrap_or(shown)).into()))
            }
            _ => None,
        })
    }
}

/// What a buffer holds from what `show-buffer` shows of it: control characters as a backslash and octal digits, and a
/// backslash before another and before a `$` that a shell would expand.
fn unescape(shown: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(shown.len());
    let mut rest = shown;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        bytes.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let octal = rest.first_chunk::<3>().filter(|digits| digits.iter().all(|digit| (b'0'..=b'7').contains(digit)));
        match octal {
            Some(digits) => {
                // Three digits are at most 0o777, of which tmux means the last eight bits.
                bytes.push(digits.iter().fold(0, |byte: u8, digit| byte.wrapping_mul(8).wrapping_add(digit - b'0')));
                rest = &rest[3..];
            }
            None => {
                // Both stand for the second; before anything else tmux writes none.
                let escaped = rest.first().filter(|byte| matches!(byte, b'\\' | b'$'));
                bytes.push(*escaped.unwrap_or(&b'\\'));
                rest = &rest[usize::from(escaped.is_some())..];
            }
        }
    }
    bytes.extend_from_slice(rest);
    bytes
}

impl Client {
    /// Looks at a pane, and hears of it from then on. [`Kind::Gone`] when it does not exist any more.
    pub async fn frame(&self, pane: &PaneId) -> Result<Frame> {
        // What is written from here on is heard of; what was written before is on the screen.
        let capture = self.capture();
        let line = format!("refresh-client -A '{pane}:continue' ; {}", commands(pane, capture, ""));
        self.look(pane, capture, 1, || self.resume(pane, line.clone())).await
    }

    /// Looks at a pane that is not heard of, because it has written something since the last [`Client::frame`], and
    /// leaves it so. One exchange with the server; otherwise as [`Client::frame`].
    pub async fn glance(&self, pane: &PaneId) -> Result<Frame> {
        let capture = self.capture();
        self.look(pane, capture, 0, || self.ask(vec![commands(pane, capture, "")])).await
    }

    /// Looks with what `ask` asks; the first `before` replies are not of the look.
    /// They come as `capture` says, which another task may have changed since.
    async fn look<Asked>(
        &self,
        pane: &PaneId,
        capture: Capture,
        before: usize,
        ask: impl Fn() -> Asked,
    ) -> Result<Frame>
    where
        Asked: Future<Output = Result<Vec<Reply>>>,
    {
        let mut reaped = false;
        for _ in 0..LOOKS {
            let replies = ask().await?;
            let shown = match replies.split_at_checked(before) {
                Some((others, shown)) if others.iter().all(|reply| !reply.failed) => shown,
                _ => &replies,
            };
            match parse_frame(pane, capture, shown)? {
                // tmux before 3.5 can miss the signal of a child's end, and then never says how it ended.
                // The end of another child makes it look at all of them.
                Some(frame) if unknown_end(&frame.pane) && !reaped => {
                    reaped = true;
                    self.ask(vec!["run-shell true".to_owned()]).await?;
                }
                Some(frame) if is_cleared(&frame) => {
                    let rows = format!(" -S -{} -E -1", frame.pane.size.1);
                    let replies = self.ask(vec![commands(pane, capture, &rows)]).await?;
                    return Ok(parse_frame(pane, capture, &replies)?.unwrap_or(frame));
                }
                Some(frame) => return Ok(frame),
                None => {}
            }
        }
        Err(unreadable(pane))
    }

    /// The last `lines` rows that have scrolled off the top of a pane, plain, at most
    /// [`MAX_SCROLLBACK_LINES`]; empty when there are none.
    pub async fn scrollback(&self, pane: &PaneId, lines: u32) -> Result<String> {
        let lines = lines.min(MAX_SCROLLBACK_LINES);
        if lines == 0 {
            return Ok(String::new());
        }
        let size = quote("#{history_size}");
        let capture = self.capture();
        let rows = capture.commands(pane, &format!(" -S -{lines} -E -1"));
        let line = format!("display-message -p -t {pane} {size} ; {rows}");
        for _ in 0..LOOKS {
            let replies = self.ask(vec![line.clone()]).await?;
            let Some((size, rows)) = capture.read(pane, &replies)? else { continue };
            let Ok(size) = size.text().parse::<u32>() else { continue };
            if size == 0 {
                // Without history tmux gives the first visible row.
                return Ok(String::new());
            }
            let rows_expected = usize::try_from(size.min(lines)).unwrap_or(usize::MAX);
            if count(&rows) != rows_expected {
                continue;
            }
            return Ok(Screen::parse(&rows).text.to_string());
        }
        Err(unreadable(pane))
    }
}

/// The commands whose replies are a frame; `range` says which rows.
fn commands(pane: &PaneId, capture: Capture, range: &str) -> String {
    format!("display-message -p -t {pane} {} ; {}", quote(FORMAT), capture.commands(pane, range))
}

/// The program has ended, and what it showed went into the history when its terminal was taken back (`respawn::keep`).
fn is_cleared(frame: &Frame) -> bool {
    frame.pane.dead && frame.screen.text.is_empty() && frame.pane.history >= u32::from(frame.pane.size.1)
}

fn count(rows: &[u8]) -> usize {
    rows.split_inclusive(|byte| *byte == b'\n').count()
}

fn unreadable(pane: &PaneId) -> Error {
    Error::new(
        Kind::Malformed,
        format!(
            "the screen of pane {pane} could not be read, because what it shows looks like tmux's own protocol; look at it with tmux attach"
        ),
    )
}

fn parse_frame(pane: &PaneId, capture: Capture, replies: &[Reply]) -> Result<Option<Frame>> {
    let Some((facts, rows)) = capture.read(pane, replies)? else { return Ok(None) };
    let Some(facts) = parse_pane(&facts.text()).filter(|facts| facts.id == *pane) else { return Ok(None) };
    let whole = count(&rows) == usize::from(facts.size.1);
    Ok(whole.then(|| Frame { pane: facts, screen: Screen::parse(&rows) }))
}

pub(super) fn parse_pane(text: &str) -> Option<Pane> {
    let mut fields = text.splitn(FIELDS + 1, ' ');
    let id = PaneId::parse(fields.next()?)?;
    let pid = fields.next()?.parse().ok()?;
    let dead = flag(fields.next()?)?;
    let exit_status = fields.next()?.parse().ok();
    let exit_signal = fields.next()?.parse().ok();
    let cursor = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let cursor_shown = flag(fields.next()?)?;
    let size = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let alternate = flag(fields.next()?)?;
    let input_off = flag(fields.next()?)?;
    let in_mode = flag(fields.next()?)?;
    let history = fields.next()?.parse().ok()?;
    // Empty in a tmux that does not know the word.
    let bracketed_paste = fields.next().map(|field| field.parse::<u32>().ok().map(|flag| flag > 0))?;
    let title_bytes: usize = fields.next()?.parse().ok()?;
    let rest = fields.next()?;
    let (title, command) = (rest.get(..title_bytes)?, rest.get(title_bytes..)?.strip_prefix(' ')?);
    Some(Pane {
        id,
        pid,
        dead,
        exit_status: exit_status.filter(|_| dead && exit_signal.is_none()),
        exit_signal: exit_signal.filter(|_| dead),
        title: plain(title),
        cursor,
        cursor_shown,
        size,
        alternate,
        input_off,
        in_mode,
        command: plain(command),
        history,
        bracketed_paste,
    })
}

/// The program has ended and tmux does not say how.
fn unknown_end(pane: &Pane) -> bool {
    pane.dead && pane.exit_status.is_none() && pane.exit_signal.is_none()
}

/// `0` or empty is no, a number is yes (`pane_in_mode` counts).
fn flag(field: &str) -> Option<bool> {
    if field.is_empty() { Some(false) } else { field.parse::<u32>().ok().map(|n| n > 0) }
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_may_hold_anything() {
        let facts = |title: &str| format!("%3 42 0   5 6 1 80 24 1 0 2 17 1 {} {title} my prog", title.len());
        for title in ["", "a b", "%end 1 2 3\nx", "é😀 "] {
            let pane = parse_pane(&facts(title)).unwrap();
            assert_eq!(pane.title, plain(title));
            assert_eq!(pane.command, "my prog");
            assert_eq!((pane.cursor, pane.size, pane.history), ((5, 6), (80, 24), 17));
            assert!(pane.alternate && pane.in_mode && !pane.input_off && !pane.dead);
            assert_eq!(pane.bracketed_paste, Some(true));
        }
        assert_eq!(parse_pane(&facts("é").replace(" 2 é", " 1 é")), None);
        assert_eq!(parse_pane("  0"), None);
    }

    #[test]
    fn a_death_has_a_status_or_a_signal() {
        let died = |status: &str, signal: &str| {
            let pane = parse_pane(&format!("%3 42 1 {status} {signal} 0 0 0 80 24 0 0 0 0  0  sh")).unwrap();
            (pane.exit_status, pane.exit_signal)
        };
        assert_eq!(died("3", ""), (Some(3), None));
        assert_eq!(died("", "9"), (None, Some(9)));
        assert_eq!(died("0", "15"), (None, Some(15)));
    }

    #[test]
    fn what_a_buffer_shows_is_what_it_holds() {
        let shown = br"\033[31mred\033]8;;http://a/\033\\ back\\slash \\033 \016qqx\017 \x \$HOME $1 \\$1 \";
        let held = b"\x1b[31mred\x1b]8;;http://a/\x1b\\ back\\slash \\033 \x0eqqx\x0f \\x $HOME $1 \\$1 \\";
        assert_eq!(unescape(shown), held);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_facts_or_not(text: String) {
            let _ = parse_pane(&text);
        }
    }
}
