//! What a program asks, read off its dialog.

use super::file;
use super::region::Region;
use super::rule::compile;
use crate::model::{Choice, Question};
use regex::Regex;
use std::sync::OnceLock;

/// A choice of a dialog: a cursor perhaps, then a number and a text.
const NUMBERED: &str = r"^\s*[│┃|]?\s*[^\w\s]?\s*(?P<number>\d{1,2})[.):]\s+(?P<label>\S.*?)\s*[│┃|]?$";
/// The most choices of one question.
const MAX_CHOICES: usize = 20;

/// How a tool's questions are read.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    region: Option<Region>,
    choice: Option<String>,
    compiled: OnceLock<Option<Regex>>,
}

impl Reader {
    pub(super) fn new(file: file::Question) -> Result<Self, String> {
        let region = file.region.map(|text| Region::parse(&text)).transpose();
        let region = region.map_err(|why| format!("is wrong in [question]: {why}"))?;
        if let Some(choice) = &file.choice {
            let regex = compile(choice).map_err(|error| {
                format!("has a wrong pattern in [question]: {}", error.to_string().lines().last().unwrap_or_default())
            })?;
            if !regex.capture_names().flatten().any(|name| name == "label") {
                return Err("has a [question] whose choice has no group (?P<label>…)".to_owned());
            }
        }
        Ok(Self { region, choice: file.choice, compiled: OnceLock::new() })
    }

    pub(super) fn region(&self) -> Option<&Region> {
        self.region.as_ref()
    }

    pub(super) fn region_name(&self) -> Option<&str> {
        self.region.as_ref().and_then(Region::name)
    }

    /// Reads the rows of a dialog. A pattern may find several choices in one row.
    pub(super) fn read(&self, rows: Vec<String>) -> Question {
        let pattern = self.choice.as_deref().unwrap_or(NUMBERED);
        let regex = self.compiled.get_or_init(|| compile(pattern).ok());
        let (mut choices, mut text) = (Vec::new(), Vec::new());
        for row in &rows {
            let whole =
                regex.iter().any(|regex| regex.find(row).is_some_and(|found| found.as_str().trim() == row.trim()));
            if !whole {
                text.push(row.clone());
            }
            for found in regex.iter().flat_map(|regex| regex.captures_iter(row)) {
                let label = found.name("label").map_or("", |label| label.as_str()).trim();
                let place = u32::try_from(choices.len() + 1).unwrap_or(u32::MAX);
                let number = found.name("number").and_then(|number| number.as_str().parse().ok()).unwrap_or(place);
                let before = &row
                    [found.get(0).map_or(0, |all| all.start())..found.name("label").map_or(0, |label| label.start())];
                let selected = before.contains(['❯', '›', '●', '>', '▶', '→']);
                if choices.len() < MAX_CHOICES {
                    choices.push(Choice { number, label: label.to_owned(), selected });
                }
            }
        }
        Question { text: unframed(&text), choices }
    }
}

/// Rows without the frame around them, and without empty rows at either end.
fn unframed(rows: &[String]) -> Vec<String> {
    let frame = |c: char| ('\u{2500}'..='\u{259f}').contains(&c) || c.is_whitespace();
    let mut kept: Vec<String> =
        rows.iter().map(|row| row.trim_matches(frame).to_owned()).skip_while(String::is_empty).collect();
    while kept.last().is_some_and(String::is_empty) {
        kept.pop();
    }
    kept.dedup_by(|a, b| a.is_empty() && b.is_empty());
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(choice: Option<&str>, rows: &str) -> Question {
        let file = file::Question { region: None, choice: choice.map(str::to_owned) };
        Reader::new(file).unwrap().read(rows.lines().map(str::to_owned).collect())
    }

    #[test]
    fn numbered_choices_are_read_with_their_cursor() {
        let question = read(None, "╭───╮\n│ Run it? │\n│         │\n│ ❯ 1. Yes │\n│   2. No, and say why │\n╰───╯");
        assert_eq!(question.text, ["Run it?"]);
        let choices: Vec<_> = question.choices.iter().map(|c| (c.number, c.label.as_str(), c.selected)).collect();
        assert_eq!(choices, [(1, "Yes", true), (2, "No, and say why", false)]);
    }

    #[test]
    fn choices_may_stand_in_one_row() {
        let question = read(Some(r"\((?P<label>[A-Z])\)"), "Add it? (Y)es/(N)o");
        assert_eq!(question.text, ["Add it? (Y)es/(N)o"]);
        assert_eq!(question.choices.iter().map(|c| c.number).collect::<Vec<_>>(), [1, 2]);
        assert!(Reader::new(file::Question { region: None, choice: Some("x".to_owned()) }).is_err());
    }
}
