//! `troop gc`: takes away what nobody needs any more, in this registry and this Home.

use super::args::Common;
use super::context::Context;
use crate::engine::gc::{self, Action, Found, Line, Presence, Readable};
use crate::error::{Error, Result};
use crate::model::Record;
use crate::store::gc as disk;
use crate::store::{Severity, legacy, manifest};
use crate::tmux::Socket;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// One line of the list.
#[derive(Serialize)]
struct Row {
    action: &'static str,
    name: Option<String>,
    path: String,
    reason: String,
}

/// Prints what is done about everything there is, and does it unless `dry_run`. What could not be done is told, and
/// the first such reason is the error.
pub(super) fn run(common: &Common, age: SignedDuration, dry_run: bool, json: bool) -> Result<()> {
    let context = Context::new(common)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::io("cannot ask tmux for its sessions", &error))?;
    let found = runtime.block_on(found(&context));
    let lines = gc::plan(found, age, Timestamp::now());
    let mut first = Ok(());
    let mut rows = Vec::new();
    for line in lines {
        let done = if dry_run { Ok(()) } else { carry_out(&context, &line) };
        match (done, &first) {
            (Ok(()), _) => rows.push(row(line)),
            (Err(error), Ok(())) => first = Err(error),
            (Err(error), Err(_)) => super::say(&format!("troop: {error}")),
        }
    }
    super::print(|out| {
        if json {
            serde_json::to_writer_pretty(&mut *out, &rows)?;
            return writeln!(out);
        }
        for row in &rows {
            let name = row.name.as_ref().map_or_else(String::new, |name| format!("{name}  "));
            let line = format!("{:7} {name}{}: {}", row.action, row.path, row.reason);
            writeln!(out, "{}", line.replace(char::is_control, "?"))?;
        }
        if rows.is_empty() { writeln!(out, "there is nothing") } else { Ok(()) }
    })?;
    first
}

fn row(line: Line) -> Row {
    let action = if line.action == Action::Keep { "keep" } else { "remove" };
    Row { action, name: line.name, path: line.path.display().to_string(), reason: line.reason }
}

fn carry_out(context: &Context, line: &Line) -> Result<()> {
    let (record, root) = match &line.action {
        Action::Keep => return Ok(()),
        Action::Clear => return disk::clear(&line.path),
        Action::Remove { record, root } => (record, root),
    };
    // The record first: a session that no record names is found again.
    if let Some(record) = record {
        context.registry.remove(record)?;
    }
    root.as_ref().map_or(Ok(()), |root| disk::remove(&context.settings.roots.home, root))
}

/// Everything there is.
async fn found(context: &Context) -> Vec<Found> {
    let home = &context.settings.roots.home;
    let roots = disk::roots(home);
    let scan = context.registry.scan();
    let named: BTreeSet<PathBuf> =
        scan.entries.iter().filter_map(|entry| Some(entry.record.session_root.as_deref()?.to_owned())).collect();
    let unread: Vec<_> = scan.problems.iter().filter(|problem| problem.severity == Severity::Error).collect();
    let mut servers = Servers::default();
    let mut found = Vec::new();
    for entry in scan.entries {
        let record = Box::new(entry.record);
        let read = manifest::read(&record.manifest_path);
        let readable = match &read {
            Ok(_) => Readable::Yes,
            Err(_) if manifest::is_newer(&record.manifest_path) => Readable::Newer,
            Err(_) => Readable::No,
        };
        let socket = read.ok().and_then(|manifest| manifest.tmux_socket);
        found.push(Found::Agent {
            session: servers.presence(context, &record, socket).await,
            path: entry.path,
            read_only: entry.read_only,
            manifest: readable,
            is_here: record.session_root.as_ref().is_some_and(|root| disk::is_in(home, root)),
            is_busy: record.session_root.as_ref().is_some_and(|root| disk::is_busy(root)),
            record,
        });
    }
    let may_be_named = !unread.is_empty();
    let unreadable =
        unread.iter().map(|problem| Found::Unreadable { path: problem.path.clone(), why: problem.sentence.clone() });
    found.extend(unreadable);
    let orphans = roots.into_iter().filter(|root| !named.contains(&root.path));
    let mut homes = legacy::runtime_roots(named.iter().map(PathBuf::as_path));
    homes.push(home.clone());
    found.extend(disk::left(&homes).into_iter().map(|left| Found::Left {
        path: left.path,
        what: left.what.to_owned(),
        changed: left.changed,
    }));
    found.extend(orphans.map(|root| Found::Orphan {
        path: root.path,
        changed: root.changed,
        queued: root.queued,
        is_busy: root.is_busy,
        may_be_named,
    }));
    found
}

/// The sessions of each server, asked once.
#[derive(Default)]
struct Servers(BTreeMap<PathBuf, std::result::Result<BTreeSet<String>, String>>);

impl Servers {
    /// Whether the session that a record names is on the server that its manifest names, or else on the usual one or that
    /// of this command.
    async fn presence(&mut self, context: &Context, record: &Record, named: Option<PathBuf>) -> Presence {
        let settings = &context.settings;
        let sockets = match named {
            Some(path) => vec![settings.socket_at(&path)],
            None => vec![settings.default_socket.clone(), settings.socket.clone()],
        };
        let session = record.session.as_ref().unwrap_or(&record.last_session);
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
        if !self.0.contains_key(socket.path()) {
            let asked = socket.sessions().await;
            let asked = asked.map(|found| found.into_iter().map(|session| session.name).collect());
            self.0.insert(socket.path().to_owned(), asked.map_err(|error| error.to_string()));
        }
        &self.0[socket.path()]
    }
}
