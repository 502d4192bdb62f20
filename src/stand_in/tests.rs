//! The core as a whole: bytes in, screens out, no terminal.

use super::app::{App, EXIT_WINDOW, Size};
use super::keys::Decoder;
use super::line::Line;
use super::log::{Outcome, Record, Target};
use super::view;
use std::time::Duration;

mod terminal;

const PACE: Duration = Duration::from_millis(10);
const SMALL: Size = Size { columns: 40, rows: 12 };
const USUAL: Size = Size { columns: 80, rows: 24 };
const LARGE: Size = Size { columns: 120, rows: 40 };

/// An app, its keyboard and its clock.
struct Session {
    app: App,
    keyboard: Decoder,
    now: Duration,
    records: Vec<Record>,
}

impl Session {
    fn new(size: Size) -> Self {
        let app = App::new("alice", PACE, Duration::ZERO, size);
        Self { app, keyboard: Decoder::default(), now: Duration::ZERO, records: Vec::new() }
    }

    fn send(&mut self, bytes: &str) -> &mut Self {
        let mut inputs = self.keyboard.feed(bytes.as_bytes());
        inputs.extend(self.keyboard.settle());
        for input in inputs {
            self.app.receive(input, self.now);
        }
        self.records.extend(self.app.take_records());
        self
    }

    fn paste(&mut self, text: &str) -> &mut Self {
        self.send(&format!("\x1b[200~{text}\x1b[201~"))
    }

    /// Lets `time` pass, waking only when something is due, as the edge does.
    fn pass(&mut self, time: Duration) -> &mut Self {
        let end = self.now + time;
        while let Some(due) = self.app.next_due().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.app.tick(self.now);
        }
        self.now = end;
        self.app.tick(end);
        self.records.extend(self.app.take_records());
        self
    }

    /// Lets pass whatever is due until nothing is: until the turn is over.
    fn finish(&mut self) -> &mut Self {
        while let Some(due) = self.app.next_due() {
            let time = due.saturating_sub(self.now);
            self.pass(time);
        }
        self
    }

    fn document(&self) -> Vec<Line> {
        self.app.transcript.rows().iter().cloned().chain(view::live(&self.app)).collect()
    }

    fn screen(&self) -> String {
        let rows = self.document();
        let size = self.app.size;
        let shown = rows.iter().skip(rows.len().saturating_sub(size.rows)).map(|row| row.plain(size.columns));
        shown.collect::<Vec<_>>().join("\n")
    }

    fn prompts(&self) -> Vec<&str> {
        let prompts = self.records.iter().filter_map(|record| match record {
            Record::Prompt { text, .. } => Some(text.as_str()),
            _ => None,
        });
        prompts.collect()
    }

    fn outcomes(&self) -> Vec<Outcome> {
        let outcomes = self.records.iter().filter_map(|record| match record {
            Record::TurnEnded { outcome, .. } => Some(*outcome),
            _ => None,
        });
        outcomes.collect()
    }
}

#[test]
fn what_is_typed_and_pasted_is_submitted_as_one_prompt() {
    for (bytes, prompt) in [
        ("hello\r", "hello"),
        ("a\nb\r", "a\nb"),
        ("\x1b[200~one\n\ttwo\x1b[201~ three\r", "one\n\ttwo three"),
        ("\x1b[200~one\r\ntwo\rthree\x1b[201~\r", "one\ntwo\nthree"),
        ("abé\x7fc\r", "abc"),
        ("x🐒👩\u{200d}🚀\x7f\x7fy\r", "xy"),
        ("gone\x15kept\r", "kept"),
        (" outer \r", " outer "),
        ("\r\r \r", ""),
        ("\x1b[200~\x1b[Ax\x03\x1b[201~\r", "\x1b[Ax\x03"),
    ] {
        let mut session = Session::new(USUAL);
        let expected: &[&str] = if prompt.is_empty() { &[] } else { &[prompt] };
        assert_eq!(session.send(bytes).prompts(), expected, "{bytes:?}");
    }
}

#[test]
fn a_turn_works_answers_and_ends() {
    let mut session = Session::new(USUAL);
    assert_eq!(session.app.title(), "○ alice ready");
    session.send("hi\r");
    assert_eq!(session.app.title(), "● alice working");
    assert!(!session.screen().contains("Your prompt"));
    session.pass(PACE * 12);
    assert!(session.screen().contains("● Your prompt arrived:\n"), "{}", session.screen());
    session.finish();
    assert!(session.screen().contains("Its SHA-1 is\n  c22b5f9178342609428d6f51b2c5af4c0bde6a42."));
    assert_eq!(session.app.title(), "○ alice ready");
    assert_eq!(session.outcomes(), [Outcome::Finished]);
    assert_eq!(session.app.next_due(), None, "an idle stand-in is never woken");
}

