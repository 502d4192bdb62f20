//! The stand-in's `--transcript FILE`: `{"t", "event", …}`, the events as it writes them itself.

use super::Entry;
use super::json::{text, time, word};
use crate::model::TurnOutcome;
use serde_json::Value;

pub(super) fn read(line: &Value, entries: &mut Vec<Entry>) {
    let words = || text(line.get("text"), &[]);
    match word(line, "event") {
        "session" => entries.push(Entry::Session(word(line, "id").to_owned())),
        "user" => entries.extend(words().map(|text| Entry::Prompt { text, at: time(line, "t") })),
        "assistant" => entries.extend(words().map(|text| Entry::Said { text, continues: false })),
        "end" => entries.push(Entry::ended(match word(line, "outcome") {
            "finished" => TurnOutcome::Success,
            "interrupted" => TurnOutcome::Interrupted,
            _ => TurnOutcome::KnownFailure,
        })),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::entries_of;

    #[test]
    fn a_turn() {
        let lines = [
            r#"{"t":1795229054.199,"event":"session","id":"7"}"#,
            r#"{"t":1795229054.199,"event":"user","text":"go"}"#,
            r#"{"t":1795229055.0,"event":"assistant","text":"done"}"#,
            r#"{"t":1795229055.0,"event":"end","outcome":"finished"}"#,
        ];
        let entries = entries_of(&lines, read);
        assert_eq!(
            entries,
            [
                Entry::Session("7".to_owned()),
                Entry::Prompt { text: "go".to_owned(), at: "2026-11-21T02:44:14.199Z".parse().ok() },
                Entry::Said { text: "done".to_owned(), continues: false },
                Entry::ended(TurnOutcome::Success),
            ]
        );
    }
}
