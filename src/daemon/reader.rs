//! Reads records and manifests, one after the other, off the loop's thread.

use super::event::{Event, Events};
use super::gateway::probe;
use crate::model::snapshot::Oddities;
use crate::model::{AgentId, Manifest};
use crate::store::{Change, Entry, Registry, Severity, manifest};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendError;
use tokio::time::Instant;

/// The most changes that wait to be read; more become one reading of everything.
pub(super) const MAX_CHANGES: usize = 1024;

/// Reads whatever is said to have changed until nobody can say so any more.
pub(super) async fn run(registry: Arc<Registry>, mut changes: mpsc::Receiver<Change>, events: Events) {
    while let Some(first) = changes.recv().await {
        let mut batch = vec![first];
        while let Ok(more) = changes.try_recv() {
            if !batch.contains(&more) {
                batch.push(more);
            }
        }
        let (registry, events) = (registry.clone(), events.clone());
        // Each is sent as soon as it is read: what the loop has taken in, it has in a shape of its own.
        let read = tokio::task::spawn_blocking(move || {
            batch.into_iter().try_for_each(|change| read(&registry, change, &|event| events.blocking_send(event)))
        });
        if !matches!(read.await, Ok(Ok(()))) {
            return;
        }
    }
}

/// The manifest an entry points to, or why it cannot be used.
fn manifest_of(entry: &Entry) -> Result<Box<Manifest>, String> {
    manifest::read(&entry.record.manifest_path).map(Box::new).map_err(|error| error.to_string())
}

/// Fails when nobody takes events any more.
type Sent = Result<(), SendError<Event>>;

fn read(registry: &Registry, change: Change, send: &impl Fn(Event) -> Sent) -> Sent {
    let looked = Instant::now();
    match change {
        Change::Rescan => scan(registry, send),
        Change::Record(dir) => match registry.read(&AgentId(dir.as_str().into())) {
            Ok(Some(entry)) => send(read_entry(entry, looked)),
            // A directory that is not named after its agent is found by looking at all of them.
            Ok(None) => {
                send(Event::Missing { agent: AgentId(dir.into()), looked })?;
                scan(registry, send)
            }
            // A record that cannot be read now may be half of a replacement; `doctor` names it.
            Err(error) => {
                tracing::debug!(%error, "a record could not be read");
                scan(registry, send)
            }
        },
        Change::Path(path) => send(Event::Changed(path)),
    }
}

/// What the loop is told of a record that was looked for at `looked`.
pub(super) fn read_entry(entry: Entry, looked: Instant) -> Event {
    Event::Read { manifest: manifest_of(&entry), gateway: probe(&entry.record), entry: Box::new(entry), looked }
}

fn scan(registry: &Registry, send: &impl Fn(Event) -> Sent) -> Sent {
    let looked = Instant::now();
    let scan = registry.scan();
    let present: BTreeSet<AgentId> = scan.entries.iter().map(|entry| entry.record.id.clone()).collect();
    let problems = scan.problems.iter().filter(|finding| finding.severity != Severity::Note).count();
    let oddities = Oddities { external: scan.external.len(), problems };
    scan.entries.into_iter().try_for_each(|entry| send(read_entry(entry, looked)))?;
    send(Event::Scanned { present, oddities, looked })
}