#[test]
fn the_working_line_counts_seconds_and_wakes_once_in_each() {
    let mut session = Session::new(USUAL);
    session.pass(Duration::from_millis(300)).send("sim:work=2500\r");
    let mut wakes = 0;
    while let Some(due) = session.app.next_due() {
        wakes += 1;
        session.app.tick(due);
        if wakes == 2 {
            assert!(session.screen().contains("✶ Working (2s · esc to interrupt)\n╭─"));
        }
    }
    assert_eq!(wakes, 3, "two seconds and the end");
}

#[test]
fn escape_and_ctrl_c_interrupt_a_turn() {
    for key in ["\x1b", "\x03"] {
        let mut session = Session::new(USUAL);
        session.send("sim:work=9000\r").pass(Duration::from_secs(1)).send(key);
        assert_eq!(session.outcomes(), [Outcome::Interrupted]);
        assert!(session.screen().contains("■ Interrupted\n"));
        assert!(session.app.exit_code().is_none());
    }
    let mut session = Session::new(USUAL);
    session.send("\x1b");
    assert!(session.outcomes().is_empty());
    assert!(session.records.contains(&Record::Ignored { key: "Escape".into(), into: Target::Composer }));
}

#[test]
fn a_question_takes_digits_arrows_and_escape() {
    for (keys, choice, text) in [
        ("1", 1, "Yes"),
        ("2", 2, "Yes, always"),
        ("3", 3, "No"),
        ("\r", 1, "Yes"),
        ("\x1b[B\r", 2, "Yes, always"),
        ("\x1b[B\x1b[B\x1b[B\r", 3, "No"),
        ("\x1b[B\x1b[A\x1b[A\r", 1, "Yes"),
        ("\x1b", 3, "No"),
        ("\x03", 3, "No"),
        ("4xy\x1b[200~1\x1b[201~3", 3, "No"),
    ] {
        let mut session = Session::new(USUAL);
        session.send("sim:ask sim:say=done\r");
        assert_eq!(session.app.title(), "◆ alice asks");
        assert_eq!(session.app.next_due(), None, "a question waits for a person alone");
        session.send(keys).finish();
        assert!(session.records.contains(&Record::Answer { choice, text }), "{keys:?}: {:?}", session.records);
        assert!(session.screen().contains(&format!("◆ {text}: rm -r build/cache\n")), "{}", session.screen());
        assert!(session.screen().contains("● done\n"));
        assert_eq!(session.app.draft, "");
    }
}

#[test]
fn a_draft_survives_a_question() {
    let mut session = Session::new(USUAL);
    session.send("sim:work=100 sim:ask\rkept").pass(Duration::from_millis(100)).send("junk1").finish();
    assert!(session.records.contains(&Record::Answer { choice: 1, text: "Yes" }));
    assert_eq!(session.app.draft, "kept");
}

#[test]
fn prompts_wait_in_order_while_it_works() {
    let mut session = Session::new(USUAL);
    session.send("sim:work=500\rsim:say=second\rsim:say=third\r");
    assert!(session.screen().contains("  queued · sim:say=second\n  queued · sim:say=third\n✶ Working (0s"));
    session.finish();
    let screen = session.screen();
    assert!(screen.find("● second").unwrap() < screen.find("● third").unwrap());
    assert!(!screen.contains("queued"));
    assert_eq!(session.outcomes(), [Outcome::Finished; 3]);
    let queued: Vec<bool> = session
        .records
        .iter()
        .filter_map(|record| if let Record::Prompt { queued, .. } = record { Some(*queued) } else { None })
        .collect();
    assert_eq!(queued, [false, true, true]);
}

#[test]
fn a_full_queue_keeps_the_prompt_in_the_draft() {
    let mut session = Session::new(USUAL);
    session.send("sim:work=500\r").send(&"sim:work=0\r".repeat(101));
    assert_eq!(session.prompts().len(), 101);
    assert_eq!(session.app.draft, "sim:work=0");
    assert!(session.screen().contains("✗ The queue is full"));
}

#[test]
fn a_draft_has_a_limit() {
    let mut session = Session::new(USUAL);
    let part = "x".repeat(super::keys::MAX_PASTE);
    session.paste(&part).paste(&part).paste("y");
    assert_eq!(session.app.draft.len(), super::app::typing::MAX_DRAFT);
    assert!(session.screen().contains("✗ The draft is full"));
}

#[test]
fn an_interrupt_ends_one_turn_and_the_next_prompt_follows() {
    let mut session = Session::new(USUAL);
    session.send("sim:work=500\rsim:say=second\r\x1b").finish();
    assert_eq!(session.outcomes(), [Outcome::Interrupted, Outcome::Finished]);
}

