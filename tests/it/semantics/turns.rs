//! Turns, their answers, and what became of each prompt.

use super::world::{LIMIT, World};
use crate::support::wait_for;
use serde_json::Value;

fn lines(world: &World, path: &str) -> Vec<Value> {
    world.read(path).lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
}

fn turn(world: &World, number: &str) -> Value {
    serde_json::from_str(&world.read(&format!("agents/a/turns/{number}/turn.json"))).unwrap()
}

/// Every turn has a number and a directory under `turns`, with `turn.json`, `prompt` and `reply`; `turns/last` is a
/// link to the last one. A prompt opens its turn when it is accepted; a turn that a person began at the terminal
/// has no prompt there and says so (`surface_inference`). `turn.json` says when it began and ended and how: `success`,
/// `interrupted`, `known_failure`, `unconfirmed`, `refused`, or `lost` where nobody saw the end. The last 64 are
/// listed, and they are the same after a new mount.
#[test]
fn turns() {
    let mut world = World::with("a");
    assert_eq!(world.names("agents/a/turns"), [""; 0]);
    world.write("agents/a/prompt", "sim:work=300 sim:say=hello");
    assert_eq!(world.names("agents/a/turns"), ["1", "last"], "it is there when the write returns");
    assert_eq!(world.read("agents/a/turns/1/prompt"), "sim:work=300 sim:say=hello\n");
    assert_eq!(turn(&world, "1")["outcome"], Value::Null);
    world.wait_status("a", "ready");
    let first = turn(&world, "last");
    assert_eq!(
        (&first["turn"], &first["outcome"], &first["source"]),
        (&1.into(), &"success".into(), &"explicit_input".into())
    );
    assert!(
        first["accepted_at"].as_str() <= first["started_at"].as_str()
            && first["started_at"].as_str() < first["ended_at"].as_str(),
        "{first}"
    );
    world.write("agents/a/prompt", "sim:work=600000");
    world.wait_status("a", "active");
    assert_eq!(world.read("agents/a/turns/last/reply"), "");
    world.write("agents/a/control", "interrupt\n");
    world.wait_status("a", "ready");
    assert_eq!(turn(&world, "last")["outcome"], "interrupted");
    // By hand.
    let session = world.session("a");
    world.tmux(&["send-keys", "-t", &format!("={session}:"), "sim:work=400", "Enter"]);
    wait_for("the third turn", LIMIT, || world.names("agents/a/turns") == ["1", "2", "3", "last"]);
    world.wait_status("a", "ready");
    let third = turn(&world, "3");
    assert_eq!((&third["source"], &third["prompt_id"]), (&"surface_inference".into(), &Value::Null));
    assert_eq!(std::fs::read_link(world.at("agents/a/turns/last")).unwrap().to_str(), Some("3"));
    assert!(std::fs::metadata(world.at("agents/a/turns/4")).is_err());
    let before: Vec<Value> = ["1", "2", "3"].map(|number| turn(&world, number)).into();
    let reply = world.read("agents/a/turns/1/reply");
    world.mount().end(nix::sys::signal::Signal::SIGTERM);
    world.mount_again();
    world.wait_status("a", "ready");
    let after: Vec<Value> = ["1", "2", "3"].map(|number| turn(&world, number)).into();
    let history = world.read("agents/a/history");
    assert_eq!((after, world.read("agents/a/turns/1/reply")), (before, reply), "{history}");
}

/// `reply` is the answer of the last turn that ended, and it is there before the status is `ready`. After a turn without
/// an answer, such as an interrupted one, it is empty: nobody reads the answer to another prompt. Answers
/// come from the program's own transcript where that can be bound to it, otherwise from the rows between the prompt and
/// the composer; `turn.json` says which (`reply_source`).
#[test]
fn the_last_answer() {
    let world = World::with("a");
    assert_eq!(world.read("agents/a/reply"), "");
    for number in 0..20 {
        world.write("agents/a/prompt", &format!("sim:work=80 sim:say=answer{number}"));
        world.wait_status("a", "ready");
        let reply = world.read("agents/a/reply");
        assert!(
            reply.contains(&format!("answer{number}")) && !reply.contains("sim:"),
            "{number}: {reply:?}\n{}",
            world.read("agents/a/screen")
        );
    }
    world.write("agents/a/prompt", "sim:work=600000");
    world.wait_status("a", "active");
    world.write("agents/a/control", "interrupt\n");
    world.wait_status("a", "ready");
    assert_eq!(world.read("agents/a/reply"), "");
    assert_eq!(turn(&world, "20")["reply_source"], "screen");

    // With a transcript, which has all of an answer that is higher than the screen.
    let said = world.sandbox().path().join("b.said");
    world.launch_with("b", &format!("--transcript {}", said.display()));
    world.wait_status("b", "ready");
    for number in 0..10 {
        let long = vec!["word"; 3000].join("-");
        world.write("agents/b/prompt", &format!("sim:say={long}-{number}"));
        world.wait_status("b", "ready");
        let reply = world.read("agents/b/reply");
        let expected = format!("{} {number}\n", long.replace('-', " "));
        assert!(
            reply == expected,
            "{number}: {} bytes, not {}\n{}",
            reply.len(),
            expected.len(),
            world.read("agents/b/history")
        );
    }
    let last: Value = serde_json::from_str(&world.read("agents/b/turns/last/turn.json")).unwrap();
    assert_eq!(last["reply_source"], "transcript");
}

/// `delivery.jsonl` has a receipt for each prompt once its fate is known: `confirmed` (its turn was seen to begin),
/// `unconfirmed` (it was typed, and nothing proves that a turn began) or `refused` (nothing was typed), with
/// the reason, its length and SHA-256, and when it was accepted, pasted and submitted. An unconfirmed prompt is
/// never typed again; if it turns out to have arrived, a second receipt says so. History has the same receipts.
/// A command that the program gives to a shell begins no turn; one that it leaves in its composer stays there, for `keys`.
#[test]
fn receipts() {
    let world = World::with("a");
    world.write("agents/a/prompt", "sim:work=200 ü");
    world.wait_status("a", "ready");
    let receipts = lines(&world, "agents/a/delivery.jsonl");
    assert_eq!(receipts.len(), 1, "{receipts:?}");
    let receipt = &receipts[0];
    assert_eq!((&receipt["stage"], &receipt["bytes"], &receipt["turn"]), (&"confirmed".into(), &15.into(), &1.into()));
    let sum = world.sh("sh", "printf 'sim:work=200 ü' | sha256sum | cut -d' ' -f1");
    assert_eq!(receipt["sha256"], sum.out.trim());
    let times = ["accepted_at", "pasted_at", "submitted_at", "settled_at"]
        .map(|key| receipt[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap());
    assert!(times.is_sorted(), "{receipt}");
    assert_eq!(turn(&world, "1")["prompt_id"], receipt["prompt_id"]);
    // A command of the program begins no turn.
    world.write("agents/a/prompt", "/help");
    world.wait_status("a", "ready");
    let receipts = lines(&world, "agents/a/delivery.jsonl");
    assert_eq!((&receipts[1]["stage"], &receipts[1]["reason"]), (&"unconfirmed".into(), &"no turn began".into()));
    assert_eq!(turn(&world, "2")["outcome"], "unconfirmed");
    assert_eq!(world.prompts_until_fence("a"), ["sim:work=200 ü"]);
    let history = world.history("agents/a").into_iter().filter(|event| event["event"] == "receipt");
    assert_eq!(history.count(), 3);
}
