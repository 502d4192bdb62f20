//! The text protocol of `tmux -C`, from bytes to [`Message`]s, without I/O.
//!
//! A server answers every command with a block, `%begin TIME NUMBER FLAGS` to
//! `%end` or `%error` with the same three values, and between blocks it sends
//! notifications, one `%line` each (tmux(1), CONTROL MODE). The lines of a block
//! are arbitrary: a pane may show `%end 1 2 3`, so a block ends only at the exact
//! values it began with. A pane that guesses them can still end a block early;
//! whoever asks for a pane's text therefore knows how many lines it must have.

use crate::model::PaneId;

/// The longest line of a reply that is kept whole; of a longer one the rest is
/// dropped and the reply is marked. A row of 2,000 cells, each with its own
/// 24-bit colours, fits.
pub const MAX_LINE_BYTES: usize = 128 * 1024;

/// The longest reply that is kept whole: some 50,000 rows of scrollback.
pub const MAX_REPLY_BYTES: usize = 16 * 1024 * 1024;

/// How much of a notification is looked at; the payload of `%output` is not.
pub const MAX_NOTICE_BYTES: usize = 1024;

/// What one command answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Seconds since the epoch when the command ran.
    pub time: u64,
    /// The server's number for the command.
    pub number: u64,
    /// 1 when the command came over this connection's input, else 0.
    pub flags: u32,
    /// The block ended in `%error`.
    pub failed: bool,
    /// A limit cut something off.
    pub truncated: bool,
    body: Vec<u8>,
}

impl Reply {
    /// The lines between `%begin` and `%end`, each with its newline.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body as text, without the last newline.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.body.strip_suffix(b"\n").unwrap_or(&self.body)).into_owned()
    }

    /// The lines of the body.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.body.split_inclusive(|b| *b == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line))
    }
}

/// One thing the server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A whole reply block.
    Reply(Reply),
    /// A pane wrote something; what it was is not kept.
    Output(PaneId),
    /// The server holds this pane's output back until it is told to continue.
    Pause(PaneId),
    /// The server sends this pane's output again.
    Continue(PaneId),
    /// A pane entered or left a mode such as copy mode.
    PaneModeChanged(PaneId),
    /// This client is being let go, with the server's reason when it gave one.
    Exit(Option<String>),
    /// A session was created or destroyed.
    SessionsChanged,
    /// This client now shows that session.
    SessionChanged {
        /// `$3`.
        id: String,
        /// Its name.
        name: String,
    },
    /// Some session has a new name.
    SessionRenamed,
    /// A window of this session was added, unlinked, renamed, resized, selected,
    /// or has another active pane.
    WindowsChanged,
    /// A window of any session was closed: by then it belongs to none.
    WindowClosed,
    /// A subscribed format has a new value; its name.
    SubscriptionChanged(String),
    /// A notification that is not used here; its name without the `%`.
    Other(String),
    /// A line outside any block that is not a notification: a pane's text has
    /// ended its block early, or a command failed after its block (`load-buffer`).
    Stray,
}

/// Bytes in, messages out, split anywhere.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    line_cut: bool,
    block: Option<Block>,
}

#[derive(Debug)]
struct Block {
    /// `TIME NUMBER FLAGS` as `%begin` gave them.
    guard: Vec<u8>,
    reply: Reply,
}

impl Parser {
    /// A parser at the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes and gives the messages they complete.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            self.keep(&bytes[..end]);
            bytes = &bytes[end + 1..];
            messages.extend(self.end_of_line());
            self.line.clear();
            self.line_cut = false;
        }
        self.keep(bytes);
        messages
    }

    fn keep(&mut self, part: &[u8]) {
        let limit = if self.block.is_some() { MAX_LINE_BYTES } else { MAX_NOTICE_BYTES };
        let room = limit.saturating_sub(self.line.len());
        self.line_cut |= part.len() > room;
        self.line.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn end_of_line(&mut self) -> Option<Message> {
        let line = self.line.as_slice();
        match self.block.take() {
            None => match line.strip_prefix(b"%begin ").and_then(Block::begin) {
                Some(block) => {
                    self.block = Some(block);
                    None
                }
                None => Some(notification(line)),
            },
            Some(mut block) if !self.line_cut && block.ends_at(line) => {
                block.reply.failed = line.starts_with(b"%error");
                Some(Message::Reply(block.reply))
            }
            Some(mut block) => {
                block.add(line, self.line_cut);
                self.block = Some(block);
                None
            }
        }
    }
}

impl Block {
    fn begin(guard: &[u8]) -> Option<Self> {
        let mut fields = std::str::from_utf8(guard).ok()?.split(' ');
        let reply = Reply {
            time: fields.next()?.parse().ok()?,
            number: fields.next()?.parse().ok()?,
            flags: fields.next()?.parse().ok()?,
            failed: false,
            truncated: false,
            body: Vec::new(),
        };
        fields.next().is_none().then(|| Self { guard: guard.to_vec(), reply })
    }

    fn ends_at(&self, line: &[u8]) -> bool {
        line.strip_prefix(b"%end ").or_else(|| line.strip_prefix(b"%error ")) == Some(&self.guard)
    }

    fn add(&mut self, line: &[u8], cut: bool) {
        let body = &mut self.reply.body;
        let fits = body.len() + line.len() < MAX_REPLY_BYTES;
        self.reply.truncated |= cut || !fits;
        if fits {
            body.extend_from_slice(line);
            body.push(b'\n');
        }
    }
}

fn notification(line: &[u8]) -> Message {
    let Some(notice) = line.strip_prefix(b"%") else { return Message::Stray };
    let space = notice.iter().position(|b| *b == b' ');
    let (name, rest) = match space {
        Some(at) => (&notice[..at], &notice[at + 1..]),
        None => (notice, &[][..]),
    };
    let other = || Message::Other(lossy(name));
    let pane = |message: fn(PaneId) -> Message| first_word(rest).and_then(PaneId::parse).map_or_else(other, message);
    match name {
        b"output" | b"extended-output" => pane(Message::Output),
        b"pause" => pane(Message::Pause),
        b"continue" => pane(Message::Continue),
        b"pane-mode-changed" => pane(Message::PaneModeChanged),
        b"exit" => Message::Exit((!rest.is_empty()).then(|| lossy(rest))),
        b"sessions-changed" => Message::SessionsChanged,
        b"session-renamed" => Message::SessionRenamed,
        b"session-changed" => match lossy(rest).split_once(' ') {
            Some((id, name)) => Message::SessionChanged { id: id.to_owned(), name: name.to_owned() },
            None => other(),
        },
        b"window-add"
        | b"window-close"
        | b"window-renamed"
        | b"window-pane-changed"
        | b"session-window-changed"
        | b"layout-change" => Message::WindowsChanged,
        b"unlinked-window-close" => Message::WindowClosed,
        b"subscription-changed" => {
            first_word(rest).map_or_else(other, |name| Message::SubscriptionChanged(name.to_owned()))
        }
        _ => other(),
    }
}

/// The text before the first space: the payload after it need not be UTF-8.
fn first_word(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes.split(|b| *b == b' ').next()?).ok()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests;
