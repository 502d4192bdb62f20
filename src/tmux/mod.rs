//! A tmux server: a pure parser of control mode, a client of one session, and
//! the few operations that agents need.
//!
//! Commands go over a [`Client`]'s connection and never by starting a program:
//! a short-lived client costs twenty times as much, and the server tells every
//! control client about it. The exceptions ([`Socket::sessions`], [`version`] and what is in `found`) are for
//! the time before there is a connection, and for servers that are to notice nothing.

mod client;
mod connection;
mod door;
mod event;
mod found;
mod frame;
mod goodbye;
mod input;
mod key;
pub mod protocol;
mod quote;
mod respawn;
mod session;
mod socket;
mod sweep;

pub use client::Client;
pub use door::detach_all;
pub use event::{ClientId, Event, What};
pub use frame::{Frame, MAX_SCROLLBACK_LINES};
pub use input::MAX_KEYS;
pub use key::Key;
pub use quote::{literal_format, quote};
pub use session::{Created, MAX_SIDE, NewSession, PanePlace, Respawn, SessionInfo};
pub use socket::{ONE_SHOT_DEADLINE, SOCKET_VARIABLE, Socket, version};
