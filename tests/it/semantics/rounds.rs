//! What is promised of waits and answers, as often as somebody has the patience for: a prompt, the end of its turn, its
//! answer, and the next, from a shell.

use std::io::Write;
use std::time::Instant;

use super::scripts::shells;
use super::world::World;

/// Rounds of each loop unless `TROOP_ROUNDS` says otherwise.
const ROUNDS: usize = 60;
/// The same where each takes longer.
const SLOW_ROUNDS: usize = 20;

/// Every fifth turn is interrupted and has no answer.
const PEACEFUL: &str = "
    if [ $((i % 5)) = 0 ]; then
        echo \"sim:work=600000 $i\" > prompt && cat wait/active > /dev/null && echo interrupt > control
        expected=\"ready ready $i interrupted \"
    else
        echo \"sim:work=$((i % 7 * 10)) sim:say=answer-$i\" > prompt
        expected=\"ready ready $i success answer $i\"
    fi || { echo \"round $i: $(cat error)\"; exit 3; }
    line=$(cat wait/ready); reply=$(cat reply)
    [ \"$line $reply\" = \"$expected\" ] || { echo \"round $i: $line $reply\"; exit 4; }";

/// With a program that does what programs have been seen to do to a paste, an answer may be missing.
const MOODY: &str = "
    echo \"sim:work=$((i % 7 * 10)) sim:say=answer-$i\" > prompt || { echo \"round $i: $(cat error)\"; exit 3; }
    line=$(cat wait/ready); reply=$(cat reply)
    case \"$line $reply\" in
        \"ready ready $i success answer $i\") ;;
        \"ready ready $i \"*\" \") echo \"round $i: $line, no answer\" ;;
        *) echo \"round $i: $line $reply\"; exit 4;;
    esac";

/// One loop for each shell and each way to an answer; gives what they printed.
#[track_caller]
fn run(rounds: usize, args: &str, body: &str) -> String {
    let rounds = std::env::var("TROOP_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(rounds);
    let world = World::new();
    let mut loops = Vec::new();
    for shell in shells(world.sandbox()) {
        for source in ["transcript", "screen"] {
            let name = format!("{shell}-{source}");
            let log = world.sandbox().path().join(format!("{name}.said"));
            let log = if source == "transcript" { format!("--transcript {}", log.display()) } else { String::new() };
            world.launch_with(&name, &format!("{args} --seed {} {log}", loops.len() + 1));
            loops.push((shell, source, name));
        }
    }
    loops.iter().for_each(|(_, _, name)| world.wait_status(name, "ready"));
    let script = format!("cd agents/$A; i=0; while [ $i -lt {rounds} ]; do i=$((i+1)); {body}\ndone");
    let began = Instant::now();
    let printed: Vec<String> = std::thread::scope(|scope| {
        let start = |(shell, _, name): &(&'static str, &str, String)| {
            let (world, script, shell, name) = (&world, &script, *shell, name.clone());
            scope.spawn(move || {
                let output = world.shell(shell, script).env("A", &name).output().unwrap();
                let history = world.read(&format!("agents/{name}/history"));
                let last: Vec<&str> = history.lines().rev().take(20).collect();
                assert!(output.status.success() && output.stderr.is_empty(), "{name}: {output:?}\n{last:#?}");
                String::from_utf8(output.stdout).unwrap()
            })
        };
        let threads: Vec<_> = loops.iter().map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let seconds = began.elapsed().as_secs_f64();
    for (_, source, name) in &loops {
        assert_eq!(world.prompts(name).len(), rounds, "{name}");
        let turn = world.read(&format!("agents/{name}/turns/{}/turn.json", rounds - 1));
        assert!(turn.contains(&format!("\"reply_source\": \"{source}\"")), "{turn}");
    }
    let report =
        format!("{rounds} rounds in each of {} loops at once took {seconds:.1} s\n{}", loops.len(), printed.concat());
    // On the real standard output, which the test harness does not hold back.
    std::io::stdout().write_all(report.as_bytes()).unwrap();
    printed.concat()
}

#[test]
fn never_a_previous_answer() {
    assert_eq!(run(ROUNDS, "", PEACEFUL), "");
}

#[test]
fn never_a_previous_answer_from_a_moody_program() {
    run(SLOW_ROUNDS, "--mischief late,swallow,popup,fold", MOODY);
}
