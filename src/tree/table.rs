//! The table: every name there is, what it is and what it is for. Adding a file
//! is adding a row here and an arm in `render` or `write`.

/// What a file can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// It is read.
    Read,
    /// It is read and written.
    ReadWrite,
    /// It is read, and reading waits.
    Wait,
    /// It is written, then read, and reading waits.
    Ask,
    /// It is a symbolic link.
    Link,
    /// It is a directory.
    Dir,
}

impl Form {
    /// Permission bits: the owner's only (contract, section 1).
    pub fn mode(self) -> u16 {
        match self {
            Self::Read | Self::Wait => 0o400,
            Self::ReadWrite | Self::Ask => 0o600,
            Self::Link => 0o777,
            Self::Dir => 0o700,
        }
    }

    /// Whether a listing has it. What makes its reader wait is found by name alone, so
    /// that whoever reads all there is never waits (contract, section 2.2).
    pub fn is_listed(self) -> bool {
        !matches!(self, Self::Wait | Self::Ask)
    }
}

/// One row of the table.
#[derive(Debug)]
pub struct Row<F: 'static> {
    /// The name in its directory.
    pub name: &'static str,
    /// What it can do.
    pub form: Form,
    /// What it is for, in one line.
    pub doc: &'static str,
    /// Which it is.
    pub file: F,
}

macro_rules! table {
    ($(#[$meta:meta])* $table:ident of $(#[$emeta:meta])* $files:ident { $($file:ident $name:literal $form:ident $doc:literal;)+ }) => {
        $(#[$emeta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $files { $(#[doc = $doc] $file),+ }

        $(#[$meta])*
        pub const $table: &[Row<$files>] = &[
            $(Row { name: $name, form: Form::$form, doc: $doc, file: $files::$file }),+
        ];

        impl $files {
            /// Its row.
            pub fn row(self) -> &'static Row<Self> {
                &$table[self as usize]
            }

            /// The file of a row's number.
            pub fn from_number(number: u8) -> Option<Self> {
                $table.get(usize::from(number)).map(|row| row.file)
            }
        }
    };
}

table! {
    /// What is at the top of the mount.
    ROOT of
    /// A name at the top of the mount.
    RootFile {
        Readme "README" Read "how to use the mount";
        Control "control" ReadWrite "verbs for the whole troop; reading lists them";
        Index "index" Read "one line per agent, TAB-separated: name status tool since cwd";
        AgentsJsonl "agents.jsonl" Read "one line per live agent, as in troop list --json, with its generation and record";
        HistoryJsonl "history.jsonl" Read "every agent's events in one file, one a line";
        HistoryJsonlBefore "history.jsonl.1" Read "what it was before it was full; there from then on";
        Agents "agents" Dir "one directory per live agent; mkdir launches one";
        Stopped "stopped" Dir "agents that were stopped and can be relaunched; rmdir retires one";
        ById "by-id" Dir "the same agents by their registry id";
        ByStatus "by-status" Dir "the live agents by status";
        ByTool "by-tool" Dir "the live agents by tool";
        Homes "homes" Dir "the Homes of this machine, the directories in which agents have their sessions, by number";
        Tools "tools" Dir "the tool definitions in force";
    }
}

table! {
    /// What is in an agent's directory.
    AGENT of
    /// A name in an agent's directory.
    AgentFile {
        Status "status" Read "one word: starting ready pending active blocked unknown down gone; its mtime is when it changed";
        State "state.json" Read "the full live state";
        History "history" Read "who did what and when, for people; append-only";
        HistoryJsonl "history.jsonl" Read "the same for programs, one event a line";
        HistoryBefore "history.1" Read "what history was before it was full; there from then on";
        HistoryJsonlBefore "history.jsonl.1" Read "the same for programs";
        Screen "screen" Read "the visible terminal as plain text";
        ScreenAnsi "screen.ansi" Read "the visible terminal with its colours";
        Scrollback "scrollback" Read "what has scrolled off the terminal, then what is visible";
        Reply "reply" Read "the answer of the last turn that ended; empty when it has none";
        Question "question" Read "what it asks, with its numbered choices; empty when it asks nothing";
        Explain "explain" Read "why status says what it says: the rule, the rows it matched, and what else was found";
        Prompt "prompt" ReadWrite "write a prompt: one per open and close; read the last one accepted";
        Ask "ask" Ask "write a prompt, then read its answer from the same descriptor; not listed";
        Wait "wait" Dir "files that make their reader wait; not listed";
        Control "control" ReadWrite "verbs; reading lists those legal now";
        Keys "keys" ReadWrite "raw keys for the terminal, one name a line; reading says which there are";
        Delivery "delivery.jsonl" Read "what became of each prompt, one receipt a line: confirmed, unconfirmed or refused";
        DeliveryBefore "delivery.jsonl.1" Read "what delivery.jsonl was before it was full; there from then on";
        Queue "queue" Dir "prompts that wait until it is ready, in name order: create a file to add one, rm takes it out";
        Turns "turns" Dir "the last turns by number, each with turn.json, prompt and reply; last is a link to the last one";
        Error "error" Read "the sentence behind the last refused write";
        Manifest "manifest" Link "the session's manifest.json on disk";
        Record "record" Link "the registry's record.json on disk";
        Session "session" Link "the session root";
        Transcript "transcript" Link "the log that its program keeps of the conversation; `unknown` while it is not certain which";
        Cwd "cwd" Link "the directory the agent works in";
    }
}

table! {
    /// What can be waited for, in an agent's `wait` directory.
    WAIT of
    /// A name in `wait`.
    WaitFile {
        Ready "ready" Wait "until its status is ready";
        Active "active" Wait "until its status is active";
        Blocked "blocked" Wait "until its status is blocked";
        Settled "settled" Wait "until it needs a person: ready, blocked, down, gone, or unknown for 30 s";
        Gone "gone" Wait "until it has gone";
        Change "change" Wait "until its status, its last turn or how that ended is another";
        Turn "turn" Dir "turn/N: until turn N has ended, which may be the next";
    }
}

table! {
    /// What is in a turn's directory.
    TURN of
    /// A name in a turn's directory.
    TurnFile {
        Json "turn.json" Read "when it began and ended, how it is known, how it ended, and its prompt's id";
        Prompt "prompt" Read "what was asked; empty where nobody asked through troop";
        Reply "reply" Read "what was answered; empty while it goes on and where there is no answer";
        Stdout "stdout" Link "what its program printed; of a turn that was a process of its own";
        Stderr "stderr" Link "what that complained of";
        Exit "exitcode" Link "what it exited with; leads nowhere while it runs";
    }
}

table! {
    /// What is in a Home's directory.
    HOME of
    /// A name in a Home's directory.
    HomeFile {
        Path "path" Link "where it is";
        Summary "summary.json" Read "how many sessions it has and how many of them live, and when one was last made";
        Agents "agents" Dir "links to its agents, live and stopped";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_where_their_numbers_say() {
        for (number, row) in (0u8..).zip(AGENT) {
            assert_eq!((row.file.row().name, AgentFile::from_number(number)), (row.name, Some(row.file)));
        }
        for (number, row) in (0u8..).zip(WAIT) {
            assert_eq!((row.file.row().name, WaitFile::from_number(number)), (row.name, Some(row.file)));
        }
        for (number, row) in (0u8..).zip(ROOT) {
            assert_eq!((row.file.row().name, RootFile::from_number(number)), (row.name, Some(row.file)));
        }
    }
}
