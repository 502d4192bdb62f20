//! How a tool's questions are answered: which keys choose what.

use super::Tool;
use super::rule::compile;
use crate::error::{Error, Kind, Result};
use crate::model::{Choice, Question};
use serde::Deserialize;

/// The section `[answer]` of a definition.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    choose: Choose,
    /// The label of the choice that says yes, this once.
    approve: Option<String>,
    /// The label of the choice that says no.
    deny: Option<String>,
    /// The key that says no, where that is no choice.
    deny_key: Option<String>,
}

/// How a choice is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Choose {
    /// Its number takes it at once.
    Number,
    /// Its number puts the cursor there, and Enter takes it.
    NumberEnter,
    /// Up and Down move the cursor there, and Enter takes it.
    Move,
    /// Left and Right move the cursor there, and Enter takes it.
    MoveSideways,
    /// The letter in its brackets, and Enter.
    Letter,
}

/// An answer that somebody gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// Yes, this once.
    Approve,
    /// No.
    Deny,
    /// The choice of that number.
    Number(u32),
}

impl Answer {
    /// What is wrong with the definition, if anything is.
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        for pattern in [&self.approve, &self.deny].into_iter().flatten() {
            compile(pattern).map_err(|error| {
                format!("has a wrong pattern in [answer]: {}", error.to_string().lines().last().unwrap_or_default())
            })?;
        }
        Ok(())
    }
}

impl Tool {
    /// The words of the choice that `pick` means and the keys that make it. [`Kind::Unsupported`] when the definition does not
    /// say how, [`Kind::Invalid`] when the question has no such choice.
    pub fn answer(&self, question: &Question, pick: Pick) -> Result<(String, Vec<String>)> {
        let unsupported = |what: &str| {
            let sentence = format!("the definition of {} does not say {what}; use keys", self.name);
            Error::new(Kind::Unsupported, sentence)
        };
        let answer = self.answer.as_ref().ok_or_else(|| unsupported("how its questions are answered"))?;
        let labelled = |pattern: &Option<String>, what: &str| {
            let pattern =
                pattern.as_deref().and_then(|pattern| compile(pattern).ok()).ok_or_else(|| unsupported(what))?;
            question
                .choices
                .iter()
                .find(|choice| pattern.is_match(&choice.label))
                .ok_or_else(|| no_choice(question, what))
        };
        let choice = match pick {
            Pick::Approve => labelled(&answer.approve, "which choice approves")?,
            Pick::Deny => match &answer.deny_key {
                Some(key) => return Ok((format!("no ({key})"), vec![key.clone()])),
                None => labelled(&answer.deny, "which choice denies")?,
            },
            Pick::Number(number) => {
                let choice = question.choices.iter().find(|choice| choice.number == number);
                choice.ok_or_else(|| no_choice(question, &format!("of the number {number}")))?
            }
        };
        let keys = keys(answer.choose, question, choice).ok_or_else(|| unsupported("how to get to that choice"))?;
        Ok((choice.label.clone(), keys))
    }
}

fn keys(choose: Choose, question: &Question, choice: &Choice) -> Option<Vec<String>> {
    let enter = || "Enter".to_owned();
    let digits: Vec<String> = choice.number.to_string().chars().map(String::from).collect();
    let moves = |back: &str, forth: &str| {
        let place = |wanted: &dyn Fn(&Choice) -> bool| question.choices.iter().position(wanted);
        let (from, to) = (place(&|c| c.selected)?, place(&|c| c.number == choice.number)?);
        let key = if to < from { back } else { forth };
        Some(std::iter::repeat_n(key.to_owned(), from.abs_diff(to)).chain([enter()]).collect())
    };
    match choose {
        Choose::Number => Some(digits),
        Choose::NumberEnter => Some(digits.into_iter().chain([enter()]).collect()),
        Choose::Move => moves("Up", "Down"),
        Choose::MoveSideways => moves("Left", "Right"),
        Choose::Letter => {
            let letter = choice.label.split_once('(')?.1.chars().next()?;
            Some(vec![letter.to_lowercase().to_string(), enter()])
        }
    }
}

fn no_choice(question: &Question, what: &str) -> Error {
    let choices: Vec<String> =
        question.choices.iter().map(|choice| format!("{}. {}", choice.number, choice.label)).collect();
    let choices = if choices.is_empty() { "none that can be read".to_owned() } else { choices.join(", ") };
    Error::new(Kind::Invalid, format!("the question has no choice {what}; its choices are: {choices}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(answer: &str) -> Tool {
        let text = "name='x'\nsummary=''\n[start]\ncommand=['x']\n[submit]\nkey='Enter'\nsettle_ms=1\n[interrupt]\nkey='Escape'\n";
        Tool::parse(&format!("{text}{answer}"), "x.toml").unwrap()
    }

    fn question(labels: &[&str], selected: usize) -> Question {
        let choice = |(at, label): (usize, &&str)| Choice {
            number: at as u32 + 1,
            label: (*label).to_owned(),
            selected: at == selected,
        };
        Question { text: Vec::new(), choices: labels.iter().enumerate().map(choice).collect() }
    }

    fn pressed(answer: &str, question: &Question, pick: Pick) -> std::result::Result<String, Kind> {
        tool(answer).answer(question, pick).map(|(_, keys)| keys.join(" ")).map_err(|error| error.kind())
    }

    #[test]
    fn each_way_to_choose_has_its_keys() {
        let asked = question(&["Yes", "Yes, always", "No"], 1);
        let patterns = "approve='^Yes$'\ndeny='^No'\n";
        for (choose, approve, deny) in [
            ("number", "1", "3"),
            ("number-enter", "1 Enter", "3 Enter"),
            ("move", "Up Enter", "Down Enter"),
            ("move-sideways", "Left Enter", "Right Enter"),
        ] {
            let text = format!("[answer]\nchoose='{choose}'\n{patterns}");
            assert_eq!(pressed(&text, &asked, Pick::Approve).as_deref(), Ok(approve));
            assert_eq!(pressed(&text, &asked, Pick::Deny).as_deref(), Ok(deny));
            assert_eq!(pressed(&text, &asked, Pick::Number(9)), Err(Kind::Invalid));
        }
        let letters = question(&["(Y)es", "(N)o"], 9);
        let text = "[answer]\nchoose='letter'\napprove='es$'\ndeny='o$'\n";
        assert_eq!(pressed(text, &letters, Pick::Deny).as_deref(), Ok("n Enter"));
    }

    #[test]
    fn what_is_not_defined_is_not_pressed() {
        let asked = question(&["Yes", "No"], 9);
        assert_eq!(pressed("", &asked, Pick::Approve), Err(Kind::Unsupported));
        assert_eq!(pressed("[answer]\nchoose='number'\n", &asked, Pick::Approve), Err(Kind::Unsupported));
        assert_eq!(pressed("[answer]\nchoose='move'\n", &asked, Pick::Number(1)), Err(Kind::Unsupported), "no cursor");
        let key = "[answer]\nchoose='number'\ndeny_key='Escape'\n";
        assert_eq!(pressed(key, &asked, Pick::Deny).as_deref(), Ok("Escape"));
    }
}
