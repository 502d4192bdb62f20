use super::*;
use proptest::prelude::*;

/// What real servers (tmux 3.3a) sent.
const SESSION: &[u8] = include_bytes!("../../../tests/data/tmux/session.txt");
const DETACH: &[u8] = include_bytes!("../../../tests/data/tmux/detach.txt");
const KILLED: &[u8] = include_bytes!("../../../tests/data/tmux/killed.txt");
const NO_SESSION: &[u8] = include_bytes!("../../../tests/data/tmux/no-session.txt");
const NO_SERVER: &[u8] = include_bytes!("../../../tests/data/tmux/no-server.txt");

fn all(bytes: &[u8]) -> Vec<Message> {
    Parser::new().feed(bytes)
}

/// `=text` or `!text` for each reply, what it is for everything else.
fn outline(bytes: &[u8]) -> Vec<String> {
    let line = |message| match message {
        Message::Reply(reply) => format!("{}{}", if reply.failed { '!' } else { '=' }, reply.text()),
        other => format!("{other:?}"),
    };
    all(bytes).into_iter().map(line).collect()
}

#[test]
fn an_attached_session() {
    let pane = |n: &str| PaneId::parse(n).unwrap();
    let output = format!("{:?}", Message::Output(pane("%0")));
    let windows = "WindowsChanged".to_owned();
    let shown = "=%begin 1 2 3\n%end 1 2 3\n%error 1700000000 300 1\n%output %9 x\n%exit\n\n\n";
    let outline = outline(SESSION);
    let attach = ["=", "SessionChanged { id: \"$0\", name: \"work\" }", &output, "=one", "=two"];
    assert_eq!(outline[..5], attach);
    let errors = ["!parse error: unknown command: bogus", "=three", "!can't find session: nope", shown, "=", "=yes"];
    assert_eq!(outline[5..11], errors);
    let mode = format!("{:?}", Message::PaneModeChanged(pane("%0")));
    let subscription = "SubscriptionChanged(\"title\")".to_owned();
    for expected in [&windows, &mode, &subscription, &"SessionRenamed".to_owned(), &"WindowClosed".to_owned()] {
        assert!(outline.contains(expected), "{expected} in {outline:#?}");
    }
    assert_eq!(outline.last().unwrap(), "Exit(None)");
    assert!(!outline.contains(&"Stray".to_owned()));
}

#[test]
fn only_replies_to_our_input_have_the_flag() {
    let flags: Vec<_> = all(DETACH)
        .into_iter()
        .filter_map(|m| if let Message::Reply(reply) = m { Some((reply.flags, reply.text())) } else { None })
        .collect();
    assert_eq!(flags, [(0, String::new()), (1, "x".to_owned())]);
}

#[test]
fn the_ways_it_ends() {
    assert_eq!(
        outline(KILLED)[1..],
        ["SessionChanged { id: \"$0\", name: \"work\" }", "=", "SessionsChanged", "Exit(None)"]
    );
    assert_eq!(outline(NO_SESSION), ["!can't find session: nope", "Exit(None)"]);
    assert_eq!(outline(NO_SERVER), ["!no sessions", "Exit(None)"]);
    assert_eq!(outline(b"%exit server exited\n"), ["Exit(Some(\"server exited\"))"]);
}

#[test]
fn flow_control() {
    let pane = PaneId::parse("%12").unwrap();
    assert_eq!(all(b"%pause %12\n%continue %12\n"), [Message::Pause(pane.clone()), Message::Continue(pane.clone())]);
    assert_eq!(
        all(b"%extended-output %12 140 : a\\012\xff\n%output %12 \n"),
        [Message::Output(pane.clone()), Message::Output(pane)]
    );
}

#[test]
fn what_is_not_understood_is_named() {
    assert_eq!(
        outline(b"%message hello\n%output x\n%begin a b c\n%begin 1 2\n%\n\nfree text\n"),
        [
            "Other(\"message\")",
            "Other(\"output\")",
            "Other(\"begin\")",
            "Other(\"begin\")",
            "Other(\"\")",
            "Stray",
            "Stray"
        ]
    );
}

#[test]
fn only_the_same_values_end_a_block() {
    let text = "%begin 5 6 1\n%end 5 6 0\n%end 5 6\n%end 5 6 1 \n %end 5 6 1\n%end 5 6 1\n";
    assert_eq!(outline(text.as_bytes()), ["=%end 5 6 0\n%end 5 6\n%end 5 6 1 \n %end 5 6 1"]);
}

#[test]
fn a_long_line_is_cut_and_the_reply_says_so() {
    let mut parser = Parser::new();
    let mut messages = parser.feed(b"%begin 1 2 1\n");
    for _ in 0..=MAX_LINE_BYTES / 1000 {
        messages.extend(parser.feed(&[b'x'; 1000]));
    }
    messages.extend(parser.feed(b"\nshort\n%end 1 2 1\n"));
    let [Message::Reply(reply)] = messages.as_slice() else { panic!("{} messages", messages.len()) };
    let lengths: Vec<_> = reply.lines().map(<[u8]>::len).collect();
    assert_eq!((reply.truncated, lengths), (true, vec![MAX_LINE_BYTES, 5]));
}

#[test]
fn a_huge_reply_is_cut_and_a_huge_notification_is_not_kept() {
    let mut parser = Parser::new();
    parser.feed(b"%begin 1 2 1\n");
    let line = [&[b'x'; 99_999][..], b"\n"].concat();
    for _ in 0..=MAX_REPLY_BYTES / line.len() {
        parser.feed(&line);
    }
    let messages = parser.feed(b"%end 1 2 1\n%output %1 ");
    let [Message::Reply(reply)] = messages.as_slice() else { panic!("{} messages", messages.len()) };
    assert!(reply.truncated && reply.body().len() <= MAX_REPLY_BYTES);
    parser.feed(&line[..line.len() - 1]);
    assert_eq!(parser.line.len(), MAX_NOTICE_BYTES);
    assert_eq!(parser.feed(b"\n"), [Message::Output(PaneId::parse("%1").unwrap())]);
}

/// Lines that look like the protocol, and some that do not.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just(b"%begin 1 2 1".to_vec()),
        Just(b"%end 1 2 1".to_vec()),
        Just(b"%error 1 2 1".to_vec()),
        Just(b"%output %1 x".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..40),
        Just(SESSION.to_vec()),
    ];
    proptest::collection::vec(line, 0..20).prop_map(|lines| lines.join(&b'\n'))
}

proptest! {
    #[test]
    fn splitting_changes_nothing(bytes in stream(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..30)) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let mut parser = Parser::new();
        let split: Vec<_> = cuts.windows(2).flat_map(|w| parser.feed(&bytes[w[0]..w[1]])).collect();
        prop_assert_eq!(split, all(&bytes));
    }

    #[test]
    fn any_bytes_are_messages(bytes: Vec<u8>) {
        all(&bytes);
    }
}
