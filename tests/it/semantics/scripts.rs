//! What a person with a shell does, as they would type it, against stand-ins: in bash and in dash.

use std::fs;

use super::world::{LIMIT, Said, World, have};
use crate::support::made::Made;
use crate::support::sandbox::troop_bin;
use crate::support::{Sandbox, wait_for};
use troop::model::Status;

/// Those of the shells that are here; says SKIPPED of the others.
pub fn shells(sandbox: &Sandbox) -> Vec<&'static str> {
    ["bash", "dash"].into_iter().filter(|shell| have(sandbox, shell)).collect()
}

/// Runs a script in the mount that must neither fail nor complain; gives what it printed.
#[track_caller]
fn prints(world: &World, shell: &str, script: &str) -> String {
    let Said { code, out, err } = world.sh(shell, script);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{shell}: {script}: {out}");
    out
}

/// A stand-in at work until it is interrupted.
fn busy(world: &World, name: &str) {
    world.write(&format!("agents/{name}/prompt"), "sim:work=600000");
    world.wait_status(name, "active");
}

fn interrupt(world: &World, name: &str) {
    world.write(&format!("agents/{name}/control"), "interrupt\n");
    world.wait_status(name, "ready");
}

#[test]
fn one_look_at_all() {
    let world = World::new();
    for name in ["alice", "bob", "carol", "already"] {
        world.launch(name);
    }
    busy(&world, "bob");
    world.write("agents/carol/prompt", "sim:ask=rm-x");
    world.wait_status("carol", "blocked");
    // The word alone, wherever else it stands.
    world.write("agents/already/prompt", "sim:say=ready sim:work=600000");
    world.wait_status("already", "active");
    for shell in shells(world.sandbox()) {
        assert_eq!(prints(&world, shell, "grep -lx ready agents/*/status"), "agents/alice/status\n");
        assert_eq!(prints(&world, shell, "ls by-status/active"), "already\nbob\n");
        if have(world.sandbox(), "jq") {
            let ready =
                "for s in agents/*/state.json; do jq -r 'select(.status == \"ready\").identity.agent_name' $s; done";
            assert_eq!(prints(&world, shell, ready), "alice\n");
        }
        if have(world.sandbox(), "column") {
            let table = prints(&world, shell, "column -ts \"$(printf '\\t')\" index");
            let rows: Vec<Vec<&str>> = table.lines().map(|row| row.split_whitespace().take(3).collect()).collect();
            assert_eq!(
                rows,
                [
                    ["alice", "ready", "stand-in"],
                    ["already", "active", "stand-in"],
                    ["bob", "active", "stand-in"],
                    ["carol", "blocked", "stand-in"]
                ]
            );
        }
        // Nothing has been as it is for half an hour, and everything for less than that.
        assert_eq!(prints(&world, shell, "find agents -maxdepth 2 -name status -mmin +30"), "");
        assert_eq!(prints(&world, shell, "find agents -maxdepth 2 -name status -mmin -30 | wc -l").trim(), "4");
    }
    let made = Made::new();
    made.set_for(Status::Active, 31 * 60);
    for shell in shells(world.sandbox()) {
        let mut find = world.sandbox().command(shell);
        let find = find.args(["-c", "find agents -maxdepth 2 -name status -mmin +30"]).current_dir(made.at("../.."));
        assert_eq!(String::from_utf8(find.output().unwrap().stdout).unwrap(), "agents/a/status\n", "{shell}");
    }
}

#[test]
fn a_prompt_or_the_reason() {
    let world = World::with("alice");
    let script = "echo 'fix the tests' > agents/alice/prompt || cat agents/alice/error";
    for (round, shell) in shells(world.sandbox()).into_iter().enumerate() {
        assert_eq!(prints(&world, shell, script), "");
        assert_eq!(world.next_prompt("alice", 2 * round), "fix the tests");
        busy(&world, "alice");
        let said = world.sh(shell, script);
        assert_eq!(said.code, Some(0), "{said:?}");
        assert_eq!(said.out, world.read("agents/alice/error"));
        assert!(said.out.contains("wait until"), "{said:?}");
        interrupt(&world, "alice");
    }
    assert!(world.prompts_until_fence("alice").iter().all(|prompt| !prompt.contains("fix the testsfix")));
}

