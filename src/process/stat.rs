//! `/proc/PID/stat` (proc_pid_stat(5)).

/// The fields that are used here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stat {
    /// The program's name: up to 15 bytes of anything, spaces and parentheses too.
    pub(super) comm: String,
    /// One letter, field 3.
    pub(super) state: char,
    /// Field 4.
    pub(super) parent: i32,
    /// Field 5.
    pub(super) group: i32,
    /// The foreground process group of its terminal, field 8; -1 without a terminal.
    pub(super) terminal_group: i32,
    /// The kernel's flags, field 9.
    pub(super) flags: u32,
    /// In clock ticks since boot, field 22.
    pub(super) start_time: u64,
}

impl Stat {
    /// Reads the line; `None` when it is not one.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        // The name is whatever stands between the first '(' and the last ')'.
        let (open, close) = (text.find('(')?, text.rfind(')')?);
        let comm = text.get(open + 1..close)?.to_owned();
        // From field 3 on.
        let fields: Vec<&str> = text[close + 1..].split_ascii_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<i32>().ok();
        Some(Self {
            comm,
            state: fields.first()?.chars().next()?,
            parent: number(4)?,
            group: number(5)?,
            terminal_group: number(8)?,
            flags: fields.get(9 - 3)?.parse().ok()?,
            start_time: fields.get(22 - 3)?.parse().ok()?,
        })
    }

    /// A signal is ending it (`PF_SIGNALED`).
    pub(super) fn is_signalled(&self) -> bool {
        const PF_SIGNALED: u32 = 0x400;
        self.flags & PF_SIGNALED != 0
    }

    /// A signal or a debugger keeps it from running.
    pub(super) fn is_stopped(&self) -> bool {
        matches!(self.state, 'T' | 't')
    }

    /// It has ended and only waits for its parent to notice.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = "S 1 42 42 34816 43 4194304 100 0 0 0 0 0 0 0 20 0 1 0 987654 1000 1 18446744073709551615";

    #[test]
    fn names_may_hold_anything() {
        for name in ["bash", "a b", "x) S 9 9 (y", "((", "Web Content", ""] {
            let stat = Stat::parse(format!("42 ({name}) {REST}\n").as_bytes()).unwrap();
            assert_eq!(stat.comm, name);
            assert_eq!((stat.state, stat.parent, stat.group), ('S', 1, 42));
            assert_eq!((stat.terminal_group, stat.start_time), (43, 987_654));
        }
    }

    #[test]
    fn other_text_is_none() {
        for text in ["", "42", "42 (a", "42 (a)", ")(", "42 (a) S 1", "42 (a) S x 42 42 0 -1"] {
            assert_eq!(Stat::parse(text.as_bytes()), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_stat_or_not(bytes: Vec<u8>) {
            let _ = Stat::parse(&bytes);
        }
    }
}
