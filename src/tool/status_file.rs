//! The file in which a program keeps its own status while it runs: where it is, and what it says.

use super::own_home::{HOME, OwnHome, below_home};
use super::{Said, Shows, said};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What stands for the process.
const PID: &str = "{pid}";

/// The file as a definition describes it: JSON, one object, one file a process.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusFile {
    path: String,
    home: OwnHome,
    /// The key of the process's start time, in clock ticks since boot: a process id is used again.
    pid_start: String,
    /// The key of the status.
    status: String,
    /// The key of the time since when that holds, in milliseconds.
    at: String,
    fresh_ms: u64,
    shows: BTreeMap<String, Shows>,
}

impl StatusFile {
    /// Where the process with that id keeps it; `variable` reads the process's environment.
    pub fn path(&self, pid: i32, variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
        let home = self.home.find(variable, Vec::new)?;
        Some(home.join(self.path.strip_prefix(HOME)?.replace(PID, &pid.to_string())))
    }

    /// What these bytes say, when a process that started then (field 22 of `/proc/PID/stat`) has written them.
    /// Whatever is not understood says nothing. A time to come counts as `now`.
    pub fn read(&self, bytes: &[u8], start_time: u64, now: Timestamp) -> Option<Said> {
        let file: Value = serde_json::from_slice(bytes).ok()?;
        let started = match file.get(&self.pid_start)? {
            Value::String(text) => text.parse().ok()?,
            number => number.as_u64()?,
        };
        let words = file.get(&self.status)?.as_str()?;
        let shows = *self.shows.get(words)?;
        let at = Timestamp::from_millisecond(file.get(&self.at)?.as_i64()?).ok()?;
        (started == start_time).then(|| Said { words: words.to_owned(), shows, at: at.min(now) })
    }

    /// For how long a statement counts.
    pub fn fresh_for(&self) -> SignedDuration {
        SignedDuration::from_millis(i64::try_from(self.fresh_ms).unwrap_or(i64::MAX))
    }

    /// What is wrong with the definition, if anything is.
    pub(super) fn check(&self) -> Result<(), String> {
        let below = below_home(&self.path).filter(|path| path.contains(PID));
        if below.is_none() || !self.home.is_right() {
            return Err(format!("keeps its status file at {:?}; write {HOME}DIRECTORY/{PID}.json", self.path));
        }
        said::check("status file", &self.shows, self.fresh_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_795_226_700, 0);

    fn claude() -> StatusFile {
        let (tools, _) = crate::tool::Tools::with_overrides(&[]);
        tools.get("claude").unwrap().status_file.clone().unwrap()
    }

    fn read(text: &str) -> Option<Said> {
        claude().read(text.as_bytes(), 412_525, NOW)
    }

    #[test]
    fn what_claude_code_writes() {
        let text = r#"{"pid":14332,"sessionId":"cbcad94c","procStart":"412525","version":"2.1.329","asksForConvertedSkills":null,
            "kind":"interactive","status":"busy","updatedAt":1795226671089,"statusUpdatedAt":1795226671089}"#;
        let said = read(text).unwrap();
        assert_eq!(
            (said.words.as_str(), said.shows, said.at.as_millisecond()),
            ("busy", Shows::Active, 1_795_226_671_089)
        );
        assert_eq!(read(&text.replace("busy", "waiting")).unwrap().shows, Shows::Approval);
        assert_eq!(read(&text.replace("busy", "idle")).unwrap().shows, Shows::Ready);
        assert!(read(&text.replace("\"412525\"", "412525")).is_some(), "a number is as good");
        assert_eq!(claude().read(text.as_bytes(), 412_526, NOW), None, "a process id that was used again");
    }

    #[test]
    fn a_mistake_is_silence() {
        for text in [
            "",
            "{",
            "[]",
            "null",
            r#"{"procStart":"412525","status":"busy"}"#,
            r#"{"status":"busy","statusUpdatedAt":1}"#,
            r#"{"procStart":"412525","status":"shell","statusUpdatedAt":1}"#,
            r#"{"procStart":"412525","status":["busy"],"statusUpdatedAt":1}"#,
            r#"{"procStart":"412525","status":"busy","statusUpdatedAt":1e300}"#,
            r#"{"procStart":"412525","status":"busy","statusUpdatedAt":9223372036854775807}"#,
            r#"{"procStart":-1,"status":"busy","statusUpdatedAt":1}"#,
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        let later = r#"{"procStart":"412525","status":"busy","statusUpdatedAt":253402200000000}"#;
        assert_eq!(read(later).unwrap().at, NOW);
    }

    #[test]
    fn the_process_says_where_it_is() {
        let path = |set: &[(&str, &str)]| {
            claude().path(7, |name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
        };
        assert_eq!(path(&[("HOME", "/h")]), Some("/h/.claude/sessions/7.json".into()));
        assert_eq!(path(&[("HOME", "/h"), ("CLAUDE_CONFIG_DIR", "/c")]), Some("/c/sessions/7.json".into()));
        assert_eq!(path(&[("HOME", "/h"), ("CLAUDE_CONFIG_DIR", "")]), Some("/h/.claude/sessions/7.json".into()));
        assert_eq!(path(&[("HOME", "h")]), None);
        assert_eq!(path(&[]), None);
    }

    #[test]
    fn a_definition_stays_below_the_home() {
        for path in ["/etc/{pid}", "{home}/../{pid}", "{home}/x.json", "{home}//etc/{pid}"] {
            assert!(StatusFile { path: path.into(), ..claude() }.check().is_err(), "{path}");
        }
        assert!(StatusFile { fresh_ms: u64::MAX, ..claude() }.check().unwrap_err().contains("is the limit"));
        let shows = BTreeMap::from([("busy".to_owned(), Shows::Queued)]);
        assert!(StatusFile { shows, ..claude() }.check().unwrap_err().contains("not a state"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_say_something_or_nothing(bytes: Vec<u8>) {
            let _ = claude().read(&bytes, 1, NOW);
        }
    }
}
