//! From the bytes a terminal sends to keys and pastes.
//!
//! Pure: bytes in, input out. It decodes for itself because a paste must be seen
//! as one piece while keys in the same read stay keys, and because the end of
//! the input has to be noticed at once.

/// More than this of one paste is dropped; [`Input::Paste`] says so.
pub(super) const MAX_PASTE: usize = 4 << 20;
/// An escape sequence longer than this is no escape sequence.
const MAX_SEQUENCE: usize = 32;

const ESC: u8 = 0x1b;
const PASTE_BEGIN: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// A character that goes into the draft.
    Char(char),
    /// The key that submits.
    Enter,
    /// Ctrl-J: a new line in the draft.
    Newline,
    /// Backspace or Ctrl-H.
    Backspace,
    /// The Escape key.
    Escape,
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Ctrl and a letter, in lower case.
    Ctrl(char),
    /// A key that has no meaning here.
    Other,
}

/// One thing received from the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Input {
    /// A key was pressed.
    Key(Key),
    /// A bracketed paste, with line ends as the terminal sent them.
    Paste {
        /// What was pasted.
        text: String,
        /// Bytes beyond [`MAX_PASTE`] that were dropped.
        dropped: usize,
    },
}

/// Bytes that are not yet a whole key or paste.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    pending: Vec<u8>,
    paste: Option<Paste>,
}

#[derive(Debug, Default)]
struct Paste {
    bytes: Vec<u8>,
    dropped: usize,
}

impl Decoder {
    /// Takes what one read gave and returns what it completes.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Input> {
        self.pending.extend_from_slice(bytes);
        self.take(false)
    }

    /// True when the bytes so far are a lone Escape or the beginning of a sequence:
    /// only time tells.
    pub(super) fn undecided(&self) -> bool {
        self.paste.is_none() && !self.pending.is_empty()
    }

    /// Decides what [`Decoder::undecided`] left open: nothing more came.
    pub(super) fn settle(&mut self) -> Vec<Input> {
        self.take(true)
    }

    fn take(&mut self, settled: bool) -> Vec<Input> {
        let pending = std::mem::take(&mut self.pending);
        let mut rest = pending.as_slice();
        let mut out = Vec::new();
        while !rest.is_empty() {
            if let Some(paste) = &mut self.paste {
                let (used, ended) = paste.take(rest);
                rest = &rest[used..];
                if !ended {
                    break;
                }
                out.extend(self.paste.take().map(Paste::finish));
            } else if let Some(after) = rest.strip_prefix(PASTE_BEGIN) {
                self.paste = Some(Paste::default());
                rest = after;
            } else if let Some((key, used)) = key(rest, settled) {
                out.push(Input::Key(key));
                rest = &rest[used..];
            } else {
                break;
            }
        }
        self.pending = rest.to_vec();
        out
    }
}

impl Paste {
    /// Takes the bytes up to the end mark; says how many were used and whether it was seen.
    fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        let (text, used, ended) = match bytes.windows(PASTE_END.len()).position(|window| window == PASTE_END) {
            Some(at) => (at, at + PASTE_END.len(), true),
            None => {
                // What may be the beginning of the end mark is left for the next read.
                let kept = (1..PASTE_END.len()).rev().find(|&n| bytes.ends_with(&PASTE_END[..n])).unwrap_or(0);
                (bytes.len() - kept, bytes.len() - kept, false)
            }
        };
        let room = (MAX_PASTE - self.bytes.len()).min(text);
        self.bytes.extend_from_slice(&bytes[..room]);
        self.dropped += text - room;
        (used, ended)
    }

    fn finish(self) -> Input {
        Input::Paste { text: String::from_utf8_lossy(&self.bytes).into_owned(), dropped: self.dropped }
    }
}

/// The first key of `bytes` and its length, or `None` when more bytes could change it.
fn key(bytes: &[u8], settled: bool) -> Option<(Key, usize)> {
    let key = match bytes[0] {
        ESC => return escape(bytes, settled),
        b'\r' => Key::Enter,
        b'\n' => Key::Newline,
        0x08 | 0x7f => Key::Backspace,
        b'\t' => Key::Char('\t'),
        byte @ 1..=26 => Key::Ctrl(char::from(b'a' + byte - 1)),
        0 | 28..=31 => Key::Other,
        _ => return character(bytes, settled),
    };
    Some((key, 1))
}

fn character(bytes: &[u8], settled: bool) -> Option<(Key, usize)> {
    const REPLACED: Key = Key::Char(char::REPLACEMENT_CHARACTER);
    let head = &bytes[..bytes.len().min(4)];
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.valid_up_to() > 0 => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or(""),
        Err(error) => {
            return match error.error_len() {
                Some(length) => Some((REPLACED, length)),
                None => settled.then_some((REPLACED, head.len())),
            };
        }
    };
    valid.chars().next().map(|c| (Key::Char(c), c.len_utf8()))
}

