//! Where things are kept: the registry, the older registry, and our own home
//! (the reference, section 1.1; the contract, section 7).

use crate::error::{Error, Kind, Result};
use crate::model::home::SESSIONS;
use crate::model::record::Backend;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

/// Names the registry; absolute after `~` is expanded.
pub const REGISTRY_VARIABLE: &str = "HOUMAO_GLOBAL_REGISTRY_DIR";

/// Names our home; absolute after `~` is expanded.
pub const HOME_VARIABLE: &str = "TROOP_HOME";

/// The roots in force, absolute and with symlinks resolved as far as they exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// The registry shared with Houmao.
    pub registry: PathBuf,
    /// `~/.houmao/registry`, where programs before Houmao 2 wrote; only read, and
    /// only there when it exists and is not the registry itself.
    pub legacy_registry: Option<PathBuf>,
    /// Holds `sessions/<backend>/<session-id>/`.
    pub home: PathBuf,
    /// What troop keeps for all Homes: the index of them, and the log of a mount in the background.
    pub state: PathBuf,
}

impl Roots {
    /// The roots for an environment. A variable that is unset or blank counts as
    /// absent; a relative path in one of ours is refused, because it would mean
    /// another place in every directory.
    pub fn from_env(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let get = |name: &str| lookup(name).filter(|value| !is_blank(value));
        let user_home = user_home(get("HOME"))?;
        let registry = match get(REGISTRY_VARIABLE) {
            Some(value) => absolute(REGISTRY_VARIABLE, &value, &user_home)?,
            None => xdg(get("XDG_CONFIG_HOME"), &user_home, ".config").join("houmao/registry"),
        };
        let home = match get(HOME_VARIABLE) {
            Some(value) => absolute(HOME_VARIABLE, &value, &user_home)?,
            None => user_home.join(".troop"),
        };
        let registry = resolve(&registry);
        let legacy = resolve(&user_home.join(".houmao/registry"));
        let legacy_registry = (legacy.is_dir() && legacy != registry).then_some(legacy);
        let state = xdg(get("XDG_STATE_HOME"), &user_home, ".local/state").join("troop");
        Ok(Self { registry, legacy_registry, home: resolve(&home), state })
    }

    /// The session root for a session id: `<home>/sessions/<backend>/<session-id>`.
    pub fn session_root(&self, backend: Backend, session_id: &str) -> PathBuf {
        self.home.join(SESSIONS).join(backend.as_str()).join(session_id)
    }
}

/// Whether a variable of that value counts as absent.
pub fn is_blank(value: &OsStr) -> bool {
    value.to_str().is_some_and(|text| text.trim().is_empty())
}

fn user_home(variable: Option<OsString>) -> Result<PathBuf> {
    if let Some(path) = variable.map(PathBuf::from).filter(|path| path.is_absolute()) {
        return Ok(path);
    }
    nix::unistd::User::from_uid(nix::unistd::getuid())
        .ok()
        .flatten()
        .map(|user| user.dir)
        .filter(|dir| dir.is_absolute())
        .ok_or_else(|| Error::new(Kind::Unavailable, "this user has no home directory; set HOME to an absolute path"))
}

// The XDG Base Directory Specification: a relative value is ignored.
fn xdg(variable: Option<OsString>, user_home: &Path, default: &str) -> PathBuf {
    variable.map(PathBuf::from).filter(|path| path.is_absolute()).unwrap_or_else(|| user_home.join(default))
}

fn absolute(variable: &str, value: &OsStr, user_home: &Path) -> Result<PathBuf> {
    let path = Path::new(value);
    let expanded = match path.strip_prefix("~") {
        Ok(rest) => user_home.join(rest),
        Err(_) => path.to_owned(),
    };
    if expanded.is_absolute() {
        return Ok(expanded);
    }
    Err(Error::new(
        Kind::Invalid,
        format!("{variable} is {value:?}, which is not an absolute path; make it begin with '/' or '~/'"),
    ))
}

