//! Where a program keeps its own files.

use serde::Deserialize;
use std::path::{Path, PathBuf};

/// What stands for it at the beginning of a path in a definition.
pub(super) const HOME: &str = "{home}/";

/// The directory that a variable of the program's environment names, or else one below its HOME.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OwnHome {
    env: String,
    default: String,
    /// A file in it that the program has open as long as it runs: some programs write over their environment.
    held: Option<String>,
}

impl OwnHome {
    /// Where it is. `variable` reads the program's environment, `open` says which files it has open.
    pub(super) fn find(
        &self,
        variable: impl Fn(&str) -> Option<PathBuf>,
        open: impl FnOnce() -> Vec<PathBuf>,
    ) -> Option<PathBuf> {
        let set = |name: &str| variable(name).filter(|path| path.is_absolute());
        set(&self.env).or_else(|| Some(set("HOME")?.join(&self.default))).or_else(|| {
            let held = Path::new(self.held.as_ref()?);
            let path = open().into_iter().find(|path| path.ends_with(held))?;
            Some(path.ancestors().nth(held.components().count())?.to_owned())
        })
    }

    /// Whether what it names stays below HOME.
    pub(super) fn is_right(&self) -> bool {
        is_inside(&self.default) && self.held.as_ref().is_none_or(|held| !held.is_empty() && is_inside(held))
    }
}

/// The rest of a path that begins with the home, when it stays below that.
pub(super) fn below_home(path: &str) -> Option<&str> {
    path.strip_prefix(HOME).filter(|rest| is_inside(rest))
}

fn is_inside(path: &str) -> bool {
    !Path::new(path).is_absolute() && !path.split('/').any(|part| part == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_file_tells_where_the_home_is() {
        let home = OwnHome { env: "X".into(), default: ".kimi".into(), held: Some("logs/kimi.log".into()) };
        let open = || vec!["/a/xkimi.log".into(), "/h/.kimi/logs/kimi.log".into()];
        assert_eq!(home.find(|_| None, open), Some("/h/.kimi".into()));
        assert_eq!(home.find(|name| (name == "HOME").then(|| "/u".into()), open), Some("/u/.kimi".into()));
        assert_eq!(home.find(|_| None, || vec!["/a/kimi.log".into()]), None);
        assert!(!OwnHome { held: Some("../x".into()), ..home.clone() }.is_right() && home.is_right());
    }
}
