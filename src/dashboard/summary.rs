//! All agents in one line.

use crate::model::Status;

/// The most names of blocked agents that the line has.
const MAX_NAMES: usize = 3;
/// The statuses in the order of the line, with those that count as one.
const ORDER: [(&str, &[Status]); 6] = [
    ("blocked", &[Status::Blocked]),
    ("ready", &[Status::Ready]),
    ("active", &[Status::Active, Status::Pending]),
    ("starting", &[Status::Starting]),
    ("unknown", &[Status::Unknown]),
    ("down", &[Status::Down, Status::Gone]),
];

/// How many agents have which status, and who is blocked: `1 blocked: bob · 2 ready`. Control characters in names are
/// left out. A pending agent counts as active, a gone one as down.
pub fn summary<'a>(agents: impl Iterator<Item = (&'a str, Status)>) -> String {
    let agents: Vec<(&str, Status)> = agents.collect();
    let mut parts = Vec::new();
    for (word, statuses) in ORDER {
        let names: Vec<&str> =
            agents.iter().filter(|(_, status)| statuses.contains(status)).map(|(name, _)| *name).collect();
        if names.is_empty() {
            continue;
        }
        let mut part = format!("{} {word}", names.len());
        if word == "blocked" {
            part.push_str(": ");
            part.push_str(&names[..names.len().min(MAX_NAMES)].join(", "));
            if names.len() > MAX_NAMES {
                part.push_str(&format!(" and {} more", names.len() - MAX_NAMES));
            }
        }
        parts.push(part.replace(char::is_control, ""));
    }
    if parts.is_empty() { "no agents".to_owned() } else { parts.join(" · ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocked_agents_are_named_and_come_first() {
        let line = |agents: &[(&str, Status)]| summary(agents.iter().copied());
        assert_eq!(line(&[]), "no agents");
        assert_eq!(line(&[("a", Status::Ready), ("b", Status::Pending), ("c", Status::Active)]), "1 ready · 2 active");
        assert_eq!(line(&[("a", Status::Gone), ("bob", Status::Blocked)]), "1 blocked: bob · 1 down");
        let many = ["a", "b", "c", "d", "e"].map(|name| (name, Status::Blocked));
        assert_eq!(line(&many), "5 blocked: a, b, c and 2 more");
    }
}
