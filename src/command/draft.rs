//! A prompt while it is being written (contract, section 4.3).

use crate::error::{Error, Kind, Result};

/// The longest prompt, in bytes (contract, section 4.2).
pub const MAX_PROMPT_BYTES: usize = 1 << 20;

/// Bytes written so far, checked as they come: a writer learns of a wrong byte
/// from the write that has it, because shells ignore a failing close.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    bytes: Vec<u8>,
    checked: usize,
}

impl Draft {
    /// Adds `bytes`, or refuses them and keeps what was there. A character may be
    /// split over two writes; so may CR LF.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        if self.bytes.len() + bytes.len() > MAX_PROMPT_BYTES {
            return Err(Error::new(
                Kind::TooLarge,
                format!(
                    "the prompt is longer than {MAX_PROMPT_BYTES} bytes; put the text into a file and name the file in the prompt"
                ),
            ));
        }
        let before = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        match check(&self.bytes[self.checked..]) {
            Ok(good) => {
                self.checked += good;
                Ok(())
            }
            Err(error) => {
                self.bytes.truncate(before);
                Err(error)
            }
        }
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Forgets what was written.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The prompt: CR LF is LF and one final newline is dropped.
    pub fn finish(&mut self) -> Result<String> {
        let bytes = std::mem::take(self).bytes;
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::new(Kind::Invalid, "the prompt ends inside a UTF-8 character; write it as UTF-8"))?;
        let mut text = text.replace("\r\n", "\n");
        if text.ends_with('\n') {
            text.pop();
        }
        if text.contains('\r') {
            return Err(carriage_return());
        }
        if text.trim().is_empty() {
            return Err(Error::new(Kind::Invalid, "the prompt is empty; write some text"));
        }
        Ok(text)
    }
}

/// How many of `bytes` need no second look, or what is wrong with them.
fn check(bytes: &[u8]) -> Result<usize> {
    let (text, rest) = match std::str::from_utf8(bytes) {
        Ok(text) => (text, 0),
        Err(error) if error.error_len().is_none() => {
            let good = error.valid_up_to();
            (std::str::from_utf8(&bytes[..good]).unwrap_or_default(), bytes.len() - good)
        }
        Err(_) => return Err(Error::new(Kind::Invalid, "the prompt is not UTF-8; convert it before writing it")),
    };
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' | '\t' => {}
            '\r' if matches!(chars.peek(), None | Some('\n')) => {}
            '\r' => return Err(carriage_return()),
            c if c.is_control() => {
                return Err(Error::new(
                    Kind::Invalid,
                    format!(
                        "the prompt has the control character U+{:04X}; only tab and newline may be sent",
                        u32::from(c)
                    ),
                ));
            }
            _ => {}
        }
    }
    // A CR at the end may be half of CR LF: it is looked at again.
    let held = usize::from(text.ends_with('\r'));
    Ok(bytes.len() - rest - held)
}

fn carriage_return() -> Error {
    Error::new(
        Kind::Invalid,
        "the prompt has a carriage return that is not part of a line's end; programs would take it for Enter",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(parts: &[&[u8]]) -> Result<String> {
        let mut draft = Draft::default();
        parts.iter().try_for_each(|part| draft.push(part))?;
        draft.finish()
    }

    #[test]
    fn a_prompt_arrives_as_it_was_written() {
        for (parts, expected) in [
            (&[b"hi\n".as_slice()][..], "hi"),
            (&[b"hi\n\n"], "hi\n"),
            (&[b"a\r\nb\r", b"\nc"], "a\nb\nc"),
            (&["ä".as_bytes().split_at(1).0, "ä".as_bytes().split_at(1).1], "ä"),
            (&[b"\ttab; $x `y` \\"], "\ttab; $x `y` \\"),
            (&["👩‍👩‍👧 🇩🇪".as_bytes()], "👩‍👩‍👧 🇩🇪"),
        ] {
            assert_eq!(written(parts).unwrap(), expected);
        }
    }

    #[test]
    fn wrong_bytes_are_refused_by_the_write_that_has_them() {
        for bad in [&b"a\x1b[201~"[..], b"\0", b"a\rb", b"\xff", "\u{9b}".as_bytes(), b"\x7f"] {
            let mut draft = Draft::default();
            draft.push(b"fine ").unwrap();
            let error = draft.push(bad).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{bad:?}");
            assert_eq!(draft.finish().unwrap(), "fine ", "what was there before is kept");
        }
    }

    #[test]
    fn empty_prompts_and_torn_ends_are_refused() {
        for bad in [&b""[..], b"\n", b" \n\n", b"a\xc3", b"a\r"] {
            assert!(written(&[bad]).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_limit_is_exact() {
        let full = vec![b'x'; MAX_PROMPT_BYTES];
        assert_eq!(written(&[&full]).unwrap().len(), MAX_PROMPT_BYTES);
        assert_eq!(written(&[&full, b"y"]).unwrap_err().kind(), Kind::TooLarge);
    }

    proptest! {
        #[test]
        fn how_it_is_split_does_not_matter(text in "[a-zäö€😀 \t\n]{1,80}", cuts in prop::collection::vec(0usize..300, 0..6)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % (bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(written(&parts), written(&[bytes]));
        }

        #[test]
        fn what_passes_can_be_pasted(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(text) = written(&[&bytes]) {
                prop_assert!(text.chars().all(|c| !c.is_control() || c == '\n' || c == '\t'));
            }
        }
    }
}
