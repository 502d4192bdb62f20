//! What is to be cleared away, and how that is written in `control`.

use crate::error::{Error, Kind, Result};
use jiff::{SignedDuration, Span, SpanRelativeTo};
use std::path::PathBuf;

/// How it is written.
pub(super) const GC_SYNTAX: &str = "gc [--older-than TIME] [--home DIR]";
/// How long agents have to have been stopped where nothing else is said.
pub const DEFAULT_AGE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What is to be cleared away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gc {
    /// What is younger stays.
    pub older_than: SignedDuration,
    /// The one Home that is looked through; none means all, and the registry.
    pub home: Option<PathBuf>,
}

impl Gc {
    /// From the words of a line of `control`; nothing when they are not how it is written.
    pub fn parse(mut options: &[&str]) -> Result<Option<Self>> {
        let mut gc = Self { older_than: DEFAULT_AGE, home: None };
        while let [option, value, rest @ ..] = options {
            match *option {
                "--older-than" => gc.older_than = age(value)?,
                "--home" => gc.home = Some(home_dir(value)?),
                _ => return Ok(None),
            }
            options = rest;
        }
        Ok(options.is_empty().then_some(gc))
    }
}

/// A time such as `7d`, in days of 24 hours; not below nothing.
pub fn age(text: &str) -> Result<SignedDuration> {
    let refuse = || Error::new(Kind::Invalid, format!("{text:?} is no age; give a time such as 7d, 12h or 30m"));
    let span: Span = text.parse().map_err(|_| refuse())?;
    let age = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| refuse())?;
    if age.is_negative() { Err(refuse()) } else { Ok(age) }
}

/// A Home as it is named in `control`, which is read in no particular directory.
pub(super) fn home_dir(text: &str) -> Result<PathBuf> {
    let path = PathBuf::from(text);
    if path.is_absolute() {
        return Ok(path);
    }
    Err(Error::new(Kind::Invalid, format!("{text:?} is not an absolute path; a Home begins with /")))
}

#[cfg(test)]
mod tests {
    use super::super::{TroopVerb, troop_verbs};
    use super::*;

    #[test]
    fn gc_and_forget_take_homes() {
        let verbs = troop_verbs(b"gc\ngc --home /h --older-than 12h\nhome forget /h\n").unwrap();
        let gc = |older_than, home: Option<&str>| TroopVerb::Gc(Gc { older_than, home: home.map(PathBuf::from) });
        assert_eq!(
            verbs,
            [gc(DEFAULT_AGE, None), gc(SignedDuration::from_hours(12), Some("/h")), TroopVerb::ForgetHome("/h".into()),]
        );
        for bad in [
            &b"gc now\n"[..],
            b"gc --home\n",
            b"gc --home relative\n",
            b"gc --older-than soon\n",
            b"gc --older-than -1d\n",
            b"home\n",
            b"home forget x\n",
            b"home forget\n",
        ] {
            assert_eq!(troop_verbs(bad).unwrap_err().kind(), Kind::Invalid, "{}", String::from_utf8_lossy(bad));
        }
    }
}
