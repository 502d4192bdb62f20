//! What there is to clear away, and clearing it away: `troop gc`, and `gc` in the troop's `control`.

use super::clock::now;
use super::config::Settings;
use super::effects::{Hands, blocking};
use super::event::Event;
use crate::command::Gc;
use crate::engine::Fact;
use crate::engine::gc::{Action, AgentFound, Found, Inside, Line, Ours, Presence, Readable, RootFound, plan};
use crate::error::{Error, Kind, Result};
use crate::model::Record;
use crate::model::home::home_of;
use crate::store::homes::Index;
use crate::store::machine::Mark;
use crate::store::{Registry, Roots, Scan, Severity, gc as disk, legacy, manifest};
use crate::tmux::Socket;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Everything that is looked through: the registry and all Homes, or one Home and nothing else.
pub struct Sweep<'a> {
    settings: &'a Settings,
    registry: Registry,
    index: Index,
    only: Option<PathBuf>,
    /// The sessions of each server, asked once.
    servers: BTreeMap<PathBuf, std::result::Result<BTreeSet<String>, String>>,
    /// What other registries hold.
    others: BTreeMap<PathBuf, Scan>,
}

impl<'a> Sweep<'a> {
    /// Looks through that Home alone, or without one through all.
    pub fn new(settings: &'a Settings, only: Option<&Path>) -> Self {
        Self {
            settings,
            registry: Registry::new(settings.roots.clone()),
            index: Index::new(&settings.roots.state),
            only: only.map(crate::store::roots::resolve),
            servers: BTreeMap::new(),
            others: BTreeMap::new(),
        }
    }

