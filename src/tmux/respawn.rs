//! One program after the other in the same pane.

use super::client::Client;
use super::quote;
use crate::error::{Error, Kind, Result};
use crate::model::PaneId;
use std::fmt::Write as _;

impl Client {
    /// Starts a program in a pane in place of what runs there, with the environment of its session. The pane stays when
    /// it ends. No shell reads `argv`, which has two words at least: tmux hands a single one to a shell.
    pub async fn run_in(&self, pane: &PaneId, argv: &[String]) -> Result<()> {
        if argv.len() < 2 || argv.iter().any(|word| word.contains('\0')) {
            return Err(Error::new(Kind::Invalid, format!("{argv:?} cannot be started in a pane")));
        }
        let mut line = format!("set-option -w -t {pane} remain-on-exit on ; respawn-pane -k -t {pane} --");
        for word in argv {
            // Writing to a String cannot fail.
            let _ = write!(line, " {}", quote(word));
        }
        self.expect(line).await.map(drop).map_err(|e| e.while_doing(format!("cannot start a program in pane {pane}")))
    }
}
