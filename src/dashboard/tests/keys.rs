//! What keys do.

use super::*;
use crate::command::{Command, Verb};
use crate::dashboard::notify::{Edges, osc9};
use crate::dashboard::{Act, Filter};

fn selected(ui: &Ui) -> &str {
    ui.selected.as_ref().map_or("", |id| id.as_str().trim_start_matches("id-"))
}

fn told(ui: &Ui) -> &str {
    ui.told.as_ref().map_or("", |told| told.text.as_str())
}

fn control(name: &str, verb: Verb) -> Command {
    Command::Control { agent: AgentId(format!("id-{name}").into()), verbs: vec![verb] }
}

#[test]
fn the_cursor_follows_its_agent_and_goes_to_the_next_when_it_goes() {
    let (mut ui, snapshot) = (Ui::new(true), troop());
    ui.refresh(&snapshot);
    assert_eq!(selected(&ui), "bob", "who asks comes first");
    press(&mut ui, &snapshot, "j");
    assert_eq!(selected(&ui), "alice");
    // It goes down the list, and the cursor with it.
    let working = changed(&snapshot, "alice", |view| set_status(view, Status::Active));
    ui.refresh(&working);
    assert_eq!((selected(&ui), ui.at), ("alice", 3));
    let mut without = working.clone();
    without.agents.remove("alice");
    ui.refresh(&without);
    assert_eq!(selected(&ui), "dave");
    press(&mut ui, &without, "g");
    assert_eq!(selected(&ui), "bob");
    for (keys, last) in [("G", "dave"), ("down", "dave"), ("up", "carol"), ("k", "fixer-of-parsers-and-more")] {
        press(&mut ui, &without, keys);
        assert_eq!(selected(&ui), last, "{keys}");
    }
}

#[test]
fn search_filter_sort_and_home_narrow_the_list() {
    let snapshot = troop();
    let names = |ui: &mut Ui| -> Vec<String> {
        ui.refresh(&snapshot).iter().map(|row| row.view.dir_name.chars().take(5).collect()).collect()
    };
    let mut ui = Ui::new(true);
    assert_eq!(names(&mut ui), ["bob", "alice", "fixer", "carol", "dave"]);
    press(&mut ui, &snapshot, "s");
    assert_eq!(names(&mut ui), ["bob", "alice", "fixer", "carol", "dave"], "groups stay together");
    press(&mut ui, &snapshot, "/ T e s t s");
    assert_eq!(names(&mut ui), ["alice"], "in the last line, whatever the case");
    press(&mut ui, &snapshot, "esc f");
    assert_eq!((names(&mut ui), ui.filter), (vec!["bob".into(), "alice".into(), "fixer".into()], Filter::Needing));
    press(&mut ui, &snapshot, "F F");
    assert_eq!(names(&mut ui).last().unwrap(), "erin", "stopped agents are there when they are asked for");
    press(&mut ui, &snapshot, "esc");
    ui.home = Some("/home/ann/.troop".into());
    assert_eq!(names(&mut ui).len(), 5);
    ui.home = Some("/home/ann".into());
    assert_eq!(names(&mut ui).len(), 0);
}

#[test]
fn without_a_key_that_asks_for_it_nothing_is_done() {
    let snapshot = troop();
    let looks =
        "j k h l g G z v v v t e o tab j k s f F esc / b enter ? j q H j k enter up down left right space ^d ^u";
    let mut ui = Ui::new(true);
    for word in looks.split(' ') {
        match ui.key(key(word), &snapshot) {
            None | Some(Act::Homes) => {}
            Some(act) => panic!("{word} asked for {act:?}"),
        }
    }
}

#[test]
fn a_prompt_is_typed_and_sent_to_the_agent_it_was_begun_for() {
    let (mut ui, snapshot) = (Ui::new(true), troop());
    press(&mut ui, &snapshot, "j p h x left");
    ui.paste("é\r\ny");
    let busy = changed(&snapshot, "alice", |view| set_status(view, Status::Active));
    let act = press(&mut ui, &busy, "right ^j z enter");
    let command = Command::Prompt { agent: AgentId("id-alice".into()), text: "hé\nyx\nz".to_owned() };
    assert_eq!(act, Some(Act::Submit("prompt to alice".to_owned(), command)));
    // An empty one is refused and can be typed on.
    assert_eq!(press(&mut ui, &snapshot, "p enter"), None);
    assert_eq!(told(&ui), "the prompt is empty; write some text");
    assert!(matches!(press(&mut ui, &snapshot, "k enter"), Some(Act::Submit(..))));
    // Who would not take it says so at once.
    assert_eq!(press(&mut ui, &snapshot, "g p"), None);
    assert!(told(&ui).starts_with("bob is asking a question"), "{}", told(&ui));
}

