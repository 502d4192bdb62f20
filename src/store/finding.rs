//! Something on disk that a person should know about.

use std::path::PathBuf;

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Harmless, but perhaps not what somebody meant.
    Note,
    /// Something is used in spite of a fault in it.
    Warning,
    /// Something cannot be used.
    Error,
}

impl Severity {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One fault: where it is and what it is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The file or directory.
    pub path: PathBuf,
    /// What is wrong with it, without the path, as in [`crate::Error`].
    pub sentence: String,
}

impl Finding {
    pub(crate) fn new(severity: Severity, path: impl Into<PathBuf>, sentence: impl Into<String>) -> Self {
        Self { severity, path: path.into(), sentence: sentence.into() }
    }
}
