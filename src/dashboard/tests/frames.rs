//! Every view at four sizes.

use super::*;
use crate::dashboard::{Home, draw};
use jiff::SignedDuration;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthStr;

const SIZES: [(u16, u16); 4] = [(40, 12), (80, 24), (120, 40), (200, 60)];

/// A frame, and when it changes by itself.
fn frame(ui: &mut Ui, snapshot: &Snapshot, (width, height): (u16, u16)) -> (Terminal<TestBackend>, Option<Timestamp>) {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let mut next = None;
    terminal.draw(|frame| next = draw(ui, snapshot, at(0), frame)).unwrap();
    (terminal, next)
}

/// The rows of a frame without what is blank at their ends.
fn text(ui: &mut Ui, snapshot: &Snapshot, size: (u16, u16)) -> String {
    let terminal = frame(ui, snapshot, size).0;
    let buffer = terminal.backend().buffer();
    let rows = buffer.content.chunks(size.0.into()).map(|row| {
        let mut hidden = 0;
        let shown = row.iter().filter(|cell| {
            let is_shown = hidden == 0;
            hidden = if is_shown { cell.symbol().width().saturating_sub(1) } else { hidden - 1 };
            is_shown
        });
        shown.map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned()
    });
    rows.collect::<Vec<_>>().join("\n")
}

fn homes() -> Vec<Home> {
    let home = |path: &str, active, total, seconds| Home {
        path: path.into(),
        active,
        total,
        last_seen: at(0) - SignedDuration::from_secs(seconds),
    };
    vec![
        home("/home/ann/.troop", 5, 6, 30),
        home("/home/ann/src/a-project-with-a-long-name/of-many/directories/and/more/.houmao/runtime", 0, 12, 90_000),
        home("/srv/共有/チーム/.troop", 0, 1, 4000),
    ]
}

/// What is pressed for a view. `homes` stands for their arrival.
const VIEWS: [(&str, &str); 19] = [
    ("none", ""),
    ("list", ""),
    ("empty", "/ x y z enter"),
    ("all", "f f f f f f f"),
    ("screen", "tab"),
    ("panned", "tab l l l l k k k"),
    ("overview", "tab o"),
    ("history", "tab t"),
    ("explain", "tab e"),
    ("large", "tab z"),
    ("help", "?"),
    ("homes-unknown", "H"),
    ("homes", "H homes j j"),
    ("homes-search", "H homes / a n n"),
    ("search", "/ f i x"),
    ("prompt", "j p h i"),
    ("confirm", "2"),
    ("confirm-stop", "j x"),
    ("refused", "j i"),
];

#[test]
fn every_view_at_every_size() {
    for size in SIZES {
        for (name, keys) in VIEWS {
            let snapshot = if name == "none" { Snapshot::default() } else { troop() };
            let mut ui = Ui::new(true);
            for word in keys.split(' ').filter(|word| !word.is_empty()) {
                // As it is used: there is a frame between two keys.
                frame(&mut ui, &snapshot, size);
                match word {
                    "homes" => ui.take_homes(homes()),
                    word => drop(press(&mut ui, &snapshot, word)),
                }
            }
            let (width, height) = size;
            let mut settings = insta::Settings::clone_current();
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            let shown = text(&mut ui, &snapshot, size);
            settings.bind(|| insta::assert_snapshot!(format!("{name}-{width}x{height}"), shown));
        }
    }
}

#[test]
fn no_size_and_no_key_is_too_much() {
    let keys = ["?", "H", "tab", "o", "t", "e", "2", "p", "G", "j", "h", "l", "z", "esc", "/", "f"];
    for width in [1, 9, 10, 21, 40, 99, 159, 160, 300] {
        for height in [1, 2, 3, 4, 7, 19, 20, 100] {
            let (mut ui, snapshot) = (Ui::new(true), troop());
            for word in keys {
                frame(&mut ui, &snapshot, (width, height));
                press(&mut ui, &snapshot, word);
            }
        }
    }
}

