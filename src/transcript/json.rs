//! The few shapes that all logs have in common.

use jiff::Timestamp;
use serde_json::Value;

/// The word at `key`, or nothing.
pub(super) fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Whether the switch at `key` is on.
pub(super) fn is(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or(false)
}

/// The text of a content: a string, or a list of parts of which those count that are text of the kinds in `kinds`
/// (of any kind when there are none), one paragraph each. Nothing when there is no text in it.
pub(super) fn text(content: Option<&Value>, kinds: &[&str]) -> Option<String> {
    let parts: Vec<&str> = match content? {
        Value::String(text) => vec![text],
        Value::Array(parts) => parts
            .iter()
            .filter(|part| kinds.is_empty() || kinds.contains(&word(part, "type")))
            .filter_map(|part| part.get("text")?.as_str())
            .collect(),
        _ => return None,
    };
    let text = parts.join("\n\n");
    (!text.trim().is_empty()).then_some(text)
}

/// The time at `key`: a date and time, or seconds or milliseconds since 1970.
pub(super) fn time(value: &Value, key: &str) -> Option<Timestamp> {
    /// Seconds reach this only in the year 5138.
    const FIRST_MILLISECOND: f64 = 1e11;
    match value.get(key)? {
        Value::String(text) => text.parse().ok(),
        number => {
            let number = number.as_f64()?;
            let milliseconds = if number < FIRST_MILLISECOND { number * 1000.0 } else { number };
            #[expect(clippy::cast_possible_truncation, reason = "it saturates, and then it is no time")]
            Timestamp::from_millisecond(milliseconds as i64).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_is_words_or_parts() {
        assert_eq!(text(Some(&json!("a")), &["text"]).as_deref(), Some("a"));
        let parts =
            json!([{"type": "text", "text": "a"}, {"type": "think", "text": "b"}, 7, {"type": "text", "text": "c"}]);
        assert_eq!(text(Some(&parts), &["text"]).as_deref(), Some("a\n\nc"));
        assert_eq!(text(Some(&json!([{"type": "tool_result"}])), &[]), None);
        assert_eq!(text(Some(&json!("  ")), &[]), None);
        assert_eq!(text(None, &[]), None);
    }

    #[test]
    fn times_of_all_kinds() {
        let second: Timestamp = "2026-11-21T02:05:01Z".parse().unwrap();
        for value in [json!("2026-11-21T02:05:01.000Z"), json!(1_795_226_701), json!(1_795_226_701_000_i64)] {
            assert_eq!(time(&json!({"t": value}), "t"), Some(second), "{value}");
        }
        for value in [json!("soon"), json!(1e300), json!(-1e300), json!([1]), json!(null)] {
            assert_eq!(time(&json!({"t": value}), "t"), None, "{value}");
        }
    }
}
