//! Gateways of Houmao: which agents have one that really answers. It types into its agent's terminal, and asks nobody;
//! so while it is there no prompt of ours is.

use super::event::{Event, Events};
use crate::engine::Fact;
use crate::model::{AgentId, Record};
use crate::process;
use crate::store::gateway;
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;
use tokio::task::AbortHandle;

/// How long it may take to answer: it is a process of this machine.
const ANSWER_LIMIT: Duration = Duration::from_millis(500);
/// The most bytes of an answer that are looked at.
const MAX_ANSWER: u64 = 4096;

/// A gateway that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gateway {
    address: String,
    pid: i32,
    start_time: u64,
}

/// The gateway that a record names, when its process lives and its port answers. Blocks for [`ANSWER_LIMIT`] a few times
/// at most.
pub(super) fn probe(record: &Record) -> Option<Gateway> {
    let named = record.gateway.as_ref().filter(|_| record.lifecycle.state.is_live())?;
    let process = gateway::process(named.state_path.parent()?).filter(|process| process.port == Some(named.port))?;
    let start_time = process::start_time(process.pid)?;
    let address = format!("{}:{}", named.host, named.port);
    answers(named.port).then_some(Gateway { address, pid: process.pid, start_time })
}

/// Whether a gateway listens there, on this machine. One that takes the question and is slow counts: it may type.
fn answers(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.set_write_timeout(Some(ANSWER_LIMIT))?;
        stream.write_all(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    match ask() {
        Ok(answer) => answer.starts_with("HTTP/1.") && answer.contains(" 200 ") && answer.contains("protocol_version"),
        Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

/// The gateways there are, until their processes end.
#[derive(Default)]
pub(super) struct Gateways(HashMap<AgentId, (Gateway, AbortHandle)>);

impl Gateways {
    /// An agent's record was read, and this is its gateway. Gives what is new in that.
    pub(super) fn seen(&mut self, id: &AgentId, gateway: Option<Gateway>, events: &Events) -> Option<Fact> {
        let before = self.0.get(id).map(|(gateway, _)| gateway);
        if before == gateway.as_ref() {
            return None;
        }
        self.forget(id);
        let address = gateway.as_ref().map(|gateway| gateway.address.clone());
        if let Some(gateway) = gateway {
            let (agent, events, pid, start_time) = (id.clone(), events.clone(), gateway.pid, gateway.start_time);
            let watching = tokio::spawn(async move {
                if process::ended(pid, start_time).await.is_ok() {
                    let _ = events.send(Event::fact(Fact::Gateway(agent, None))).await;
                }
            });
            self.0.insert(id.clone(), (gateway, watching.abort_handle()));
        }
        Some(Fact::Gateway(id.clone(), address))
    }

    /// The agent is not there any more.
    pub(super) fn forget(&mut self, id: &AgentId) {
        if let Some((_, watching)) = self.0.remove(id) {
            watching.abort();
        }
    }
}
