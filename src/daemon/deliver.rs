//! Types into a terminal, after a look at it and under the agent's lock.

use super::clock::now;
use super::effects::{Hands, Parcel, Target};
use super::event::{Event, Link};
use super::observe::look;
use crate::engine::{Fact, Progress};
use crate::error::{Error, Kind, Result};
use crate::model::{Look, Pressed, Question, Stage, Terminal};
use crate::store::AgentLock;
use crate::tmux::Key;
use crate::tool::{Pick, Shows, Sight};
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
const RESCUES: u32 = 3;
/// How long the effect of an interrupt or an answer may take to show.
const EFFECT_SHOWS: Duration = Duration::from_secs(3);
/// How long a tool that wants its interrupt key twice is given after the first. opencode takes the second for 5 s.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// How long a dialog is given between two keys of one answer: what comes at once is taken for one paste (claude).
const KEY_GAP: Duration = Duration::from_millis(150);
/// How often to look meanwhile.
const LOOK_GAP: Duration = Duration::from_millis(25);
/// How long to wait for another process that types into the same terminal.
const LOCK_LIMIT: Duration = Duration::from_secs(10);

/// What one look shows of the composer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    shows: Option<Shows>,
    /// Whether that would be run by a shell.
    shell: bool,
    /// The last row above the composer that is not blank.
    above: Option<String>,
}

impl Seen {
    /// Whether text stands in the composer.
    fn stands(&self) -> bool {
        self.shows.is_some_and(Shows::is_draft)
    }

    /// Whether the program has done something with the submit key since, although the text still stands there: a command that
    /// it does not know, perhaps. A list of completions takes the key for itself.
    fn has_reacted(&self, before: &Self) -> bool {
        before.shows == Some(Shows::Draft) && self.above != before.above
    }
}

/// Why a prompt was not delivered, and whether anything of it may have been typed.
#[derive(Debug)]
pub(super) struct Undelivered {
    pub(super) error: Error,
    pub(super) typed: bool,
}

impl From<Error> for Undelivered {
    fn from(error: Error) -> Self {
        Self { error, typed: false }
    }
}

impl Hands {
    /// Pastes a prompt and submits it. Gives how that went once the composer has let go of it.
    pub(super) async fn deliver(&self, target: &Target, parcel: &Parcel) -> std::result::Result<Progress, Undelivered> {
        let (link, _lock) = self.take_keyboard(target).await?;
        self.check_prompt(target, look(&link.client, &link.pane).await?)?;
        let typed = target.tool.typed(&parcel.text);
        let file = parcel.file.as_deref().filter(|_| typed == parcel.text);
        let spare = file.is_none().then(|| paste_file(&typed)).transpose()?;
        let file = file.or(spare.as_ref().map(tempfile::NamedTempFile::path)).unwrap_or(Path::new(""));
        link.client.paste(&link.pane, file).await.map_err(|error| Undelivered {
            // The server refuses a paste whole; without its answer nobody knows.
            typed: !matches!(error.kind(), Kind::Gone | Kind::Busy | Kind::Invalid),
            error,
        })?;
        drop(spare);
        self.progress(target, &parcel.prompt_id, Progress::Pasted(now())).await;
        self.submit(target, link, parcel).await.map_err(|error| Undelivered { typed: true, error })
    }

    /// Presses the submit key until the composer lets go of what was pasted. Only while that stands there: in a dialog
    /// that has opened meanwhile the same key would answer it.
    async fn submit(&self, target: &Target, link: &Link, parcel: &Parcel) -> Result<Progress> {
        let key = Key::parse(&target.tool.submit_key)?;
        // Half a picture shows nothing, and proves nothing.
        let let_go = |seen: &Seen| seen.shows.is_some() && !seen.stands();
        let mut last = self.until(target, link, PASTE_SHOWS, Seen::stands).await?;
        tokio::time::sleep(target.tool.settle_for(parcel.text.len())).await;
        let at = now();
        let submitted = |presses, seen: &Seen| Progress::Submitted { at, presses, shell: seen.shell };
        for presses in 1..=1 + RESCUES {
            if target.tool.has_rules() && !last.stands() {
                return Err(not_there(target, last.shows));
            }
            link.attend();
            link.client.submit(&link.pane, &key).await?;
            // The composer was empty under our lock: what stands in it is ours.
            let seen = match self.until(target, link, SUBMIT_SHOWS, let_go).await {
                // It ended over the prompt: it has taken it.
                Err(error) if error.kind() == Kind::Gone => return Ok(submitted(presses, &last)),
                seen => seen?,
            };
            if !target.tool.has_rules() || !seen.stands() {
                return Ok(submitted(presses, &last));
            }
            let reacted = seen.has_reacted(&last);
            if reacted || presses > RESCUES {
                self.progress(target, &parcel.prompt_id, submitted(presses, &last)).await;
                return Err(still_there(target, reacted));
            }
            last = seen;
        }
        Err(still_there(target, false))
    }