    /// Everything there is; asking tmux and the disk, which takes a while. Nothing is written.
    pub fn look(&mut self) -> Result<Vec<Found>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Error::io("cannot ask tmux for its sessions", &error))?;
        Ok(runtime.block_on(self.found()))
    }

    async fn found(&mut self) -> Vec<Found> {
        let scan = self.registry.scan();
        let mut found = Vec::new();
        let mut entries = Vec::new();
        if self.only.is_none() {
            match self.index.known() {
                Ok(known) => entries = known.into_iter().map(|known| known.path).collect(),
                Err(error) => found.push(Found::Unreadable { path: self.index.path(), why: error.to_string() }),
            }
        }
        let named: BTreeSet<PathBuf> =
            scan.entries.iter().filter_map(|entry| Some(entry.record.session_root.as_deref()?.to_owned())).collect();
        let homes: BTreeSet<PathBuf> = match &self.only {
            Some(only) => std::iter::once(only.clone()).collect(),
            None => {
                let homes = legacy::runtime_roots(named.iter().map(PathBuf::as_path)).into_iter();
                homes.chain(entries.iter().cloned()).chain([self.settings.roots.home.clone()]).collect()
            }
        };
        let unread: Vec<_> = scan.problems.iter().filter(|problem| problem.severity == Severity::Error).collect();
        if self.only.is_none() {
            found.extend(
                unread
                    .iter()
                    .map(|problem| Found::Unreadable { path: problem.path.clone(), why: problem.sentence.clone() }),
            );
        }
        let may_be_named = !unread.is_empty();
        for entry in scan.entries {
            let home = entry.record.session_root.as_deref().and_then(home_of);
            if self.only.as_deref().is_none_or(|only| home == Some(only)) {
                found.push(self.agent(entry).await);
            }
        }
        let mut insides = BTreeMap::new();
        for home in &homes {
            let inside = match disk::roots(home) {
                Ok(Some(roots)) => Inside::Roots(roots),
                Ok(None) => Inside::Gone,
                Err(error) => Inside::Unreadable(error.to_string()),
            };
            if let Inside::Roots(roots) = &inside {
                for root in roots.iter().filter(|root| !named.contains(*root)) {
                    found.push(self.orphan(home, root, may_be_named).await);
                }
            } else if let Inside::Unreadable(why) = &inside
                && !entries.contains(home)
            {
                found.push(Found::Unreadable { path: home.clone(), why: why.clone() });
            }
            insides.insert(home.clone(), inside);
        }
        let homes: Vec<PathBuf> = homes.into_iter().collect();
        found.extend(disk::left(&homes).into_iter().map(|left| Found::Left {
            path: left.path,
            home: left.home,
            what: left.what.to_owned(),
            changed: left.changed,
        }));
        found.extend(entries.into_iter().map(|home| {
            let inside = insides.get(&home).cloned().unwrap_or(Inside::Gone);
            Found::Entry { home, inside }
        }));
        found
    }

    /// Does what the line says, when what it was decided on is still so: [`Kind::Busy`] or [`Kind::TimedOut`] when it is not.
    /// Mounts are not its business.
    pub fn carry_out(&self, line: &Line) -> Result<()> {
        match &line.action {
            Action::Keep | Action::Detach => Ok(()),
            Action::Clear => disk::clear(&line.path),
            // The record first: a session that no record names is found again.
            Action::RemoveAgent { record, root: Some(root) } => disk::remove(root, || self.registry.remove(record)),
            Action::RemoveAgent { record, root: None } => self.registry.remove(record),
            Action::RemoveRoot { changed, whole } => disk::remove_orphan(&line.path, *changed, *whole),
            Action::Forget => {
                let is_empty = || disk::roots(&line.path).is_ok_and(|roots| roots.is_none_or(|roots| roots.is_empty()));
                if self.index.forget_empty(&line.path, is_empty)? {
                    return Ok(());
                }
                Err(Error::new(Kind::Busy, format!("{} has a session again", line.path.display())))
            }
        }
    }

    async fn agent(&mut self, entry: crate::store::Entry) -> Found {
        let record = Box::new(entry.record);
        let read = manifest::read(&record.manifest_path);
        let readable = match &read {
            Ok(_) => Readable::Yes,
            Err(_) if manifest::is_newer(&record.manifest_path) => Readable::Newer,
            Err(_) => Readable::No,
        };
        let root = record.session_root.as_deref();
        let session = match root.filter(|_| record.lifecycle.state.is_live()).and_then(Mark::elsewhere) {
            Some(elsewhere) => Presence::Unknown(elsewhere),
            None => {
                let name = record.session.clone().unwrap_or_else(|| record.last_session.clone());
                self.presence(&name, read.ok().and_then(|manifest| manifest.tmux_socket)).await
            }
        };
        Found::Agent(AgentFound {
            path: entry.path,
            read_only: entry.read_only,
            session,
            manifest: readable,
            home: self.home(&record),
            is_busy: root.is_some_and(disk::is_busy),
            record,
        })
    }

    /// The Home of an agent's session root, when that is not there any more or looks like a session of the record: a record
    /// that anybody may have written does not make a directory one.
    fn home(&self, record: &Record) -> Option<PathBuf> {
        let root = record.session_root.as_deref()?;
        let home = home_of(root)?;
        let is_session = || {
            home == self.settings.roots.home
                || Mark::read(root).is_some()
                || (record.manifest_path.parent() == Some(root) && manifest::read(&record.manifest_path).is_ok())
        };
        let is_gone = root.symlink_metadata().is_err();
        (is_gone || (disk::is_in_a_home(root) && is_session())).then(|| home.to_owned())
    }

    async fn orphan(&mut self, home: &Path, path: &Path, may_be_named: bool) -> Found {
        let root = disk::root(path);
        let mark = Mark::read(path);
        let manifest_path = path.join(crate::store::session_root::MANIFEST_FILE);
        let session = match (Mark::elsewhere(path), manifest::session(&manifest_path)) {
            (Some(elsewhere), _) => Presence::Unknown(elsewhere),
            (None, Ok((Some(session), socket))) => self.presence(&session, socket).await,
            // Nothing was started from it.
            (None, Ok((None, _))) => Presence::Gone,
            (None, Err(_)) if manifest_path.symlink_metadata().is_err() => Presence::Gone,
            (None, Err(error)) => Presence::Unknown(error.to_string()),
        };
        let ours = if !disk::is_in_a_home(path) {
            Ours::Nothing
        } else if mark.is_some() || home == self.settings.roots.home {
            Ours::All
        } else if root.has_ours && manifest_path.is_file() {
            Ours::Beside
        } else {
            Ours::Nothing
        };
        let named_by = if may_be_named {
            Some("a record that cannot be read may name it; see troop doctor".to_owned())
        } else {
            mark.and_then(|mark| self.named_elsewhere(&mark.registry, path))
        };
        Found::Root(RootFound {
            path: root.path,
            home: home.to_owned(),
            changed: root.changed,
            queued: root.queued,
            is_busy: root.is_busy,
            named_by,
            session,
            ours,
        })
    }

    /// That another registry has a record of a session root, if it has or may have.
    fn named_elsewhere(&mut self, registry: &Path, root: &Path) -> Option<String> {
        if registry == self.settings.roots.registry || !registry.is_dir() {
            return None;
        }
        let scan = self.others.entry(registry.to_owned()).or_insert_with(|| {
            let roots = Roots { registry: registry.to_owned(), legacy_registry: None, ..self.settings.roots.clone() };
            Registry::new(roots).scan()
        });
        let names = scan.entries.iter().any(|entry| entry.record.session_root.as_deref() == Some(root));
        let may = scan.problems.iter().any(|problem| problem.severity == Severity::Error);
        (names || may).then(|| format!("the registry {} has it", registry.display()))
    }

    /// Whether a session is on that server, or else on the usual one or that of new agents.
    async fn presence(&mut self, session: &str, named: Option<PathBuf>) -> Presence {
        let sockets = match named {
            Some(path) => vec![self.settings.socket_at(&path)],
            None => vec![self.settings.default_socket.clone(), self.settings.socket.clone()],
        };
        let mut unknown = None;
        for socket in sockets {
            match self.sessions(&socket).await {
                Ok(sessions) if sessions.contains(session) => return Presence::There,
                Ok(_) => {}
                Err(why) => unknown = Some(why.clone()),
            }
        }
        unknown.map_or(Presence::Gone, Presence::Unknown)
    }

    async fn sessions(&mut self, socket: &Socket) -> &std::result::Result<BTreeSet<String>, String> {
        if !self.servers.contains_key(socket.path()) {
            let asked = socket.sessions().await;
            let asked = asked.map(|found| found.into_iter().map(|session| session.name).collect());
            self.servers.insert(socket.path().to_owned(), asked.map_err(|error| error.to_string()));
        }
        &self.servers[socket.path()]
    }
}