#[test]
fn many_writes_one_prompt_and_its_answer() {
    let world = World::new();
    if !have(world.sandbox(), "git") {
        return;
    }
    // The screen repeats no more than the beginning of a long prompt.
    world.launch_with("alice", &format!("--transcript {}", world.sandbox().path().join("alice.said").display()));
    world.wait_status("alice", "ready");
    let setup = "git init -q . && echo one > file && git add file \
                 && git -c user.name=a -c user.email=a@b commit -qm one && echo two > file";
    let work = world.sandbox().work();
    assert!(world.sandbox().command("sh").args(["-c", setup]).current_dir(&work).status().unwrap().success());
    let script = "{ echo 'review:'; git diff; } > \"$T/agents/alice/prompt\" \
                  && timeout 600 cat \"$T/agents/alice/wait/ready\" && cat \"$T/agents/alice/reply\"";
    for (round, shell) in shells(world.sandbox()).into_iter().enumerate() {
        let mut command = world.shell(shell, script);
        let output = command.current_dir(&work).env("T", world.at("")).output().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {out}");
        let turn = round + 1;
        assert!(out.starts_with(&format!("ready ready {turn} success\nYour prompt arrived: ")), "{shell}: {out}");
        let prompt = world.prompts("alice").pop().unwrap();
        assert_eq!(world.prompts("alice").len(), turn);
        assert!(prompt.starts_with("review:\ndiff --git a/file") && prompt.ends_with("-one\n+two"), "{prompt}");
    }
}

#[test]
fn a_question_and_its_answer_in_plain_sh() {
    let world = World::with("alice");
    let script = "exec 3<>agents/alice/ask; echo 'summarise sim:say=it-is-fine' >&3; cat <&3; exec 3>&-";
    for shell in shells(world.sandbox()) {
        assert_eq!(prints(&world, shell, script), "it is fine\n");
    }
}

#[test]
fn following_a_history() {
    let world = World::with("alice");
    // What tail has seen is the beginning of a file that may have grown since.
    let follow = "tail -n +1 -s 0.1 -F agents/alice/history > $TMPDIR/seen 2> /dev/null & tail=$!
        off=$(wc -c < agents/alice/history.jsonl); echo $off
        echo 'sim:say=what-is-new' > agents/alice/prompt && cat agents/alice/wait/ready > /dev/null
        tail -c +$((off+1)) agents/alice/history.jsonl
        size=$(wc -c < agents/alice/history)
        until [ $(wc -c < $TMPDIR/seen) -ge $size ]; do sleep 0.1; done
        kill $tail; cmp -n $size $TMPDIR/seen agents/alice/history";
    for shell in shells(world.sandbox()) {
        let said = prints(&world, shell, &format!("timeout 60 {shell} -c '{}'", follow.replace('\'', "'\\''")));
        let (offset, new) = said.split_once('\n').unwrap();
        let events: Vec<serde_json::Value> = new.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let first = events[0]["seq"].as_u64().unwrap();
        assert!((first..).zip(&events).all(|(seq, event)| event["seq"] == seq), "{new}");
        assert!(events.iter().any(|event| event["event"] == "receipt"), "{new}");
        if have(world.sandbox(), "jq") {
            let script = format!("off={offset}; tail -c +$((off+1)) agents/alice/history.jsonl | jq .seq");
            let seqs = prints(&world, shell, &script);
            assert!(seqs.starts_with(&format!("{first}\n{}\n", first + 1)), "{seqs}");
        }
    }
}

