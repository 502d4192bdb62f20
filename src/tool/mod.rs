//! What one agent program is, as data: how to start it, submit to it, interrupt
//! it and recognise it. The shipped definitions are `src/tool/*.toml`; a file of
//! the same name in `~/.config/troop/tools/` takes the place of one.

mod answer;
mod file;
pub mod headless;
mod hooks;
mod own_home;
mod question;
mod read;
mod region;
mod rule;
mod said;
mod startup;
mod status_file;
mod style;
mod tools;
mod transcript_file;
mod version;

pub use answer::{Answer, Pick};
pub use headless::Headless;
pub use hooks::{HOOKS_ENV, Hooks, transcript as reported_transcript};
pub use read::Found;
pub use region::{Region, Sight};
pub use rule::{Rule, Shows};
pub use said::Said;
pub use startup::{MAX_ROLE_BYTES, RoleWay};
pub use status_file::StatusFile;
pub use tools::Tools;
pub use transcript_file::{By, TranscriptFile};
pub use version::version;

use crate::error::{Error, Kind, Result};
use crate::model::name::is_plain_name;
use file::File;
use rule::Condition;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// The name of the tool that needs no account: ours.
pub const STAND_IN: &str = "stand-in";
/// The tool that stands for every program without a definition.
pub const GENERIC: &str = "generic";

/// The longest wait between a paste and its submit key that a definition may ask for.
const MAX_SETTLE: Duration = Duration::from_secs(10);
/// How long a composer has to be there before it counts as ready, in milliseconds, unless a definition says otherwise.
const READY_SETTLE_MS: u64 = 250;
/// How long a screen has to be still before a program that has just been started counts as ready, in milliseconds,
/// unless a definition says otherwise: programs paint their composer before they read the keyboard, and load on.
const START_SETTLE_MS: u64 = 2000;
/// How long a screen that says active may stand still before that counts as stale, in milliseconds, unless a
/// definition says otherwise: programs animate something while they work, and one that hangs does not.
const ACTIVE_STALE_MS: u64 = 30_000;

/// One agent program.
#[derive(Debug, Clone)]
pub struct Tool {
    /// What records call it.
    pub name: String,
    /// What else it is called.
    pub aliases: Vec<String>,
    /// One line for people.
    pub summary: String,
    /// The command that starts it; `{troop}` is the running program's own path.
    pub command: Vec<String>,
    /// The variables it is given from the caller's environment, by name. Nothing else is passed.
    pub inherit_env: Vec<String>,
    /// The variable that selects its private home.
    pub home_env: Option<String>,
    /// Its processes: compared with `comm` and the base names of the first two arguments.
    /// Empty means that any living program counts.
    pub process_names: Vec<String>,
    /// The arguments by which a process is known that serves all its agents, whichever of them has started it.
    pub shared: Vec<String>,
    /// The key that submits the composer.
    pub submit_key: String,
    settle: Duration,
    settle_per_kib: Duration,
    /// A prompt that ends in this is typed with a blank behind it, because the program would take the submit key for a line
    /// break. It cuts blanks off the end.
    blank_after: Option<String>,
    /// The row with which it closes a turn on the screen: no part of the answer.
    close: Option<String>,
    /// The key that interrupts a turn.
    pub interrupt_key: String,
    /// Arguments that continue the last session.
    pub resume_last: Vec<String>,
    /// Arguments that continue the session `{id}`.
    pub resume_exact: Vec<String>,
    /// How it is told a role.
    pub role: Option<RoleWay>,
    /// Arguments that choose the model `{model}`.
    model_args: Vec<String>,
    /// Arguments that print its version.
    pub version_args: Vec<String>,
    /// The releases its rules were tuned on, when the definition says so.
    pub tuned: Option<semver::VersionReq>,
    /// How its state is read off its title and screen, highest priority first.
    pub rules: Vec<Rule>,
    /// How long its composer has to be there before it counts as ready.
    pub ready_settle: Duration,
    /// How long its screen has to be still before it counts as ready for the first time.
    pub start_settle: Duration,
    /// How long a screen that says active may stand still before that counts as stale.
    pub stale_after: Duration,
    /// The file in which it keeps its own status.
    pub status_file: Option<StatusFile>,
    /// What it is told to report when we launch it.
    pub hooks: Option<Hooks>,
    /// How it runs one turn as one process.
    pub headless: Option<Headless>,
    /// How its questions are answered.
    pub answer: Option<Answer>,
    /// Whether its interrupt key has to be pressed a second time while it still works.
    pub interrupts_twice: bool,
    /// The logs that it keeps of its conversations, the one first that is looked for first.
    pub transcripts: Vec<TranscriptFile>,
    regions: Vec<(String, Condition)>,
    question: question::Reader,
    /// What is asked when none of the rules matches: the rules of [`GENERIC`].
    last_resort: Option<Arc<Tool>>,
    /// The definition as it was written.
    pub text: Arc<str>,
}

