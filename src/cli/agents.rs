//! The commands that act on agents.

use super::args::{Adopt, Common};
use super::context::{Context, actor};
use crate::command::{self, Command, Draft, MAX_PROMPT_BYTES, Verb};
use crate::daemon::{Daemon, Scope};
use crate::error::{Error, Kind, Result};
use crate::model::{AgentId, AgentName, AgentView, PaneName, Status, TurnOutcome};
use crate::port::Until;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

/// How long a command waits for what it asked for.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// How long `troop prompt` waits for the prompt's turn, or for the tracker to give it up.
const CONFIRM_LIMIT: Duration = Duration::from_secs(10);

/// How long `troop prompt` waits for an agent that is starting: a little longer than an agent may be.
const START_LIMIT: Duration = Duration::from_secs(32);

/// `troop adopt`
pub(super) fn adopt(common: &Common, options: Adopt) -> Result<()> {
    let pane = PaneName::parse(&options.pane)?;
    let name = options.name.as_deref().map(AgentName::new).transpose()?;
    let context = Context::new(common)?;
    let server = common.tmux_socket();
    let daemon = context.start(Scope::Records)?;
    let adopt = command::Adopt { pane, name, tool: options.tool, server };
    daemon.port().call(Command::adopt(adopt), actor(), Until::Done, LIMIT)
}

/// `troop prompt`
pub(super) fn prompt(common: &Common, name: &str, words: &[String]) -> Result<()> {
    let mut draft = Draft::default();
    if words.is_empty() {
        let mut bytes = Vec::new();
        // One byte more than the limit is enough to be refused for it.
        let read = std::io::stdin().lock().take(MAX_PROMPT_BYTES as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|error| Error::io("cannot read the prompt from standard input", &error))?;
        draft.push(&bytes)?;
    } else {
        draft.push(words.join(" ").as_bytes())?;
    }
    let text = draft.finish()?;
    let (daemon, agent, mut view) = Context::new(common)?.one(name)?;
    if view.status() == Status::Starting {
        // Whoever launches an agent and prompts it means the agent that it will be in a moment.
        let up = daemon.port().wait_for(START_LIMIT, |snapshot| {
            snapshot.by_id(&agent).map(|(_, view)| view.clone()).filter(|view| view.status() != Status::Starting)
        });
        view = up.unwrap_or(view);
    }
    view.may_prompt()?;
    let last = view.turns.last().map_or(0, |turn| turn.number);
    daemon.port().call(Command::Prompt { agent: agent.clone(), text }, actor(), Until::Done, LIMIT)?;
    let outcome = daemon.port().wait_for(CONFIRM_LIMIT, |snapshot| {
        let (_, view) = snapshot.by_id(&agent)?;
        let turn = view.turns.iter().find(|turn| turn.number > last)?;
        turn.outcome.map(Some).or_else(|| turn.started_at.map(|_| None))
    });
    match outcome {
        Some(None | Some(TurnOutcome::Success | TurnOutcome::Interrupted | TurnOutcome::KnownFailure)) => Ok(()),
        Some(Some(TurnOutcome::Lost)) => Err(Error::new(
            Kind::Gone,
            format!("the prompt was typed into {name}, whose program ended before a turn was seen"),
        )),
        _ => Err(Error::new(
            Kind::TimedOut,
            format!("the prompt was typed into {name}, but no turn began; look at its screen before trying again"),
        )),
    }
}

/// `troop interrupt`
pub(super) fn interrupt(common: &Common, name: &str) -> Result<()> {
    control(common, name, Verb::Interrupt)
}

/// `troop answer`
pub(super) fn answer(common: &Common, name: &str, answer: Verb) -> Result<()> {
    control(common, name, answer)
}

/// `troop stop`: every one that can be, then the first reason why one could not.
pub(super) fn stop(common: &Common, names: &[String], force: bool) -> Result<()> {
    each(names, |name| submit(Context::new(common)?.whatever(name)?, Verb::Stop { force }))
}

/// `troop close`
pub(super) fn close(common: &Common, names: &[String]) -> Result<()> {
    each(names, |name| submit(Context::new(common)?.whatever(name)?, Verb::Close))
}

/// `troop retire`
pub(super) fn retire(common: &Common, names: &[String]) -> Result<()> {
    each(names, |name| {
        let (daemon, agent, _) = Context::new(common)?.one(name)?;
        daemon.port().call(Command::Retire { agent }, actor(), Until::Done, LIMIT)
    })
}

fn control(common: &Common, name: &str, verb: Verb) -> Result<()> {
    submit(Context::new(common)?.one(name)?, verb)
}

fn submit((daemon, agent, view): (Daemon, AgentId, Arc<AgentView>), verb: Verb) -> Result<()> {
    // Whatever keeps us from looking keeps us from doing anything.
    if let Some(why) = &view.state.diagnostics.probe_error {
        return Err(Error::new(Kind::TimedOut, why.clone()));
    }
    daemon.port().call(Command::Control { agent, verbs: vec![verb] }, actor(), Until::Done, LIMIT)
}

pub(super) fn each(names: &[String], mut act: impl FnMut(&str) -> Result<()>) -> Result<()> {
    let mut first = Ok(());
    for name in names {
        let done = act(name);
        match (&first, done) {
            (Ok(()), failed @ Err(_)) => first = failed,
            (Err(_), Err(error)) => super::say(&format!("troop: {error}")),
            (_, Ok(())) => {}
        }
    }
    first
}
