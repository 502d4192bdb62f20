//! What every real program has to do: fifty prompts, interrupts, an approval and a denial, each proven by the mock's log.

use super::model::{Model, Request, answer_to};
use super::prompts::{Case, fifty};
use super::{World, wait};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::time::Instant;

/// How often the program's keys for clearing are pressed until it is promptable again.
const CLEARINGS: usize = 4;

/// What is known of one program.
pub(crate) struct Program {
    /// What its agent and its definition are called.
    pub(crate) name: &'static str,
    pub(crate) tool: &'static str,
    pub(crate) argv: Vec<String>,
    /// Takes off what it puts around a prompt, besides cutting blanks off its ends.
    pub(crate) unframed: fn(&str) -> &str,
    /// The prompts of the table with which it does something else than begin a turn.
    pub(crate) no_turn: &'static [&'static str],
    /// The keys that close what such a prompt has opened, and empty the composer.
    pub(crate) clear: &'static [&'static [&'static str]],
    /// What a prompt has to say for the model to ask for a tool that needs approval.
    pub(crate) tool_word: &'static str,
}

/// What became of one prompt.
struct Outcome {
    name: &'static str,
    bytes: usize,
    arrived: Vec<Request>,
    receipt: Value,
    turn: Value,
    reply: String,
    left: String,
    millis: u128,
}

impl Program {
    /// Launches it and waits until it takes a prompt.
    pub(crate) fn launch(&self, world: &World) {
        self.start(world);
        self.wait_ready(world);
    }

    pub(crate) fn start(&self, world: &World) {
        let work = world.path("work").to_str().unwrap().to_owned();
        let start = ["launch", self.name, "--tool", self.tool, "--cwd", &work, "--"].map(str::to_owned);
        world.troop(&[&start[..], &self.argv].concat());
    }

    fn file(&self, name: &str) -> String {
        format!("agents/{}/{name}", self.name)
    }

    fn state(&self, world: &World) -> Value {
        serde_json::from_str(&world.read(&self.file("state.json"))).unwrap_or(Value::Null)
    }

    fn is_promptable(&self, world: &World) -> bool {
        let state = self.state(world);
        state["status"] == "ready" && state["surface"]["editing_input"] != "yes"
    }

    pub(crate) fn wait_ready(&self, world: &World) {
        let ready = || self.is_promptable(world).then_some(());
        wait("an empty composer", ready, || world.show(&self.file("state.json")));
    }

    /// Writes a prompt, and gives the number of its turn.
    fn prompt(&self, world: &World, text: &str) -> String {
        fs::write(world.file(&self.file("prompt")), text)
            .unwrap_or_else(|error| panic!("{error}: {}", world.show(&self.file("error"))));
        // The close of a refused prompt fails where nobody looks.
        let accepted = world.read(&self.file("turns/last/prompt"));
        let newlines = |text: &str| text.trim_end_matches('\n').to_owned();
        assert_eq!(newlines(&accepted), newlines(text), "{}", world.show(&self.file("error")));
        fs::read_link(world.file(&self.file("turns/last"))).unwrap().to_str().unwrap().to_owned()
    }

    fn turn(&self, world: &World, number: &str) -> Value {
        serde_json::from_str(&world.read(&self.file(&format!("turns/{number}/turn.json")))).unwrap_or(Value::Null)
    }