/// An escape sequence, or the Escape key when what follows is none: Alt with a
/// key is Escape and that key, as the bytes say.
fn escape(bytes: &[u8], settled: bool) -> Option<(Key, usize)> {
    let lone = Some((Key::Escape, 1));
    let undecided = if settled { lone } else { None };
    match bytes.get(1) {
        None => undecided,
        Some(b'O') => match bytes.get(2) {
            None => undecided,
            Some(&last) => Some((arrow(last), 3)),
        },
        Some(b'[') => {
            let body = &bytes[2..bytes.len().min(MAX_SEQUENCE)];
            match body.iter().position(|byte| !(0x20..=0x3f).contains(byte)) {
                Some(at) if (0x40..=0x7e).contains(&body[at]) => {
                    let plain = at == 0;
                    Some((if plain { arrow(body[at]) } else { Key::Other }, at + 3))
                }
                Some(_) => lone,
                None if bytes.len() >= MAX_SEQUENCE => lone,
                None => undecided,
            }
        }
        Some(_) => lone,
    }
}

fn arrow(last: u8) -> Key {
    match last {
        b'A' => Key::Up,
        b'B' => Key::Down,
        _ => Key::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn paste(text: &str) -> Input {
        Input::Paste { text: text.to_owned(), dropped: 0 }
    }

    fn keys(bytes: &[u8]) -> Vec<Input> {
        let mut decoder = Decoder::default();
        let mut out = decoder.feed(bytes);
        out.extend(decoder.settle());
        out
    }

    #[test]
    fn keys_are_told_apart() {
        for (bytes, key) in [
            (&b"a"[..], Key::Char('a')),
            ("é".as_bytes(), Key::Char('é')),
            ("🐒".as_bytes(), Key::Char('🐒')),
            (b"\r", Key::Enter),
            (b"\n", Key::Newline),
            (b"\x7f", Key::Backspace),
            (b"\x1b", Key::Escape),
            (b"\x1b[A", Key::Up),
            (b"\x1bOB", Key::Down),
            (b"\x03", Key::Ctrl('c')),
            (b"\x15", Key::Ctrl('u')),
            (b"\x1b[3~", Key::Other),
            (b"\x1b[1;5A", Key::Other),
            (b"\x1b[<0;1;1M", Key::Other),
            (b"\xff", Key::Char('\u{fffd}')),
        ] {
            assert_eq!(keys(bytes), [Input::Key(key)], "{bytes:?}");
        }
    }

    #[test]
    fn escape_and_the_key_after_it_are_two_keys() {
        assert_eq!(keys(b"\x1b\r"), [Input::Key(Key::Escape), Input::Key(Key::Enter)]);
        assert_eq!(keys(b"\x1b\x1b"), [Input::Key(Key::Escape), Input::Key(Key::Escape)]);
    }

    #[test]
    fn a_lone_escape_waits_for_what_may_follow() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.feed(b"\x1b"), []);
        assert!(decoder.undecided());
        assert_eq!(decoder.feed(b"[A"), [Input::Key(Key::Up)]);
        assert!(!decoder.undecided());
        assert_eq!(decoder.feed(b"\x1b"), []);
        assert_eq!(decoder.settle(), [Input::Key(Key::Escape)]);
    }

    #[test]
    fn a_paste_is_one_piece_with_whatever_is_in_it() {
        assert_eq!(
            keys(b"x\x1b[200~a\n\x03\x1b[A b\x1b[201~\r"),
            [Input::Key(Key::Char('x')), paste("a\n\x03\x1b[A b"), Input::Key(Key::Enter)]
        );
        assert_eq!(keys(b"\x1b[200~\x1b[201~"), [paste("")]);
    }

    #[test]
    fn an_unfinished_paste_gives_nothing_until_it_ends() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.feed(b"\x1b[200~abc"), []);
        assert!(!decoder.undecided());
        assert_eq!(decoder.settle(), []);
        assert_eq!(decoder.feed(b"def\x1b[201~"), [paste("abcdef")]);
    }

    #[test]
    fn a_paste_over_the_limit_is_cut_and_says_so() {
        let mut bytes = PASTE_BEGIN.to_vec();
        bytes.resize(PASTE_BEGIN.len() + MAX_PASTE + 7, b'x');
        bytes.extend_from_slice(PASTE_END);
        let [Input::Paste { text, dropped }] = &keys(&bytes)[..] else { panic!("one paste") };
        assert_eq!((text.len(), *dropped), (MAX_PASTE, 7));
    }

    proptest! {
        #[test]
        fn reads_may_be_cut_anywhere(
            parts in prop::collection::vec(prop_oneof![
                "[a-zé日🐒]{1,4}", Just("\x1b[A".to_owned()), Just("\r".to_owned()),
                "[a-z\n\x1b]{0,9}".prop_map(|text| format!("\x1b[200~{text}\x1b[201~")),
            ], 0..8),
            cut in 1_usize..7,
        ) {
            let bytes = parts.concat().into_bytes();
            let mut decoder = Decoder::default();
            let pieces: Vec<Input> = bytes.chunks(cut).flat_map(|piece| decoder.feed(piece)).collect();
            prop_assert_eq!(pieces, keys(&bytes));
        }

        #[test]
        fn no_bytes_panic_or_stay_behind(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 1_usize..9) {
            let mut decoder = Decoder::default();
            for piece in bytes.chunks(cut) {
                decoder.feed(piece);
                prop_assert!(decoder.pending.len() <= bytes.len());
            }
            decoder.settle();
            prop_assert!(!decoder.undecided());
        }
    }
}
