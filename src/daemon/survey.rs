//! Which sessions a tmux server has: asked once for all agents that wait for
//! one, over a connection where there is one.

use super::event::{Event, Events};
use crate::tmux::{Client, Socket};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One question at a time for each server, and one more when something changed
/// in between.
#[derive(Default)]
pub(super) struct Surveys(HashMap<PathBuf, State>);

#[derive(Clone, Copy, PartialEq)]
enum State {
    Asked,
    AskAgain,
}

impl Surveys {
    /// Asks the server of `socket`, over `client` when there is one.
    pub(super) fn ask(&mut self, socket: &Socket, client: Option<Arc<Client>>, events: &Events) {
        if self.0.contains_key(socket.path()) {
            self.0.insert(socket.path().to_owned(), State::AskAgain);
            return;
        }
        self.0.insert(socket.path().to_owned(), State::Asked);
        let (socket, events) = (socket.clone(), events.clone());
        tokio::spawn(async move {
            let sessions = match client {
                Some(client) => client.sessions().await,
                None => socket.sessions().await,
            };
            let sessions = sessions.map(|found| found.into_iter().map(|session| session.name).collect());
            let _ = events.send(Event::Surveyed { socket: socket.path().to_owned(), sessions }).await;
        });
    }

    /// An answer has come; whether the question has to be asked again.
    pub(super) fn answered(&mut self, socket: &Path) -> bool {
        self.0.remove(socket) == Some(State::AskAgain)
    }
}
