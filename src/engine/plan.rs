//! From a command to effects: everything that can be refused without touching a
//! terminal or a file is refused here.

use super::world::{Agent, World};
use crate::command::{Command, Launch, QueueChange, TroopVerb, Verb};
use crate::error::{Error, Kind, Result};
use crate::model::{AgentId, AgentName, AgentView, Question};
use crate::tool::Pick;
use jiff::Timestamp;
use std::path::PathBuf;

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
    /// Start an agent.
    Launch(LaunchOrder),
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

/// A launch with every default filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchOrder {
    /// The agent's name.
    pub name: AgentName,
    /// The tool's name.
    pub tool: String,
    /// The command line, `{troop}` not yet replaced.
    pub argv: Vec<String>,
    /// Whether the tool's hooks are injected: nobody gave a command line of his own.
    pub has_hooks: bool,
    /// Whether each turn is a process of its own.
    pub headless: bool,
    /// Where it works.
    pub cwd: PathBuf,
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
            let known = find(world, id)?;
            if !known.record.lifecycle.state.is_live() {
                return Err(Error::new(Kind::Gone, format!("{} is stopped already", view.dir_name)));
            }
            Ok(Effect::Stop { agent, force })
        }
    }
}

/// An answer that could be given now to the question that is shown.
fn answer(world: &World, view: &AgentView, pick: Pick) -> Result<Effect> {
    if !world.allows_approvals {
        return Err(Error::new(
            Kind::NotPermitted,
            "answering for a person is switched off; use troop mount --allow-approvals, or set TROOP_ALLOW_APPROVALS=true",
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
        if let TroopVerb::Launch(launch) = verb
            && !names.insert(launch.name.as_str())
        {
            return Err(Error::new(
                Kind::Exists,
                format!("{} is launched twice; give each agent its own name", launch.name),
            ));
        }
    }
    Ok(())
}

fn troop(world: &World, verb: TroopVerb, now: Timestamp) -> Result<Effect> {
    match verb {
        TroopVerb::Launch(launch) => order(world, launch, now).map(Effect::Launch),
        TroopVerb::Rescan => Ok(Effect::Rescan),
    }
}

fn order(world: &World, launch: Launch, now: Timestamp) -> Result<LaunchOrder> {
    let name = launch.name;
    let taken = world.agents.values().find(|agent| {
        agent.record.name == name.as_str() && (agent.is_live(now) || agent.record.lifecycle.can_return())
    });
    if let Some(agent) = taken {
        let sentence = if agent.is_live(now) {
            format!("there is an agent named {name} already; choose another name, or stop it first")
        } else {
            format!(
                "{name} is the name of a stopped agent; retire that one first (troop retire {name}) or choose another name"
            )
        };
        return Err(Error::new(Kind::Exists, sentence));
    }
    let tool_name = launch.tool.unwrap_or_else(|| world.default_tool.clone());
    let Some(tool) = world.tools.get(&tool_name) else {
        let known: Vec<&str> = world.tools.texts().map(|(name, _)| name).collect();
        return Err(Error::new(
            Kind::NotFound,
            format!("there is no tool {tool_name:?}; the tools are {}", known.join(", ")),
        ));
    };
    if launch.headless && tool.headless.is_none() {
        return Err(Error::new(
            Kind::Unsupported,
            format!("{tool_name} cannot run a turn as a process of its own; launch it without --headless"),
        ));
    }
    let has_hooks = launch.argv.is_empty() && tool.hooks.is_some() && !launch.headless;
    let argv = match launch.argv {
        argv if !argv.is_empty() => argv,
        _ if launch.headless => tool.command.clone(),
        _ => tool.launch_argv(),
    };
    if argv.is_empty() {
        return Err(Error::new(
            Kind::Invalid,
            format!("the tool {tool_name} has no command of its own; give one after --"),
        ));
    }
    let cwd = launch.cwd.unwrap_or_else(|| world.default_cwd.clone());
    Ok(LaunchOrder { name, tool: tool_name, argv, has_hooks, headless: launch.headless, cwd })
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
