//! Types into a terminal, after a look at it and under the agent's lock.

use super::clock::now;
use super::effects::{Hands, Target};
use super::event::Link;
use super::observe::look;
use crate::error::{Error, Kind, Result};
use crate::model::{Look, Terminal};
use crate::store::AgentLock;
use crate::store::lock::our_directory;
use crate::tmux::Key;
use crate::tool::Shows;
use crate::tracker::{Liveness, Reading, read};
use jiff::Timestamp;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// How long a pasted text may take to show in the composer. A program that was
/// slow to take it in swallows a submit key that comes first.
const PASTE_SHOWS: Duration = Duration::from_secs(3);
/// How long a submitted text may go on standing in the composer.
const SUBMIT_SHOWS: Duration = Duration::from_secs(1);
/// How often the submit key is pressed again while our text still stands there
/// (contract, section 4.5).
const RESCUES: usize = 3;
/// How often to look meanwhile.
const LOOK_GAP: Duration = Duration::from_millis(25);
/// How long to wait for another process that types into the same terminal.
const LOCK_LIMIT: Duration = Duration::from_secs(10);

impl Hands {
    /// Pastes a prompt and submits it. Gives the moment before the submit key.
    pub(super) async fn deliver(&self, target: &Target, text: &str) -> Result<Timestamp> {
        let (link, _lock) = self.take_keyboard(target).await?;
        self.check_prompt(target, look(&link.client, &link.pane).await?)?;
        let file = paste_file(target, text)?;
        link.client.paste(&link.pane, file.path()).await?;
        drop(file);
        self.until(target, link, PASTE_SHOWS, |shows| !matches!(shows, Some(Shows::Ready) | None)).await?;
        tokio::time::sleep(target.tool.settle_for(text.len())).await;
        let before = now();
        for _ in 0..=RESCUES {
            link.client.submit(&link.pane, &Key::parse(&target.tool.submit_key)?).await?;
            // The composer was empty under our lock: what stands in it is ours.
            if self.until(target, link, SUBMIT_SHOWS, |shows| shows != Some(Shows::Draft)).await? {
                return Ok(before);
            }
        }
        Err(Error::new(
            Kind::TimedOut,
            format!("{} did not take the submit key: the prompt stands in its composer, unsent", target.name),
        ))
    }

