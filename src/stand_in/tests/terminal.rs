//! The bytes for the terminal, seen by a terminal.

use super::{SMALL, Session, USUAL};
use crate::stand_in::app::Size;
use crate::stand_in::paint::{Document, Painter};
use crate::stand_in::{text, view};
use proptest::prelude::*;
use std::time::Duration;

/// A terminal of the simplest kind, to see what the bytes do.
struct Screen {
    size: Size,
    rows: Vec<Vec<String>>,
    scrollback: Vec<String>,
    at: (usize, usize),
}

impl Screen {
    fn new(size: Size) -> Self {
        Self { size, rows: vec![vec![" ".into(); size.columns]; size.rows], scrollback: Vec::new(), at: (0, 0) }
    }

    fn write(&mut self, bytes: &str) {
        let mut rest = bytes;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix("\x1b[") {
                let end = after.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                let numbers: Vec<usize> = after[..end].split(';').filter_map(|n| n.parse().ok()).collect();
                match &after[end..=end] {
                    "H" => self.at = (numbers[0] - 1, numbers[1] - 1),
                    "G" => self.at.1 = numbers[0] - 1,
                    "K" => self.rows[self.at.0][self.at.1..].fill(" ".into()),
                    "m" => {}
                    other => panic!("unexpected sequence {other}"),
                }
                rest = &after[end + 1..];
            } else if let Some(after) = rest.strip_prefix('\n') {
                if self.at.0 + 1 == self.size.rows {
                    let top = self.rows.remove(0).concat();
                    self.scrollback.push(top.trim_end().to_owned());
                    self.rows.push(vec![" ".into(); self.size.columns]);
                } else {
                    self.at.0 += 1;
                }
                rest = after;
            } else {
                let cluster = text::clusters(&rest[..rest.find(['\x1b', '\n']).unwrap_or(rest.len())]).next().unwrap();
                let wide = text::width(cluster);
                assert!(self.at.1 + wide <= self.size.columns, "a row is too wide: {rest}");
                let row = &mut self.rows[self.at.0];
                row[self.at.1] = cluster.into();
                row[self.at.1 + 1..self.at.1 + wide.max(1)].fill(String::new());
                self.at.1 += wide;
                rest = &rest[cluster.len()..];
            }
        }
    }

    fn text(&self) -> Vec<String> {
        self.rows.iter().map(|row| row.concat().trim_end().to_owned()).collect()
    }
}

#[derive(Debug, Clone)]
enum Act {
    Send(String),
    Pass(u64),
    Resize(Size),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let typed = prop_oneof![
        "[a-z 日🐒\n]{1,30}",
        Just("\r".to_owned()),
        Just("\x1b".to_owned()),
        Just("\x15".to_owned()),
        Just("\x1b[A".to_owned()),
        Just("sim:lines=70\r".to_owned()),
        Just("sim:trap\r".to_owned()),
        Just("sim:ask\r".to_owned()),
        "[a-z\n\t日]{0,90}".prop_map(|text| format!("\x1b[200~{text}\x1b[201~\r")),
    ];
    let size = (1_usize..130, 1_usize..50).prop_map(|(columns, rows)| Size { columns, rows });
    let act = prop_oneof![
        8 => typed.prop_map(Act::Send),
        4 => (0_u64..900).prop_map(Act::Pass),
        1 => size.prop_map(Act::Resize),
    ];
    prop::collection::vec(act, 0..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However it got there, the terminal shows the end of the document, and above it
    /// every row once.
    #[test]
    fn the_terminal_shows_the_document(acts in acts()) {
        let mut session = Session::new(USUAL);
        let mut screen = Screen::new(USUAL);
        let (mut painter, feeds) = Painter::start(USUAL);
        screen.write(&feeds);
        let mut resized = false;
        for act in acts {
            match act {
                Act::Send(bytes) => { session.send(&bytes); }
                Act::Pass(ms) => { session.pass(Duration::from_millis(ms)); }
                Act::Resize(size) => {
                    resized = true;
                    session.app.resize(size);
                    screen = Screen::new(size);
                }
            }
            let size = session.app.size;
            let live = view::live(&session.app);
            let rows = session.app.transcript.rows();
            let document = Document { forgotten: session.app.transcript.forgotten(), rows, live: &live };
            screen.write(&painter.paint(&document, size));
            prop_assert_eq!(painter.paint(&document, size), "");

            let all: Vec<String> = session.document().iter().map(|row| row.plain(size.columns)).collect();
            let mut drawn = if resized { Vec::new() } else { screen.scrollback.clone() };
            drawn.extend(screen.text());
            while drawn.last().is_some_and(String::is_empty) { drawn.pop(); }
            if resized && size.columns >= SMALL.columns {
                prop_assert!(all.ends_with(&drawn[drawn.len().saturating_sub(live.len().min(size.rows))..]));
            } else if !resized {
                prop_assert_eq!(drawn, all);
            }
        }
    }
}
