//! The namespace: which files exist, what reading one shows and what writing one
//! means. From a snapshot to nodes and bytes, and from written bytes to a
//! command; pure. One table ([`table`]) says what there is: lookup, listings, the
//! mounted README and the documentation come from its rows.

mod homes;
mod log;
mod node;
mod readme;
mod render;
pub mod table;
mod turns;
mod wait;
mod write;

pub use log::{ALL_AGENTS, Log};
pub use node::Node;
pub use render::{Content, content};
pub use wait::wait;
pub use write::{Written, change_queue, may_write, name, queued as queue_command, written};

use crate::model::{AgentView, Listing, Queued, Snapshot, Status};
use jiff::Timestamp;
use std::path::PathBuf;
use std::sync::Arc;
use table::{AGENT, AgentFile, Form, HOME, HomeFile, ROOT, RootFile, WaitFile};

/// Where a link leads whose target nobody knows: nowhere.
const UNKNOWN: &str = "unknown";

/// What kind of thing a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// A directory.
    Dir,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
}

/// What `stat` says of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// The kind.
    pub kind: NodeKind,
    /// Permission bits.
    pub mode: u16,
    /// Bytes that reading gives.
    pub size: u64,
    /// When it last changed; none where that means nothing.
    pub mtime: Option<Timestamp>,
}

/// One row of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: Arc<str>,
    /// What it is.
    pub node: Node,
}

/// The child `name` of directory `parent`, if there is one now.
pub fn lookup(snapshot: &Snapshot, parent: Node, name: &str) -> Option<Node> {
    match parent {
        Node::Root => ROOT.iter().find(|row| row.name == name).and_then(|row| row.file.node(snapshot)),
        Node::Agents => snapshot.agents.get(name).map(|agent| Node::Agent(agent.slot)),
        Node::Stopped => snapshot.stopped.get(name).map(|agent| Node::Agent(agent.slot)),
        Node::ById => {
            snapshot.all().find(|(_, agent)| agent.id.as_str() == name).map(|(_, agent)| Node::IdLink(agent.slot))
        }
        Node::ByStatus => Status::ALL.into_iter().find(|status| status.as_str() == name).map(Node::StatusDir),
        Node::StatusDir(status) => {
            snapshot.agents.get(name).filter(|agent| agent.status() == status).map(|agent| Node::StatusLink(agent.slot))
        }
        Node::ByTool => tools_in_use(snapshot).find(|tool| *tool == name).map(Node::tool_dir),
        Node::ToolDir(tool) => {
            let agent = snapshot.agents.get(name)?;
            (Node::tool_dir(&agent.state.identity.tool) == Node::ToolDir(tool)).then_some(Node::ToolLink(agent.slot))
        }
        Node::Homes => homes::lookup(snapshot, name),
        Node::Home(number) => {
            homes::find(snapshot, number)?;
            HOME.iter().find(|row| row.name == name).map(|row| Node::HomeFile(number, row.file))
        }
        Node::HomeFile(number, HomeFile::Agents) => {
            homes::links(snapshot, number).into_iter().find(|link| *link.name == *name).map(|link| link.node)
        }
        Node::Tools => {
            let tool = name.strip_suffix(".toml")?;
            snapshot.tools.iter().find(|(known, _)| known.as_ref() == tool).map(|(known, _)| Node::tool_file(known))
        }
        Node::Agent(slot) => {
            let (_, agent) = snapshot.by_slot(slot)?;
            AGENT.iter().find(|row| row.name == name).and_then(|row| log::agent_node(agent, row.file))
        }
        Node::AgentFile(slot, AgentFile::Wait) | Node::WaitFile(slot, WaitFile::Turn) => {
            wait::child(snapshot.by_slot(slot)?.1, parent, name)
        }
        Node::AgentFile(slot, AgentFile::Turns) => turns::lookup(snapshot, slot, name),
        Node::AgentFile(slot, AgentFile::Queue) => {
            let (_, agent) = snapshot.by_slot(slot)?;
            agent.queue.iter().find(|queued| *queued.name == *name).map(|_| Node::queued(slot, name))
        }
        Node::Turn(slot, turn) => turns::rows(snapshot, slot, turn)?
            .find(|row| row.name == name)
            .map(|row| Node::TurnFile(slot, turn, row.file)),
        _ => None,
    }
}

