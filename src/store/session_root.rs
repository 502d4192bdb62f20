//! A session root: which files it has, and how they come to be there (the reference, sections 2.1 and 2.2).

use super::atomic::{PRIVATE_FILE, write_replace};
use super::dir::make_private;
use super::launch_env::ENV_FILE;
use crate::error::{Error, Kind, Result};
use std::path::{Path, PathBuf};

/// The manifest in a session root.
pub const MANIFEST_FILE: &str = "manifest.json";

/// What Houmao reads before it takes a prompt.
pub(super) const BRAIN_FILE: &str = "brain_manifest.json";
/// The agent's definition.
pub(super) const DEFINITION_DIR: &str = "agent_def";

/// What is written into a new one.
pub(super) struct Files<'a> {
    /// The manifest.
    pub(super) manifest: Vec<u8>,
    /// The brain manifest.
    pub(super) brain: Vec<u8>,
    /// The text of `launch.env`.
    pub(super) env: String,
    /// The role's name, which becomes a directory's.
    pub(super) role_name: &'a str,
    /// What the role says.
    pub(super) role_text: &'a str,
    /// A directory for the program to have as its home.
    pub(super) home: Option<&'a str>,
}

impl Files<'_> {
    /// Makes the session root (0700, parents too) and writes everything into it. The manifest comes last, so that a
    /// manifest that is there is a session that is whole. What fails leaves nothing behind.
    pub(super) fn write(&self, root: &Path) -> Result<()> {
        let role = definition_dir(root).join("roles").join(role_directory(self.role_name)?);
        let is_new = !root.exists();
        let written = make_private(root)
            .and_then(|()| make_private(&role))
            .and_then(|()| self.home.map_or(Ok(()), |home| make_private(&root.join(home))))
            .and_then(|()| write_replace(&role.join("system-prompt.md"), self.role_text.as_bytes(), PRIVATE_FILE))
            .and_then(|()| write_replace(&root.join(ENV_FILE), self.env.as_bytes(), PRIVATE_FILE))
            .and_then(|()| write_replace(&root.join(BRAIN_FILE), &self.brain, PRIVATE_FILE))
            .and_then(|()| write_replace(&root.join(MANIFEST_FILE), &self.manifest, PRIVATE_FILE));
        if written.is_err() && is_new {
            // Nothing half done; the first error is the one to tell.
            let _ = std::fs::remove_dir_all(root);
        }
        written
    }
}

/// Where the agent's definition is, for its record.
pub fn definition_dir(root: &Path) -> PathBuf {
    root.join(DEFINITION_DIR)
}

/// The role as the name of its directory. [`Kind::Invalid`] when it cannot be one.
fn role_directory(role: &str) -> Result<&str> {
    if crate::model::name::is_registry_token(role) {
        return Ok(role);
    }
    Err(Error::new(
        Kind::Invalid,
        format!("{role:?} cannot be a role's name; use letters, digits, '_' and '-', beginning with a letter or digit"),
    ))
}
