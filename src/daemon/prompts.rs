//! Prompts between acceptance and receipt: their files on disk, and the queues that feed them.

use super::effects::{Job, Parcel, prompt_id};
use super::journals::journal_root;
use super::role::ROLE_PROMPT;
use super::run::Loop;
use crate::command::Draft;
use crate::engine::{Accepted, Fact};
use crate::error::Error;
use crate::model::{Actor, AgentId, Queued, Receipt, Stage, Status};
use crate::store::spool::{self, Claim, Waiting};
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a queue rests after a prompt of it could not be typed, although the agent was ready.
const QUEUE_RETRY: Duration = Duration::from_secs(5);

/// What is on its way and what waits.
#[derive(Default)]
pub(super) struct Prompts {
    /// By prompt id; each file is locked while it is here.
    claims: HashMap<String, Held>,
    /// Who has a queue that is not empty.
    queued: BTreeSet<AgentId>,
    /// When a queue that rests may go on.
    rests: HashMap<AgentId, Instant>,
}

struct Held {
    claim: Claim,
    root: Arc<Path>,
    /// The agent and the name under which it waited in its queue.
    from: Option<(AgentId, String)>,
}

impl Prompts {
    /// When a queue that rests may go on.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.rests.values().min().copied()
    }

    /// The agent is not there any more.
    pub(super) fn forget(&mut self, id: &AgentId) {
        self.queued.remove(id);
        self.rests.remove(id);
    }

    fn rests(&mut self, id: &AgentId) -> bool {
        let rests = self.rests.get(id).is_some_and(|until| *until > Instant::now());
        if !rests {
            self.rests.remove(id);
        }
        rests
    }

    /// A prompt has its receipt. Gives the agent whose queue has it back.
    fn settled(&mut self, receipt: &Receipt) -> Option<AgentId> {
        let Held { claim, root, from } = self.claims.remove(&receipt.prompt_id)?;
        let Some((id, name)) = from.filter(|_| receipt.stage == Stage::Refused) else {
            claim.done();
            return None;
        };
        self.rests.insert(id.clone(), Instant::now() + QUEUE_RETRY);
        if let Err(error) = claim.put_back(&root, &name) {
            tracing::warn!(%error, name, "a prompt that was not typed could not be put back into its queue");
        }
        Some(id)
    }
}

impl Loop {
    /// Accepts a prompt and gives the job that delivers it.
    pub(super) fn accept(&mut self, agent: &AgentId, text: String, actor: Actor, now: Timestamp) -> Option<Job> {
        let target = self.target(agent)?;
        let prompt_id = prompt_id(now);
        let claim = Claim::new(&target.root, &prompt_id, &text);
        let claim =
            claim.inspect_err(|error| tracing::warn!(%error, "a prompt is delivered without a file of its own")).ok();
        let file = claim.as_ref().map(|claim| claim.path().to_owned());
        if let Some(claim) = claim {
            self.prompts.claims.insert(prompt_id.clone(), Held { claim, root: target.root.clone(), from: None });
        }
        let prompt = Accepted { prompt_id: prompt_id.clone(), text: text.clone(), actor };
        self.learn(Fact::Accepted(agent.clone(), prompt), now);
        Some(Job::Deliver(target, Parcel { prompt_id, text, file }))
    }

    /// A receipt was written down.
    pub(super) fn settled(&mut self, receipt: &Receipt, now: Timestamp) {
        if let Some(id) = self.prompts.settled(receipt) {
            self.reread_queue(&id, now);
        }
    }

    /// An agent is met: prompts of it may have been left behind.
    pub(super) fn recover_prompts(&mut self, id: &AgentId, now: Timestamp) {
        let Some(root) = self.world.agents.get(id).map(|agent| journal_root(&agent.record)) else { return };
        self.reread_queue(id, now);
        let orphans = if self.settings.keeps_history { Claim::orphans(&root) } else { Vec::new() };
        if orphans.is_empty() || !self.journals.is_observer(id) {
            return;
        }
        for claim in orphans {
            let text = String::from_utf8_lossy(&claim.bytes()).into_owned();
            self.learn(Fact::Orphaned(id.clone(), claim.prompt_id().to_owned(), text), now);
            claim.done();
        }
    }

    /// Reads an agent's queue again.
    pub(super) fn reread_queue(&mut self, id: &AgentId, now: Timestamp) {
        let Some(root) = self.world.agents.get(id).map(|agent| journal_root(&agent.record)) else { return };
        self.journals.watch_queue(&root);
        self.learn(Fact::Queue(id.clone(), queue(&root)), now);
    }