#[test]
fn an_answer_needs_a_yes_and_the_same_question() {
    let (mut ui, snapshot) = (Ui::new(true), troop());
    for (keys, verb, what) in [
        ("a", Verb::Approve, "approve bob"),
        ("d", Verb::Deny, "deny bob"),
        ("2", Verb::Answer(2), "answer 2 bob: Yes, and do not ask again"),
        ("x", Verb::Stop { force: false }, "stop bob"),
    ] {
        for no in ["n", "esc", "q"] {
            assert_eq!(press(&mut ui, &snapshot, &format!("{keys} {no}")), None);
        }
        assert_eq!(press(&mut ui, &snapshot, &format!("{keys} enter j a")), None, "only a yes is one");
        assert_eq!(press(&mut ui, &snapshot, "y"), Some(Act::Submit(what.to_owned(), control("bob", verb))));
    }
    press(&mut ui, &snapshot, "a");
    let other = changed(&snapshot, "bob", |view| {
        view.evidence = Arc::new(Evidence { question: Some(question("rm -r /")), ..Evidence::default() });
    });
    assert_eq!(press(&mut ui, &other, "y"), None);
    assert_eq!(told(&ui), "the question has changed meanwhile; nothing was answered");
    press(&mut ui, &snapshot, "j a");
    assert_eq!(told(&ui), "alice is ready: there is no question to answer");
}

#[test]
fn where_answering_is_off_nothing_is_asked_for() {
    let snapshot = troop();
    let why = crate::Error::new(crate::Kind::NotPermitted, "answering is off");
    let mut ui = Ui::new(true).refusing_answers(why);
    for key in ["a", "d", "2"] {
        assert_eq!(press(&mut ui, &snapshot, key), None);
        assert_eq!(told(&ui), "answering is off", "{key}");
        assert_eq!(press(&mut ui, &snapshot, "y"), None, "there is nothing to say yes to");
    }
    assert_eq!(press(&mut ui, &snapshot, "j a"), None);
    assert_eq!(told(&ui), "alice is ready: there is no question to answer");
    let stop = Act::Submit("stop alice".to_owned(), control("alice", Verb::Stop { force: false }));
    assert_eq!(press(&mut ui, &snapshot, "x y"), Some(stop), "all else is done as ever");
}

#[test]
fn interrupt_and_attach_are_done_at_once() {
    let (mut ui, snapshot) = (Ui::new(true), troop());
    let act = press(&mut ui, &snapshot, "j j j i");
    assert_eq!(act, Some(Act::Submit("interrupt carol".to_owned(), control("carol", Verb::Interrupt))));
    assert_eq!(press(&mut ui, &snapshot, "enter"), Some(Act::Attach(AgentId("id-carol".into()))));
    assert_eq!(press(&mut ui, &snapshot, "A"), Some(Act::Attach(AgentId("id-carol".into()))));
    press(&mut ui, &snapshot, "k i");
    assert!(told(&ui).contains("there is nothing to interrupt"), "{}", told(&ui));
    assert_eq!(press(&mut ui, &snapshot, "/ q ^c"), Some(Act::Quit), "^c quits wherever one is");
    assert_eq!(press(&mut ui, &Snapshot::default(), "esc x"), None);
    assert_eq!(told(&ui), "no agent is selected");
}

/// A build knows the verb or it does not; it is offered where it is known, and refused in words where it is not.
#[test]
fn relaunch_is_whatever_the_verb_is() {
    let (mut ui, snapshot) = (Ui::new(true), troop());
    let act = press(&mut ui, &snapshot, "F G r y");
    match crate::command::agent_verbs(b"relaunch") {
        Ok(verbs) => {
            let agent = AgentId("id-erin".into());
            assert_eq!(act, Some(Act::Submit("relaunch erin".to_owned(), Command::Control { agent, verbs })));
        }
        Err(_) => assert_eq!(act, None),
    }
}

#[test]
fn a_refusal_is_told_until_the_next_key() {
    let (mut ui, snapshot) = (Ui::new(true), troop());
    ui.tell(Ok("one is under way".to_owned()));
    ui.tell(Err("another is refused".to_owned()));
    ui.tell(Ok("one is done".to_owned()));
    assert_eq!(told(&ui), "another is refused");
    press(&mut ui, &snapshot, "j");
    assert_eq!(told(&ui), "");
}

#[test]
fn a_person_is_told_of_edges_only() {
    let mut edges = Edges::default();
    let snapshot = troop();
    assert_eq!(edges.since(&snapshot), [], "what is so already is no news");
    let ready = changed(&snapshot, "carol", |view| set_status(view, Status::Ready));
    assert_eq!(edges.since(&ready), [("carol".to_owned(), Status::Ready)]);
    assert_eq!(edges.since(&ready), []);
    let both = changed(&changed(&ready, "carol", |v| set_status(v, Status::Blocked)), "alice", |v| {
        set_status(v, Status::Unknown);
    });
    assert_eq!(edges.since(&both), [("carol".to_owned(), Status::Blocked)]);
    let again = changed(&both, "alice", |view| set_status(view, Status::Ready));
    assert_eq!(edges.since(&again), [], "it has not worked meanwhile");
}

#[test]
fn a_message_of_the_terminal_is_wrapped_for_tmux() {
    let plain = "\u{1b}]9;b]0;evil is blocked\u{7}";
    assert_eq!(osc9("b\u{1b}]0;evil\u{7}\n", Status::Blocked, false), plain, "a name ends no message");
    let wrapped = format!("{plain}\u{1b}Ptmux;\u{1b}{plain}\u{1b}\\\u{7}");
    assert_eq!(osc9("b\u{1b}]0;evil\u{7}\n", Status::Blocked, true), wrapped);
}
