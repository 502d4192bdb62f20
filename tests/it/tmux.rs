//! The tmux driver on real servers.

mod answers;
mod ends;
mod input;
mod screen;
mod sessions;

use crate::support::tmux::{PATIENCE, Server};
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;
use troop::Kind;
use troop::model::PaneId;
use troop::tmux::{Client, Key, What, literal_format, quote};

/// Everything a user's configuration could do against the layout, and a line that is wrong.
const HOSTILE_CONFIG: &str = "
set -g base-index 1
setw -g pane-base-index 1
setw -g automatic-rename on
setw -g allow-rename on
setw -g remain-on-exit off
setw -g window-size smallest
set -g destroy-unattached on
set -g detach-on-destroy off
set -g default-shell /bin/false
set -g no-such-option on
";

/// A program that records N raw bytes, with bracketed paste on, and says when it is ready and done.
const RECORD: &str =
    r#"stty raw -echo; printf '\033[?2004hready\r\n'; head -c "$1" > "$2"; printf 'done\r\n'; cat > /dev/null"#;

fn key(name: &str) -> Key {
    Key::parse(name).unwrap()
}

fn options(server: &Server, target: &str) -> String {
    server.ask(&["show-options", "-w", "-t", target])
}
