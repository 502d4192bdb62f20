//! What an event changes: a record that was read, a look, what other tasks found out and did.

use super::{Loop, MAX_BATCH};
use crate::daemon::event::{Event, Read};
use crate::engine::Fact;
use crate::model::AgentId;
use crate::model::snapshot::Oddities;
use crate::store::Change;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::path::Path;
use tokio::time::Instant;

impl Loop {
    /// Takes in an event and starts what follows from it.
    pub(super) fn take(&mut self, event: Event, now: Timestamp) {
        match event {
            Event::Read(read) => self.read(*read, now),
            Event::Missing { agent, looked } => {
                if self.is_older(&agent, looked) {
                    self.lose(&agent, now);
                }
            }
            Event::Scanned { present, oddities, looked } => self.scan_ended(&present, oddities, looked, now),
            Event::Changed(path) => self.file_changed(&path, now),
            Event::Connected { agent, serial, link } => self.observers.connected(&agent, serial, link),
            Event::Looked { agent, serial, terminal } => {
                if self.observers.is_current(&agent, serial) {
                    self.learn(Fact::Terminal(agent.clone(), terminal), now);
                    self.sources.looked(&agent, &self.world);
                    self.check_turn(&agent);
                }
            }
            Event::Reported { agent, serial, source, report } => {
                if self.sources.is_current(&agent, serial) {
                    self.learn(Fact::Reported(agent, source, report), now);
                }
            }
            Event::Transcribed { agent, serial, transcript } => {
                if self.sources.is_current(&agent, serial) {
                    self.learn(Fact::Transcript(agent, transcript), now);
                }
            }
            Event::Turned { agent, serial, turns } => {
                if self.sources.is_current(&agent, serial) {
                    self.learn(Fact::Turns(agent.clone(), turns), now);
                    self.check_turn(&agent);
                }
            }
            Event::Judged(agent) => self.was_judged(&agent),
            Event::Followed { agent, serial } => self.sources.read(&agent, serial),
            Event::Probed { agent, serial, probe } => {
                if self.observers.is_current(&agent, serial) {
                    self.learn(Fact::Probed(agent, probe), now);
                }
            }
            Event::Scrolled { agent, serial, text } => {
                if self.observers.is_current(&agent, serial) {
                    self.learn(Fact::Scrollback(agent, text), now);
                }
            }
            Event::Ended { agent, serial } => self.observers.ended(&agent, serial),
            Event::Sessions(socket) => {
                self.observers.sessions_changed(&socket);
                self.discoveries.again();
            }
            Event::Discovered(found) => self.discovered(found, now),
            Event::Surveyed { socket, sessions } => {
                let mut missing = self.observers.surveyed(&socket, &sessions, &self.world).into_iter();
                while !missing.as_slice().is_empty() {
                    for (id, terminal) in missing.by_ref().take(MAX_BATCH) {
                        self.learn(Fact::Terminal(id.clone(), terminal), now);
                        self.check_turn(&id);
                    }
                    self.show(now);
                }
            }
            Event::Ending(agent) => self.observers.forget(&agent),
            Event::Created { agent, generation, fresh } => {
                self.observers.created(&agent, generation, fresh, &self.world);
            }
            Event::Fact(fact) => self.learn(*fact, now),
            Event::Note(note) => self.note(*note, now),
            Event::Finished { answer, result } => {
                if let Some(answer) = answer {
                    self.publish(now);
                    answer(result);
                }
            }
        }
    }

    fn read(&mut self, read: Read, now: Timestamp) {
        let Read { entry, manifest, gateway, elsewhere, looked } = read;
        let id = entry.record.id.clone();
        if !self.is_older(&id, looked) {
            return;
        }
        let record = entry.record.clone();
        let (is_met, events) = (self.journals.is_new(&record), self.journals.meet(&record));
        let fact = Fact::Record { record: Box::new(entry.record), path: entry.path.into(), manifest };
        self.learn(fact, now);
        if !self.was_looked_at(&id) {
            // Another life: what the last one said does not count.
            self.sources.forget(&id);
        }
        self.learn(Fact::Journal(id.clone(), events), now);
        if let Some(fact) = self.gateways.seen(&id, gateway, &self.hands.events) {
            self.learn(fact, now);
        }
        self.observers.is_elsewhere(&id, elsewhere);
        self.observers.reconcile(&id, &self.world, now);
        self.registered(&id, now);
        if is_met {
            self.recover_prompts(&id, now);
        }
        self.read_at.insert(id, looked);
    }

    /// All records there are have been read.
    fn scan_ended(&mut self, present: &BTreeSet<AgentId>, oddities: Oddities, looked: Instant, now: Timestamp) {
        let known = self.world.agents.iter().filter(|(_, agent)| agent.is_managed()).map(|(id, _)| id);
        let absent = known.filter(|id| !present.contains(*id) && self.is_older(id, looked));
        let lost: Vec<AgentId> = absent.cloned().collect();
        for id in lost {
            self.lose(&id, now);
        }
        self.learn(Fact::Oddities(oddities), now);
        self.scanned = true;
        // Changes that the watch has lost lead to a scan.
        self.sources.again();
    }

    /// A file changed in an agent's session root, or where a program says what it does.
    fn file_changed(&mut self, path: &Path, now: Timestamp) {
        self.sources.changed(path);
        if let Some(changed) = self.journals.changed(path) {
            if changed.manifest {
                self.reread(Change::Record(changed.agent.to_string()));
            }
            self.learn(Fact::Journal(changed.agent.clone(), changed.events), now);
            if changed.queue {
                self.reread_queue(&changed.agent, now);
            }
        }
    }

    /// Whether nothing newer than what was looked for then has been read of that agent.
    fn is_older(&self, id: &AgentId, looked: Instant) -> bool {
        self.read_at.get(id).is_none_or(|read| *read <= looked)
    }

    /// There is no record of that agent any more.
    pub(in crate::daemon) fn lose(&mut self, id: &AgentId, now: Timestamp) {
        self.read_at.remove(id);
        self.observers.forget(id);
        self.sources.forget(id);
        self.gateways.forget(id);
        self.last_refusal.remove(id);
        self.journals.forget(id);
        self.prompts.forget(id);
        self.learn(Fact::NoRecord(id.clone()), now);
    }
}