    /// Every line of `delivery.jsonl` with these values.
    fn receipts(&self, world: &World, of: &Value) -> Vec<Value> {
        let lines = world.read(&self.file("delivery.jsonl"));
        let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| of.as_object().unwrap().iter().all(|(key, value)| line[key] == *value)).collect()
    }

    /// Presses the keys that clear, until there is an empty composer.
    fn clear(&self, world: &World) {
        for keys in self.clear.iter().cycle().take(CLEARINGS * self.clear.len()) {
            if self.is_promptable(world) {
                return;
            }
            fs::write(world.file(&self.file("keys")), format!("{}\n", keys.join("\n"))).unwrap();
            let end = Instant::now() + std::time::Duration::from_millis(1500);
            while Instant::now() < end && !self.is_promptable(world) {
                std::thread::sleep(super::POLL);
            }
        }
        assert!(
            self.is_promptable(world),
            "not to be cleared: {}{}",
            self.state(world)["status"],
            world.read(&self.file("screen"))
        );
    }

    /// Gives the program the fifty prompts, and fails with all that is wrong. What became of each is a row on the real
    /// standard error.
    pub(crate) fn takes_fifty_prompts(&self, world: &World, model: &Model) {
        let cases = fifty();
        assert_eq!(cases.len(), 50);
        let mut wrong = String::new();
        let only = std::env::var("TROOP_REAL_ONLY").unwrap_or_default();
        for (name, text) in cases.iter().filter(|c| c.0.contains(&only)) {
            let outcome = self.one(world, model, (name, text.clone()));
            let _ = writeln!(std::io::stderr(), "{:8} {}", self.name, outcome.row());
            for problem in self.problems(&outcome, text) {
                let screen = world.read(&self.file("screen"));
                writeln!(wrong, "{name}: {problem}\n{}\n{}\n{screen}", outcome.receipt, outcome.turn).unwrap();
            }
        }
        assert!(wrong.is_empty(), "{wrong}");
    }

    fn one(&self, world: &World, model: &Model, (name, text): Case) -> Outcome {
        self.clear(world);
        let before = model.last_id();
        let begun = Instant::now();
        let number = self.prompt(world, &text);
        let settled = || {
            let turn = self.turn(world, &number);
            let receipts = self.receipts(world, &json!({ "prompt_id": turn["prompt_id"] }));
            let state = self.state(world);
            let over = !turn["outcome"].is_null() && state["status"] != "pending" && state["status"] != "active";
            (over && !receipts.is_empty()).then_some(())
        };
        wait(&format!("the end of {name:?}"), settled, || world.show(&self.file("state.json")));
        let millis = begun.elapsed().as_millis();
        let turn = self.turn(world, &number);
        let receipts = self.receipts(world, &json!({ "prompt_id": turn["prompt_id"] }));
        let left = self.state(world);
        Outcome {
            name,
            bytes: text.len(),
            arrived: model.requests_after(before),
            receipt: receipts.last().unwrap().clone(),
            reply: world.read(&self.file("reply")),
            left: if self.is_promptable(world) {
                String::new()
            } else {
                format!("left {} {}", left["status"], left["surface"]["editing_input"])
            },
            turn,
            millis,
        }
    }

    fn problems(&self, outcome: &Outcome, text: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        let stage = outcome.receipt["stage"].as_str().unwrap_or_default();
        let begins_one = !self.no_turn.contains(&outcome.name);
        match outcome.arrived.as_slice() {
            [] => {
                if begins_one {
                    wrong.push("it did not arrive".to_owned());
                }
                if stage == "confirmed" {
                    wrong.push("it did not arrive, and the receipt says that it did".to_owned());
                }
                if !outcome.reply.trim().is_empty() {
                    wrong.push(format!("no turn, and an answer: {:?}", outcome.reply));
                }
            }
            [request] => {
                if !begins_one {
                    wrong.push("it began a turn".to_owned());
                }
                let arrived = (self.unframed)(&request.prompt);
                if arrived.trim() != text.trim() {
                    wrong.push(format!("arrived as {:?}", cut(&request.prompt)));
                }
                if stage != "confirmed" || outcome.turn["outcome"] != "success" {
                    wrong.push(format!("it arrived, and is {stage}, {}", outcome.turn["outcome"]));
                }
                let answer = answer_to(&request.prompt);
                let reply = outcome.reply.split_whitespace().collect::<Vec<_>>().join(" ");
                if reply != answer {
                    wrong.push(format!("the reply is {:?}, not {answer:?}", cut(&outcome.reply)));
                }
            }
            several => wrong.push(format!(
                "{} requests: {:?}",
                several.len(),
                several.iter().map(|r| cut(&r.prompt)).collect::<Vec<_>>()
            )),
        }
        wrong
    }

    /// A turn is interrupted while the answer is awaited, and at once; the next prompt arrives by itself.
    pub(crate) fn is_interrupted(&self, world: &World, model: &Model) {
        for (verb, tail) in
            [("mock.wait.600000 mock.say.never", "mock.say.never"), ("mock.stall.600000", "mock.stall.600000")]
        {
            self.clear(world);
            let before = model.last_id();
            let number = self.prompt(world, verb);
            let request = model.request(before, 0, tail);
            world.wait_for(&self.file("status"), "active");
            let interrupts = self.receipts(world, &json!({ "verb": "interrupt" })).len();
            world.echo("interrupt", &self.file("control"));
            assert_eq!(model.end_of(&request), "client_gone");
            wait(
                "the receipt of the interrupt",
                || {
                    (self.receipts(world, &json!({ "verb": "interrupt", "stage": "confirmed" })).len() > interrupts)
                        .then_some(())
                },
                || world.show(&self.file("delivery.jsonl")),
            );
            wait(
                "the end of the turn",
                || (self.turn(world, &number)["outcome"] == "interrupted").then_some(()),
                || format!("{}{}", self.turn(world, &number), world.show(&self.file("state.json"))),
            );
            assert_eq!(world.read(&self.file("reply")).trim(), "", "nobody reads the answer to another prompt");
            // Some put the interrupted prompt back: then the next one would be joined to it.
            if !self.is_promptable(world) {
                let _ = writeln!(std::io::stderr(), "{}: a draft is left after the interrupt", self.name);
                assert!(fs::write(world.file(&self.file("prompt")), "joined").is_err());
            }
            let outcome = self.one(world, model, ("after an interrupt", "after an interrupt".to_owned()));
            assert_eq!(
                self.problems(&outcome, "after an interrupt"),
                [""; 0],
                "{}",
                world.show(&self.file("state.json"))
            );
        }
    }

    /// What asks is approved and denied.
    pub(crate) fn is_answered(&self, world: &World, model: &Model) {
        for (verb, file, runs) in
            [("deny", "denied.txt", false), ("approve", "approved.txt", true), ("answer 1", "answered.txt", true)]
        {
            self.clear(world);
            let before = model.last_id();
            let prompt = format!("mock.{}.touch.{file} mock.say.over", self.tool_word);
            self.prompt(world, &prompt);
            world.wait_for(&self.file("status"), "blocked");
            // A title may say that it asks before the dialog is there.
            world.wait_to_contain(&self.file("question"), " 1  ");
            world.wait_to_contain(&self.file("question"), file);
            let request = model.request(before, 0, "mock.say.over");
            assert_eq!(model.end_of(&request), "tool_call");
            world.echo(verb, &self.file("control"));
            wait(
                "the receipt of the answer",
                || self.receipts(world, &json!({ "verb": verb, "stage": "confirmed" })).pop(),
                || world.show(&self.file("delivery.jsonl")),
            );
            if runs {
                model.request(before, 1, "mock.say.over");
            }
            world.wait_for(&self.file("status"), "ready");
            assert_eq!(
                world.path(&format!("work/{file}")).exists(),
                runs,
                "{verb}: {}",
                world.show(&self.file("history"))
            );
        }
    }
}

impl Outcome {
    fn row(&self) -> String {
        let stage = self.receipt["stage"].as_str().unwrap_or("none");
        let source = self.turn["reply_source"].as_str().unwrap_or("none");
        format!(
            "{:26} {:6} bytes, {} arrived, {stage:11} with {} presses in {:5} ms, reply {source} {}",
            self.name,
            self.bytes,
            self.arrived.len(),
            self.receipt["presses"],
            self.millis,
            self.left,
        )
    }
}

/// The beginning and the end of a long text.
fn cut(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= 200 {
        return text.to_owned();
    }
    let of = |chars: &[char]| chars.iter().collect::<String>();
    format!("{} … {} ({} characters)", of(&chars[..120]), of(&chars[chars.len() - 60..]), chars.len())
}
