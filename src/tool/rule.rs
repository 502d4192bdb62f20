//! One rule: if this pattern is found there, the program is in that state.

use crate::error::{Error, Kind, Result};
use regex::Regex;
use serde::Deserialize;
use std::sync::OnceLock;

/// The most memory one pattern may compile to, in bytes.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// What a rule's match shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shows {
    /// A turn runs.
    Active,
    /// The composer is empty and a prompt would start a turn.
    Ready,
    /// The program asks a person something.
    Blocked,
    /// Unsent text stands in the composer.
    Draft,
    /// The program is not ready for its first prompt yet.
    Starting,
}

/// Where a rule looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Region {
    /// The title the program set.
    Title,
    /// The whole visible screen.
    Screen,
    /// The last rows that are not empty.
    Bottom(usize),
}

impl Region {
    /// The part of a title and a screen (rows joined by `\n`) that the region means.
    pub fn of<'a>(self, title: &'a str, screen: &'a str) -> std::borrow::Cow<'a, str> {
        match self {
            Self::Title => title.into(),
            Self::Screen => screen.into(),
            Self::Bottom(rows) => {
                let mut kept: Vec<&str> =
                    screen.lines().rev().filter(|row| !row.trim().is_empty()).take(rows).collect();
                kept.reverse();
                kept.join("\n").into()
            }
        }
    }
}

/// One rule of a tool.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name, shown wherever its verdict is.
    pub id: String,
    /// Where it looks.
    #[serde(deserialize_with = "region")]
    pub region: Region,
    #[serde(rename = "match")]
    pattern: String,
    /// What a match shows.
    pub shows: Shows,
    /// The highest that matches decides.
    pub priority: i32,
    #[serde(skip)]
    compiled: OnceLock<Option<Regex>>,
}

impl Rule {
    /// Whether the rule matches. A pattern that does not compile matches nothing;
    /// [`Rule::check`] reports it when the definition is loaded.
    pub fn matches(&self, title: &str, screen: &str) -> bool {
        self.compiled
            .get_or_init(|| compile(&self.pattern).ok())
            .as_ref()
            .is_some_and(|regex| regex.is_match(&self.region.of(title, screen)))
    }

    /// Says what is wrong with the pattern, if anything is.
    pub fn check(&self, origin: &str) -> Result<()> {
        compile(&self.pattern).map(drop).map_err(|error| {
            let reason = error.to_string().lines().last().unwrap_or_default().to_owned();
            Error::new(
                Kind::Malformed,
                format!("the tool definition {origin} has a wrong pattern in rule {:?}: {reason}", self.id),
            )
        })
    }
}

fn compile(pattern: &str) -> std::result::Result<Regex, regex::Error> {
    regex::RegexBuilder::new(pattern).size_limit(MAX_PATTERN_BYTES).build()
}

fn region<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Region, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_str() {
        "title" => Ok(Region::Title),
        "screen" => Ok(Region::Screen),
        other => match other.strip_prefix("bottom:").and_then(|rows| rows.parse().ok()) {
            Some(rows) if (1..=1000).contains(&rows) => Ok(Region::Bottom(rows)),
            _ => Err(serde::de::Error::custom(format!(
                "region {other:?} is not title, screen or bottom:ROWS (1 to 1000)"
            ))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bottom_counts_rows_that_are_not_empty() {
        assert_eq!(Region::Bottom(2).of("", "a\n\nb\n  \nc\n\n"), "b\nc");
        assert_eq!(Region::Bottom(9).of("", "a\n"), "a");
        assert_eq!(Region::Title.of("t", "s"), "t");
    }
}
