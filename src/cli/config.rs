//! The configuration, `~/.config/troop/config.toml`: what launches come with, and how the dashboard
//! tells of an agent. It is understood whole or not at all.

use crate::error::{Error, Kind, Result};
use crate::model::launch_options::{MAX_ENV, check_env, check_model};
use crate::model::name::is_plain_name;
use crate::model::{LaunchOptions, Presets};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// The file, in the directory of troop's configuration.
pub(super) const CONFIG_FILE: &str = "config.toml";
/// The largest that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// What it says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Config {
    /// What launches come with, and what is wrong with the file.
    pub(super) presets: Presets,
    /// Whether questions may be answered through troop.
    pub(super) allow_approvals: bool,
    /// How the dashboard tells that an agent waits for a person, where no option says it.
    pub(super) notify: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    defaults: Defaults,
    #[serde(default)]
    dashboard: Dashboard,
    #[serde(default)]
    profiles: BTreeMap<Spanned<String>, Profile>,
}

// Flattening would let unknown keys pass.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Defaults {
    tool: Option<Spanned<String>>,
    cwd: Option<Spanned<String>>,
    role: Option<Spanned<String>>,
    model: Option<Spanned<String>>,
    #[serde(default)]
    env: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    allow_approvals: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Dashboard {
    notify: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    tool: Option<Spanned<String>>,
    cwd: Option<Spanned<String>>,
    role: Option<Spanned<String>>,
    model: Option<Spanned<String>>,
    #[serde(default)]
    env: BTreeMap<String, Spanned<String>>,
}

/// The configuration in that file: nothing when there is none, and nothing but the error when it cannot be understood.
pub(super) fn read(path: &Path, home: &Path) -> Config {
    let config = match read_text(path) {
        Ok(None) => Ok(Config::default()),
        Ok(Some(text)) => parse(&text, &path.display().to_string(), home),
        Err(error) => Err(error),
    };
    config.unwrap_or_else(|error| Config {
        presets: Presets { wrong: Some(error), ..Presets::default() },
        ..Config::default()
    })
}

fn read_text(path: &Path) -> Result<Option<String>> {
    let failed = |error: std::io::Error| Error::io(format!("cannot read the configuration {}", path.display()), &error);
    // Opened only when it is a file: a pipe would make every command wait.
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        Ok(about) if !about.is_file() => return Err(failed(std::io::Error::other("it is not a regular file"))),
        Ok(_) => {}
    }
    let mut text = String::new();
    File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text)).map_err(failed)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(failed(std::io::Error::other(format!("it is larger than {MAX_BYTES} bytes"))));
    }
    Ok(Some(text))
}

/// What the text says; [`Kind::Malformed`] with the line of the first mistake.
fn parse(text: &str, origin: &str, home: &Path) -> Result<Config> {
    let wrong = |at: Option<usize>, why: &str| {
        let line = at.map_or(1, |at| text[..at.min(text.len())].matches('\n').count() + 1);
        Error::new(Kind::Malformed, format!("the configuration {origin} is wrong at line {line}: {why}"))
    };
    let written: Written = toml::from_str(text)
        .map_err(|error| wrong(error.span().map(|span| span.start), &error.message().replace('\n', " ")))?;
    let Defaults { tool, cwd, role, model, env, allow_approvals } = written.defaults;
    let defaults = Profile { tool, cwd, role, model, env };
    let options = |profile: Profile| options(profile, home).map_err(|(at, why)| wrong(Some(at), &why));
    let mut presets = Presets { defaults: options(defaults)?, ..Presets::default() };
    for (name, profile) in written.profiles {
        if !is_plain_name(name.get_ref()) {
            return Err(wrong(Some(name.span().start), "a profile's name has letters, digits, '_', '-' and '.'"));
        }
        presets.profiles.insert(name.into_inner(), options(profile)?);
    }
    let notify = written.dashboard.notify;
    if let Some(empty) = notify.as_ref().filter(|notify| notify.get_ref().trim().is_empty()) {
        return Err(wrong(Some(empty.span().start), "notify is bell, osc9, none or a command; it is empty"));
    }
    Ok(Config { presets, allow_approvals, notify: notify.map(Spanned::into_inner) })
}

