//! `turns/`: the last turns of an agent by number.

use super::Entry;
use super::node::Node;
use super::render::{Content, line_or_nothing};
use super::table::{Form, Row, TURN, TurnFile};
use crate::model::{Snapshot, Turn};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name of the link to the last turn.
const LAST: &str = "last";

/// `turn.json`.
#[derive(Serialize)]
struct TurnJson<'a> {
    turn: u64,
    prompt_id: Option<&'a str>,
    source: crate::model::live::TurnSource,
    accepted_at: jiff::Timestamp,
    started_at: Option<jiff::Timestamp>,
    ended_at: Option<jiff::Timestamp>,
    outcome: Option<crate::model::TurnOutcome>,
    reply_source: Option<crate::model::ReplySource>,
}

/// The turn of that number modulo 2^16, if it is shown.
pub(super) fn find(snapshot: &Snapshot, slot: u32, turn: u16) -> Option<&Arc<Turn>> {
    let (_, agent) = snapshot.by_slot(slot)?;
    agent.turns.iter().rev().find(|known| known.number & 0xffff == u64::from(turn))
}

/// The child of that name.
pub(super) fn lookup(snapshot: &Snapshot, slot: u32, name: &str) -> Option<Node> {
    let (_, agent) = snapshot.by_slot(slot)?;
    if name == LAST {
        return agent.turns.last().map(|_| Node::LastTurn(slot));
    }
    let turn = agent.turns.iter().find(|turn| turn.number.to_string() == name)?;
    Some(Node::turn(slot, turn.number))
}

/// Everything in it.
pub(super) fn entries(snapshot: &Snapshot, slot: u32) -> Option<Vec<Entry>> {
    let (_, agent) = snapshot.by_slot(slot)?;
    let turns = agent.turns.iter().map(|turn| (turn.number.to_string(), Node::turn(slot, turn.number)));
    let last = agent.turns.last().map(|_| (LAST.to_owned(), Node::LastTurn(slot)));
    Some(turns.chain(last).map(|(name, node)| Entry { name: name.into(), node }).collect())
}

/// The rows of a turn's directory: its process has files of its own, where it has one.
pub(super) fn rows(snapshot: &Snapshot, slot: u32, turn: u16) -> Option<impl Iterator<Item = &'static Row<TurnFile>>> {
    let has_process = artifacts(snapshot, slot, turn).is_some();
    find(snapshot, slot, turn)?;
    Some(TURN.iter().filter(move |row| has_process || row.form != Form::Link))
}

fn artifacts(snapshot: &Snapshot, slot: u32, turn: u16) -> Option<&Arc<Path>> {
    let (_, agent) = snapshot.by_slot(slot)?;
    agent.headless.as_ref()?.artifacts_of(find(snapshot, slot, turn)?.prompt_id.as_deref()?)
}

/// Where a link in a turn's directory leads.
pub(super) fn target(snapshot: &Snapshot, slot: u32, turn: u16, file: TurnFile) -> Option<PathBuf> {
    let name = match file {
        TurnFile::Stdout => "stdout.jsonl",
        TurnFile::Stderr => "stderr.log",
        TurnFile::Exit => "exitcode",
        TurnFile::Json | TurnFile::Prompt | TurnFile::Reply => return None,
    };
    Some(artifacts(snapshot, slot, turn)?.join(name))
}

/// What reading a turn's file gives.
pub(super) fn content(turn: &Turn, file: TurnFile) -> Content {
    let text = match file {
        TurnFile::Json => {
            let json = TurnJson {
                turn: turn.number,
                prompt_id: turn.prompt_id.as_deref(),
                source: turn.source,
                accepted_at: turn.accepted_at,
                started_at: turn.started_at,
                ended_at: turn.ended_at,
                outcome: turn.outcome,
                reply_source: turn.reply.as_ref().map(|reply| reply.source),
            };
            serde_json::to_string_pretty(&json).unwrap_or_default() + "\n"
        }
        TurnFile::Stdout | TurnFile::Stderr | TurnFile::Exit => String::new(),
        TurnFile::Prompt => line_or_nothing(&turn.prompt),
        TurnFile::Reply => reply(turn),
    };
    Content::Fixed(text.into_bytes().into())
}

/// A turn's answer, or nothing.
pub(super) fn reply(turn: &Turn) -> String {
    turn.reply.as_ref().map_or_else(String::new, |reply| line_or_nothing(&reply.text))
}
