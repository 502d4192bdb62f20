//! What is kept on disk, terminals apart: the registry's records, the session
//! manifests, our journals and locks. Types of the wire stay in [`wire`]; the
//! rest of the program sees only [`crate::model`].
//!
//! The files are shared with Houmao, which takes no lock. So records are written
//! exactly in its shape, whole and atomically, under our own lock and a check of
//! the generation; what cannot be understood is reported and never deleted.

pub mod atomic;
pub mod conversation;
mod dir;
pub mod doctor;
pub mod finding;
pub mod gateway;
pub mod gc;
pub mod homes;
pub mod joined;
pub mod journal;
pub mod launch;
pub mod launch_env;
pub mod legacy;
pub mod lifecycle;
pub mod lock;
pub mod machine;
pub mod managed;
pub mod manifest;
pub mod names;
pub mod parallel;
pub mod plan;
pub mod registry;
pub mod reports;
pub mod roots;
pub mod scan;
pub mod session_root;
pub mod spool;
pub mod turn_dir;
pub mod watch;
pub mod wire;

pub use dir::make_private;
pub use finding::{Finding, Severity};
pub use joined::JoinedManifest;
pub use journal::Journal;
pub use launch::LaunchManifest;
pub use lifecycle::Return;
pub use lock::{AgentLock, LifeLock};
pub use managed::Managed;
pub use registry::{Expect, Registry};
pub use roots::Roots;
pub use scan::{Entry, Scan};
pub use turn_dir::TurnDir;
pub use watch::{Change, Watch};
pub use wire::external::ExternalRecord;