/// Resolves symlinks in the part of `path` that exists, and `.` and `..` in the rest.
pub(crate) fn resolve(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        let Ok(mut resolved) = ancestor.canonicalize() else { continue };
        for component in path.strip_prefix(ancestor).unwrap_or(Path::new("")).components() {
            match component {
                Component::ParentDir => drop(resolved.pop()),
                Component::Normal(name) => resolved.push(name),
                Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            }
        }
        return resolved;
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roots(variables: &[(&str, &str)]) -> Result<Roots> {
        Roots::from_env(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn the_defaults() {
        let roots = roots(&[("HOME", "/nobody/home")]).unwrap();
        assert_eq!(roots.registry, Path::new("/nobody/home/.config/houmao/registry"));
        assert_eq!(roots.home, Path::new("/nobody/home/.troop"));
        assert_eq!(roots.legacy_registry, None);
        assert_eq!(roots.state, Path::new("/nobody/home/.local/state/troop"));
        assert_eq!(
            roots.session_root(Backend::LocalInteractive, "s-1"),
            Path::new("/nobody/home/.troop/sessions/local_interactive/s-1")
        );
    }

    #[test]
    fn the_variables() {
        let home = ("HOME", "/nobody/home");
        let registry = |value| roots(&[home, (REGISTRY_VARIABLE, value)]).unwrap().registry;
        assert_eq!(registry("/else/where"), Path::new("/else/where"));
        assert_eq!(registry("~/r"), Path::new("/nobody/home/r"));
        assert_eq!(registry("~"), Path::new("/nobody/home"));
        assert_eq!(registry(" \t"), Path::new("/nobody/home/.config/houmao/registry"));
        let config = |value| roots(&[home, ("XDG_CONFIG_HOME", value)]).unwrap().registry;
        assert_eq!(config("/xdg"), Path::new("/xdg/houmao/registry"));
        assert_eq!(config("relative"), Path::new("/nobody/home/.config/houmao/registry"));
        // Of all Homes, so none of them says where it is.
        let state = |value| roots(&[home, ("XDG_STATE_HOME", value), (HOME_VARIABLE, "/t")]).unwrap().state;
        assert_eq!(state("/xdg"), Path::new("/xdg/troop"));
        for ignored in ["relative", "", "./x"] {
            assert_eq!(state(ignored), Path::new("/nobody/home/.local/state/troop"), "{ignored:?}");
        }
        assert_eq!(roots(&[home, (HOME_VARIABLE, "~/t")]).unwrap().home, Path::new("/nobody/home/t"));
    }

    #[test]
    fn a_relative_path_is_refused_by_name() {
        for variable in [REGISTRY_VARIABLE, HOME_VARIABLE] {
            let error = roots(&[("HOME", "/h"), (variable, "some/dir")]).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid);
            assert!(error.sentence().contains(variable), "{error}");
        }
        assert!(roots(&[("HOME", "/h"), (REGISTRY_VARIABLE, "~other/x")]).is_err());
    }

    #[test]
    fn symlinks_are_resolved_as_far_as_they_exist() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap().join("real");
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, dir.path().join("link")).unwrap();
        assert_eq!(resolve(&dir.path().join("link/not/yet")), real.join("not/yet"));
        assert_eq!(resolve(&dir.path().join("link/not/../yet")), real.join("yet"));
    }

    #[test]
    fn the_older_registry_counts_only_when_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().canonicalize().unwrap();
        let legacy = home.join(".houmao/registry");
        std::fs::create_dir_all(&legacy).unwrap();
        let home = home.to_str().unwrap();
        assert_eq!(roots(&[("HOME", home)]).unwrap().legacy_registry.as_ref(), Some(&legacy));
        let same = roots(&[("HOME", home), (REGISTRY_VARIABLE, legacy.to_str().unwrap())]).unwrap();
        assert_eq!(same.legacy_registry, None);
    }
}
