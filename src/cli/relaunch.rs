//! `troop relaunch`: programs are started again, one or all that can be.

use super::agents::{LIMIT, each};
use super::args::{Common, Relaunch};
use super::context::{Context, actor};
use crate::command::{Command, Verb};
use crate::daemon::Scope;
use crate::error::{Error, Kind, Result};
use crate::model::{AgentId, ChatSession, Recovery, Snapshot};
use crate::port::Until;
use std::sync::mpsc;

/// How many are relaunched at once.
const AT_ONCE: usize = 8;

/// Relaunches those that are named, or every one that is stopped or has lost its session.
pub(super) fn run(common: &Common, options: &Relaunch) -> Result<()> {
    let chat = options.resume.as_deref().map_or(Ok(ChatSession::New), ChatSession::resumed)?;
    if options.all {
        return all(common, &chat);
    }
    each(&options.names, |name| {
        let (daemon, agent, _) = Context::new(common)?.one(name)?;
        daemon.port().call(relaunch(agent, &chat), actor(), Until::Done, LIMIT)
    })
}

fn relaunch(agent: AgentId, chat: &ChatSession) -> Command {
    Command::Control { agent, verbs: vec![Verb::Relaunch(chat.clone())] }
}

/// Prints the name of each as it is back, and tells of each that could not be.
fn all(common: &Common, chat: &ChatSession) -> Result<()> {
    let daemon = Context::new(common)?.start(Scope::Sessions)?;
    let mut waiting = lost(&daemon.port().snapshot()).into_iter();
    let (sender, answers) = mpsc::sync_channel(AT_ONCE);
    let (mut running, mut first) = (0, Ok(()));
    loop {
        while running < AT_ONCE
            && let Some((name, agent)) = waiting.next()
        {
            running += 1;
            let sender = sender.clone();
            let answer = Box::new(move |result| drop(sender.send((name, result))));
            daemon.port().submit(relaunch(agent, chat), actor(), Until::Done, answer);
        }
        if running == 0 {
            return first;
        }
        let (name, result) = answers.recv_timeout(LIMIT).map_err(|_| {
            Error::new(Kind::TimedOut, format!("nothing came back within {} s; try again", LIMIT.as_secs()))
        })?;
        running -= 1;
        match (result, &first) {
            (Ok(()), _) => super::print(|out| writeln!(out, "{name}"))?,
            (Err(error), Ok(())) => first = Err(error),
            (Err(error), Err(_)) => super::say(&format!("troop: {error}")),
        }
    }
}

/// Every agent that is stopped, or whose record says that it is live while its session is gone.
fn lost(snapshot: &Snapshot) -> Vec<(String, AgentId)> {
    let stopped = snapshot.stopped.values();
    let lost = snapshot.agents.values().filter(|view| view.state.recovery == Some(Recovery::StaleMissingSession));
    lost.chain(stopped)
        .filter(|view| view.may_relaunch().is_ok())
        .map(|view| (view.dir_name.to_string(), view.id.clone()))
        .collect()
}
