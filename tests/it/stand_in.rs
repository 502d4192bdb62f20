//! The stand-in in a real tmux server, and the rules of its tool definition on what it shows.

// The configuration allows it in tests, which does not reach what they call.

mod pane;

use nix::sys::signal::Signal;
use pane::{Pane, TROOP};
use serde_json::Value;
use std::process::{Command, Stdio};

/// Every size at which the screen must be right.
const SIZES: [(u16, u16); 5] = [(40, 12), (80, 24), (120, 40), (200, 60), (63, 17)];

fn sha1(text: &str) -> String {
    use sha1::Digest;
    sha1::Sha1::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_typed_prompt_is_answered() {
    let pane = Pane::start("--pace 20 --name alice");
    assert_eq!(pane.title(), "○ alice ready");
    pane.type_text("count the files");
    pane.wait_until_shows("draft");
    pane.keys(&["Enter"]);
    pane.wait_until_shows("active");
    pane.wait_until_shows("ready");
    let screen = pane.screen();
    assert!(screen.contains("● Your prompt arrived: 3 words, 15 bytes, 1 line."), "{screen}");
    assert!(screen.contains(&sha1("count the files")), "{screen}");
    assert_eq!(pane.wait_for_log("prompt")["text"], "count the files");
    assert_eq!(pane.wait_for_turn(1)["outcome"], "finished");
}

#[test]
fn a_paste_of_many_lines_is_one_draft_and_one_prompt() {
    let pane = Pane::start("--pace 0");
    let text = "one\n\n\ttwo 日本語\nthree 🐒 👩\u{200d}🚀 e\u{301}; $(x) \\ \"q\"\n";
    pane.paste(text);
    pane.wait_until_shows("draft");
    assert!(pane.log().iter().all(|line| line["event"] != "prompt"));
    pane.keys(&["Enter"]);
    let prompt = pane.wait_for_log("prompt");
    assert_eq!((prompt["text"].as_str(), prompt["sha1"].as_str()), (Some(text), Some(sha1(text).as_str())));
    pane.wait_until_shows("ready");
}

#[test]
fn a_paste_of_100_kib_arrives_whole_and_once() {
    let pane = Pane::start("--pace 0");
    let mut text: String = (0..).map(|n| format!("{n}: 日本 monkeys \t🐒;\n")).take(4000).collect();
    text.truncate(text.floor_char_boundary(100 << 10));
    pane.paste(&text).keys(&["Enter"]);
    assert_eq!(pane.wait_for_turn(1)["outcome"], "finished");
    let prompts: Vec<Value> = pane.log().into_iter().filter(|line| line["event"] == "prompt").collect();
    assert_eq!(prompts.len(), 1);
    assert!(prompts[0]["text"] == text.as_str());
    pane.wait_for_text(&format!("{} bytes", text.len()));
}

#[test]
fn escape_interrupts_a_turn() {
    let pane = Pane::start("");
    pane.prompt("sim:work=600000");
    pane.wait_until_shows("active");
    pane.keys(&["Escape"]);
    pane.wait_for_text("■ Interrupted");
    pane.wait_until_shows("ready");
    assert_eq!(pane.wait_for_turn(1)["outcome"], "interrupted");
}

#[test]
fn a_question_blocks_until_it_is_answered() {
    for (keys, choice, text) in
        [(&["2"][..], 2, "Yes, always"), (&["Down", "Enter"], 2, "Yes, always"), (&["Escape"], 3, "No")]
    {
        let pane = Pane::start("");
        pane.prompt("sim:ask");
        pane.wait_until_shows("approval");
        assert_eq!(pane.title(), "◆ stand-in asks");
        let screen = pane.screen();
        assert!(screen.contains("╭─ Allow this command? ─") && screen.contains("│ ❯ 1. Yes "), "{screen}");
        pane.keys(keys);
        let answer = pane.wait_for_log("answer");
        assert_eq!((answer["choice"].as_u64(), answer["text"].as_str()), (Some(choice), Some(text)));
        pane.wait_for_text(&format!("◆ {text}: rm -r build/cache"));
        pane.wait_until_shows("ready");
    }
}

#[test]
fn a_prompt_pasted_into_a_question_is_lost_and_enter_approves() {
    let pane = Pane::start("");
    pane.prompt("sim:ask");
    pane.wait_until_shows("approval");
    pane.paste("a prompt").keys(&["Enter"]);
    assert_eq!(pane.wait_for_log("answer")["choice"], 1);
    let log = pane.log();
    assert!(log.iter().any(|line| line["event"] == "paste" && line["into"] == "question"));
    assert_eq!(log.iter().filter(|line| line["event"] == "prompt").count(), 1);
}

#[test]
fn an_error_ends_the_turn() {
    let pane = Pane::start("");
    pane.prompt("sim:fail");
    pane.wait_for_text("✗ The model failed: overloaded (529).");
    pane.wait_until_shows("ready");
    assert_eq!(pane.wait_for_turn(1)["outcome"], "failed");
}

#[test]
fn a_prompt_typed_while_it_works_waits() {
    let pane = Pane::start("");
    pane.prompt("sim:work=600000");
    pane.wait_until_shows("active");
    pane.prompt("sim:say=second");
    pane.wait_for_text("  queued · sim:say=second\n✶ Working (");
    pane.wait_until_shows("active");
    pane.keys(&["Escape"]);
    pane.wait_for_text("● second");
    assert_eq!(pane.wait_for_turn(2)["outcome"], "finished");
}

#[test]
fn an_answer_that_quotes_the_screen_fools_no_rule() {
    for size in SIZES {
        let pane = Pane::start_sized("--pace 0", size.0, size.1);
        pane.prompt("sim:trap sim:title=off");
        pane.wait_for_turn(1);
        pane.wait_for_text("I have finished.");
        pane.wait_until_shows("ready");
        pane.paste("✶ Working (12s · esc to interrupt)\n╭──╮\n│ ❯ 1. Yes\n╰──╯\n  ready · no\n");
        pane.wait_until_shows("draft");
        pane.keys(&["C-u"]);
        pane.wait_until_shows("ready");
        pane.prompt("sim:trap sim:work=600000");
        pane.wait_until_shows("active");
        pane.keys(&["Escape"]);
        pane.wait_until_shows("ready");
        pane.prompt("sim:trap sim:ask");
        pane.wait_until_shows("approval");
    }
}

#[test]
fn every_state_is_recognised_at_every_size_after_a_resize() {
    let pane = Pane::start("--pace 0");
    let at_every_size = |status: &str| {
        for size in SIZES {
            pane.resize(size);
            let side = format!("╰{}╯\n", "─".repeat(usize::from(size.0) - 2));
            pane.wait_for_text(&side);
            pane.wait_until_shows(status);
            let screen = pane.screen();
            let boxes = screen.lines().filter(|row| row.starts_with('╰')).count();
            assert_eq!(boxes, 1, "something of the old screen is left:\n{screen}");
        }
    };
    at_every_size("ready");
    pane.prompt("why? 日本語 🐒 and more words than fit in a narrow row of text");
    pane.wait_for_turn(1);
    at_every_size("ready");
    pane.paste(&"a line of the draft 日本語 🐒\n".repeat(30));
    at_every_size("draft");
    pane.keys(&["C-u"]);
    pane.prompt("sim:work=600000");
    pane.paste("still working\n\nwith a draft");
    pane.wait_for_text("with a draft");
    at_every_size("active");
    pane.keys(&["Escape", "C-u"]);
    pane.wait_until_shows("ready");
    pane.prompt("sim:ask");
    at_every_size("approval");
}

#[test]
fn on_a_tiny_screen_the_title_still_tells() {
    let pane = Pane::start("");
    pane.resize((14, 3));
    pane.prompt("sim:work=600000");
    pane.wait_for_log("prompt");
    pane.wait_until_shows("active");
    pane.keys(&["Escape"]);
    pane.wait_for_turn(1);
    pane.prompt("sim:ask");
    pane.wait_until_shows("approval");
}

#[test]
fn output_reaches_the_scrollback_once_and_in_order() {
    let pane = Pane::start("--pace 0");
    pane.prompt("sim:lines=1500");
    pane.wait_for_turn(1);
    pane.wait_for_text("  line 1500\n");
    let all = pane.tmux(&["capture-pane", "-p", "-S", "-", "-t", "=main:"]);
    let lines: Vec<&str> = all.lines().filter(|line| line.starts_with("  line ")).collect();
    let expected: Vec<String> = (1..=1500).map(|n| format!("  line {n}")).collect();
    assert_eq!(lines, expected);
    assert_eq!(all.matches('╭').count(), 1, "the composer stays out of the scrollback");
}

#[test]
fn it_draws_little_and_never_clears_the_screen() {
    let pane = Pane::start("--pace 0");
    pane.prompt("sim:lines=100 sim:trap");
    pane.wait_for_turn(1);
    pane.keys(&["Escape"]);
    pane.wait_for_log("ignored");
    pane.type_text("xyz");
    // The title is the end of the last picture of the turn, and the client reads behind the screen.
    let output = pane.wait("output", || {
        let output = pane.output.lock().unwrap();
        let (_, after) = output.rsplit_once("stand-in ready\\007")?;
        after.contains('z').then(|| after.to_owned())
    });
    assert!(!output.contains("stand-in") && !output.contains('╭'), "more was drawn than changed: {output}");
    let output = pane.output.lock().unwrap().clone();
    for sequence in ["[2J", "[J", "[?1049h", "[?47h"] {
        assert!(!output.contains(sequence), "{sequence} in {output}");
    }
    assert_eq!(pane.tmux(&["display-message", "-p", "-t", "=main:", "#{alternate_on}"]), "0\n");
}

#[test]
fn the_terminal_is_restored_however_it_ends() {
    type End = fn(&Pane);
    let ends: [(End, u8); 6] = [
        (
            |pane| {
                pane.prompt("sim:exit=7");
            },
            7,
        ),
        (
            |pane| {
                pane.prompt("/exit");
            },
            0,
        ),
        (
            |pane| {
                pane.keys(&["C-c", "C-c"]);
            },
            0,
        ),
        (|pane| pane.signal(Signal::SIGTERM), 143),
        (|pane| pane.signal(Signal::SIGHUP), 129),
        (|pane| pane.signal(Signal::SIGINT), 130),
    ];
    for (end, code) in ends {
        let pane = Pane::start("");
        end(&pane);
        let screen = pane.wait_for_text(&format!("\nrestored, exit {code}\n"));
        assert!(!screen.contains('╭'), "{screen}");
        assert_eq!(pane.wait_for_log("exit")["code"], code);
        assert_eq!(pane.title(), "");
        assert_eq!(pane.shows(), None);
        assert_eq!(pane.tmux(&["display-message", "-p", "-t", "=main:", "#{cursor_flag}"]), "1\n");
        pane.paste("plain").keys(&["Enter"]);
        let screen = pane.wait_for_text("plain\nplain\n");
        assert!(!screen.contains("200~"), "bracketed paste is still on: {screen}");
    }
}

#[test]
fn it_ends_with_its_terminal() {
    let pane = Pane::start("");
    pane.tmux(&["kill-server"]);
    assert_eq!(pane.wait_for_log("exit")["code"], 129);
}

#[test]
fn what_is_sent_while_it_starts_waits() {
    let pane = Pane::open("--start-delay 1500 --pace 0", 80, 24);
    pane.wait_until_shows("starting");
    pane.paste("early\nbird").keys(&["Enter"]);
    assert_eq!(pane.wait_for_log("prompt")["text"], "early\nbird");
    pane.wait_until_shows("ready");
}

#[test]
fn without_a_terminal_it_says_what_it_needs() {
    let output = Command::new(TROOP).arg("stand-in").stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "troop stand-in: the stand-in needs a terminal on its standard input and output: run it in one, or in tmux\n"
    );
}
