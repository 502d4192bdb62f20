//! What happened, as growing text: events as JSON lines and as prose.
//!
//! The text is kept in parts, each only ever appended to. When one is full it stays
//! as it is and a new one begins; the last two are at hand, like a log and the file it
//! was moved aside to. Clones share the bytes and differ only in how far they see, so a
//! snapshot costs no copy.

use super::event::Event;
use super::snapshot::printable;
use parking_lot::RwLock;
use std::fmt::Write;
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
    /// For programs.
    pub json: Box<str>,
    /// For people.
    pub text: Box<str>,
}

impl Lines {
    /// Both texts of an event; none when it cannot be written as JSON.
    pub fn of(event: &Event) -> Option<Self> {
        Some(Self { json: json_line(event)?, text: printable(&event.to_text()).into() })
    }
}

/// A value as a line of JSON with its newline; none when it cannot be.
pub fn json_line(value: &impl serde::Serialize) -> Option<Box<str>> {
    Some(escaped(serde_json::to_string(value).ok()?).into())
}

/// Control characters that JSON allows in a string as they are, escaped: they must not reach a terminal.
fn escaped(json: String) -> String {
    let mut out = json;
    if out.contains(char::is_control) {
        out = out.chars().fold(String::new(), |mut out, c| {
            let _ = if c.is_control() { write!(out, "\\u{:04x}", u32::from(c)) } else { out.write_char(c) };
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

impl Texts {
    fn shrink(&mut self) {
        self.json.shrink_to_fit();
        self.text.shrink_to_fit();
    }
}

impl History {
    /// Adds an event to an agent's history.
    pub fn push(&mut self, lines: &Lines) {
        self.add(&lines.json, &lines.text, MAX_PART_BYTES);
    }

    /// Adds a line of JSON and no prose; a part has `max` bytes at most, or one line.
    pub fn push_json(&mut self, line: &str, max: usize) {
        self.add(line, "", max);
    }

    fn add(&mut self, json: &str, text: &str, max: usize) {
        if let Some(full) = self.newest.take_if(|part| !part.has_room(json.len(), text.len(), max)) {
            full.texts.write().shrink();
            self.before = Some(full);
        }
        let number = self.before.as_ref().map_or(0, |part| part.number.wrapping_add(1));
        let part = self.newest.get_or_insert_with(|| Part { number, texts: Arc::default(), json_len: 0, text_len: 0 });
        let mut texts = part.texts.write();
        append(&mut texts.json, json, max);
        append(&mut texts.text, text, max);
        (part.json_len, part.text_len) = (texts.json.len(), texts.text.len());
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
            (Some(part), _) if part.number == number => Some(part.clone()),
            (_, Some(part)) if part.number == number => Some(part.clone()),
            (None, _) if number == 0 => Some(Part { number, texts: Arc::default(), json_len: 0, text_len: 0 }),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Actor, EventKind};
    use jiff::Timestamp;
    use proptest::prelude::*;

    fn lines(seq: u64, size: usize) -> Lines {
        let kind = EventKind::Prompt { prompt_id: "p".into(), turn: 1, text: "x".repeat(size) };
        let at = Timestamp::UNIX_EPOCH;
        Lines::of(&Event { seq, at, agent: "a".into(), agent_id: "i".into(), actor: Actor::Observed, kind }).unwrap()
    }

    fn all(part: &Part, format: HistoryFormat) -> String {
        String::from_utf8(part.read(format, 0, usize::MAX)).unwrap()
    }

    #[test]
    fn nothing_has_happened_in_an_empty_part() {
        let history = History::default();
        assert_eq!((history.number(), history.number_before()), (0, None));
        assert!(history.part(0).unwrap().is_empty() && history.part(1).is_none());
    }

    #[test]
    fn a_snapshot_sees_what_there_was_and_its_part_to_the_end() {
        let mut history = History::default();
        history.push(&lines(1, 10));
        let before = history.clone().part(0).unwrap();
        history.push(&lines(2, 10));
        for format in [HistoryFormat::Json, HistoryFormat::Text] {
            assert_eq!(all(&before, format).lines().count(), 1);
            assert_eq!(all(&before.to_its_end(), format).lines().count(), 2);
            assert_eq!(before.to_its_end().len(format), history.part(0).unwrap().len(format));
        }
    }

    #[test]
    fn a_part_is_full_in_either_format_and_one_line_always_has_room() {
        let mut history = History::default();
        for (size, number) in [(MAX_PART_BYTES, 0), (1, 1), (MAX_PART_BYTES - 1000, 1), (1000, 2)] {
            history.push(&lines(1, size));
            assert_eq!(history.number(), number, "{size}");
        }
        assert!(history.part(0).is_none() && history.part(1).is_some());
    }

    #[test]
    fn control_characters_are_escaped() {
        let mut event = Event {
            seq: 1,
            at: Timestamp::UNIX_EPOCH,
            agent: "a".into(),
            agent_id: "i".into(),
            actor: Actor::Observed,
            kind: EventKind::Stopped { reason: "\u{9b}2J\u{7f}\u{1b}".into() },
        };
        let lines = Lines::of(&event).unwrap();
        assert!(!lines.json.trim_end().contains(char::is_control), "{lines:?}");
        assert_eq!(serde_json::from_str::<Event>(&lines.json).unwrap(), event);
        event.kind = EventKind::Retired;
        assert!(Lines::of(&event).unwrap().json.ends_with("}\n"));
    }

    proptest! {
        /// Readers that follow the parts get every event once and in order, and no part is too large.
        #[test]
        fn parts_follow_each_other_without_hole_or_double(sizes in prop::collection::vec(0..1000usize, 1..60)) {
            const MAX: usize = 2000;
            let mut history = History::default();
            let (mut at, mut offset, mut read) = (0, 0, String::new());
            for (seq, size) in (1..).zip(&sizes) {
                let lines = lines(seq, *size);
                history.add(&lines.json, &lines.text, MAX);
                loop {
                    let part = history.part(at).unwrap();
                    let new = part.read(HistoryFormat::Json, offset, usize::MAX);
                    offset += new.len();
                    read.push_str(std::str::from_utf8(&new).unwrap());
                    prop_assert_eq!(offset, part.len(HistoryFormat::Json));
                    prop_assert!(offset <= MAX || part.read(HistoryFormat::Json, 0, offset).iter().filter(|b| **b == b'\n').count() == 1);
                    if at == history.number() {
                        break;
                    }
                    (at, offset) = (at + 1, 0);
                }
                let texts = history.newest.as_ref().unwrap().texts.read();
                prop_assert!(texts.json.capacity() <= MAX.max(texts.json.len()));
            }
            let seqs: Vec<u64> = read.lines().map(|line| serde_json::from_str::<Event>(line).unwrap().seq).collect();
            prop_assert_eq!(seqs, (1..=sizes.len() as u64).collect::<Vec<_>>());
            prop_assert_eq!(history.number_before(), history.number().checked_sub(1));
        }
    }
}