#[test]
fn a_loop_over_events() {
    let world = World::with("alice");
    if !have(world.sandbox(), "bash") {
        return;
    }
    // Answers every end of a turn with the next prompt.
    let script = "n=0
        while read -r e; do
            case $e in *'\"event\":\"status\"'*'\"to\":\"ready\"'*) ;; *) continue;; esac
            n=$((n+1)); [ $n -le 4 ] || break
            echo \"number $n\" > agents/alice/prompt || cat agents/alice/error
        done < <(exec tail -n +1 -s 0.05 -F history.jsonl 2> /dev/null)
        kill $!";
    let said = prints(&world, "bash", &format!("timeout 60 bash -c '{}'", script.replace('\'', "'\\''")));
    assert_eq!(said, "");
    assert_eq!(world.prompts("alice"), ["number 1", "number 2", "number 3", "number 4"]);
}

#[test]
fn a_prompt_to_all_that_are_ready() {
    let world = World::new();
    for name in ["alice", "bob", "carol"] {
        world.launch(name);
    }
    busy(&world, "bob");
    for (round, shell) in shells(world.sandbox()).into_iter().enumerate() {
        prints(&world, shell, "for a in by-status/ready/*; do echo 'pull main' > \"$a/prompt\"; done");
        for name in ["alice", "carol"] {
            assert_eq!(world.next_prompt(name, round), "pull main");
        }
    }
    assert_eq!(world.prompts("bob"), ["sim:work=600000"]);
}

#[test]
fn a_queue_is_a_directory() {
    let world = World::with("alice");
    fs::write(world.sandbox().work().join("task.md"), "# Task\n\nDo it.\n").unwrap();
    for (round, shell) in shells(world.sandbox()).into_iter().enumerate() {
        busy(&world, "alice");
        let script = "cp $TMPDIR/task.md agents/alice/queue/task-17; ls agents/alice/queue
            rm agents/alice/queue/task-17; ls agents/alice/queue; cp $TMPDIR/task.md agents/alice/queue/task-18";
        assert_eq!(prints(&world, shell, script), "task-17\n");
        let script = "echo interrupt > agents/alice/control; cat agents/alice/wait/turn/$1; tail -n 1 agents/alice/delivery.jsonl";
        let last = prints(&world, shell, &script.replace("$1", &(2 * round + 1).to_string()));
        assert!(
            last.starts_with(&format!("turn ready {} interrupted\n", 2 * round + 1)) || last.contains("interrupted"),
            "{last}"
        );
        assert_eq!(world.next_prompt("alice", 2 * round + 1), "# Task\n\nDo it.");
    }
}

#[test]
fn a_receipt_for_an_interrupt() {
    let world = World::with("alice");
    for shell in shells(world.sandbox()) {
        busy(&world, "alice");
        let script = "echo interrupt > agents/alice/control; cat agents/alice/wait/ready; cat agents/alice/delivery.jsonl | tail -1";
        let said = prints(&world, shell, script);
        let (line, receipt) = said.split_once('\n').unwrap();
        assert!(line.starts_with("ready ready ") && line.ends_with(" interrupted"), "{said}");
        assert!(receipt.contains("\"interrupt\""), "{said}");
    }
}

#[test]
fn a_question_is_read_and_answered() {
    let world = World::mounted(Sandbox::new(), &["--allow-approvals"]);
    world.launch("bob");
    for shell in shells(world.sandbox()) {
        let script = "echo 'sim:ask=rm-x sim:say=as-you-say' > agents/bob/prompt; cat agents/bob/wait/blocked
            cat agents/bob/question; echo 'answer 1' > agents/bob/control; cat agents/bob/wait/ready; cat agents/bob/reply";
        let said = prints(&world, shell, script);
        assert!(said.starts_with("blocked blocked ") && said.contains("rm x\n\n* 1  Yes\n"), "{said}");
        assert!(said.contains("as you say\n"), "{said}");
    }
    let choices = world.received("bob").into_iter().filter(|event| event["event"] == "answer");
    assert!(choices.into_iter().all(|event| event["choice"] == 1));
}

