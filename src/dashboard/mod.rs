//! The dashboard: all agents in one terminal. What is shown and what a key does are decided from values; only `run`,
//! `terminal` and `inbox` touch the terminal. Looking submits nothing: a command is made by a key and by nothing else.

mod draw;
mod inbox;
mod line;
mod notify;
mod rows;
mod run;
mod summary;
mod terminal;
mod ui;
mod update;
mod words;

#[cfg(test)]
mod tests;

pub use draw::draw;
pub use inbox::{Inbox, Message, Outbox, Signal};
pub use rows::{Filter, Sort};
pub use run::{Attach, Attached, Doors, Home, Notify, Tell, run};
pub use summary::summary;
pub use terminal::Terminal;
pub use ui::Ui;
pub use update::Act;