    /// Looks until the screen shows what is wanted, at most `limit`; whether it did.
    /// A program without rules shows nothing and is taken at its word.
    async fn until(
        &self,
        target: &Target,
        link: &Link,
        limit: Duration,
        wanted: impl Fn(Option<Shows>) -> bool,
    ) -> Result<bool> {
        if !target.tool.has_rules() {
            return Ok(true);
        }
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let reading = reading(target, look(&link.client, &link.pane).await?);
            if !matches!(reading.liveness, Liveness::Alive) || wanted(shows(&reading)) {
                return Ok(true);
            }
            if tokio::time::Instant::now() >= deadline {
                return Ok(false);
            }
            tokio::time::sleep(LOOK_GAP).await;
        }
    }

    /// Presses keys, as they are.
    pub(super) async fn press(&self, target: &Target, keys: &[String]) -> Result<()> {
        let keys = keys.iter().map(|key| Key::parse(key)).collect::<Result<Vec<_>>>()?;
        let (link, _lock) = self.take_keyboard(target).await?;
        alive(target, &reading(target, look(&link.client, &link.pane).await?))?;
        link.client.keys(&link.pane, &keys).await
    }

    /// Presses the interrupt key once, if there is a turn it could end: at an
    /// idle prompt it may mean something else.
    pub(super) async fn interrupt(&self, target: &Target) -> Result<()> {
        let key = Key::parse(&target.tool.interrupt_key)?;
        let (link, _lock) = self.take_keyboard(target).await?;
        let reading = reading(target, look(&link.client, &link.pane).await?);
        alive(target, &reading)?;
        if shows(&reading).is_some_and(Shows::is_idle) {
            return Err(Error::new(
                Kind::Busy,
                format!("{} is not working, so there is nothing to interrupt", target.name),
            ));
        }
        link.client.keys(&link.pane, &[key]).await
    }

    /// Gives the terminal another size.
    pub(super) async fn resize(&self, target: &Target, cols: u16, rows: u16) -> Result<()> {
        let link = target.link()?;
        link.client.resize(&link.pane, cols, rows).await
    }

    /// The agent's lock, and the proof that it is still the launch we know.
    async fn take_keyboard<'a>(&self, target: &'a Target) -> Result<(&'a Link, AgentLock)> {
        let link = target.link()?;
        let (registry, root) = (self.registry.clone(), target.root.clone());
        let (id, generation, name) = (target.record.id.clone(), target.record.generation.clone(), target.name.clone());
        let locked = tokio::task::spawn_blocking(move || {
            let lock = AgentLock::acquire(&root, LOCK_LIMIT)?;
            match registry.read(&id)? {
                Some(entry) if entry.record.generation == generation => Ok(lock),
                _ => Err(Error::new(
                    Kind::Gone,
                    format!("{name} has been launched anew or removed; look at it before trying again"),
                )),
            }
        });
        let lock = locked.await.map_err(|_| Error::new(Kind::Io, "the work was cut off"))??;
        Ok((link, lock))
    }

    /// Whether a prompt pasted now would reach the composer of the right program.
    fn check_prompt(&self, target: &Target, look: Look) -> Result<()> {
        let name = &target.name;
        let input_off = look.pane.input_off;
        let reading = reading(target, look);
        alive(target, &reading)?;
        let refuse = |sentence: String| Err(Error::new(Kind::Busy, sentence));
        if input_off {
            return refuse(format!(
                "input to the pane of {name} is switched off; switch it on with tmux select-pane -e"
            ));
        }
        match shows(&reading) {
            Some(Shows::Ready) => Ok(()),
            Some(shows) if shows.is_draft() => {
                refuse(format!("{name} has unsent text in its composer; send or clear it first"))
            }
            Some(Shows::Active) => refuse(format!("{name} has begun to work; wait until its status is ready")),
            Some(shows) if shows.is_blocked() => {
                refuse(format!("{name} is asking a question; answer it first (see its screen)"))
            }
            Some(Shows::Starting) => refuse(format!("{name} is still starting; wait until its status is ready")),
            None if !reading.has_rules => Ok(()),
            _ => refuse(format!("the screen of {name} does not show a composer; look at its screen")),
        }
    }
}

/// One look, read with the agent's tool.
fn reading(target: &Target, look: Look) -> Reading {
    read(&target.tool, None, &Terminal::Seen(Box::new(look)))
}

/// What decides of one look by itself.
fn shows(reading: &Reading) -> Option<Shows> {
    reading.posture(false).map(|found| found.shows)
}

/// Whether the agent's program is there and owns the keyboard.
fn alive(target: &Target, reading: &Reading) -> Result<()> {
    let gone = |why: &str| Err(Error::new(Kind::Gone, format!("nothing was typed to {}: {why}", target.name)));
    match &reading.liveness {
        Liveness::Alive => Ok(()),
        Liveness::Dead(why) | Liveness::Ended(why) | Liveness::Behind(why) | Liveness::Failed(why) => gone(why),
        Liveness::NoSession | Liveness::Unseen => gone("its session is gone"),
    }
}

/// The text in a file of our own, for the tmux server to read: as an argument it
/// would have to be quoted and would show in the list of processes.
fn paste_file(target: &Target, text: &str) -> Result<tempfile::NamedTempFile> {
    let write = |dir: &Path| {
        let mut file = tempfile::Builder::new().prefix("paste-").tempfile_in(dir)?;
        file.write_all(text.as_bytes())?;
        Ok(file)
    };
    let dir = our_directory(&target.root);
    // A disk that is full keeps no prompt from an agent while there is room elsewhere.
    write(&dir)
        .or_else(|error: std::io::Error| write(&std::env::temp_dir()).map_err(|_| error))
        .map_err(|error| Error::io(format_args!("cannot write the prompt into {}", dir.display()), &error))
}
