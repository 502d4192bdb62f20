//! One rule: if this is found there, the program is in that state.

use super::region::{Part, Region, Sight};
use super::style::Look;
use regex::Regex;
use serde::Deserialize;
use std::sync::OnceLock;

/// The most memory one pattern may compile to, in bytes.
const MAX_PATTERN_BYTES: usize = 1 << 20;
/// The most rows of a match that are kept as its evidence.
const MAX_EVIDENCE_ROWS: usize = 12;

/// What a rule's match shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shows {
    /// A turn runs.
    Active,
    /// The composer is empty and a prompt would start a turn.
    Ready,
    /// Unsent text stands in the composer.
    Draft,
    /// Unsent text stands in the composer, and a list of commands or files under it takes Enter.
    Completion,
    /// The program asks whether it may do something.
    Approval,
    /// The program asks something else.
    Question,
    /// The program asks whether a directory is trusted.
    Trust,
    /// The program wants somebody to log in.
    Login,
    /// A list to choose from, opened by a person.
    Menu,
    /// The program is not ready for its first prompt yet.
    Starting,
    /// Something covers what could be concluded from, such as a transcript viewer.
    Covered,
    /// The last turn was interrupted.
    Interrupted,
    /// The last turn failed.
    Failed,
    /// A prompt waits inside the program.
    Queued,
    /// What stands in the composer would be run as a command of the shell, which begins no turn.
    Shell,
    /// The program says that its context is damaged.
    Degraded,
}

impl Shows {
    /// Whether it is the state of now: exactly one of these holds. The others are marks beside it.
    pub fn is_posture(self) -> bool {
        !matches!(self, Self::Interrupted | Self::Failed | Self::Queued | Self::Shell | Self::Degraded)
    }

    /// Whether a person has to answer.
    pub fn is_blocked(self) -> bool {
        matches!(self, Self::Approval | Self::Question | Self::Trust | Self::Login | Self::Menu)
    }

    /// Whether no turn runs and the composer is there.
    pub fn is_idle(self) -> bool {
        matches!(self, Self::Ready | Self::Draft | Self::Completion)
    }

    /// Whether somebody's unsent text stands in the composer.
    pub fn is_draft(self) -> bool {
        matches!(self, Self::Draft | Self::Completion)
    }

    /// The word in a definition.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Ready => "ready",
            Self::Draft => "draft",
            Self::Completion => "completion",
            Self::Approval => "approval",
            Self::Question => "question",
            Self::Trust => "trust",
            Self::Login => "login",
            Self::Menu => "menu",
            Self::Starting => "starting",
            Self::Covered => "covered",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
            Self::Queued => "queued",
            Self::Shell => "shell",
            Self::Degraded => "degraded",
        }
    }
}

/// Something to be found, or not, in one region.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Where to look.
    #[serde(deserialize_with = "region")]
    pub region: Region,
    /// What to find; without it the region has to be there.
    #[serde(rename = "match", default)]
    pattern: Option<String>,
    /// How every character has to look that the first group, or else the whole match, holds.
    #[serde(default, deserialize_with = "look")]
    style: Option<Look>,
    /// Whether the cursor has to be shown in a row of the region.
    #[serde(default)]
    cursor: bool,
    #[serde(skip)]
    compiled: OnceLock<Option<Regex>>,
}

/// What a condition found.
#[derive(Debug, Clone)]
pub struct Hit {
    part: Part,
    start: usize,
    end: usize,
}

impl Condition {
    /// A condition on a region's text alone.
    pub(super) fn new(region: Region, pattern: String) -> Self {
        Self { region, pattern: Some(pattern), style: None, cursor: false, compiled: OnceLock::new() }
    }

    /// Finds it in `part`, which is the region's.
    pub fn find(&self, sight: &Sight<'_>, part: &Part) -> Option<Hit> {
        if self.cursor && !sight.cursor_in(part) {
            return None;
        }
        let hit = |start, end| Hit { part: part.clone(), start, end };
        let Some(pattern) = &self.pattern else { return Some(hit(0, part.text.len())) };
        // A pattern that does not compile matches nothing; `check` reports it when the definition is loaded.
        let regex = self.compiled.get_or_init(|| compile(pattern).ok()).as_ref()?;
        let Some(look) = &self.style else {
            return regex.find(&part.text).map(|found| hit(found.start(), found.end()));
        };
        regex.captures_iter(&part.text).find_map(|captures| {
            let whole = captures.get(0)?;
            let styled = captures.get(1).unwrap_or(whole);
            let styles = sight.styles(part, styled.range());
            look.fits_all(&styles).then(|| hit(whole.start(), whole.end()))
        })
    }

