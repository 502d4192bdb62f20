//! How ids and names of sessions are made (the reference, sections 1.6 and 2.1).

use crate::model::record::Backend;
use crate::model::{AgentId, digest};
use jiff::Timestamp;

/// What Houmao puts before every name of a tmux session.
pub const SESSION_PREFIX: &str = "HOUMAO-";

/// The id an agent of that name has by default: the MD5 of the name in hex.
pub fn agent_id_for(name: &str) -> AgentId {
    AgentId(digest::md5(name.as_bytes()).into())
}

/// The tmux session of a launch: `HOUMAO-<name>-<milliseconds since the epoch>`.
pub fn tmux_session_name(name: &str, epoch_ms: i64) -> String {
    let name = name.strip_prefix(SESSION_PREFIX).unwrap_or(name);
    format!("{SESSION_PREFIX}{name}-{epoch_ms}")
}

/// A new session id, `<backend>-<UTC %Y%m%d-%H%M%SZ>-<8 random hex>`: the name of a session root.
pub fn session_id(backend: Backend, now: Timestamp) -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{}-{}-{}", backend.as_str(), now.strftime("%Y%m%d-%H%M%SZ"), &random[..8])
}

/// A new generation: a UUID with dashes.
pub fn generation() -> String {
    uuid::Uuid::new_v4().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_houmao_writes_them() {
        assert_eq!(agent_id_for("gpu").as_str(), "0aa0be2a866411d9ff03515227454947");
        assert_eq!(agent_id_for("cxa").as_str(), "468979cc67f15063596917e91547742e");
        assert_eq!(tmux_session_name("cxa", 1_795_225_318_902), "HOUMAO-cxa-1795225318902");
        assert_eq!(tmux_session_name("HOUMAO-a", 1), "HOUMAO-a-1");
        let now = "2026-11-21T01:09:44Z".parse().unwrap();
        let id = session_id(Backend::LocalInteractive, now);
        let random = id.strip_prefix("local_interactive-20261121-010944Z-").unwrap();
        assert!(random.len() == 8 && random.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
        assert_ne!(id, session_id(Backend::LocalInteractive, now));
        assert_eq!(generation().len(), 36);
    }
}
