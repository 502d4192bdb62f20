//! One program after the other in the same pane.

use super::client::Client;
use super::quote;
use crate::error::{Error, Kind, Result};
use crate::model::PaneId;
use std::fmt::Write as _;

/// One command sequence that has the window of `target` stay when a program in it ends.
///
/// tmux 3.3a ends with all its sessions when the focus comes to or leaves a pane that is kept and whose program had asked to
/// hear of that, as codex does: a client that attaches or goes, or the end of the session, is enough. A program that was killed
/// has taken nothing back, so what it asked for is taken back when it has ended, unless it says that it ended well. That
/// clears the screen too; a look takes it from the history then.
pub(super) fn keep(target: &str) -> String {
    let reset = quote("if-shell -F '#{!=:#{pane_dead_status},0}' 'send-keys -R'");
    format!("set-option -w -t {target} remain-on-exit on ; set-hook -w -t {target} pane-died {reset}")
}

impl Client {
    /// Has the window of a pane stay when the program in it ends.
    pub async fn keep_ended(&self, pane: &PaneId) -> Result<()> {
        self.expect(keep(&pane.to_string())).await.map(drop)
    }

    /// Takes back what the program in a pane has asked of its terminal, which must be before a session with a program that has
    /// ended goes (see [`keep`]). tmux 3.3a may not have noticed yet that it has; the end of another has it look.
    pub async fn let_go(&self, pane: &PaneId) -> Result<()> {
        self.expect(format!("run-shell true ; send-keys -R -t {pane}")).await.map(drop)
    }

    /// Starts a program in a pane in place of what runs there, with the environment of its session. The pane stays when
    /// it ends. No shell reads `argv`, which has two words at least: tmux hands a single one to a shell.
    pub async fn run_in(&self, pane: &PaneId, argv: &[String]) -> Result<()> {
        if argv.len() < 2 || argv.iter().any(|word| word.contains('\0')) {
            return Err(Error::new(Kind::Invalid, format!("{argv:?} cannot be started in a pane")));
        }
        let mut line = format!("{} ; respawn-pane -k -t {pane} --", keep(&pane.to_string()));
        for word in argv {
            // Writing to a String cannot fail.
            let _ = write!(line, " {}", quote(word));
        }
        self.expect(line).await.map(drop).map_err(|e| e.while_doing(format!("cannot start a program in pane {pane}")))
    }
}