/// Whether what a line was decided on had changed when it was to be done.
pub fn has_changed(error: &Error) -> bool {
    matches!(error.kind(), Kind::Busy | Kind::TimedOut | Kind::Gone)
}

impl Hands {
    /// Clears away; what came of it is a fact, and the first failure an error.
    pub(super) async fn collect(&self, gc: Gc) -> Result<()> {
        let settings = self.settings.clone();
        let (removed, kept, failed) = blocking(move || {
            let mut sweep = Sweep::new(&settings, gc.home.as_deref());
            let (mut removed, mut kept, mut failed) = (0, 0, None);
            for line in plan(sweep.look()?, gc.older_than, now()) {
                match sweep.carry_out(&line) {
                    Ok(()) if matches!(line.action, Action::Keep | Action::Detach) => kept += 1,
                    Ok(()) => removed += 1,
                    Err(error) if has_changed(&error) => kept += 1,
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            Ok((removed, kept, failed))
        })
        .await?;
        self.tell(Event::fact(Fact::Collected { removed, kept })).await;
        failed.map_or(Ok(()), Err)
    }

    /// Takes a Home out of the index.
    pub(super) async fn forget_home(&self, home: PathBuf) -> Result<()> {
        let index = Index::new(&self.settings.roots.state);
        blocking(move || index.forget(&home)).await
    }
}
