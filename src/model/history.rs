//! What happened, as growing text: events as JSON lines and as prose.
//!
//! The text is kept in parts, each only ever appended to. When one is full it stays
//! as it is and a new one begins; the last two are at hand, like a log and the file it
//! was moved aside to. Clones share the bytes and differ only in how far they see, so a
//! snapshot costs no copy.

use super::event::Event;
use super::snapshot::printable;
use jiff::Timestamp;
use parking_lot::RwLock;
use std::sync::Arc;

/// The most bytes of one part of an agent's history in one format, if not a single event is
/// larger. With two parts in two formats, a thousand agents that never rest take at most 512 MiB.
pub const MAX_PART_BYTES: usize = 128 << 10;

/// The same for the history of all agents, which has one format.
pub const MAX_TROOP_PART_BYTES: usize = 1 << 20;

/// Which of the two texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HistoryFormat {
    /// One JSON object a line.
    Json,
    /// Prose.
    Text,
}

/// One event in both formats, each with its final newline.
#[derive(Debug, Clone)]
pub struct Lines {
    json: Box<str>,
    text: Box<str>,
}

impl Lines {
    /// Both texts of an event; none when it cannot be written as JSON.
    pub fn of(event: &Event) -> Option<Self> {
        let json = serde_json::to_string(event).ok()?;
        Some(Self { json: escaped(json).into(), text: printable(&event.to_text()).into() })
    }
}

/// Control characters that JSON allows in a string as they are, escaped: they must not reach a terminal.
fn escaped(json: String) -> String {
    let mut out = json;
    if out.contains(char::is_control) {
        out = out.chars().fold(String::new(), |mut out, c| {
            if c.is_control() {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            } else {
                out.push(c);
            }
            out
        });
    }
    out.push('\n');
    out
}

/// A history, as far as one snapshot sees it.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// None until something has happened.
    newest: Option<Part>,
    /// The part before, which does not change any more.
    before: Option<Part>,
}

/// One part of a history, as far as it is seen.
#[derive(Debug, Clone)]
pub struct Part {
    number: u16,
    texts: Arc<RwLock<Texts>>,
    json_len: usize,
    text_len: usize,
}

#[derive(Debug, Default)]
struct Texts {
    json: Vec<u8>,
    text: Vec<u8>,
}

impl History {
    /// Adds an event to an agent's history.
    pub fn push(&mut self, lines: &Lines) {
        self.add(&lines.json, &lines.text, MAX_PART_BYTES);
    }

    /// Adds an event to the history of all agents, which is JSON only.
    pub fn push_json(&mut self, lines: &Lines) {
        self.add(&lines.json, "", MAX_TROOP_PART_BYTES);
    }

    fn add(&mut self, json: &str, text: &str, max: usize) {
        if self.newest.as_ref().is_some_and(|part| !part.has_room(json.len(), text.len(), max)) {
            self.before = self.newest.take();
        }
        let number = self.before.as_ref().map_or(0, |part| part.number.wrapping_add(1));
        let part = self.newest.get_or_insert_with(|| Part {
            number,
            texts: Arc::default(),
            json_len: 0,
            text_len: 0,
        });
        let mut texts = part.texts.write();
        append(&mut texts.json, json, max);
        append(&mut texts.text, text, max);
        (part.json_len, part.text_len) = (texts.json.len(), texts.text.len());
        drop(texts);
        if let Some(before) = &self.before {
            let mut texts = before.texts.write();
            texts.json.shrink_to_fit();
            texts.text.shrink_to_fit();
        }
    }

    /// The number of the part that grows: 0 at first, one more for each that was full, 0 again after 65,535.
    pub fn number(&self) -> u16 {
        self.newest.as_ref().map_or(0, |part| part.number)
    }

    /// The number of the part before it, when there is one.
    pub fn number_before(&self) -> Option<u16> {
        self.before.as_ref().map(|part| part.number)
    }

    /// The part of that number, when it is at hand. Where nothing has happened yet, part 0 is empty.
    pub fn part(&self, number: u16) -> Option<Part> {
        match (&self.newest, &self.before) {
            (Some(part), _) | (_, Some(part)) if part.number == number => Some(part.clone()),
            (_, Some(part)) if part.number == number => Some(part.clone()),
            (None, _) if number == 0 => {
                Some(Part { number, texts: Arc::default(), json_len: 0, text_len: 0 })
            }
            _ => None,
        }
    }
}

impl Part {
    fn has_room(&self, json: usize, text: usize, max: usize) -> bool {
        self.json_len + json <= max && self.text_len + text <= max
    }

    /// Bytes of one format that are seen.
    pub fn len(&self, format: HistoryFormat) -> usize {
        match format {
            HistoryFormat::Json => self.json_len,
            HistoryFormat::Text => self.text_len,
        }
    }

    /// Whether there is nothing to be seen.
    pub fn is_empty(&self) -> bool {
        self.json_len == 0
    }

    /// The same with everything that was added since: what is left of a part that is not
    /// at hand any more.
    #[must_use]
    pub fn to_its_end(&self) -> Self {
        let texts = self.texts.read();
        Self { json_len: texts.json.len(), text_len: texts.text.len(), ..self.clone() }
    }

    /// Up to `size` bytes from `offset`, and never past what is seen.
    pub fn read(&self, format: HistoryFormat, offset: usize, size: usize) -> Vec<u8> {
        let texts = self.texts.read();
        let (bytes, len) = match format {
            HistoryFormat::Json => (&texts.json, self.json_len),
            HistoryFormat::Text => (&texts.text, self.text_len),
        };
        let start = offset.min(len);
        let end = start.saturating_add(size).min(len);
        bytes[start..end].to_vec()
    }
}

/// Appends, growing by doubling like a `Vec` but not above `max` unless it must.
fn append(bytes: &mut Vec<u8>, more: &str, max: usize) {
    let needed = bytes.len() + more.len();
    if needed > bytes.capacity() {
        let capacity = needed.max((2 * bytes.capacity()).min(max));
        bytes.reserve_exact(capacity - bytes.len());
    }
    bytes.extend_from_slice(more.as_bytes());
}

/// Where the events of all agents come together, in the order they become known. What
/// the journals hold already when troop starts is put in order by time first.
#[derive(Debug, Default)]
pub struct Chronicle {
    history: History,
    /// Read before everything was: by time, each with a number for those of the same time.
    early: std::collections::BTreeMap<(Timestamp, u64), Lines>,
    early_bytes: usize,
    settled: bool,
}

#[cfg(test)]
mod tests {
}
