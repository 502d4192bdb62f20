//! How a turn ended.

use super::Stream;
use crate::model::headless::{TurnStanding, Verdict};

/// What is known of a turn whose program does not run any more.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// Its program was started.
    pub begun: bool,
    /// What that exited with: 128 and the number of a signal that ended it. None when nobody was left to be told.
    pub exit_code: Option<i32>,
    /// Somebody has interrupted it.
    pub interrupted: bool,
    /// The last line of its standard error.
    pub complaint: Option<&'a str>,
}

/// The verdict on a turn. What the program says of its end counts as much as its exit code: it may have ended well
/// with nobody left to see the code, and an interrupt may have come after the end.
pub fn verdict(facts: Facts<'_>, stream: &Stream) -> Verdict {
    let Facts { begun, exit_code, interrupted, complaint } = facts;
    let ended = |standing, error| Verdict { standing, returncode: exit_code, error };
    // A program of which nothing was understood is believed its code. Some exit with 0 when they are interrupted (gemini).
    let succeeded = match (exit_code, stream.ended()) {
        (Some(0) | None, Some(ended)) => ended,
        (Some(0), None) => !interrupted && !stream.is_understood(),
        _ => false,
    };
    if succeeded {
        return ended(TurnStanding::Completed, None);
    }
    if interrupted {
        return ended(TurnStanding::Interrupted, None);
    }
    let said = stream.error().or(complaint).map(|said| format!(": {said}")).unwrap_or_default();
    let error = match exit_code {
        _ if !begun && !stream.is_understood() => {
            "its program was never started: what was to start it ended before".to_owned()
        }
        Some(0) if stream.ended().is_none() => {
            format!("the program ended and did not say that its turn was over{said}")
        }
        Some(0) => format!("the program says that it failed{said}"),
        Some(code) => format!("the program exited with {code}{said}"),
        None => format!("the program ended, and nobody was left to learn how{said}"),
    };
    ended(TurnStanding::Failed, Some(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::Tools;

    fn stream(tool: &str, lines: &[&str]) -> Stream {
        let (tools, _) = Tools::with_overrides(&[]);
        let mut stream = Stream::new(tools.get(tool).unwrap().headless.clone().unwrap().into());
        lines.iter().for_each(|line| drop(stream.line(line.as_bytes())));
        stream
    }

    const INIT: &str = r#"{"type":"system","subtype":"init","session_id":"s"}"#;
    const WELL: &str = r#"{"type":"result","subtype":"success","is_error":false,"result":"yes","session_id":"s"}"#;
    const BADLY: &str =
        r#"{"type":"result","subtype":"error_during_execution","is_error":true,"result":"no","session_id":"s"}"#;

    #[test]
    fn code_and_words_together() {
        let (well, badly, nothing) = (stream("claude", &[WELL]), stream("claude", &[BADLY]), stream("claude", &[]));
        let half = stream("claude", &[INIT]);
        let of = |exit_code, interrupted, stream: &Stream| {
            verdict(Facts { begun: true, exit_code, interrupted, complaint: None }, stream).standing
        };
        use TurnStanding::{Completed, Failed, Interrupted};
        for (exit_code, interrupted, stream, standing) in [
            (Some(0), false, &well, Completed),
            (Some(0), true, &well, Completed),
            (Some(0), false, &nothing, Completed),
            (None, false, &well, Completed),
            (None, true, &well, Completed),
            (Some(0), false, &badly, Failed),
            (Some(1), false, &well, Failed),
            (Some(130), true, &nothing, Interrupted),
            (Some(0), true, &badly, Interrupted),
            (Some(0), true, &nothing, Interrupted),
            (Some(0), true, &half, Interrupted),
            (Some(0), false, &half, Failed),
            (None, false, &nothing, Failed),
            (None, true, &nothing, Interrupted),
        ] {
            assert_eq!(of(exit_code, interrupted, stream), standing, "{exit_code:?} {interrupted}");
        }
    }

    #[test]
    fn a_failure_has_its_reason() {
        let reason = |facts, lines: &[&str]| verdict(facts, &stream("claude", lines)).error.unwrap();
        let facts = Facts { begun: true, exit_code: Some(2), interrupted: false, complaint: Some("no such model") };
        assert_eq!(reason(facts, &[]), "the program exited with 2: no such model");
        assert_eq!(reason(facts, &[BADLY]), "the program exited with 2: no");
        assert!(reason(Facts::default(), &[]).contains("never started"));
    }
}
