//! Many writers, and programs that do to pastes whatever programs have been seen to do.

use crate::semantics::{LIMIT, World};
use crate::support::sandbox::troop_bin;
use crate::support::wait_for;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How many prompts are sent unless `TROOP_PROMPTS` says otherwise.
const PROMPTS: usize = 400;
const WRITERS: usize = 16;

/// What the agents do, several of each.
const MOODS: [(&str, &str, usize); 8] = [
    ("peaceful", "", 4),
    ("slow start", "--start-delay 3000", 2),
    ("late echo", "--mischief late", 3),
    ("lost Enter", "--mischief swallow", 3),
    ("popup", "--mischief popup", 2),
    ("folded, alternate screen", "--mischief fold --alternate", 2),
    ("dialog in the paste", "--mischief dialog", 2),
    ("dies in the paste", "--mischief fold,fold,fold,fold,fold,fold,fold,die", 2),
];

#[derive(Default)]
struct Tally {
    accepted: usize,
    confirmed: usize,
    unconfirmed: usize,
    refused: usize,
    arrived: usize,
}

/// Every prompt that was accepted arrives exactly once, whole and in order, or its receipt says that this is not known;
/// none lands in a shell, in a dialog or with another agent.
#[test]
fn every_prompt_arrives_once_or_its_receipt_says_so() {
    let wanted = std::env::var("TROOP_PROMPTS").ok().and_then(|text| text.parse().ok()).unwrap_or(PROMPTS);
    let world = World::new();
    let mut agents: Vec<(String, &str)> = Vec::new();
    for (mood, args, count) in MOODS {
        for _ in 0..count {
            let name = format!("a{}", agents.len());
            let said = world.sandbox().path().join(format!("{name}.said"));
            let args = format!("{args} --seed {} --transcript {}", agents.len() + 1, said.display());
            if mood.starts_with("dies") {
                // A shell takes over when it has died.
                let script = world.sandbox().work().join(format!("{name}.sh"));
                let (troop, log) = (troop_bin(), world.log_path(&name));
                let heard = world.sandbox().work().join(format!("{name}.heard"));
                let text = format!(
                    "{} stand-in --pace 1 --log {} {args}\nwhile IFS= read -r line; do echo \"$line\" >> {}; done\n",
                    troop.display(),
                    log.display(),
                    heard.display()
                );
                fs::write(&script, text).unwrap();
                world.launch_program(&name, &format!("/bin/sh {}", script.display()));
            } else {
                world.launch_with(&name, &args);
            }
            agents.push((name, mood));
        }
    }
    let (next, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let accepted: Mutex<BTreeMap<String, String>> = Mutex::default();
    let began = Instant::now();
    std::thread::scope(|scope| {
        let person = scope.spawn(|| clear_drafts(&world, &agents, &over));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (world, agents, next, accepted) = (&world, &agents, &next, &accepted);
                scope.spawn(move || {
                    let mut turn = writer;
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= wanted {
                            return;
                        }
                        let text = prompt(number);
                        loop {
                            turn += 1;
                            let name = &agents[turn % agents.len()].0;
                            match write_and_close(&world.at(format!("agents/{name}/prompt")), &text) {
                                Ok(()) => {
                                    accepted.lock().unwrap().insert(text, name.clone());
                                    break;
                                }
                                Err(error) => {
                                    let number = error.raw_os_error().unwrap();
                                    assert!(number == libc::EBUSY || number == libc::ESRCH, "{error}");
                                    std::thread::sleep(Duration::from_millis(3));
                                }
                            }
                        }
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        over.store(true, Ordering::Relaxed);
        person.join().unwrap();
    });
    let took = began.elapsed();
    let accepted = accepted.into_inner().unwrap();
    let mut table: BTreeMap<&str, Tally> = BTreeMap::new();
    for (name, mood) in &agents {
        let settled = || !["pending\n", "active\n"].contains(&world.read(&format!("agents/{name}/status")).as_str());
        wait_for("the last turn", LIMIT, settled);
        check(&world, name, &accepted, table.entry(mood).or_default());
    }
    let mut report = format!(
        "{:<26}{:>9}{:>11}{:>13}{:>9}{:>9}\n",
        "programs", "accepted", "confirmed", "unconfirmed", "refused", "arrived"
    );
    for (mood, tally) in &table {
        let Tally { accepted, confirmed, unconfirmed, refused, arrived } = tally;
        report += &format!("{mood:<26}{accepted:>9}{confirmed:>11}{unconfirmed:>13}{refused:>9}{arrived:>9}\n");
    }
    for ((mood, reason), times) in reasons(&world, &agents) {
        report += &format!("{times:>6} {mood}: {reason}\n");
    }
    let (agents, seconds) = (agents.len(), took.as_secs_f64());
    report += &format!("{wanted} prompts from {WRITERS} writers to {agents} agents in {seconds:.1} s\n");
    // On the real standard output, which the test harness does not hold back.
    std::io::stdout().write_all(report.as_bytes()).unwrap();
}

/// Why prompts were refused or stayed unconfirmed, and how often.
fn reasons<'m>(world: &World, agents: &[(String, &'m str)]) -> BTreeMap<(&'m str, String), usize> {
    let mut reasons = BTreeMap::new();
    for (name, mood) in agents {
        for receipt in journal(world, name).into_iter().filter(|event| event["event"] == "receipt") {
            if let Some(reason) = receipt["reason"].as_str() {
                *reasons.entry((*mood, reason.replace(name, "NAME"))).or_default() += 1;
            }
        }
    }
    reasons
}

