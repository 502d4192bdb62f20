//! What may be chosen for a launch, and the three places where it is chosen: the launch itself, a profile, and the defaults.

use crate::error::{Error, Kind, Result};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The most variables that one launch may be given.
pub const MAX_ENV: usize = 64;
/// The longest value of one, in bytes.
pub const MAX_ENV_BYTES: usize = 32 << 10;
/// The longest name of a model, in bytes.
const MAX_MODEL_BYTES: usize = 256;
/// Variables by which a program in a session finds its agent, its terminal, and what it reports to.
const RESERVED: &[&str] = &["HOUMAO_", "TROOP_"];
/// What tmux itself says to its programs.
const OF_TMUX: &[&str] = &["TERM", "TMUX", "TMUX_PANE"];

/// What is chosen; what is not comes from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LaunchOptions {
    /// Which tool.
    pub tool: Option<String>,
    /// Where it works.
    pub cwd: Option<PathBuf>,
    /// The file with its role.
    pub role: Option<PathBuf>,
    /// Which model.
    pub model: Option<String>,
    /// Variables for it, by [`env_pair`].
    pub env: Vec<(String, String)>,
}

/// What the configuration says of launches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Presets {
    /// For every launch.
    pub defaults: LaunchOptions,
    /// For those that name one.
    pub profiles: BTreeMap<String, LaunchOptions>,
    /// Why the configuration does not count: then there are no profiles, and no defaults of it.
    pub wrong: Option<Error>,
}

impl Presets {
    /// The profile of that name.
    pub fn profile(&self, name: &str) -> Result<&LaunchOptions> {
        if let Some(wrong) = &self.wrong {
            let sentence = format!("there is no profile {name:?}, because {}", wrong.sentence());
            return Err(Error::new(wrong.kind(), sentence));
        }
        self.profiles.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.profiles.keys().map(String::as_str).collect();
            let known = if known.is_empty() {
                "the configuration has none; write [profiles.NAME] into it".to_owned()
            } else {
                format!("the profiles are {}", known.join(", "))
            };
            Error::new(Kind::NotFound, format!("there is no profile {name:?}; {known}"))
        })
    }
}

/// A variable written as `NAME=VALUE`. [`Kind::Invalid`] for what is none, and for those that say who an agent is.
pub fn env_pair(text: &str) -> Result<(String, String)> {
    let Some((name, value)) = text.split_once('=') else {
        // It may be a value that was meant to stay secret: it is not repeated.
        return Err(Error::new(Kind::Invalid, "a variable without a value; write NAME=VALUE"));
    };
    check_env(name, value)?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The same for name and value.
pub fn check_env(name: &str, value: &str) -> Result<()> {
    let invalid = |sentence: String| Err(Error::new(Kind::Invalid, sentence));
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.chars().all(plain) || !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return invalid(format!("{name:?} cannot be the name of a variable; use letters, digits and '_'"));
    }
    if OF_TMUX.contains(&name) || RESERVED.iter().any(|prefix| name.starts_with(prefix)) {
        return invalid(format!("{name} says who and where an agent is, so it cannot be set for one; leave it out"));
    }
    if value.len() > MAX_ENV_BYTES {
        return Err(Error::new(
            Kind::TooLarge,
            format!("{name} has more than {MAX_ENV_BYTES} bytes; name a file in it"),
        ));
    }
    // They are kept in a file of lines.
    if value.chars().any(char::is_control) {
        return invalid(format!(
            "the value of {name} has a line break or another control character; name a file in it"
        ));
    }
    Ok(())
}

/// Refuses what cannot be the name of a model, or would be taken for an option.
pub fn check_model(model: &str) -> Result<()> {
    let odd = |c: char| c.is_control() || c.is_whitespace();
    if model.is_empty() || model.len() > MAX_MODEL_BYTES || model.starts_with('-') || model.chars().any(odd) {
        return Err(Error::new(
            Kind::Invalid,
            format!("{model:?} cannot be the name of a model; write it as its tool does"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_a_name_and_a_value() {
        assert_eq!(env_pair("A_1=b = c").unwrap(), ("A_1".to_owned(), "b = c".to_owned()));
        assert_eq!(env_pair("_=").unwrap().1, "");
        for bad in
            ["", "A", "=x", "1A=x", "A B=x", "A-B=x", "A=x\ny", "A=\0", "HOUMAO_AGENT_ID=x", "TROOP_HOOKS=x", "TMUX=x"]
        {
            assert_eq!(env_pair(bad).unwrap_err().kind(), Kind::Invalid, "{bad}");
        }
        assert!(!env_pair("sk-secret").unwrap_err().sentence().contains("sk-secret"));
        assert_eq!(env_pair(&format!("A={}", "x".repeat(MAX_ENV_BYTES + 1))).unwrap_err().kind(), Kind::TooLarge);
    }

    #[test]
    fn a_model_is_one_word_and_no_option() {
        for good in ["gpt-5", "openai/gpt-5.1:high", "claude-opus-4-1[1m]"] {
            check_model(good).unwrap();
        }
        for bad in ["", "-x", "a b", "a\nb", &"x".repeat(257)] {
            assert!(check_model(bad).is_err(), "{bad}");
        }
    }
}
