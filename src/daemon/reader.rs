//! Reads records and manifests, one after the other, off the loop's thread.

use super::config::Scope;
use super::event::{Event, Events, Read};
use super::gateway::probe;
use crate::engine::Fact;
use crate::model::snapshot::Oddities;
use crate::model::{AgentId, Manifest};
use crate::store::homes::{Index, Session, homes};
use crate::store::machine::Mark;
use crate::store::{Change, Entry, Registry, Scan, manifest, parallel};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendError;
use tokio::time::{Instant, sleep_until};

/// The most changes that wait to be read; more become one reading of everything.
pub(super) const MAX_CHANGES: usize = 1024;

/// The shortest time between two countings of what is in the Homes: while many agents start, each changes it.
const HOMES_GAP: Duration = Duration::from_secs(1);

/// The most agents whose manifests are read at once.
const MAX_AT_ONCE: usize = 128;

/// Reads whatever is said to have changed until nobody can say so any more; with an `index` the Homes as well. With a `scope` of
/// agents whose records have been read, everything is those.
pub(super) async fn run(
    registry: Arc<Registry>,
    scope: Scope,
    index: Option<Arc<Index>>,
    mut changes: mpsc::Receiver<Change>,
    events: Events,
) {
    let mut homes_due: Option<Instant> = None;
    let mut counted: Option<Instant> = None;
    // What all records said when they were read last, while nothing has changed since.
    let mut sessions: Option<Vec<Session>> = None;
    loop {
        let first = tokio::select! {
            change = changes.recv() => change,
            () = due(homes_due) => {
                (homes_due, counted) = (None, Some(Instant::now()));
                let sessions = sessions.take();
                if let Some(index) = &index
                    && count_homes(registry.clone(), index.clone(), sessions, &events).await.is_err()
                {
                    return;
                }
                continue;
            }
        };
        let Some(first) = first else { return };
        let mut batch = vec![first];
        while let Ok(more) = changes.try_recv() {
            if !batch.contains(&more) {
                batch.push(more);
            }
        }
        if index.as_ref().is_some_and(|index| batch.iter().any(|change| changes_homes(change, index))) {
            homes_due.get_or_insert_with(|| counted.map_or_else(Instant::now, |counted| counted + HOMES_GAP));
        }
        let (registry, scope, events) = (registry.clone(), scope.clone(), events.clone());
        // Each is sent as soon as it is read: what the loop has taken in, it has in a shape of its own.
        let read = tokio::task::spawn_blocking(move || {
            let send = |event| events.blocking_send(event);
            let mut sessions = None;
            for change in batch {
                sessions = read(&registry, &scope, change, &send)?;
            }
            Ok::<_, SendError<Event>>(sessions)
        });
        sessions = match read.await {
            Ok(Ok(read)) => read,
            _ => return,
        };
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn changes_homes(change: &Change, index: &Index) -> bool {
    match change {
        Change::Rescan | Change::Record(_) => true,
        Change::Path(path) => *path == index.path(),
    }
}

/// Counts what is in the Homes. An index that cannot be read leaves those that records lead to.
async fn count_homes(
    registry: Arc<Registry>,
    index: Arc<Index>,
    sessions: Option<Vec<Session>>,
    events: &Events,
) -> Result<(), SendError<Event>> {
    let counted = tokio::task::spawn_blocking(move || {
        let known = index.known().inspect_err(|error| tracing::warn!(%error, "the index of Homes is not used"));
        homes(&known.unwrap_or_default(), &sessions.unwrap_or_else(|| registry.scan().sessions(Timestamp::now())))
    });
    match counted.await {
        Ok(homes) => events.send(Event::fact(Fact::Homes(homes))).await,
        // Only a panic ends it, and then the program.
        Err(_) => Ok(()),
    }
}

/// The manifest an entry points to, or why it cannot be used.
fn manifest_of(entry: &Entry) -> Result<Box<Manifest>, String> {
    manifest::read(&entry.record.manifest_path).map(Box::new).map_err(|error| error.to_string())
}

/// Fails when nobody takes events any more.
type Sent = Result<(), SendError<Event>>;

/// Reads what has changed; what all records say of sessions, where all were read.
fn read(
    registry: &Registry,
    scope: &Scope,
    change: Change,
    send: &impl Fn(Event) -> Sent,
) -> Result<Option<Vec<Session>>, SendError<Event>> {
    let looked = Instant::now();
    match change {
        Change::Rescan => scan(registry, scope, send).map(Some),
        Change::Record(dir) => match registry.read(&AgentId(dir.as_str().into())) {
            Ok(Some(entry)) => send(read_entry(entry, looked)).map(|()| None),
            // A directory that is not named after its agent is found by looking at all of them.
            Ok(None) => {
                send(Event::Missing { agent: AgentId(dir.into()), looked })?;
                scan(registry, scope, send).map(Some)
            }
            // A record that cannot be read now may be half of a replacement; `doctor` names it.
            Err(error) => {
                tracing::debug!(%error, "a record could not be read");
                scan(registry, scope, send).map(Some)
            }
        },
        Change::Path(path) => send(Event::Changed(path)).map(|()| None),
    }
}

/// What the loop is told of a record that was looked for at `looked`.
pub(super) fn read_entry(entry: Entry, looked: Instant) -> Event {
    let root = entry.record.session_root.as_deref().filter(|_| entry.record.lifecycle.state.is_live());
    Event::Read(Box::new(Read {
        manifest: manifest_of(&entry),
        gateway: probe(&entry.record),
        elsewhere: root.and_then(Mark::elsewhere),
        entry,
        looked,
    }))
}

fn scan(registry: &Registry, scope: &Scope, send: &impl Fn(Event) -> Sent) -> Result<Vec<Session>, SendError<Event>> {
    let looked = Instant::now();
    let scan = match scope {
        Scope::These(entries) => Scan { entries: entries.to_vec(), ..Scan::default() },
        _ => registry.scan(),
    };
    let sessions = scan.sessions(Timestamp::now());
    let present: BTreeSet<AgentId> = scan.entries.iter().map(|entry| entry.record.id.clone()).collect();
    let oddities = Oddities { external: scan.external.len(), problems: scan.defects() };
    for entries in scan.entries.chunks(MAX_AT_ONCE) {
        let read = parallel::map(entries, |entry| read_entry(entry.clone(), looked));
        read.into_iter().try_for_each(send)?;
    }
    send(Event::Scanned { present, oddities, looked })?;
    Ok(sessions)
}