#[test]
fn tools_that_read_everything_finish() {
    let world = World::with("alice");
    busy(&world, "alice");
    let received = world.received("alice");
    for shell in shells(world.sandbox()) {
        for (program, script) in [
            ("rg", "rg --no-ignore --hidden TODO-that-is-nowhere . || [ $? = 1 ]"),
            ("grep", "grep -r TODO-that-is-nowhere . || [ $? = 1 ]"),
            ("cp", "cp -a . $TMPDIR/x && rm -r $TMPDIR/x"),
        ] {
            if have(world.sandbox(), program) {
                assert_eq!(prints(&world, shell, &format!("timeout 60 {shell} -c '{script}'")), "");
            }
        }
    }
    assert_eq!(world.received("alice"), received);
    assert_eq!(world.read("agents/alice/status"), "active\n");
}

#[test]
fn made_and_removed_like_a_directory() {
    let world = World::new();
    for shell in shells(world.sandbox()) {
        let said = world.sh(shell, "mkdir agents/bob && cat agents/bob/wait/ready && rmdir agents/bob");
        assert_eq!((said.code, said.out.as_str()), (Some(1), "ready ready - -\n"), "{said:?}");
        assert!(said.err.contains("Device or resource busy"), "{said:?}");
        // Opened before its name can have gone.
        let script = "exec 3< agents/bob/wait/gone; echo stop > agents/bob/control; cat <&3
            until [ -d stopped/bob ]; do sleep 0.1; done; rmdir stopped/bob; ls agents stopped";
        assert_eq!(prints(&world, shell, script), "gone gone - -\nagents:\n\nstopped:\n");
    }
}

#[test]
fn killed_unmounted_and_mounted_again() {
    let mut world = World::new();
    for name in ["ready", "active", "pending", "queued"] {
        world.launch(name);
        world.write(&format!("agents/{name}/prompt"), "before");
        world.next_prompt(name, 0);
    }
    for (round, shell) in shells(world.sandbox()).into_iter().enumerate() {
        busy(&world, "active");
        busy(&world, "queued");
        let script = format!(
            "echo 'round {round}' > agents/queued/queue/next; echo 'sim:work=200 round {round}' > agents/pending/prompt"
        );
        prints(&world, shell, &script);
        let names = ["ready", "active", "pending", "queued"];
        let before = names.map(|name| world.read(&format!("agents/{name}/history.jsonl")));
        let script = "kill -9 $DAEMON; until fusermount3 -u $T; do sleep 0.1; done; troop mount --detach $T";
        // The first was started by this program, which alone can ask for its end.
        let daemon = world.mount().pid();
        let mut command = world.sandbox().command(shell);
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", troop_bin().parent().unwrap().display());
        let command = command.args(["-c", script]).env("DAEMON", daemon.to_string()).env("PATH", path);
        let output = command.env("T", world.sandbox().path().join("mnt")).output().unwrap();
        assert!(output.status.success(), "{shell}: {output:?}");
        for (name, before) in names.into_iter().zip(before) {
            wait_for("its history", LIMIT, || world.read(&format!("agents/{name}/history.jsonl")).starts_with(&before));
        }
        world.wait_status("ready", "ready");
        world.wait_status("pending", "ready");
        for name in ["active", "queued"] {
            world.wait_status(name, "active");
            interrupt(&world, name);
        }
        let next = format!("round {round}");
        wait_for("what waited", LIMIT, || world.prompts("queued").contains(&next));
        world.wait_status("queued", "ready");
        world.mount_again();
        for name in names {
            world.wait_status(name, "ready");
            // What was pasted and not submitted stands there; a person would clear it.
            if world.state(&format!("agents/{name}"))["surface"]["editing_input"] == "yes" {
                world.write(&format!("agents/{name}/keys"), "C-u\n");
                let cleared = || world.state(&format!("agents/{name}"))["surface"]["editing_input"] == "no";
                wait_for("an empty composer", LIMIT, cleared);
            }
        }
        let times = |name: &str, text: &str| world.prompts(name).iter().filter(|prompt| **prompt == text).count();
        assert_eq!((times("queued", &next), times("ready", "before")), (1, 1));
        assert!(times("pending", &format!("sim:work=200 round {round}")) <= 1);
        assert_eq!((times("active", "sim:work=600000"), world.prompts("ready").len()), (round + 1, 1));
    }
}
