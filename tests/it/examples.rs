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
    if !have(world.sandbox(), "git") {
        return;
    }
    let work = world.sandbox().work();
    let setup = "git init -q . && echo one > file && git add file \
                 && git -c user.name=a -c user.email=a@b commit -qm one && echo two > file";
    runs(world.sandbox().command("sh").args(["-c", setup]));
    let screen = runs(example(&world, "review").arg("a").current_dir(work));
    let prompt = world.next_prompt("a", 0);
    assert!(prompt.starts_with("Review this change") && prompt.ends_with("-one\n+two"), "{prompt}");
    assert!(screen.contains("Your prompt arrived"), "{screen}");
}
