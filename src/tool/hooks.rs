//! What a program that we launch is told to report: arguments or a file of settings for that one launch, and what their
//! events show.
//!
//! Each event runs a line of shell that appends one line to a file of ours. The file's name reaches it through the
//! environment, so no path has to be quoted, and outside our launch there is no such file and nothing happens.

use super::{Said, Shows, said};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The variable that names the file.
pub const HOOKS_ENV: &str = "TROOP_HOOKS";
/// What stands in an argument for the line of shell that reports an event, up to the event's name.
const SAY: &str = "{say:";
/// The line itself, with [`EVENT`] for the event.
///
/// It reads its input to the end, because a program may mind that nobody does, unless that is the keyboard. Events of a
/// subagent are not the agent's own. Where the program names its transcript, that is reported as it stands there, in
/// the words of JSON; one that is written with an escape is left out. It says nothing, and ends with 0 whatever happens:
/// 2 would stop the program.
const LINE: &str = r#"{ i=; [ -t 0 ] || i=$(head -c 4096; cat >/dev/null); case $i in *'"agent_id":'*) exit 0 ;; esac; t=${i#*'"transcript_path":"'}; [ "$t" = "$i" ] && t=; t=${t%%'"'*}; case $t in *[\\]*) t= ;; esac; printf '{"event":"EVENT"%s}\n' "${t:+,\"transcript\":\"$t\"}" >>"$TROOP_HOOKS"; } 2>/dev/null || :"#;
const EVENT: &str = "EVENT";

/// What is injected, and what is made of what comes back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hooks {
    #[serde(default)]
    args: Vec<String>,
    settings: Option<Settings>,
    fresh_ms: u64,
    shows: BTreeMap<String, Shows>,
}

/// A file of settings that the program reads besides the person's own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The variable that names it.
    env: String,
    /// The file in whose place the program reads it; where that is there, it stays in force, and there are no hooks.
    instead_of: PathBuf,
    text: String,
}

/// One line of the file; other keys are left alone.
#[derive(Deserialize)]
struct Line {
    event: String,
}

/// The part of a line that names the transcript.
#[derive(Deserialize)]
struct Named {
    transcript: PathBuf,
}

/// The transcript that the newest of these lines names which names one.
pub fn transcript<'a>(lines: impl DoubleEndedIterator<Item = &'a [u8]>) -> Option<PathBuf> {
    lines.rev().find_map(|line| serde_json::from_slice::<Named>(line).ok()).map(|line| line.transcript)
}

impl Hooks {
    /// The arguments for one launch. `{say:EVENT}` in them is a line of shell, escaped for a string of JSON or TOML.
    pub fn args(&self) -> Vec<String> {
        self.args.iter().map(|argument| self.fill(argument)).collect()
    }

    /// The text of the settings for one launch, and the file in whose place they are read.
    pub fn settings(&self) -> Option<(String, &Path)> {
        self.settings.as_ref().map(|settings| (self.fill(&settings.text), settings.instead_of.as_path()))
    }

    /// The variable that names the file of the settings.
    pub fn settings_env(&self) -> Option<&str> {
        self.settings.as_ref().map(|settings| settings.env.as_str())
    }

