//! Questions, and who may answer them.

use super::world::{LIMIT, World, errno};
use crate::support::{Sandbox, wait_for};
use std::fs;

fn asking(world: &World) {
    world.write("agents/a/prompt", "sim:ask=touch-x sim:work=100 sim:say=done");
    world.wait_status("a", "blocked");
}

/// `approve`, `deny` and `answer N` on `control` answer the question that `question` shows, with exactly the keys that the
/// tool's definition gives for it. That is off unless the mount was started with `--allow-approvals` or
/// `TROOP_ALLOW_APPROVALS=true`: then it is EPERM. Right before the keys are pressed the screen is read again; if it asks
/// something else by then, nothing is pressed. Without a question it is EBUSY. The answer is in `delivery.jsonl` and in the
/// history, `confirmed` once the question has gone. `troop answer NAME approve|deny|N` does the same without a mount.
#[test]
fn answering_questions() {
    let world = World::mounted(Sandbox::new(), &["--allow-approvals"]);
    world.launch("a");
    assert_eq!(errno(fs::write(world.at("agents/a/control"), "approve\n")), libc::EBUSY);
    assert!(world.read("agents/a/error").contains("there is no question"), "{}", world.read("agents/a/error"));
    let answers = || -> Vec<(String, usize)> {
        let of = world.received("a").into_iter().filter(|event| event["event"] == "answer");
        of.map(|event| (event["text"].as_str().unwrap().to_owned(), event["choice"].as_u64().unwrap() as usize))
            .collect()
    };
    for (verb, choice) in [("approve", 1), ("deny", 3), ("answer 2", 2)] {
        let before = answers().len();
        asking(&world);
        assert!(world.read("agents/a/question").contains("touch x"), "{}", world.read("agents/a/question"));
        assert_eq!(errno(fs::write(world.at("agents/a/control"), "answer 7\n")), libc::EINVAL);
        world.write("agents/a/control", &format!("{verb}\n"));
        wait_for("the answer", LIMIT, || answers().len() == before + 1);
        assert_eq!(answers()[before].1, choice, "{verb}");
        world.wait_status("a", "ready");
        let receipts = world.read("agents/a/delivery.jsonl");
        let last: serde_json::Value = serde_json::from_str(receipts.lines().last().unwrap()).unwrap();
        assert_eq!(
            (&last["verb"], &last["stage"], &last["presses"]),
            (&verb.into(), &"confirmed".into(), &1.into()),
            "{last}"
        );
    }
    asking(&world);
    assert_eq!(world.troop(&["answer", "a", "deny"]).code, Some(6));
    assert_eq!(world.troop(&["answer", "a", "deny", "--allow-approvals"]).code, Some(0));
    world.wait_status("a", "ready");
    assert_eq!(answers().last().unwrap().1, 3);
}

#[test]
fn answering_is_off_by_itself() {
    let world = World::with("a");
    asking(&world);
    assert_eq!(errno(fs::write(world.at("agents/a/control"), "approve\n")), libc::EPERM);
    assert!(world.read("agents/a/error").contains("--allow-approvals"), "{}", world.read("agents/a/error"));
    assert_eq!(world.read("agents/a/status"), "blocked\n");
}

/// A prompt is for one agent, so a broadcast needs nothing of its own: `tee agents/*/prompt < task.md` writes it to
/// each, tells of each that refuses, and goes on with the others.
#[test]
fn to_many_at_once() {
    let world = World::new();
    for name in ["a", "b", "c", "d"] {
        world.launch(name);
    }
    world.write("agents/b/prompt", "sim:work=600000");
    world.wait_status("b", "active");
    let said = world
        .sh("sh", "printf 'line one\\nline two\\n' > $TMPDIR/task; tee agents/*/prompt < $TMPDIR/task > /dev/null");
    assert_eq!(said.code, Some(1));
    assert_eq!(said.err.lines().count(), 1, "{said:?}");
    assert!(said.err.contains("agents/b/prompt") && said.err.contains("busy"), "{said:?}");
    for name in ["a", "c", "d"] {
        wait_for("the prompt", LIMIT, || world.prompts(name) == ["line one\nline two"]);
    }
    assert_eq!(world.prompts("b").len(), 1);
}
