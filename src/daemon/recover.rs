//! What is really there of an agent, asked right before its program is started or ended, and what becomes of a
//! relaunch that somebody left undone.

use super::clock::now;
use super::effects::{Hands, Target, blocking};
use super::observe::{self, tmux_events};
use crate::engine::recovery;
use crate::error::{Error, Kind, Result};
use crate::model::{LifecycleState, Manifest, PaneId, Record, Recovery};
use crate::store::machine::Mark;
use crate::store::{LifeLock, manifest};
use crate::tmux::Client;
use std::sync::Arc;
use std::time::Duration;

/// How long a stop or a relaunch waits for another one of the same agent.
const LIFE_LIMIT: Duration = Duration::from_secs(10);
/// The variable by which a session says whose it is; Houmao and troop set it.
pub(super) const MANIFEST_VARIABLE: &str = "HOUMAO_MANIFEST_PATH";
/// What the record says of an agent whose relaunch came to nothing.
pub(super) const RELAUNCH_FAILED: &str = "relaunch_failed";

/// What is there of an agent.
pub(super) struct Scene {
    /// The manifest as it is now, or why it cannot be read.
    pub(super) manifest: Result<Manifest>,
    /// The session that its record names, unless another one has that name by now.
    pub(super) session: Option<Session>,
}

/// An agent's session that is there.
pub(super) struct Session {
    pub(super) name: String,
    pub(super) client: Arc<Client>,
    /// The agent's pane.
    pub(super) pane: Option<PaneId>,
}

impl Hands {
    /// The right to start or end the agent's program, until dropped. Waits [`LIFE_LIMIT`] for whoever has it.
    pub(super) async fn life(&self, target: &Target) -> Result<LifeLock> {
        let (root, name) = (target.root.clone(), target.name.clone());
        blocking(move || {
            LifeLock::acquire(&root, LIFE_LIMIT).map_err(|error| match error.kind() {
                Kind::TimedOut => Error::new(
                    Kind::Busy,
                    format!(
                        "another troop has been starting or stopping {name} for {} s; try again",
                        LIFE_LIMIT.as_secs()
                    ),
                ),
                _ => error,
            })
        })
        .await
    }

    /// The record as it is now, when it is still that of the generation that was meant.
    pub(super) async fn current(&self, target: &Target) -> Result<Record> {
        let (registry, id) = (self.registry.clone(), target.record.id.clone());
        let entry = blocking(move || registry.read(&id)).await?;
        match entry.map(|entry| entry.record) {
            Some(record) if record.generation == target.record.generation => Ok(record),
            Some(_) => {
                Err(Error::new(Kind::Gone, format!("{} was relaunched meanwhile; look at it again", target.name)))
            }
            None => Err(Error::new(Kind::Gone, format!("the record of {} was removed meanwhile", target.name))),
        }
    }

    /// What is there of the agent with that record.
    pub(super) async fn scene(&self, target: &Target, record: &Record) -> Result<Scene> {
        let path = record.manifest_path.clone();
        let manifest = blocking(move || Ok(manifest::read(&path))).await?;
        let session = self.session(target, record, manifest.as_ref().ok()).await?;
        Ok(Scene { manifest, session })
    }

    async fn session(&self, target: &Target, record: &Record, manifest: Option<&Manifest>) -> Result<Option<Session>> {
        let Some(name) = &record.session else { return Ok(None) };
        let client = match &target.link {
            Some(link) if link.client.is_open() && link.client.session() == name => link.client.clone(),
            _ => {
                let (sender, _events) = tmux_events();
                match Client::attach(&target.socket, name, sender).await {
                    Ok(client) => Arc::new(client),
                    // There is no such session.
                    Err(error) if error.kind() == Kind::Gone => {
                        let root = target.root.clone();
                        return match blocking(move || Ok(Mark::elsewhere(&root))).await? {
                            Some(why) => Err(Error::new(Kind::NotPermitted, format!("{}: {why}", target.name))),
                            None => Ok(None),
                        };
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        let probe = observe::probe(&client, name).await?;
        let says = client.session_variable(name, MANIFEST_VARIABLE).await?;
        let is_ours = match says {
            Some(path) => *record.manifest_path == *path,
            // Whoever wrote a manifest may not have told the session, and then has to have named its pane.
            None => {
                manifest.is_some_and(|manifest| manifest.pane.is_some())
                    && recovery::classify(&probe, manifest) == Recovery::Healthy
            }
        };
        // After the end of a server somebody may have made another session of that name.
        let pane = recovery::primary(&probe.panes, manifest).map(|placed| placed.pane.clone());
        Ok(is_ours.then(|| Session { name: name.clone(), client, pane }))
    }

    /// Settles a relaunch that was left undone: what its agent is, is what is there. Gives what was found, or nothing when
    /// it is no longer left undone.
    pub(super) async fn recover(&self, target: &Target) -> Result<Option<&'static str>> {
        let _life = self.life(target).await?;
        let record = self.current(target).await?;
        if record.lifecycle.state != LifecycleState::Relaunching {
            return Ok(None);
        }
        if self.scene(target, &record).await?.session.is_some() {
            self.record(target, |registry, id, generation| registry.returned(id, generation, now()).map(drop)).await?;
            return Ok(Some("its relaunch was left undone, and its session is there"));
        }
        self.record(target, |registry, id, generation| registry.stop(id, generation, RELAUNCH_FAILED, now()).map(drop))
            .await?;
        Ok(Some("its relaunch was left undone, and it has no session"))
    }
}