/// What the mount shows begins anew when it is full; the journal has all of it.
fn journal(world: &World, name: &str) -> Vec<Value> {
    let journal = world.at(format!("agents/{name}/session/troop/history.jsonl"));
    fs::read_to_string(journal).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What `fs::write` does, and whether closing it was refused, which it does not tell.
fn write_and_close(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(nix::unistd::close(file)?)
}

/// One of a few shapes, each recognised by its number.
fn prompt(number: usize) -> String {
    match number % 6 {
        0 => format!("number {number} plain"),
        1 => format!("number {number}\nin two lines;"),
        2 => format!("number {number} 🐒 äöü 漢字\n\n\tindented\n  and more\\"),
        3 => format!("number {number} {}", "words and more words ".repeat(150).trim_end()),
        4 => (0..60).map(|line| format!("number {number} line {line}")).collect::<Vec<_>>().join("\n"),
        _ => format!("# number {number} ! @ / ;"),
    }
}

/// What a person does: clears text that stands in a composer and was not sent.
fn clear_drafts(world: &World, agents: &[(String, &str)], over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        for (name, _) in agents {
            let state: Value =
                serde_json::from_str(&world.read(&format!("agents/{name}/state.json"))).unwrap_or_default();
            if state["status"] == "ready" && state["surface"]["editing_input"] == "yes" {
                let _ = fs::write(world.at(format!("agents/{name}/keys")), "C-u\n");
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn check(world: &World, name: &str, accepted: &BTreeMap<String, String>, tally: &mut Tally) {
    let history = journal(world, name);
    let of = |kind: &'static str| history.iter().filter(move |event| event["event"] == kind);
    let text_of: BTreeMap<&str, &str> =
        of("prompt").map(|event| (event["prompt_id"].as_str().unwrap(), event["text"].as_str().unwrap())).collect();
    let order: Vec<&str> = of("prompt").map(|event| event["text"].as_str().unwrap()).collect();
    let mut stage_of: BTreeMap<&str, String> = BTreeMap::new();
    for receipt in of("receipt") {
        let text = text_of[receipt["prompt_id"].as_str().unwrap()];
        stage_of.insert(text, receipt["stage"].as_str().unwrap().to_owned());
    }
    let arrived = world.prompts(name);
    for (text, _) in accepted.iter().filter(|(_, to)| *to == name) {
        let times = arrived.iter().filter(|prompt| *prompt == text).count();
        let stage = stage_of
            .get(text.as_str())
            .unwrap_or_else(|| {
                panic!("{name}: no receipt for {text:?}\n{}", world.read(&format!("agents/{name}/history")))
            })
            .as_str();
        let fits = match stage {
            "confirmed" => times == 1,
            "unconfirmed" => times <= 1,
            _ => times == 0,
        };
        assert!(
            fits,
            "{name}: {stage}, and arrived {times} times: {text:?}\n{}",
            world.read(&format!("agents/{name}/history"))
        );
        tally.accepted += 1;
        tally.arrived += times;
        *match stage {
            "confirmed" => &mut tally.confirmed,
            "unconfirmed" => &mut tally.unconfirmed,
            _ => &mut tally.refused,
        } += 1;
    }
    for prompt in &arrived {
        assert_eq!(accepted.get(prompt).map(String::as_str), Some(name), "{name} got something else: {prompt:?}");
    }
    let places: Vec<usize> =
        arrived.iter().map(|prompt| order.iter().position(|text| text == prompt).unwrap()).collect();
    assert!(places.is_sorted(), "{name}: out of order: {places:?}");
    assert!(!world.received(name).iter().any(|event| event["event"] == "answer"), "{name}: a dialog was answered");
    let heard = world.sandbox().work().join(format!("{name}.heard"));
    assert_eq!(fs::read_to_string(heard).unwrap_or_default(), "", "{name}: a shell heard something");
}