    /// Says what is wrong with its pattern, if anything is.
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        match &self.pattern {
            Some(pattern) => compile(pattern)
                .map(drop)
                .map_err(|error| format!("a wrong pattern: {}", error.to_string().lines().last().unwrap_or_default())),
            None => Ok(()),
        }
    }
}

impl Condition {
    /// The bytes of the last match in the whole screen: how a region of a definition is found.
    pub(super) fn last_in(&self, screen: &str) -> Option<std::ops::Range<usize>> {
        let regex = self.compiled.get_or_init(|| compile(self.pattern.as_deref()?).ok()).as_ref()?;
        regex.find_iter(screen).last().map(|found| found.range())
    }
}

impl Hit {
    /// The rows of the match, at most [`MAX_EVIDENCE_ROWS`].
    pub fn lines(&self) -> Vec<String> {
        let before = self.part.text[..self.start].matches('\n').count();
        let leading = self.part.text[self.start..self.end].starts_with('\n');
        let rows = self.part.text[self.start..self.end].matches('\n').count() + 1;
        let rows = self.part.text.split('\n').skip(before).take(rows).skip(usize::from(leading));
        rows.take(MAX_EVIDENCE_ROWS).map(|row| row.trim_end().to_owned()).collect()
    }
}

/// One rule of a tool.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name, shown wherever its verdict is.
    pub id: String,
    /// What a match shows.
    pub shows: Shows,
    /// Of all that match, the highest decides.
    pub priority: i32,
    /// The releases it is for; every one without it.
    #[serde(default)]
    pub versions: Option<semver::VersionReq>,
    #[serde(deserialize_with = "region")]
    region: Region,
    #[serde(rename = "match", default)]
    pattern: Option<String>,
    #[serde(default, deserialize_with = "look")]
    style: Option<Look>,
    #[serde(default)]
    cursor: bool,
    /// The match counts only while the screen keeps changing.
    #[serde(default)]
    pub moving: bool,
    /// What has to be found as well.
    #[serde(default)]
    pub also: Vec<Condition>,
    /// What must not be found.
    #[serde(default)]
    pub unless: Vec<Condition>,
    #[serde(skip)]
    first: OnceLock<Condition>,
}

impl Rule {
    /// The condition whose match is the evidence.
    pub fn first(&self) -> &Condition {
        self.first.get_or_init(|| Condition {
            region: self.region.clone(),
            pattern: self.pattern.clone(),
            style: self.style.clone(),
            cursor: self.cursor,
            compiled: OnceLock::new(),
        })
    }

    /// Every condition of it.
    pub fn conditions(&self) -> impl Iterator<Item = &Condition> {
        std::iter::once(self.first()).chain(&self.also).chain(&self.unless)
    }

    /// Which source it reads.
    pub fn source(&self) -> &'static str {
        if self.region == Region::Title { "title" } else { "screen" }
    }

    /// Says what is wrong with its patterns, if anything is.
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        self.conditions().try_for_each(Condition::check)
    }
}

/// Compiles a pattern of a definition, within [`MAX_PATTERN_BYTES`].
pub(super) fn compile(pattern: &str) -> std::result::Result<Regex, regex::Error> {
    regex::RegexBuilder::new(&ascii_boundaries(pattern)).size_limit(MAX_PATTERN_BYTES).build()
}

/// `pattern` with word boundaries that look at ASCII only. Those of Unicode keep the regex crate from its fast
/// engines as soon as a screen holds a line-drawing character, and screens are made of them.
fn ascii_boundaries(pattern: &str) -> String {
    let mut plain = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('b')) => plain.push_str(r"(?-u:\b)"),
            (c, escaped) => plain.extend(std::iter::once(c).chain(escaped)),
        }
    }
    plain
}

fn region<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Region, D::Error> {
    Region::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

fn look<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<Look>, D::Error> {
    Look::parse(&String::deserialize(deserializer)?).map(Some).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_boundaries_look_at_ascii() {
        assert_eq!(ascii_boundaries(r"a\b\\b\w\"), r"a(?-u:\b)\\b\w\");
        assert!(compile(r"\bok\b").unwrap().is_match("─ok─"));
    }
}
