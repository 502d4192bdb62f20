//! What a launch asks for, and how that is written in `control`.

use crate::error::{Error, Kind, Result};
use crate::model::launch_options::{MAX_ENV, check_model, env_pair};
use crate::model::{AgentName, ChatSession, LaunchOptions};
use std::path::PathBuf;

/// How it is written.
pub(super) const LAUNCH_SYNTAX: &str = "launch NAME [--profile P] [--tool T] [--cwd DIR] [--role FILE] [--model M] \
                                        [--env NAME=VALUE]... [--resume last|ID] [--headless] [-- ARG...]";

/// What a launch asks for; what is not said comes from its profile, the defaults, and the tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Its name.
    pub name: AgentName,
    /// The profile whose options count where these say nothing.
    pub profile: Option<String>,
    /// What it says itself.
    pub options: LaunchOptions,
    /// Which conversation the program goes on with.
    pub chat: ChatSession,
    /// The command line in place of the tool's; empty means the tool's.
    pub argv: Vec<String>,
    /// Whether each turn is a process of its own.
    pub headless: bool,
    /// Whether it is done only when its program is up, and not when the agent is there.
    pub waits: bool,
}

impl Launch {
    /// A launch that says no more than a name.
    pub fn new(name: AgentName) -> Self {
        let (options, chat) = (LaunchOptions::default(), ChatSession::New);
        Self { name, profile: None, options, chat, argv: Vec::new(), headless: false, waits: false }
    }

    /// From the words of a line of `control`; nothing when they are not how a launch is written. [`Kind::Invalid`] for a
    /// name, path, variable, model or id that cannot be one.
    pub fn parse(name: &str, mut words: &[&str]) -> Result<Option<Self>> {
        let mut launch = Self::new(AgentName::new(name)?);
        loop {
            words = match words {
                [] => return Ok(Some(launch)),
                ["--", argv @ ..] if !argv.is_empty() => {
                    launch.argv = argv.iter().map(|word| (*word).to_owned()).collect();
                    return Ok(Some(launch));
                }
                ["--headless", rest @ ..] => {
                    launch.headless = true;
                    rest
                }
                [option, value, rest @ ..] if launch.set(option, value)? => rest,
                _ => return Ok(None),
            };
        }
    }

    /// Takes one option; whether there is one of that name.
    fn set(&mut self, option: &str, value: &str) -> Result<bool> {
        let options = &mut self.options;
        match option {
            "--profile" => self.profile = Some(value.to_owned()),
            "--tool" => options.tool = Some(value.to_owned()),
            "--cwd" => options.cwd = Some(absolute(option, value)?),
            "--role" => options.role = Some(absolute(option, value)?),
            "--model" => {
                check_model(value)?;
                options.model = Some(value.to_owned());
            }
            "--env" => {
                if options.env.len() == MAX_ENV {
                    return Err(Error::new(Kind::TooLarge, format!("more than {MAX_ENV} variables for one agent")));
                }
                options.env.push(env_pair(value)?);
            }
            "--resume" => self.chat = ChatSession::resumed(value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn absolute(option: &str, path: &str) -> Result<PathBuf> {
    if path.starts_with('/') {
        return Ok(PathBuf::from(path));
    }
    let why = "because the mount has no current directory";
    Err(Error::new(Kind::Invalid, format!("{option} takes a path that begins with '/', {why}")))
}

#[cfg(test)]
mod tests {
    use super::super::{TroopVerb, troop_verbs};
    use super::*;

    #[test]
    fn a_launch_takes_options_and_a_command() {
        let line = "launch bob --profile p --tool codex --cwd /tmp --role /r.md --model m --env A=b --env C= --resume 0-1 -- codex -x --role";
        let verbs = troop_verbs(format!("{line}\nrescan\n").as_bytes()).unwrap();
        let TroopVerb::Launch(launch) = &verbs[0] else { panic!("{verbs:?}") };
        let options = LaunchOptions {
            tool: Some("codex".into()),
            cwd: Some("/tmp".into()),
            role: Some("/r.md".into()),
            model: Some("m".into()),
            env: vec![("A".into(), "b".into()), ("C".into(), String::new())],
        };
        assert_eq!((launch.name.as_str(), launch.profile.as_deref()), ("bob", Some("p")));
        assert_eq!((&launch.options, &launch.chat), (&options, &ChatSession::Exact("0-1".into())));
        assert_eq!(launch.argv, ["codex", "-x", "--role"]);
        assert_eq!(verbs[1], TroopVerb::Rescan);
    }

    #[test]
    fn what_is_no_launch_is_refused() {
        for bad in [
            "launch",
            "launch a b",
            "launch a --cwd x",
            "launch a --role x",
            "launch a --role",
            "launch a --model -x",
            "launch a --env A",
            "launch a --resume -x",
            "launch a --rolle /x",
            "launch a --",
            "launch ../x",
        ] {
            assert_eq!(troop_verbs(bad.as_bytes()).unwrap_err().kind(), Kind::Invalid, "{bad}");
        }
        let many = format!("launch a{}", " --env A=b".repeat(MAX_ENV + 1));
        assert_eq!(troop_verbs(many.as_bytes()).unwrap_err().kind(), Kind::TooLarge);
    }
}
