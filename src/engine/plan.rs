//! From a command to effects: everything that can be refused without touching a
//! terminal or a file is refused here.

use super::order::{LaunchOrder, is_free, known_tool, order};
use super::world::{Agent, World};
use crate::command::{Adopt, Command, QueueChange, TroopVerb, Verb};
use crate::error::{Error, Kind, Result};
use crate::model::{AgentId, AgentView, ChatSession, Question};
use crate::tool::Pick;
use jiff::Timestamp;

/// One thing to be done. The daemon does it; nothing else may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Paste a prompt and submit it.
    Deliver {
        /// To whom.
        agent: AgentId,
        /// The text.
        text: String,
    },
    /// Change a queue.
    Queue {
        /// Whose.
        agent: AgentId,
        /// How.
        change: QueueChange,
    },
    /// Press the tool's interrupt key once.
    Interrupt {
        /// Whose turn.
        agent: AgentId,
    },
    /// Answer the question that is on the screen.
    Answer {
        /// Whose.
        agent: AgentId,
        /// The question as it was shown to whoever answers.
        question: Question,
        /// The answer.
        pick: Pick,
    },
    /// Press keys.
    Press {
        /// On whose terminal.
        agent: AgentId,
        /// Their names.
        keys: Vec<String>,
    },
    /// Give the terminal another size.
    Resize {
        /// Whose.
        agent: AgentId,
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
    /// End the program and its session, and record that it was stopped.
    Stop {
        /// Whom.
        agent: AgentId,
        /// Without waiting for the program.
        force: bool,
    },
    /// Start its program again.
    Relaunch {
        /// Whose.
        agent: AgentId,
        /// With which conversation.
        chat: ChatSession,
    },
    /// Let go of it.
    Close {
        /// Of whom.
        agent: AgentId,
    },
    /// Start an agent.
    Launch(LaunchOrder),
    /// Register an agent that runs already.
    Adopt(Adopt),
    /// Retire the record.
    Retire {
        /// Whose.
        agent: AgentId,
    },
    /// Read every record again.
    Rescan,
    /// Show and record a refusal.
    Refuse {
        /// On whom.
        agent: Option<AgentId>,
        /// What was attempted.
        what: String,
        /// Why not.
        error: Error,
    },
}

/// What `command` means in this world, or why it is refused. Either every effect
/// of it may be carried out or none.
pub fn plan(world: &World, command: Command, now: Timestamp) -> Result<Vec<Effect>> {
    match command {
        Command::Prompt { agent, text } => {
            view(world, &agent)?.may_prompt()?;
            Ok(vec![Effect::Deliver { agent, text }])
        }
        Command::Queue { agent, change } => {
            let view = view(world, &agent)?;
            if let QueueChange::Put { .. } = &change {
                view.may_reach()?;
            }
            Ok(vec![Effect::Queue { agent, change }])
        }
        Command::Keys { agent, keys } => {
            view(world, &agent)?.may_type()?;
            Ok(vec![Effect::Press { agent, keys }])
        }
        Command::Control { agent, verbs } => verbs.into_iter().map(|verb| control(world, &agent, verb)).collect(),
        Command::Retire { agent } => {
            view(world, &agent)?.may_retire()?;
            Ok(vec![Effect::Retire { agent }])
        }
        Command::Troop { verbs } => {
            no_name_twice(&verbs)?;
            verbs.into_iter().map(|verb| troop(world, verb, now)).collect()
        }
        Command::Refused { agent, what, error } => Ok(vec![Effect::Refuse { agent, what, error }]),
    }
}

fn control(world: &World, id: &AgentId, verb: Verb) -> Result<Effect> {
    let view = view(world, id)?;
    let agent = id.clone();
    match verb {
        Verb::Interrupt => {
            view.may_interrupt()?;
            Ok(Effect::Interrupt { agent })
        }
        Verb::Approve => answer(world, view, Pick::Approve),
        Verb::Deny => answer(world, view, Pick::Deny),
        Verb::Answer(number) => answer(world, view, Pick::Number(number)),
        Verb::Resize { cols, rows } => {
            view.may_type()?;
            Ok(Effect::Resize { agent, cols, rows })
        }
        Verb::Stop { force } => {
            view.may_drive()?;
            is_live(view)?;
            Ok(Effect::Stop { agent, force })
        }
        Verb::Relaunch(chat) => {
            let known = find(world, id)?;
            view.may_relaunch()?;
            // Whether its program can go on with that conversation.
            known.tool.chat_args(&chat)?;
            Ok(Effect::Relaunch { agent, chat })
        }
        Verb::Close => {
            view.may_drive()?;
            is_live(view)?;
            Ok(Effect::Close { agent })
        }
    }
}

/// What is stopped already can be neither stopped nor closed. Whoever relaunches it is waited for.
fn is_live(view: &AgentView) -> Result<()> {
    if view.state.lifecycle.state.is_live() {
        return Ok(());
    }
    Err(Error::new(Kind::Gone, format!("{} is stopped already", view.dir_name)))
}

/// An answer that could be given now to the question that is shown.
fn answer(world: &World, view: &AgentView, pick: Pick) -> Result<Effect> {
    if !world.allows_approvals {
        return Err(Error::new(
            Kind::NotPermitted,
            "answering for a person is switched off; start troop with --allow-approvals, or set TROOP_ALLOW_APPROVALS=true",
        ));
    }
    let question = view.may_answer()?.clone();
    find(world, &view.id)?.tool.answer(&question, pick)?;
    Ok(Effect::Answer { agent: view.id.clone(), question, pick })
}

/// Two launches of one name in one write would start the first and lose the second.
fn no_name_twice(verbs: &[TroopVerb]) -> Result<()> {
    let mut names = std::collections::BTreeSet::new();
    for verb in verbs {
        let name = match verb {
            TroopVerb::Launch(launch) => Some(&launch.name),
            TroopVerb::Adopt(adopt) => adopt.name.as_ref(),
            TroopVerb::Rescan => None,
        };
        if let Some(name) = name.filter(|name| !names.insert(name.as_str())) {
            return Err(Error::new(Kind::Exists, format!("{name} is named twice; give each agent its own name")));
        }
    }
    Ok(())
}

fn troop(world: &World, verb: TroopVerb, now: Timestamp) -> Result<Effect> {
    match verb {
        TroopVerb::Launch(launch) => order(world, *launch, now).map(Effect::Launch),
        TroopVerb::Adopt(adopt) => {
            adopt.name.as_ref().map_or(Ok(()), |name| is_free(world, name, now))?;
            adopt.tool.as_deref().map_or(Ok(()), |tool| known_tool(world, tool).map(drop))?;
            Ok(Effect::Adopt(adopt))
        }
        TroopVerb::Rescan => Ok(Effect::Rescan),
    }
}

fn find<'a>(world: &'a World, id: &AgentId) -> Result<&'a Agent> {
    world
        .agents
        .get(id)
        .map(AsRef::as_ref)
        .ok_or_else(|| Error::new(Kind::Gone, format!("there is no agent with the id {id} any more")))
}

fn view<'a>(world: &'a World, id: &AgentId) -> Result<&'a crate::model::AgentView> {
    let agent = find(world, id)?;
    agent
        .view()
        .map(AsRef::as_ref)
        .ok_or_else(|| Error::new(Kind::Busy, format!("{} has not been looked at yet; try again", agent.record.name)))
}
