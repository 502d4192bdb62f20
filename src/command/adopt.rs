//! Which running agent is to be registered, and how that is written in `control`.

use crate::error::Result;
use crate::model::{AgentName, PaneName};

/// How it is written.
pub(super) const ADOPT_SYNTAX: &str = "adopt PANE [--name N] [--tool T] [--tmux-socket S]";

/// Which running agent is to be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopt {
    /// Where it runs; a session or window in which one agent runs will do.
    pub pane: PaneName,
    /// Its name; none means the tool's and the pane's number.
    pub name: Option<AgentName>,
    /// Which tool it is; none means that it has to be recognised.
    pub tool: Option<String>,
    /// Its tmux server, as with `tmux -L` or a path; none means the user's own and that of new agents.
    pub server: Option<String>,
}

impl Adopt {
    /// From the words of a line of `control`; nothing when they are not how it is written.
    pub fn parse(pane: &str, mut options: &[&str]) -> Result<Option<Self>> {
        let mut adopt = Self { pane: PaneName::parse(pane)?, name: None, tool: None, server: None };
        while let [option, value, rest @ ..] = options {
            match *option {
                "--name" => adopt.name = Some(AgentName::new(value)?),
                "--tool" => adopt.tool = Some((*value).to_owned()),
                "--tmux-socket" => adopt.server = Some((*value).to_owned()),
                _ => return Ok(None),
            }
            options = rest;
        }
        Ok(options.is_empty().then_some(adopt))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{TroopVerb, troop_verbs};
    use super::*;
    use crate::error::Kind;

    #[test]
    fn adopt_takes_a_pane() {
        let verbs = troop_verbs(b"adopt %7\nadopt work:1.2 --tool codex --name bob --tmux-socket side\n").unwrap();
        let [TroopVerb::Adopt(first), TroopVerb::Adopt(second)] = &verbs[..] else { panic!("{verbs:?}") };
        assert_eq!((first.pane.to_string().as_str(), &first.name, &first.tool), ("pane %7", &None, &None));
        assert_eq!((second.pane.to_string().as_str(), second.server.as_deref()), ("pane work:1.2", Some("side")));
        assert_eq!(second.name.as_ref().map(AgentName::as_str), Some("bob"));
        for bad in [&b"adopt\n"[..], b"adopt %x\n", b"adopt %1 --name\n", b"adopt %1 bob\n", b"adopt %1 --name ../x\n"]
        {
            assert_eq!(troop_verbs(bad).unwrap_err().kind(), Kind::Invalid);
        }
    }
}
