//! The programs in `examples/`, run as their first lines say.

use std::path::Path;
use std::process::Command;

use crate::semantics::{World, have};

fn example(world: &World, name: &str) -> Command {
    let mut command = world.sandbox().command(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name));
    command.arg(world.at(""));
    command
}

#[track_caller]
fn runs(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn broadcast_and_attention() {
    let world = World::new();
    for name in ["a", "b", "busy"] {
        world.launch(name);
    }
    world.write("agents/busy/prompt", "sim:ask");
    world.wait_status("busy", "blocked");
    assert_eq!(runs(example(&world, "broadcast").arg("hello, both")), "a\nb\n");
    for name in ["a", "b"] {
        assert_eq!(world.next_prompt(name, 0), "hello, both");
    }
    if have(world.sandbox(), "python3") {
        assert_eq!(runs(&mut example(&world, "attention")), "busy: blocked (rule question)\n");
    }
}

#[test]
fn review() {
    let world = World::new();
    world.launch("a");
    world.launch_with("b", &format!("--transcript {}", world.sandbox().path().join("b.said").display()));
    world.wait_status("b", "ready");
    if !have(world.sandbox(), "git") {
        return;
    }
    let work = world.sandbox().work();
    let setup = "git init -q . && echo one > file && git add file \
                 && git -c user.name=a -c user.email=a@b commit -qm one && echo two > file";
    runs(world.sandbox().command("sh").args(["-c", setup]));
    // Who keeps a log, and who has only a screen that the prompt is too long for.
    for (name, begin) in [("a", "◇ "), ("b", "Your prompt arrived: ")] {
        let printed = runs(example(&world, "review").arg(name).current_dir(&work));
        let prompt = world.next_prompt(name, 0);
        assert!(prompt.starts_with("Review this change") && prompt.ends_with("-one\n+two"), "{prompt}");
        assert!(printed.starts_with(begin) && printed.contains("Your prompt arrived"), "{printed}");
    }
}