    /// Looks until the screen shows what is wanted, at most `limit`; gives what it showed last.
    /// A program without rules shows nothing and is taken at its word.
    async fn until(
        &self,
        target: &Target,
        link: &Link,
        limit: Duration,
        wanted: impl Fn(&Seen) -> bool,
    ) -> Result<Seen> {
        if !target.tool.has_rules() {
            return Ok(Seen { shows: None, shell: false, above: None });
        }
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let look = look(&link.client, &link.pane).await?;
            let above = above_composer(target, &look);
            let reading = reading(target, look);
            if let Some(why) = gone(&reading) {
                let sentence = format!("{} went away while it was typed to: {why}", target.name);
                return Err(Error::new(Kind::Gone, sentence));
            }
            let seen = Seen { shows: shows(&reading), shell: reading.has(Shows::Shell), above };
            if wanted(&seen) || tokio::time::Instant::now() >= deadline {
                return Ok(seen);
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

    /// Presses the interrupt key, if there is a turn it could end: at an idle prompt it may mean something else. A second
    /// time only where the tool needs it, and while it still works.
    pub(super) async fn interrupt(&self, target: &Target) -> Result<Pressed> {
        let name = target.tool.interrupt_key.clone();
        let key = Key::parse(&name)?;
        let (link, _lock) = self.take_keyboard(target).await?;
        let reading = reading(target, look(&link.client, &link.pane).await?);
        alive(target, &reading)?;
        if shows(&reading).is_some_and(Shows::is_idle) {
            return Err(Error::new(
                Kind::Busy,
                format!("{} is not working, so there is nothing to interrupt", target.name),
            ));
        }
        let pressed_at = now();
        // Before the press: its effect may be seen before we are told that it was done.
        self.tell(Event::fact(Fact::Interrupted(target.record.id.clone()))).await;
        let stopped = |seen: &Seen| seen.shows.is_some_and(Shows::is_idle);
        let (mut presses, mut ended) = (0, false);
        while !ended && presses < if target.tool.interrupts_twice { 2 } else { 1 } {
            link.client.keys(&link.pane, std::slice::from_ref(&key)).await?;
            presses += 1;
            let limit = if presses == 1 && target.tool.interrupts_twice { AGAIN_AFTER } else { EFFECT_SHOWS };
            ended = match self.until(target, link, limit, stopped).await {
                // Some end with their turn.
                Err(error) if error.kind() == Kind::Gone => true,
                seen => stopped(&seen?) || !target.tool.has_rules(),
            };
        }
        let reason = (!ended).then(|| format!("{} was told to stop and still works; look at its screen", target.name));
        Ok(pressed("interrupt".to_owned(), vec![name], presses, pressed_at, reason))
    }

    /// Answers the question that was shown, if it is still the one on the screen.
    pub(super) async fn answer(&self, target: &Target, question: &Question, pick: Pick) -> Result<Pressed> {
        let (link, _lock) = self.take_keyboard(target).await?;
        let reading = reading(target, look(&link.client, &link.pane).await?);
        alive(target, &reading)?;
        let asked = reading.question.filter(|asked| asked.is_same(question)).ok_or_else(|| {
            let sentence = format!("{} asks something else by now, or nothing; read its question again", target.name);
            Error::new(Kind::Busy, sentence)
        })?;
        let (choice, names) = target.tool.answer(&asked, pick)?;
        let keys = names.iter().map(|key| Key::parse(key)).collect::<Result<Vec<_>>>()?;
        let pressed_at = now();
        for (at, key) in keys.iter().enumerate() {
            // A number may be the whole answer; what comes next must not go elsewhere.
            if at > 0 && self.until_answered(target, link, &asked, KEY_GAP).await? {
                break;
            }
            link.client.keys(&link.pane, std::slice::from_ref(key)).await?;
        }
        let gone = self.until_answered(target, link, &asked, EFFECT_SHOWS).await?;
        let reason =
            (!gone).then(|| format!("{} still shows the question that was answered; look at its screen", target.name));
        let verb = match pick {
            Pick::Approve => "approve".to_owned(),
            Pick::Deny => "deny".to_owned(),
            Pick::Number(number) => format!("answer {number}"),
        };
        let receipt = pressed(verb, names, 1, pressed_at, reason);
        Ok(Pressed { question: Some(asked.text.join(" ")), choice: Some(choice), ..receipt })
    }

    /// Looks until that question is not on the screen any more, at most `limit`; whether it went.
    async fn until_answered(&self, target: &Target, link: &Link, asked: &Question, limit: Duration) -> Result<bool> {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let reading = reading(target, look(&link.client, &link.pane).await?);
            if !reading.question.is_some_and(|now| now.is_same(asked)) {
                return Ok(true);
            }
            if tokio::time::Instant::now() >= deadline {
                return Ok(false);
            }
            tokio::time::sleep(LOOK_GAP).await;
        }
    }

    /// Gives the terminal another size.
    pub(super) async fn resize(&self, target: &Target, cols: u16, rows: u16) -> Result<()> {
        let link = target.link()?;
        link.client.resize(&link.pane, cols, rows).await
    }

    /// The agent's lock, and the proof that it is still the launch we know.
    pub(super) async fn take_keyboard<'a>(&self, target: &'a Target) -> Result<(&'a Link, AgentLock)> {
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

/// The receipt of keys.
pub(super) fn pressed(
    verb: String,
    keys: Vec<String>,
    presses: u32,
    pressed_at: Timestamp,
    reason: Option<String>,
) -> Pressed {
    let stage = if reason.is_none() { Stage::Confirmed } else { Stage::Unconfirmed };
    Pressed { verb, stage, question: None, choice: None, keys, presses, pressed_at, settled_at: now(), reason }
}

/// A prompt that stands in the composer, and is not submitted again.
fn still_there(target: &Target, reacted: bool) -> Error {
    let what = if reacted {
        "took the submit key and left the prompt"
    } else {
        "did not take the submit key: the prompt stands"
    };
    let sentence =
        format!("{} {what} in its composer, unsent; look at its screen, and clear it with keys", target.name);
    Error::new(Kind::TimedOut, sentence)
}

/// The last row above the composer that is not blank.
fn above_composer(target: &Target, look: &Look) -> Option<String> {
    let (screen, pane) = (&look.screen, &look.pane);
    let sight = Sight::new(&pane.title, &screen.text, &screen.ansi, pane.cursor, pane.cursor_shown);
    let rows = screen.text.lines().take(target.tool.composer_row(&sight)?);
    rows.filter(|row| !row.trim().is_empty()).last().map(str::to_owned)
}

/// Why the submit key is not pressed after a paste.
fn not_there(target: &Target, shows: Option<Shows>) -> Error {
    let name = &target.name;
    match shows {
        Some(shows) if shows.is_blocked() => Error::new(
            Kind::Busy,
            format!(
                "{name} opened a dialog over the prompt that was just pasted, so it was not submitted; look at its screen"
            ),
        ),
        _ => Error::new(
            Kind::TimedOut,
            format!(
                "the prompt that was pasted did not show in the composer of {name}, so it was not submitted; look at its screen"
            ),
        ),
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
    gone(reading)
        .map_or(Ok(()), |why| Err(Error::new(Kind::Gone, format!("nothing was typed to {}: {why}", target.name))))
}

/// Why the agent's program does not own the keyboard.
fn gone(reading: &Reading) -> Option<&str> {
    match &reading.liveness {
        Liveness::Alive => None,
        Liveness::Dead(why) | Liveness::Ended(why) | Liveness::Behind(why) | Liveness::Failed(why) => Some(why),
        Liveness::NoSession | Liveness::Unseen => Some("its session is gone"),
    }
}

/// The text in a file of our own, for the tmux server to read: as an argument it would have to be quoted and would
/// show in the list of processes. Used where the session root has no room for it.
fn paste_file(text: &str) -> Result<tempfile::NamedTempFile> {
    let dir = std::env::temp_dir();
    let failed = |error: std::io::Error| Error::io(format!("cannot write the prompt into {}", dir.display()), &error);
    let mut file = tempfile::Builder::new().prefix("troop-paste-").tempfile_in(&dir).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    Ok(file)
}