/// Everything in directory `dir`, or none when it is not a directory or is gone.
/// The order does not matter: cookies come from inodes, which are identity.
pub fn entries(snapshot: &Snapshot, dir: Node) -> Option<Vec<Entry>> {
    let entry = |name: &str, node| Entry { name: name.into(), node };
    let agents = |listing: Listing, node: fn(u32) -> Node| {
        snapshot.listing(listing).iter().map(move |(name, agent)| Entry { name: name.clone(), node: node(agent.slot) })
    };
    Some(match dir {
        Node::Root => {
            let rows = ROOT.iter().filter_map(|row| Some(entry(row.name, row.file.node(snapshot)?)));
            rows.collect()
        }
        Node::Agents => agents(Listing::Live, Node::Agent).collect(),
        Node::Stopped => agents(Listing::Stopped, Node::Agent).collect(),
        Node::ById => snapshot
            .all()
            .map(|(_, agent)| Entry { name: agent.id.0.clone(), node: Node::IdLink(agent.slot) })
            .collect(),
        Node::ByStatus => {
            Status::ALL.into_iter().map(|status| entry(status.as_str(), Node::StatusDir(status))).collect()
        }
        Node::StatusDir(status) => snapshot
            .agents
            .iter()
            .filter(|(_, agent)| agent.status() == status)
            .map(|(name, agent)| Entry { name: name.clone(), node: Node::StatusLink(agent.slot) })
            .collect(),
        Node::ByTool => {
            let mut tools: Vec<&str> = tools_in_use(snapshot).collect();
            tools.sort_unstable();
            tools.dedup();
            tools.into_iter().map(|tool| entry(tool, Node::tool_dir(tool))).collect()
        }
        Node::ToolDir(_) => snapshot
            .agents
            .iter()
            .filter(|(_, agent)| Node::tool_dir(&agent.state.identity.tool) == dir)
            .map(|(name, agent)| Entry { name: name.clone(), node: Node::ToolLink(agent.slot) })
            .collect(),
        Node::Homes => snapshot.homes.keys().map(|number| entry(&number.to_string(), Node::Home(*number))).collect(),
        Node::Home(number) => {
            homes::find(snapshot, number)?;
            HOME.iter().map(|row| entry(row.name, Node::HomeFile(number, row.file))).collect()
        }
        Node::HomeFile(number, HomeFile::Agents) => {
            homes::find(snapshot, number)?;
            homes::links(snapshot, number)
        }
        Node::Tools => {
            snapshot.tools.iter().map(|(name, _)| entry(&format!("{name}.toml"), Node::tool_file(name))).collect()
        }
        Node::Agent(slot) => {
            let (_, agent) = snapshot.by_slot(slot)?;
            let listed = AGENT.iter().filter(|row| row.form.is_listed());
            listed.filter_map(|row| Some(entry(row.name, log::agent_node(agent, row.file)?))).collect()
        }
        // What is in them makes its reader wait.
        Node::AgentFile(slot, AgentFile::Wait) | Node::WaitFile(slot, WaitFile::Turn) => {
            snapshot.by_slot(slot)?;
            Vec::new()
        }
        Node::AgentFile(slot, AgentFile::Turns) => turns::entries(snapshot, slot)?,
        Node::AgentFile(slot, AgentFile::Queue) => {
            let (_, agent) = snapshot.by_slot(slot)?;
            let entry = |queued: &Queued| Entry { name: queued.name.clone(), node: Node::queued(slot, &queued.name) };
            agent.queue.iter().map(entry).collect()
        }
        Node::Turn(slot, turn) => turns::rows(snapshot, slot, turn)?
            .map(|row| entry(row.name, Node::TurnFile(slot, turn, row.file)))
            .collect(),
        _ => return None,
    })
}