    /// What waits in a queue has changed.
    pub(super) fn queue_changed(&mut self, id: &AgentId) {
        let waits = self.world.agents.get(id).is_some_and(|agent| agent.queue().iter().any(Queued::is_due));
        if waits {
            self.prompts.queued.insert(id.clone())
        } else {
            self.prompts.queued.remove(id)
        };
    }

    /// Delivers from the queues of agents that are ready now. One process does that for each agent.
    pub(super) fn feed(&mut self, now: Timestamp) {
        if self.prompts.queued.is_empty() || !self.settings.keeps_history {
            return;
        }
        for id in self.prompts.queued.clone() {
            let ready =
                self.world.agents.get(&id).and_then(|agent| agent.view()).is_some_and(|view| view.may_prompt().is_ok());
            if ready && !self.prompts.rests(&id) && self.journals.is_observer(&id) {
                self.feed_one(&id, now);
            }
        }
    }

    /// Delivers the roles that are told as a first prompt, before anybody is shown that the agent is ready: whoever waits for
    /// that finds one that knows its role.
    pub(super) fn feed_roles(&mut self, now: Timestamp) {
        if self.prompts.queued.is_empty() || !self.settings.keeps_history {
            return;
        }
        for id in self.prompts.queued.clone() {
            let waits = self.world.agents.get(&id).is_some_and(|agent| {
                let first = agent.queue().iter().find(|queued| queued.is_due());
                agent.status() == Status::Ready && first.is_some_and(|first| &*first.name == ROLE_PROMPT)
            });
            if waits && !self.prompts.rests(&id) && self.journals.is_observer(&id) {
                self.feed_one(&id, now);
            }
        }
    }

    fn feed_one(&mut self, id: &AgentId, now: Timestamp) {
        let Some(target) = self.target(id) else { return };
        let first = self.world.agents.get(id).and_then(|agent| agent.queue().iter().find(|queued| queued.is_due()));
        let Some(name) = first.map(|queued| queued.name.to_string()) else { return };
        let prompt_id = prompt_id(now);
        let claim = match Claim::take(&target.root, &name, &prompt_id) {
            Ok(Some(claim)) => claim,
            Ok(None) => return self.reread_queue(id, now),
            Err(error) => return self.queue_failed(id, &name, &error, now),
        };
        let bytes = claim.bytes();
        let text = match draft(&bytes) {
            Ok(text) => text,
            Err(error) => {
                let aside = claim.put_back(&target.root, &format!("{}{name}", spool::REFUSED));
                let error =
                    Error::new(error.kind(), format!("the queued prompt {name} is set aside: {}", error.sentence()));
                self.queue_failed(id, &name, &aside.err().unwrap_or(error), now);
                return self.reread_queue(id, now);
            }
        };
        let file = (bytes == text.as_bytes()).then(|| claim.path().to_owned());
        let from = Some((id.clone(), name.clone()));
        self.prompts.claims.insert(prompt_id.clone(), Held { claim, root: target.root.clone(), from });
        let actor = Actor::Queue { name };
        let prompt = Accepted { prompt_id: prompt_id.clone(), text: text.clone(), actor: actor.clone() };
        self.learn(Fact::Accepted(id.clone(), prompt), now);
        self.reread_queue(id, now);
        let job = Job::Deliver(target, Parcel { prompt_id, text, file });
        tokio::spawn(self.hands.clone().carry_out(vec![job], actor, None));
    }

    fn queue_failed(&mut self, id: &AgentId, name: &str, error: &Error, now: Timestamp) {
        self.prompts.rests.insert(id.clone(), Instant::now() + QUEUE_RETRY);
        self.refused(Some(id.clone()), "queue".to_owned(), error, Actor::Queue { name: name.to_owned() }, now);
    }
}

/// The text of a queued prompt, by the rules of `prompt`.
fn draft(bytes: &[u8]) -> crate::Result<String> {
    let mut draft = Draft::default();
    draft.push(bytes)?;
    draft.finish()
}

/// What waits in the queue of the session with that root.
pub(super) async fn read_queue(root: Arc<Path>) -> Arc<[Queued]> {
    tokio::task::spawn_blocking(move || queue(&root)).await.unwrap_or_default()
}

fn queue(root: &Path) -> Arc<[Queued]> {
    let queued = |Waiting { name, bytes }: Waiting| {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Queued { name: name.into(), text: text.into() }
    };
    spool::waiting(root).into_iter().map(queued).collect()
}
