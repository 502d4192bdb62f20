//! What happened to all agents, in one history: the order is that in which it becomes
//! known. What the journals hold already when troop starts is put in order by time first.

use crate::model::history::{Lines, MAX_TROOP_PART_BYTES};
use crate::model::{Event, History};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The most journals of which it is remembered how much was shown.
const MAX_JOURNALS: usize = 65_536;

/// The history of all agents.
#[derive(Debug)]
pub(super) struct Chronicle {
    pub(super) history: History,
    /// None once all journals have been looked at.
    early: Option<Early>,
    /// The last event shown of each journal, by the manifest beside it: an agent whose
    /// record goes and comes back brings its journal once more.
    shown: BTreeMap<Arc<Path>, (u64, Timestamp)>,
}

/// What is known before everything has been read.
#[derive(Debug, Default)]
struct Early {
    /// By time, and by a number where that is the same.
    lines: BTreeMap<(Timestamp, u64), Box<str>>,
    count: u64,
    bytes: usize,
}

impl Chronicle {
    pub(super) fn new() -> Self {
        Self { history: History::default(), early: Some(Early::default()), shown: BTreeMap::new() }
    }

    /// Adds an event of the journal beside `manifest`, unless it was shown already.
    pub(super) fn push(&mut self, manifest: &Arc<Path>, event: &Event, lines: &Lines) {
        let shown = self.shown.get(manifest).copied();
        // A number may come twice where the disk could not say which is next; its time does not.
        if shown.is_some_and(|(seq, at)| event.seq <= seq && event.at <= at) {
            return;
        }
        // A clock that was set back does not change the order of a journal.
        let at = shown.map_or(event.at, |(_, at)| at.max(event.at));
        self.shown.insert(manifest.clone(), (event.seq, at));
        if self.shown.len() > MAX_JOURNALS {
            self.shown.pop_first();
        }
        match &mut self.early {
            Some(early) => early.push(at, lines.json.clone()),
            None => self.history.push_json(&lines.json, MAX_TROOP_PART_BYTES),
        }
    }

    /// All journals have been looked at; whether that shows something.
    pub(super) fn settle(&mut self) -> bool {
        let lines = self.early.take().unwrap_or_default().lines;
        lines.values().for_each(|line| self.history.push_json(line, MAX_TROOP_PART_BYTES));
        !lines.is_empty()
    }
}

impl Early {
    fn push(&mut self, at: Timestamp, line: Box<str>) {
        self.count += 1;
        self.bytes += line.len();
        self.lines.insert((at, self.count), line);
        while self.bytes > MAX_TROOP_PART_BYTES && self.lines.len() > 1 {
            self.bytes -= self.lines.pop_first().map_or(0, |(_, line)| line.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Actor, EventKind, HistoryFormat};

    fn push(chronicle: &mut Chronicle, agent: &str, seq: u64, second: i64, size: usize) {
        let event = Event {
            seq,
            at: Timestamp::from_second(second).unwrap(),
            agent: agent.into(),
            agent_id: agent.into(),
            actor: Actor::Observed,
            kind: EventKind::Stopped { reason: "x".repeat(size) },
        };
        chronicle.push(&Path::new(agent).into(), &event, &Lines::of(&event).unwrap());
    }

    fn shown(chronicle: &Chronicle) -> Vec<(String, u64)> {
        let part = chronicle.history.part(chronicle.history.number()).unwrap();
        let text = String::from_utf8(part.read(HistoryFormat::Json, 0, usize::MAX)).unwrap();
        let events = text.lines().map(|line| serde_json::from_str::<Event>(line).unwrap());
        events.map(|event| (event.agent, event.seq)).collect()
    }

    #[test]
    fn what_was_there_comes_by_time_and_the_rest_as_it_is_learned() {
        let mut chronicle = Chronicle::new();
        for (agent, seq, second) in [("a", 1, 10), ("a", 2, 30), ("b", 1, 20), ("b", 2, 5), ("c", 7, 20)] {
            push(&mut chronicle, agent, seq, second, 0);
        }
        assert!(shown(&chronicle).is_empty());
        assert!(chronicle.settle() && !chronicle.settle());
        push(&mut chronicle, "d", 1, 1, 0);
        let pairs = [("a", 1), ("b", 1), ("b", 2), ("c", 7), ("a", 2), ("d", 1)];
        assert_eq!(shown(&chronicle), pairs.map(|(agent, seq)| (agent.to_owned(), seq)));
        // It comes back with its whole journal, and with one event more.
        for (seq, second) in [(1, 10), (2, 30), (3, 40)] {
            push(&mut chronicle, "a", seq, second, 0);
        }
        assert_eq!(shown(&chronicle)[6..], [("a".to_owned(), 3)]);
    }

    #[test]
    fn only_the_last_is_kept_of_much() {
        let mut chronicle = Chronicle::new();
        for seq in 1..=100 {
            push(&mut chronicle, "a", seq, 100, MAX_TROOP_PART_BYTES / 20);
        }
        assert!(chronicle.early.as_ref().unwrap().bytes <= MAX_TROOP_PART_BYTES);
        chronicle.settle();
        let seqs: Vec<u64> = shown(&chronicle).iter().map(|(_, seq)| *seq).collect();
        assert_eq!(seqs, (101 - seqs.len() as u64..=100).collect::<Vec<_>>());
        assert!(seqs.len() > 10);
    }
}