/// What `stat` says of `node`, or none when there is no such node now.
pub fn attributes(snapshot: &Snapshot, node: Node) -> Option<Attributes> {
    let dir = |mtime| Attributes { kind: NodeKind::Dir, mode: 0o700, size: 0, mtime };
    match node {
        Node::Root
        | Node::Agents
        | Node::Stopped
        | Node::ById
        | Node::ByStatus
        | Node::ByTool
        | Node::Homes
        | Node::Tools => Some(dir(None)),
        Node::Home(number) => homes::find(snapshot, number).map(|home| dir(Some(home.last_seen))),
        Node::HomeFile(number, file) => {
            let mtime = Some(homes::find(snapshot, number)?.last_seen);
            match file.row().form {
                Form::Dir => Some(dir(mtime)),
                Form::Link => link_attributes(snapshot, node, mtime),
                form => {
                    let size = content(snapshot, node)?.len() as u64;
                    Some(Attributes { kind: NodeKind::File, mode: form.mode(), size, mtime })
                }
            }
        }
        Node::StatusDir(_) => Some(dir(None)),
        Node::ToolDir(_) => tools_in_use(snapshot).any(|tool| Node::tool_dir(tool) == node).then(|| dir(None)),
        Node::Agent(slot) => snapshot.by_slot(slot).map(|(_, agent)| dir(Some(agent.state.status_since))),
        Node::IdLink(_) | Node::StatusLink(_) | Node::ToolLink(_) | Node::HomeLink(_) | Node::LastTurn(_) => {
            link_attributes(snapshot, node, None)
        }
        Node::Turn(slot, turn) => turns::find(snapshot, slot, turn).map(|turn| dir(Some(turn.changed_at()))),
        // One that is being written is not in the queue yet, and one that was taken out may still be open.
        Node::Queued(slot, _) => {
            let (_, agent) = snapshot.by_slot(slot)?;
            let size = content(snapshot, node)?.len() as u64;
            Some(Attributes { kind: NodeKind::File, mode: Form::ReadWrite.mode(), size, mtime: Some(agent.changed_at) })
        }
        Node::TurnFile(slot, turn, file) => {
            let mtime = Some(turns::find(snapshot, slot, turn)?.changed_at());
            if file.row().form == Form::Link {
                return link_attributes(snapshot, node, mtime);
            }
            let size = content(snapshot, node)?.len() as u64;
            Some(Attributes { kind: NodeKind::File, mode: file.row().form.mode(), size, mtime })
        }
        Node::RootFile(_) | Node::ToolFile(_) => {
            let mode = match node {
                Node::RootFile(file) => file.row().form.mode(),
                _ => 0o400,
            };
            let size = content(snapshot, node)?.len() as u64;
            Some(Attributes { kind: NodeKind::File, mode, size, mtime: None })
        }
        Node::Log(slot, ..) => Some(log::attributes(snapshot, slot, &content(snapshot, node)?)),
        Node::AgentFile(slot, file) => {
            let (_, agent) = snapshot.by_slot(slot)?;
            let mtime = Some(if file == AgentFile::Status { agent.state.status_since } else { agent.changed_at });
            match file.row().form {
                Form::Dir => Some(dir(mtime)),
                Form::Link => link_attributes(snapshot, node, mtime),
                form => {
                    let size = content(snapshot, node).map_or(0, |content| content.len() as u64);
                    Some(Attributes { kind: NodeKind::File, mode: form.mode(), size, mtime })
                }
            }
        }
        Node::WaitFile(slot, _) | Node::WaitTurn(slot, _) => {
            let mtime = Some(snapshot.by_slot(slot)?.1.state.status_since);
            let mode = match node {
                Node::WaitFile(_, file) => file.row().form.mode(),
                _ => Form::Wait.mode(),
            };
            Some(Attributes { kind: kind(node), mode, size: 0, mtime })
        }
    }
}

fn link_attributes(snapshot: &Snapshot, node: Node, mtime: Option<Timestamp>) -> Option<Attributes> {
    let size = target(snapshot, node)?.as_os_str().len() as u64;
    Some(Attributes { kind: NodeKind::Link, mode: 0o777, size, mtime })
}

/// The same of an open part of a growing file that no name leads to any more.
pub fn attributes_of_open(snapshot: &Snapshot, node: Node, content: &Content) -> Option<Attributes> {
    match (node, content) {
        (Node::Log(slot, ..), Content::Growing(part, format)) => {
            Some(log::attributes(snapshot, slot, &Content::Growing(part.to_its_end(), *format)))
        }
        _ => None,
    }
}