    fn fill(&self, argument: &str) -> String {
        let mut parts = argument.split(SAY);
        let mut filled = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (event, rest) = part.split_once('}').unwrap_or((part, ""));
            let quoted = serde_json::Value::from(LINE.replace(EVENT, event)).to_string();
            filled.push_str(&quoted[1..quoted.len() - 1]);
            filled.push_str(rest);
        }
        filled
    }

    /// What the newest of these lines says, which were written up to `at`: the outer `None` when none of them is an
    /// event, the inner when the event shows nothing, which takes back what was said before.
    pub fn read<'a>(&self, lines: impl DoubleEndedIterator<Item = &'a [u8]>, at: Timestamp) -> Option<Option<Said>> {
        let Line { event } = lines.rev().find_map(|line| serde_json::from_slice(line).ok())?;
        let shows = self.shows.get(&event).copied();
        Some(shows.map(|shows| Said { words: event, shows, at }))
    }

    /// For how long an event counts.
    pub fn fresh_for(&self) -> SignedDuration {
        SignedDuration::from_millis(i64::try_from(self.fresh_ms).unwrap_or(i64::MAX))
    }

    /// What is wrong with the definition, if anything is.
    pub(super) fn check(&self) -> Result<(), String> {
        let texts = self.args.iter().chain(self.settings.iter().map(|settings| &settings.text));
        for part in texts.flat_map(|argument| argument.split(SAY).skip(1)) {
            let event = part.split_once('}').map_or(part, |(event, _)| event);
            if !crate::model::name::is_plain_name(event) {
                return Err(format!("has a hook for {event:?}; an event is written {SAY}NAME}}"));
            }
        }
        said::check("hooks", &self.shows, self.fresh_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    const NOW: Timestamp = Timestamp::constant(1_795_226_700, 0);

    fn hooks(tool: &str) -> Hooks {
        let (tools, _) = crate::tool::Tools::with_overrides(&[]);
        tools.get(tool).unwrap().hooks.clone().unwrap()
    }

    /// The line of shell that the settings have for an event.
    fn line(event: &str) -> String {
        let args = hooks("claude").args();
        assert_eq!((args.len(), args[0].as_str()), (2, "--settings"));
        let settings: serde_json::Value = serde_json::from_str(&args[1]).unwrap();
        let hook = &settings["hooks"][event][0]["hooks"][0];
        assert_eq!(hook["type"], "command");
        hook["command"].as_str().unwrap().to_owned()
    }

    fn run(line: &str, input: &[u8], file: Option<&std::path::Path>) -> std::process::Output {
        let mut command = Command::new("sh");
        command.arg("-c").arg(line).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env_remove(HOOKS_ENV).envs(file.map(|file| (HOOKS_ENV, file)));
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    }

    #[test]
    fn a_hook_appends_its_line_whatever_the_path_is() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a 'b' \"c\" $(d) `e`\\\n;f");
        let line = line("Stop");
        // More than a pipe holds: whoever writes it must not be cut off.
        let input = format!(r#"{{"hook_event_name":"Stop","text":"{}"}}"#, "x".repeat(1 << 20));
        for _ in 0..2 {
            let output = run(&line, input.as_bytes(), Some(&file));
            assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
        }
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text, "{\"event\":\"Stop\"}\n".repeat(2));
        let said = hooks("claude").read(text.lines().map(str::as_bytes), NOW).unwrap().unwrap();
        assert_eq!((said.words.as_str(), said.shows), ("Stop", Shows::Ready));
    }

    #[test]
    fn a_file_of_settings_takes_the_place_of_another() {
        let hooks = hooks("gemini");
        let (text, instead_of) = hooks.settings().unwrap();
        assert_eq!(instead_of, Path::new("/etc/gemini-cli/system-defaults.json"));
        assert_eq!(hooks.settings_env(), Some("GEMINI_CLI_SYSTEM_DEFAULTS_PATH"));
        let settings: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(settings["hooks"]["AfterAgent"][0]["hooks"][0]["command"].as_str().unwrap().contains("AfterAgent"));
        assert_eq!(hooks.args(), [""; 0]);
    }

    #[test]
    fn a_hook_never_fails_and_never_speaks() {
        let dir = tempfile::tempdir().unwrap();
        for file in [None, Some(dir.path()), Some(std::path::Path::new("/nonexistent/x"))] {
            let output = run(&line("PreToolUse"), b"{}", file);
            assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
        }
    }

    #[test]
    fn what_a_subagent_does_is_not_reported() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("hooks");
        run(&line("PreToolUse"), br#"{"agent_id":"x","hook_event_name":"PreToolUse"}"#, Some(&file));
        assert!(!file.exists());
        run(&line("PreToolUse"), br#"{"prompt":"say \"agent_id\":1"}"#, Some(&file));
        assert!(file.exists());
    }

    #[test]
    fn a_hook_reports_the_transcript() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("hooks");
        let line = line("Stop");
        for (path, reported) in [
            ("/a b/%s$(x)`y`'é'/c.jsonl", Some("/a b/%s$(x)`y`'é'/c.jsonl")),
            (r#"/a\"b"#, None),
            (r"/a\\b", None),
            ("", None),
        ] {
            let input = format!(r#"{{"session_id":"1","transcript_path":"{path}","cwd":"/","prompt":"x"}}"#);
            run(&line, input.as_bytes(), Some(&file));
            let text = std::fs::read_to_string(&file).unwrap();
            assert_eq!(transcript(text.lines().map(str::as_bytes)), reported.map(PathBuf::from), "{text}");
            assert!(hooks("claude").read(text.lines().map(str::as_bytes), NOW).unwrap().is_some(), "{text}");
            std::fs::remove_file(&file).unwrap();
        }
    }

    #[test]
    fn the_newest_event_counts() {
        let hooks = hooks("claude");
        let read = |text: &str| hooks.read(text.lines().map(str::as_bytes), NOW).map(|said| said.map(|s| s.shows));
        assert_eq!(read("{\"event\":\"Stop\"}\n{\"event\":\"PermissionRequest\"}"), Some(Some(Shows::Approval)));
        assert_eq!(read("{\"event\":\"Stop\"}\nrubbish\n"), Some(Some(Shows::Ready)));
        assert_eq!(read("{\"event\":\"Stop\"}\n{\"event\":\"SessionEnd\",\"more\":[]}\n"), Some(None));
        assert_eq!(read("rubbish\n{}\n[1]\n{\"event\":7}\n"), None);
    }

    #[test]
    fn a_mistake_in_a_definition_is_said() {
        let args = vec![r#"{"command":"{say:Stop; rm}"}"#.to_owned()];
        assert!(Hooks { args, ..hooks("claude") }.check().is_err());
        assert!(Hooks { args: vec!["{say:".to_owned()], ..hooks("claude") }.check().is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_events_or_not(bytes: Vec<u8>) {
            let _ = hooks("claude").read(bytes.split(|byte| *byte == b'\n'), NOW);
        }
    }
}
