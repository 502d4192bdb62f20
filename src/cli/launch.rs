//! `troop launch`

use super::agents::LIMIT;
use super::args::{Common, Launch};
use super::context::{Context, actor};
use crate::command::{self, Command};
use crate::daemon::{Daemon, ROLE_PROMPT, Scope, Settings};
use crate::error::{Error, Kind, Result};
use crate::model::{AgentName, LaunchOptions, Status};
use crate::port::Until;
use crate::store::spool;
use std::path::PathBuf;
use std::time::Duration;

/// How long a role that is told as the first prompt may take to be sent: its program has to be ready first.
const ROLE_LIMIT: Duration = Duration::from_secs(60);

/// Launches an agent. Returns when its program is up and knows its role, or says why that is not so.
pub(super) fn launch(common: &Common, options: Launch) -> Result<()> {
    let name = AgentName::new(&options.name)?;
    let absolute = |path: PathBuf| {
        std::path::absolute(&path).map_err(|error| Error::io(format!("cannot use {}", path.display()), &error))
    };
    let launch = command::Launch {
        name: name.clone(),
        profile: options.profile,
        options: LaunchOptions {
            tool: options.tool,
            cwd: options.cwd.map(absolute).transpose()?,
            role: options.role.map(absolute).transpose()?,
            model: options.model,
            env: options.env,
        },
        chat: options.resume.unwrap_or_default(),
        argv: options.argv,
        headless: options.headless,
        waits: true,
    };
    let context = Context::new(common)?;
    let daemon = context.start(Scope::Records)?;
    daemon.port().call(Command::launch(launch), actor(), Until::Done, LIMIT)?;
    drop(daemon);
    tell_role(&context, name.as_str())
}

/// Sees to it that a role that waits as the first prompt is sent, by us or by whoever observes the agent already.
fn tell_role(context: &Context, name: &str) -> Result<()> {
    let record = context.registry.find(name)?.record;
    let waits = record
        .session_root
        .as_deref()
        .is_some_and(|root| spool::waiting(root).iter().any(|waiting| waiting.name == ROLE_PROMPT));
    if !waits {
        return Ok(());
    }
    let settings = Settings { scope: Scope::Only(record.id.clone()), keeps_history: true, ..context.settings.clone() };
    let daemon = Daemon::start(settings)?;
    let told = daemon.port().wait_for(ROLE_LIMIT, |snapshot| {
        let (_, view) = snapshot.by_id(&record.id)?;
        let is_told = view.turns.iter().any(|turn| turn.started_at.is_some() || turn.outcome.is_some());
        let is_left = matches!(view.status(), Status::Blocked | Status::Down | Status::Gone);
        (is_told || is_left).then(|| (is_told, view.status()))
    });
    let waits = |why: &str| format!("{name} runs and does not know its role yet: {why}; the role waits in its queue");
    match told {
        Some((true, _)) => Ok(()),
        Some((false, Status::Blocked)) => Err(Error::new(
            Kind::Busy,
            waits("it asks a question first; answer that while a mount is there to send the role"),
        )),
        Some((false, status)) => {
            Err(Error::new(Kind::Gone, format!("{name} is {status} and was not told its role; look at its screen")))
        }
        None => Err(Error::new(
            Kind::TimedOut,
            waits(&format!("it was not ready within {} s; look at its screen", ROLE_LIMIT.as_secs())),
        )),
    }
}