#[test]
fn ctrl_c_twice_leaves_only_within_a_second() {
    let mut session = Session::new(USUAL);
    session.send("\x03");
    assert!(session.screen().ends_with("  ready · press ctrl-c again to leave"));
    session.pass(EXIT_WINDOW);
    assert!(!session.screen().contains("again"));
    session.send("\x03").pass(EXIT_WINDOW / 2).send("x\x03").pass(EXIT_WINDOW / 2);
    assert_eq!(session.app.exit_code(), None, "another key came between");
    session.send("\x03");
    assert_eq!(session.app.exit_code(), Some(0));
    assert_eq!(session.records.last(), Some(&Record::Exit { code: 0 }));
    assert!(view::live(&session.app).is_empty());
    assert_eq!(session.app.title(), "");
}

#[test]
fn commands_are_not_prompts() {
    let mut session = Session::new(USUAL);
    session.send("/help\r");
    assert!(session.screen().contains("sim:exit=CODE    end the program"));
    session.send("/unknown\r").finish();
    assert_eq!(session.prompts(), ["/unknown"]);
    session.send(" /exit \rtoo late\r");
    assert_eq!(session.app.exit_code(), Some(0));
    assert_eq!(session.prompts(), ["/unknown"]);
    let mut session = Session::new(USUAL);
    assert_eq!(session.send("sim:exit=7\r").app.exit_code(), Some(7));
}

#[test]
fn up_recalls_the_last_prompt_into_an_empty_draft() {
    let mut session = Session::new(USUAL);
    session.send("\x1b[A");
    assert_eq!(session.app.draft, "");
    session.send("one\r").finish().send("\x1b[A");
    assert_eq!(session.app.draft, "one");
    session.send("!\x1b[A");
    assert_eq!(session.app.draft, "one!");
}

#[test]
fn titles_can_be_turned_off_and_on() {
    let mut session = Session::new(USUAL);
    session.send("sim:title=off sim:work=100\r");
    assert_eq!(session.app.title(), "");
    session.finish();
    assert_eq!(session.app.title(), "");
    assert_eq!(session.send("sim:title=on\r").app.title(), "○ alice ready");
}

#[test]
fn a_failure_ends_the_turn() {
    let mut session = Session::new(USUAL);
    session.send("sim:fail sim:say=never\r").finish();
    assert_eq!(session.outcomes(), [Outcome::Failed]);
    assert!(session.screen().contains("✗ The model failed: overloaded (529)."));
    assert!(!session.screen().contains("● never"));
}

#[test]
fn it_reads_nothing_before_it_has_started() {
    let mut app = App::new("slow", PACE, Duration::from_secs(5), USUAL);
    assert!(!app.reads_input());
    assert_eq!((app.title(), app.next_due()), ("◌ slow starting".into(), Some(Duration::from_secs(5))));
    assert_eq!(view::live(&app)[0].plain(80), "· Starting slow…");
    app.tick(Duration::from_secs(5));
    assert!(app.reads_input());
    assert_eq!(app.take_records().last(), Some(&Record::Ready));
}

#[test]
fn a_flood_leaves_time_to_listen() {
    let mut session = Session::new(USUAL);
    session.send("sim:lines=100000\r");
    assert_eq!(session.app.next_due(), Some(session.now));
    session.send("\x1b");
    assert_eq!(session.outcomes(), [Outcome::Interrupted]);
    session.send("sim:lines=1000\r").finish();
    assert!(session.screen().contains("  line 999\n  line 1000\n"));
}

#[test]
fn a_name_cannot_steer_the_terminal() {
    let app = App::new("a\x07\x1b]2;b", PACE, Duration::ZERO, USUAL);
    assert_eq!(app.title(), "○ a␇␛]2;b ready");
}

#[test]
fn screens() {
    for (name, size) in [("small", SMALL), ("usual", USUAL), ("large", LARGE)] {
        type Play = fn(&mut Session);
        let shots: [(&str, Play); 8] = [
            ("ready", |_| {}),
            ("draft", |session| {
                session
                    .paste("three lines of 日本語 🐒\n\n\twith a tab and a word too long for a narrow box")
                    .send("!");
            }),
            ("long-draft", |session| {
                session.paste(&(1..=40).map(|n| format!("line {n}\n")).collect::<String>());
            }),
            ("working", |session| {
                session.send("count the files\r").send("next\rand then\r").pass(PACE * 20);
            }),
            ("answer", |session| {
                session.paste("count\nthe files").send("\r").finish();
            }),
            ("question", |session| {
                session.send("clean up, sim:ask\r").send("\x1b[B");
            }),
            ("error", |session| {
                session.send("sim:fail\r").finish();
            }),
            ("trap", |session| {
                session.send("sim:trap\r").finish();
            }),
        ];
        for (shot, play) in shots {
            let mut session = Session::new(size);
            play(&mut session);
            let mut settings = insta::Settings::clone_current();
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            settings.bind(|| insta::assert_snapshot!(format!("{name}-{shot}"), session.screen()));
        }
    }
}