impl Tool {
    /// Parses a definition. `origin` names the file in the error, which also has
    /// the line.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        let wrong = |message: String| Error::new(Kind::Malformed, format!("the tool definition {origin} {message}"));
        let file: File = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            wrong(format!("is wrong at line {line}: {}", error.message().replace('\n', " ")))
        })?;
        if !is_plain_name(&file.name) {
            return Err(wrong(format!("names its tool {:?}; use letters, digits, '_' and '-'", file.name)));
        }
        if file.submit.settle_ms > MAX_SETTLE.as_millis() as u64 {
            return Err(wrong(format!(
                "asks to settle for {} ms; {} ms is the limit",
                file.submit.settle_ms,
                MAX_SETTLE.as_millis()
            )));
        }
        let ready_settle = Duration::from_millis(file.ready.settle_ms.unwrap_or(READY_SETTLE_MS));
        let start_settle = Duration::from_millis(file.ready.start_ms.unwrap_or(START_SETTLE_MS));
        if ready_settle.max(start_settle) > MAX_SETTLE {
            return Err(wrong(format!(
                "lets ready settle for {} ms; {} ms is the limit",
                ready_settle.max(start_settle).as_millis(),
                MAX_SETTLE.as_millis()
            )));
        }
        let stale_after = Duration::from_millis(file.active.stale_ms.unwrap_or(ACTIVE_STALE_MS));
        if let Some(name) = file.regions.keys().find(|name| !region::is_name(name)) {
            return Err(wrong(format!("names a region {name:?}; use small letters and '-'")));
        }
        file.status_file.as_ref().map_or(Ok(()), StatusFile::check).map_err(wrong)?;
        file.hooks.as_ref().map_or(Ok(()), Hooks::check).map_err(wrong)?;
        file.headless.as_ref().map_or(Ok(()), Headless::check).map_err(wrong)?;
        file.answer.as_ref().map_or(Ok(()), Answer::check).map_err(wrong)?;
        file.role.as_ref().map_or(Ok(()), RoleWay::check).map_err(wrong)?;
        for (at, transcript) in file.transcript.iter().enumerate() {
            let header = text.lines().enumerate().filter(|(_, line)| line.trim_end() == "[[transcript]]").nth(at);
            let line = header.map_or(1, |(line, _)| line + 1);
            transcript.check().map_err(|why| wrong(format!("is wrong at line {line}: it {why}")))?;
        }
        if let Some(error) = file.reply.close.as_deref().and_then(|close| rule::compile(close).err()) {
            let last = error.to_string().lines().last().unwrap_or_default().to_owned();
            return Err(wrong(format!("has a wrong pattern in [reply]: {last}")));
        }
        let used = file.rule.iter().flat_map(Rule::conditions).filter_map(|condition| condition.region.name());
        let question = question::Reader::new(file.question).map_err(&wrong)?;
        if let Some(name) = used.chain(question.region_name()).find(|name| !file.regions.contains_key(*name)) {
            return Err(wrong(format!("looks at a region {name:?} that [regions] does not have")));
        }
        let mut rules = file.rule;
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.priority));
        let regions =
            file.regions.into_iter().map(|(name, pattern)| (name, Condition::new(Region::Screen, pattern))).collect();
        Ok(Self {
            name: file.name,
            aliases: file.aliases,
            summary: file.summary,
            command: file.start.command,
            inherit_env: file.start.inherit_env,
            home_env: file.home.and_then(|home| home.env),
            process_names: file.process.names,
            shared: file.process.shared,
            submit_key: file.submit.key,
            settle: Duration::from_millis(file.submit.settle_ms),
            settle_per_kib: Duration::from_millis(file.submit.settle_ms_per_kib),
            blank_after: file.submit.blank_after,
            close: file.reply.close,
            interrupt_key: file.interrupt.key,
            resume_last: file.resume.last,
            resume_exact: file.resume.exact,
            role: file.role,
            model_args: file.model.args,
            version_args: file.version.args,
            tuned: file.version.tuned,
            rules,
            ready_settle,
            start_settle,
            stale_after,
            status_file: file.status_file,
            hooks: file.hooks,
            headless: file.headless,
            answer: file.answer,
            interrupts_twice: file.interrupt.twice,
            transcripts: file.transcript,
            regions,
            question,
            last_resort: None,
            text: text.into(),
        })
    }

    /// Says which of its patterns is wrong and where, if one is. Shipped definitions are checked by a test instead,
    /// because compiling every pattern takes longer than a command.
    fn check(&self, origin: &str) -> Result<()> {
        let line = |what: &str| {
            let at = self.text.find(what).unwrap_or_default();
            self.text[..at].matches('\n').count() + 1
        };
        let wrong = |line: usize, whose: String, why: String| {
            Error::new(
                Kind::Malformed,
                format!("the tool definition {origin} is wrong at line {line}: {whose} has {why}"),
            )
        };
        for (name, pattern) in &self.regions {
            pattern.check().map_err(|why| wrong(line(&format!("\n{name} ")) + 1, format!("region {name:?}"), why))?;
        }
        for rule in &self.rules {
            let quoted = [format!("{:?}", rule.id), format!("'{}'", rule.id)];
            let at = quoted.iter().map(|id| line(id)).max().unwrap_or(1);
            rule.check().map_err(|why| wrong(at, format!("rule {:?}", rule.id), why))?;
        }
        Ok(())
    }

    /// How long to wait after pasting `bytes` before the submit key: per tool,
    /// because programs swallow an Enter that comes too soon (`agent-clis`,
    /// delivery table), and growing with size.
    pub fn settle_for(&self, bytes: usize) -> Duration {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        (self.settle + self.settle_per_kib.saturating_mul(kib)).min(MAX_SETTLE)
    }

    /// What is pasted for a prompt.
    pub fn typed<'a>(&self, prompt: &'a str) -> Cow<'a, str> {
        match &self.blank_after {
            Some(end) if prompt.ends_with(end.as_str()) => Cow::Owned(format!("{prompt} ")),
            _ => Cow::Borrowed(prompt),
        }
    }

    /// Whether the program closes a turn with that row.
    pub fn closes(&self) -> impl Fn(&str) -> bool {
        let close = self.close.as_deref().and_then(|close| rule::compile(close).ok());
        move |row| close.as_ref().is_some_and(|close| close.is_match(row))
    }

    /// Whether a process with this `comm` and command line is this program.
    pub fn owns(&self, comm: &str, argv: &[String]) -> bool {
        let base = |argument: &String| argument.rsplit('/').next().unwrap_or_default().to_owned();
        self.process_names.is_empty()
            || self.process_names.iter().any(|name| {
                // The kernel keeps 15 bytes of a command's name.
                comm == name.get(..15).unwrap_or(name) || argv.iter().take(2).any(|argument| &base(argument) == name)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::tools::SHIPPED;
    use super::*;

    #[test]
    fn every_shipped_definition_is_right() {
        let (tools, errors) = Tools::with_overrides(&[]);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(tools.iter().count(), SHIPPED.len());
        for tool in tools.iter() {
            tool.check(&tool.name).unwrap();
        }
    }

    #[test]
    fn a_mistake_is_a_sentence_with_file_and_line() {
        let text = SHIPPED[0].1.replace("[submit]", "[submit]\nkee = 1");
        let line = text.lines().position(|line| line.starts_with("kee")).unwrap() + 1;
        let (tools, errors) = Tools::with_overrides(&[("/x/claude.toml".to_owned(), text)]);
        assert_eq!(errors.len(), 1);
        assert!(errors[0].sentence().contains(&format!("/x/claude.toml is wrong at line {line}")), "{}", errors[0]);
        assert!(tools.get("claude").is_some(), "the shipped definition stays in force");
    }

    #[test]
    fn a_wrong_pattern_names_its_rule() {
        let text = "name='x'\nsummary=''\n[start]\ncommand=['x']\n[submit]\nkey='Enter'\nsettle_ms=1\n[interrupt]\nkey='Escape'\n\
                    [[rule]]\nid='bad'\nregion='title'\nmatch='('\nshows='ready'\npriority=1\n";
        let (_, errors) = Tools::with_overrides(&[("x.toml".to_owned(), text.to_owned())]);
        assert!(
            errors[0].sentence().contains("x.toml is wrong at line 11: rule \"bad\" has a wrong pattern"),
            "{}",
            errors[0]
        );
        let text = text.replace("[[rule]]", "[regions]\nbox = '('\n[[rule]]").replace("match='('", "match='x'");
        let (_, errors) = Tools::with_overrides(&[("x.toml".to_owned(), text)]);
        assert!(errors[0].sentence().contains("x.toml is wrong at line 11: region \"box\" has"), "{}", errors[0]);
    }

    #[test]
    fn a_blank_is_typed_where_the_submit_key_would_be_taken_for_a_line_break() {
        let (tools, _) = Tools::with_overrides(&[]);
        assert_eq!(tools.get("gemini").unwrap().typed("C:\\"), "C:\\ ");
        assert_eq!(tools.get("gemini").unwrap().typed("C:\\x"), "C:\\x");
        assert_eq!(tools.get("codex").unwrap().typed("C:\\"), "C:\\");
    }

    #[test]
    fn processes_are_known_by_name() {
        let (tools, _) = Tools::with_overrides(&[]);
        let tool = tools.get(STAND_IN).unwrap();
        assert!(tool.owns("troop", &["/usr/bin/troop".into(), "stand-in".into()]));
        assert!(!tool.owns("bash", &["-bash".into()]));
        assert!(tools.get(GENERIC).unwrap().owns("anything", &[]));
    }
}