/// Where the symbolic link `node` points, or none when it is not one or is gone.
pub fn target(snapshot: &Snapshot, node: Node) -> Option<PathBuf> {
    let agent = |slot| snapshot.by_slot(slot);
    let to = |up: &str, (listing, agent): (Listing, &Arc<AgentView>)| {
        let dir = match listing {
            Listing::Live => "agents",
            Listing::Stopped => "stopped",
        };
        PathBuf::from(format!("{up}{dir}/{}", agent.dir_name))
    };
    match node {
        Node::IdLink(slot) => agent(slot).map(|found| to("../", found)),
        Node::StatusLink(slot) | Node::ToolLink(slot) => agent(slot).map(|found| to("../../", found)),
        Node::HomeLink(slot) => agent(slot).map(|found| to("../../../", found)),
        Node::HomeFile(number, HomeFile::Path) => homes::find(snapshot, number).map(|home| home.path.clone()),
        Node::TurnFile(slot, turn, file) => turns::target(snapshot, slot, turn, file),
        Node::LastTurn(slot) => {
            let (_, view) = agent(slot)?;
            view.turns.last().map(|turn| PathBuf::from(turn.number.to_string()))
        }
        Node::AgentFile(slot, file) => {
            let (_, view) = agent(slot)?;
            let identity = &view.state.identity;
            match file {
                AgentFile::Manifest => Some(identity.manifest_path.to_path_buf()),
                AgentFile::Record => Some(view.record_path.to_path_buf()),
                // A record without a session root still has a manifest, and that a directory.
                AgentFile::Session => Some(match &identity.session_root {
                    Some(root) => root.to_path_buf(),
                    None => identity.manifest_path.parent()?.to_owned(),
                }),
                AgentFile::Transcript => Some(match &view.transcript {
                    Some(transcript) => transcript.path.to_path_buf(),
                    None => UNKNOWN.into(),
                }),
                // Without a readable manifest nobody knows; a link to nowhere says so.
                AgentFile::Cwd => Some(PathBuf::from(identity.working_directory.as_deref().unwrap_or(UNKNOWN))),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The kind of `node`, which never changes.
pub fn kind(node: Node) -> NodeKind {
    match node {
        Node::RootFile(_) | Node::ToolFile(_) | Node::Queued(..) | Node::Log(..) => NodeKind::File,
        Node::IdLink(_) | Node::StatusLink(_) | Node::ToolLink(_) | Node::HomeLink(_) | Node::LastTurn(_) => {
            NodeKind::Link
        }
        Node::HomeFile(_, file) => kind_of(file.row().form),
        Node::WaitTurn(..) => NodeKind::File,
        Node::TurnFile(_, _, file) => kind_of(file.row().form),
        Node::WaitFile(_, file) => kind_of(file.row().form),
        Node::AgentFile(_, file) => kind_of(file.row().form),
        _ => NodeKind::Dir,
    }
}

/// The queued prompt that is `node`, if it waits.
pub(crate) fn queued(agent: &AgentView, node: Node) -> Option<&Queued> {
    let Node::Queued(slot, _) = node else { return None };
    agent.queue.iter().find(|queued| Node::queued(slot, &queued.name) == node)
}

fn kind_of(form: Form) -> NodeKind {
    match form {
        Form::Link => NodeKind::Link,
        Form::Dir => NodeKind::Dir,
        Form::Read | Form::ReadWrite | Form::Wait | Form::Ask => NodeKind::File,
    }
}

fn tools_in_use(snapshot: &Snapshot) -> impl Iterator<Item = &str> {
    snapshot.agents.values().map(|agent| agent.state.identity.tool.as_str()).filter(|tool| is_dir_name(tool))
}

/// A record's tool is any text; only some text can be a directory's name.
fn is_dir_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && name != "."
        && name != ".."
        && !name.contains(|c: char| c == '/' || c.is_control())
}

/// Whether what directory `dir` lists stays as it is while the directory is there.
pub fn is_constant(snapshot: &Snapshot, dir: Node) -> bool {
    match dir {
        Node::Agent(slot) => snapshot.by_slot(slot).is_some_and(|(_, agent)| log::is_constant(agent)),
        _ => false,
    }
}

impl RootFile {
    fn node(self, snapshot: &Snapshot) -> Option<Node> {
        Some(match self {
            Self::Agents => Node::Agents,
            Self::Stopped => Node::Stopped,
            Self::ById => Node::ById,
            Self::ByStatus => Node::ByStatus,
            Self::ByTool => Node::ByTool,
            Self::Homes => Node::Homes,
            Self::Tools => Node::Tools,
            Self::HistoryJsonl | Self::HistoryJsonlBefore => return log::root_node(snapshot, self),
            Self::Readme | Self::Control | Self::Index | Self::AgentsJsonl => Node::RootFile(self),
        })
    }
}
