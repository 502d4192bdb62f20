//! Whether a mount is served.

/// How a mounted filesystem answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulse {
    /// It answers.
    Alive,
    /// It has not answered in time, though somebody has the connection; or its server is stopped, and it was not asked.
    Silent,
    /// Nobody has the connection any more.
    Dead,
}
