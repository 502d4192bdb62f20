//! All panes of a server, and what one shows, without a connection: a program that asks is no client of any
//! session, so nobody's sizes, options, hooks and notices know of it.

use super::client::Client;
use super::connection::refusal;
use super::frame;
use super::protocol::Reply;
use super::quote;
use super::socket::{Socket, no_server};
use crate::error::{Error, Kind, Result};
use crate::model::{FoundPane, PaneId, Screen};
use std::collections::BTreeSet;

/// Where a pane is, before the facts of [`frame`]. Before each name stands its length in bytes, because it may hold anything.
const PLACE: &str =
    "#{window_id} #{window_index} #{pane_index} #{n:session_name} #{session_name} #{n:window_name} #{window_name}";

/// The most panes of one server that are looked at.
const MAX_PANES: usize = 4096;

impl Socket {
    /// The panes of the server, none when there is no server. Starts a program.
    pub async fn all_panes(&self) -> Result<Vec<FoundPane>> {
        let text = self.ask(&["list-panes", "-a", "-F", &format()]).await?;
        Ok(text.map(|text| parse(text.lines())).unwrap_or_default())
    }

    /// What a pane shows; none when it is not there any more. Starts a program.
    pub async fn screen(&self, pane: &PaneId) -> Result<Option<Screen>> {
        let text = self.ask(&["capture-pane", "-p", "-e", "-t", pane.as_str()]).await?;
        Ok(text.map(|text| Screen::parse(text.as_bytes())))
    }

    /// What a command prints; none when the server or what it is about is not there.
    async fn ask(&self, arguments: &[&str]) -> Result<Option<String>> {
        let mut command = self.command();
        command.arg("-N").args(arguments);
        let output = self.heard(command).await?;
        if output.status.success() {
            return Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()));
        }
        let words = String::from_utf8_lossy(&output.stderr);
        let words = words.trim_end();
        if no_server(words) || refusal(words).kind() == Kind::Gone {
            return Ok(None);
        }
        Err(Error::new(Kind::Io, format!("tmux did not answer {} on {}: {words}", arguments[0], self.path().display())))
    }
}

impl Client {
    /// The panes of the client's server.
    pub async fn all_panes(&self) -> Result<Vec<FoundPane>> {
        let replies = self.expect(format!("list-panes -a -F {}", quote(&format()))).await?;
        let text: String = replies.iter().map(Reply::text).collect();
        Ok(parse(text.lines()))
    }
}

fn format() -> String {
    format!("{PLACE} {}", frame::FORMAT)
}

/// A pane that several sessions show counts once.
fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<FoundPane> {
    let mut seen = BTreeSet::new();
    lines.filter_map(parse_line).filter(|found| seen.insert(found.pane.id.clone())).take(MAX_PANES).collect()
}

fn parse_line(line: &str) -> Option<FoundPane> {
    let mut fields = line.splitn(4, ' ');
    let window = fields.next().filter(|id| id.starts_with('@'))?.to_owned();
    let window_index = fields.next()?.parse().ok()?;
    let pane_index = fields.next()?.parse().ok()?;
    let (session, rest) = name(fields.next()?)?;
    let (window_name, rest) = name(rest)?;
    let pane = frame::parse_pane(rest)?;
    Some(FoundPane { session, window, window_index, window_name, pane_index, pane })
}

/// A name with its length before it, and what follows.
fn name(text: &str) -> Option<(String, &str)> {
    let (length, rest) = text.split_once(' ')?;
    let length: usize = length.parse().ok()?;
    Some((rest.get(..length)?.to_owned(), rest.get(length..)?.strip_prefix(' ')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: &str = "%7 345 0   1 2 1 80 24 0 0 0 0 1 5 a b c claude";

    #[test]
    fn names_may_hold_anything() {
        let line = format!("@3 1 0 10 my sessiö 4 a  b {FACTS}");
        let found = parse_line(&line).unwrap();
        assert_eq!((found.session.as_str(), found.window_name.as_str()), ("my sessiö", "a  b"));
        assert_eq!((found.window.as_str(), found.window_index, found.pane_index), ("@3", 1, 0));
        assert_eq!((found.pane.id.as_str(), found.pane.pid, found.pane.command.as_str()), ("%7", 345, "claude"));
        let twice = format!("{line}\n{line}\nnonsense\n");
        assert_eq!(parse(twice.lines()).len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_pane_or_not(text: String, cut in 0..40usize) {
            let _ = parse_line(&text);
            let line = format!("@3 1 0 10 my sessiö 4 a  b {FACTS}");
            let cut = line.char_indices().map(|(at, _)| at).nth(cut).unwrap_or(0);
            let _ = parse_line(&format!("{}{text}{}", &line[..cut], &line[cut..]));
        }
    }
}