#[test]
fn a_sentence_is_read_whole() {
    let snapshot = troop();
    let sentence = "answering for a person is switched off; start it so that it may, or write that into /a/very/long/path/that/has/no/end/in/sight";
    for (size, is_whole) in
        [((40, 12), true), ((80, 24), true), ((300, 100), true), ((20, 12), false), ((12, 4), false)]
    {
        let mut ui = Ui::new(true);
        ui.tell(Err(sentence.to_owned()));
        let shown = text(&mut ui, &snapshot, size);
        let told: String = shown.lines().skip_while(|line| !line.starts_with("answering")).collect();
        let squeezed = |text: &str| text.replace([' ', '\n'], "");
        assert_eq!(squeezed(&told) == squeezed(sentence), is_whole, "{shown}");
        assert_eq!(told.ends_with('…'), !is_whole, "{shown}");
    }
}

#[test]
fn sixty_agents_and_none() {
    let mut snapshot = troop();
    for number in 0..60 {
        let name = format!("agent-with-a-name-that-takes-room-{number:02}-実行者");
        let view = Arc::new(agent(100 + number, &name, Status::Ready, -i64::from(number)));
        snapshot.agents.insert(name.as_str().into(), view.clone());
        snapshot.slots.insert(view.slot, (Listing::Live, view));
    }
    for size in SIZES {
        let mut ui = Ui::new(true);
        frame(&mut ui, &snapshot, size);
        for _ in 0..65 {
            let shown = text(&mut ui, &snapshot, size);
            assert_eq!(shown.matches('▸').count(), 1, "the cursor is in sight: {shown}");
            press(&mut ui, &snapshot, "j");
        }
        assert_eq!(ui.at, 64);
        // They all go at once.
        frame(&mut ui, &Snapshot::default(), size);
        assert_eq!((ui.at, &ui.selected), (0, &None));
    }
}

#[test]
fn colours_are_those_of_the_agent_and_none_where_none_are_wanted() {
    let snapshot = troop();
    for has_colour in [true, false] {
        let mut ui = Ui::new(has_colour);
        let terminal = frame(&mut ui, &snapshot, (200, 60)).0;
        let buffer = terminal.backend().buffer();
        let colours = buffer.content.iter().filter(|cell| (cell.fg, cell.bg) != (Color::Reset, Color::Reset)).count();
        assert_eq!(colours > 0, has_colour);
        let diamond = buffer.content.iter().find(|cell| cell.symbol() == "◇").unwrap();
        assert!(diamond.modifier.contains(Modifier::BOLD));
        assert_eq!(diamond.fg == Color::Indexed(208), has_colour, "{diamond:?}");
        // Status is never told by colour alone.
        let text = text(&mut ui, &snapshot, (200, 60));
        assert!(text.contains("! blocked") && text.contains("● ready") && text.contains("× down"), "{text}");
    }
}

#[test]
fn a_frame_changes_when_the_first_of_its_durations_does() {
    let (mut ui, snapshot) = (Ui::new(true), troop());
    // One is ready for 30 s, all others are past their first minute.
    assert_eq!(frame(&mut ui, &snapshot, (120, 40)).1, Some(at(1)));
    let calm = changed(&snapshot, "fixer-of-parsers-and-more", |view| {
        let mut state = (*view.state).clone();
        state.status_since = at(-3600 * 30);
        view.state = Arc::new(state);
    });
    assert_eq!(frame(&mut ui, &calm, (120, 40)).1, Some(at(26)), "12m34s become 13m");
}

#[test]
fn what_an_agent_writes_cannot_reach_the_terminal() {
    let evil = "\u{1b}]52;c;evil\u{7}\u{9b}31m\u{202e}x\n";
    let snapshot = changed(&troop(), "bob", |view| {
        view.screen = Screen::parse(evil.as_bytes());
        view.evidence = Arc::new(Evidence { question: Some(question(evil)), ..Evidence::default() });
        view.turns = [turn(1, evil, Some(evil))].into();
        let mut state = (*view.state).clone();
        state.identity =
            Arc::new(Identity { tool: evil.into(), working_directory: Some(evil.into()), ..(*state.identity).clone() });
        view.state = Arc::new(state);
    });
    for keys in ["", "tab", "tab e", "tab t", "2", "tab o", "p"] {
        let mut ui = Ui::new(true);
        press(&mut ui, &snapshot, keys);
        let terminal = frame(&mut ui, &snapshot, (120, 40)).0;
        let controls =
            terminal.backend().buffer().content.iter().filter(|cell| cell.symbol().contains(char::is_control));
        assert_eq!(controls.count(), 0, "{keys:?}");
    }
}