/// What a profile says, or where it is wrong, and why.
fn options(profile: Profile, home: &Path) -> std::result::Result<LaunchOptions, (usize, String)> {
    let path = |path: Option<Spanned<String>>| {
        let placed = |path: Spanned<String>| place(path.get_ref(), home).map_err(|why| (path.span().start, why));
        path.map(placed).transpose()
    };
    if let Some(model) = &profile.model {
        check_model(model.get_ref()).map_err(|error| (model.span().start, error.to_string()))?;
    }
    if let Some((_, value)) = profile.env.iter().nth(MAX_ENV) {
        return Err((value.span().start, format!("{MAX_ENV} variables are the limit")));
    }
    for (name, value) in &profile.env {
        check_env(name, value.get_ref()).map_err(|error| (value.span().start, error.to_string()))?;
    }
    Ok(LaunchOptions {
        tool: profile.tool.map(Spanned::into_inner),
        cwd: path(profile.cwd)?,
        role: path(profile.role)?,
        model: profile.model.map(Spanned::into_inner),
        env: profile.env.into_iter().map(|(name, value)| (name, value.into_inner())).collect(),
    })
}

/// A path from the root or from the person's home: there is no current directory that would always be the same.
fn place(path: &str, home: &Path) -> std::result::Result<PathBuf, String> {
    match path.strip_prefix("~/") {
        Some(rest) => Ok(home.join(rest)),
        None if path.starts_with('/') => Ok(PathBuf::from(path)),
        None => Err(format!("{path:?} is not a path that begins with / or ~/")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Config> {
        parse(text, "x.toml", Path::new("/home/me"))
    }

    #[test]
    fn it_has_defaults_and_profiles() {
        let config = parsed(
            "[defaults]\ntool = \"codex\"\ncwd = \"~/src\"\nallow_approvals = true\n\
             [dashboard]\nnotify = \"osc9\"\n\
             [profiles.reviewer]\nrole = \"/roles/r.md\"\nmodel = \"gpt-5\"\nenv = { A = \"b\" }\n[profiles.none]\n",
        )
        .unwrap();
        assert!(config.allow_approvals);
        assert_eq!(config.notify.as_deref(), Some("osc9"));
        assert_eq!(config.presets.defaults.cwd.as_deref(), Some(Path::new("/home/me/src")));
        let reviewer = config.presets.profile("reviewer").unwrap();
        assert_eq!(
            (reviewer.model.as_deref(), &reviewer.env[..]),
            (Some("gpt-5"), &[("A".to_owned(), "b".to_owned())][..])
        );
        assert_eq!(config.presets.profile("none").unwrap(), &LaunchOptions::default());
        let error = config.presets.profile("other").unwrap_err();
        assert!(error.sentence().contains("the profiles are none, reviewer"), "{error}");
        assert_eq!(parsed("").unwrap(), Config::default());
    }

    #[test]
    fn a_mistake_has_its_line() {
        for (text, line, why) in [
            ("[defaults]\ntool = \"x\"\nmodle = \"y\"\n", 3, "modle"),
            ("[default]\n", 1, "default"),
            ("[defaults]\n\ntool = 3\n", 3, "string"),
            ("[defaults]\ncwd = \"src\"\n", 2, "begins with / or ~/"),
            ("[profiles.a]\nmodel = \"-x\"\n", 2, "model"),
            ("[profiles.a]\nallow_approvals = true\n", 2, "allow_approvals"),
            ("[dashboard]\nnotify = \" \"\n", 2, "it is empty"),
            ("[dashboard]\nbell = true\n", 2, "bell"),
            ("[profiles.a.env]\nOK = \"1\"\nHOUMAO_AGENT_ID = \"x\"\n", 3, "HOUMAO_AGENT_ID"),
            ("\n[profiles.\"a b\"]\n", 2, "profile's name"),
            ("[defaults\n", 1, ""),
        ] {
            let error = parsed(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Malformed);
            let sentence = error.sentence();
            assert!(
                sentence.contains(&format!("x.toml is wrong at line {line}: ")) && sentence.contains(why),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_no_file_is_said_and_does_not_make_anybody_wait() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(CONFIG_FILE);
        assert_eq!(read(&path, Path::new("/")), Config::default());
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(read(&path, Path::new("/")).presets.wrong.is_some());
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, vec![b'#'; 1 + (1 << 20)]).unwrap();
        let wrong = read(&path, Path::new("/")).presets.profile("p").unwrap_err();
        assert!(wrong.sentence().contains("is larger than"), "{wrong}");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_understood_or_refused(text in "(\\[(defaults|profiles\\.\\w*)\\]\n|(tool|cwd|env|model) = [\"'{}\\w~/ =.]*\n|\\PC*\n){0,6}") {
            let _ = parsed(&text);
        }
    }
}
