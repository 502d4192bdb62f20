//! The words of `state.json`: what may stand in each of its fields that has a closed list of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The one word in `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Launched; the program is not ready yet.
    Starting,
    /// Waiting for a prompt.
    Ready,
    /// A prompt was accepted and its turn has not been seen yet.
    Pending,
    /// Working on a turn.
    Active,
    /// Waiting for a person's answer or approval.
    Blocked,
    /// Alive, but what it is doing cannot be told.
    Unknown,
    /// The session is there, the program has ended.
    Down,
    /// The session is gone, or the agent was stopped.
    Gone,
}

impl Status {
    /// Every status, in the order of the contract's tree.
    pub const ALL: [Self; 8] = [
        Self::Starting,
        Self::Ready,
        Self::Pending,
        Self::Active,
        Self::Blocked,
        Self::Unknown,
        Self::Down,
        Self::Gone,
    ];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Blocked => "blocked",
            Self::Unknown => "unknown",
            Self::Down => "down",
            Self::Gone => "gone",
        }
    }

    /// Whether a program may be there to type into.
    pub fn is_alive(self) -> bool {
        !matches!(self, Self::Down | Self::Gone)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vmeta])* $variant),+ }
    };
}

words! {
    /// Yes, no, or cannot be told.
    Tristate {
        /// Yes.
        Yes,
        /// No.
        No,
        /// Cannot be told.
        #[default] Unknown,
    }
}
words! {
    /// Whether the agent can be observed and driven at all.
    Availability {
        /// Observed and understood.
        Available,
        /// No session.
        Unavailable,
        /// A session without the program.
        TuiDown,
        /// Observation failed.
        Error,
        /// Not observed yet, or a program nobody here understands.
        #[default] Unknown,
    }
}
words! {
    /// Whether tmux has the session.
    TransportState {
        /// It has.
        TmuxUp,
        /// It has not.
        #[default] TmuxMissing,
        /// Asking failed.
        ProbeError,
    }
}
words! {
    /// Whether the program runs in the session.
    ProcessState {
        /// It does.
        TuiUp,
        /// It does not.
        TuiDown,
        /// There is no definition for this tool.
        UnsupportedTool,
        /// Asking failed.
        ProbeError,
        /// Not observed yet.
        #[default] Unknown,
    }
}
words! {
    /// Whether the screen was understood.
    ParseStatus {
        /// A rule of the tool matched or could have.
        Parsed,
        /// There is no program whose screen it would be.
        SkippedTuiDown,
        /// There are no rules for this tool.
        UnsupportedTool,
        /// There is no screen.
        #[default] TransportUnavailable,
        /// Asking failed.
        ProbeError,
        /// The screen could not be read.
        ParseError,
    }
}
words! {
    /// Where a turn stands.
    TurnPhase {
        /// No turn; a prompt may be sent.
        Ready,
        /// A turn runs.
        Active,
        /// A turn waits for a person.
        Blocked,
        /// Cannot be told.
        #[default] Unknown,
    }
}
words! {
    /// How the last turn ended.
    TurnResult {
        /// With an answer.
        Success,
        /// By an interrupt.
        Interrupted,
        /// With an error the program showed.
        KnownFailure,
        /// No turn has ended yet.
        #[default] None,
    }
}
words! {
    /// How the last turn is known to have begun.
    TurnSource {
        /// A prompt of ours.
        ExplicitInput,
        /// Seen on the screen.
        SurfaceInference,
        /// No turn is known.
        #[default] None,
    }
}
words! {
    /// What the program's interface is busy with.
    BusinessState {
        /// Nothing.
        Idle,
        /// A turn.
        Working,
        /// A question to a person.
        AwaitingOperator,
        /// Cannot be told.
        #[default] Unknown,
    }
}
words! {
    /// What typing would do.
    InputMode {
        /// Write into the composer.
        Freeform,
        /// Choose in a dialog.
        Modal,
        /// Nothing.
        Closed,
        /// Cannot be told.
        #[default] Unknown,
    }
}
words! {
    /// What stands in front of the composer.
    UiContext {
        /// Nothing.
        NormalPrompt,
        /// A menu.
        SelectionMenu,
        /// The list of slash commands.
        SlashCommand,
        /// A question whether to trust a directory.
        TrustPrompt,
        /// A question whether to run something.
        ApprovalPrompt,
        /// An error.
        ErrorBanner,
        /// Cannot be told.
        #[default] Unknown,
    }
}
words! {
    /// What, if anything, needs a person.
    Attention {
        /// Nothing.
        #[default] None,
        /// An answer to the program's question.
        Answer,
        /// A look: the state has been unknown, or the program is gone.
        Look,
    }
}

words! {
    /// Whether the program's conversation is whole.
    ChatContext {
        /// It is.
        Current,
        /// The program says that it has lost some.
        Degraded,
        /// Cannot be told.
        #[default] Unknown,
    }
}
