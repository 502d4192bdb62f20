//! From an event to where it shows.

use crate::support::{
    Fallible, LOOK_AGAIN, Mount, Sandbox, done, launch, median_and_p95, ms, plant, troop_bin, wait, wait_status,
};
use std::fs::{self, File};
use std::io::Write;
use std::process::{Child, ChildStdin, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long the stand-in's definition waits between paste and submit key, for a prompt
/// shorter than 1 KiB (`settle_ms` and `settle_ms_per_kib` of `src/tool/stand-in.toml`).
const SETTLE: Duration = Duration::from_millis(31);

pub(crate) fn run(measuring: bool) -> Fallible<String> {
    let times = |count: usize| if measuring { count } else { 2 };
    let sandbox = Sandbox::new();
    let mount = sandbox.mount();
    let mut table = format!(
        "ms; what is looked for is looked for every {LOOK_AGAIN:?}\n\n\
         | from | to | times | median | 95 of 100 | goal |\n|---|---|---:|---:|---:|---:|\n"
    );
    let mut row = |from: &str, to: &str, mut values: Vec<f64>, goal: &str| {
        let (median, p95) = median_and_p95(&mut values);
        table += &format!("| {from} | {to} | {} | {median:.1} | {p95:.1} | {goal} |\n", values.len());
    };

    let (seen, returned) = launches(&sandbox, &mount, times(20))?;
    row("start of `troop launch NAME`", "its directory", seen, "100");
    row("start of `troop launch NAME`", "its return", returned, "");
    row("`mkdir agents/NAME`", "its return, with the directory", mkdirs(&sandbox, &mount, times(20))?, "100");
    row("a record written by hand", "its directory", records(&sandbox, &mount, times(40))?, "100");
    row("a record removed", "its directory gone", removals(&mount, times(40))?, "100");

    launch(&sandbox, "typed", &[])?;
    wait_status(&mount, "typed", "ready")?;
    let slow = keystrokes(&sandbox, &mount, times(200), Duration::from_millis(137))?;
    row("a keystroke", "a changed `screen`, a key every 137 ms", slow, "50");
    let fast = keystrokes(&sandbox, &mount, times(200), Duration::from_millis(10))?;
    row("a keystroke", "a changed `screen`, a key right after the last was shown", fast, "50");

    let state = states(&sandbox, &mount, times(100))?;
    row(
        "a keystroke into an empty composer, or the one that empties it",
        "a changed `surface` in `state.json`",
        state,
        "60",
    );
    let active = work(&sandbox, &mount, times(20))?;
    row("Enter in the composer", "`active` in `status`", active, "60");

    let received = prompts(&sandbox, &mount, times(40))?;
    let above = received.iter().map(|ms| ms - SETTLE.as_secs_f64() * 1e3).collect();
    row("close(2) of a prompt", "its program has it", received, "");
    row("the same", &format!("without the {} ms between paste and submit key", SETTLE.as_millis()), above, "");
    Ok(table)
}

/// `troop launch` as another process: until the directory is there, and until it returns.
fn launches(sandbox: &Sandbox, mount: &Mount, count: usize) -> Fallible<(Vec<f64>, Vec<f64>)> {
    let (mut seen, mut returned) = (Vec::new(), Vec::new());
    for n in 0..count {
        let name = format!("launched-{n}");
        let directory = mount.join(format!("agents/{name}"));
        let start = Instant::now();
        let mut child = sandbox.command(troop_bin()).args(["launch", &name]).stdout(Stdio::null()).spawn()?;
        wait(&name, || directory.exists())?;
        seen.push(ms(start.elapsed()));
        if !child.wait()?.success() {
            return Err("troop launch failed".into());
        }
        returned.push(ms(start.elapsed()));
        stop(sandbox, mount, &name)?;
    }
    Ok((seen, returned))
}

fn mkdirs(sandbox: &Sandbox, mount: &Mount, count: usize) -> Fallible<Vec<f64>> {
    let mut times = Vec::new();
    for n in 0..count {
        let name = format!("made-{n}");
        let start = Instant::now();
        fs::create_dir(mount.join(format!("agents/{name}")))?;
        times.push(ms(start.elapsed()));
        stop(sandbox, mount, &name)?;
    }
    Ok(times)
}

fn stop(sandbox: &Sandbox, mount: &Mount, name: &str) -> Fallible<()> {
    wait_status(mount, name, "ready")?;
    done(sandbox.command(troop_bin()).args(["stop", "--force", name]))?;
    wait("it to stop", || !mount.join(format!("agents/{name}")).exists()).map(drop)
}

fn records(sandbox: &Sandbox, mount: &Mount, count: usize) -> Fallible<Vec<f64>> {
    (0..count)
        .map(|n| {
            let name = format!("written-{n}");
            let directory = mount.join(format!("agents/{name}"));
            let start = Instant::now();
            plant(sandbox, &name)?;
            wait(&name, || directory.exists())?;
            Ok(ms(start.elapsed()))
        })
        .collect()
}

fn removals(mount: &Mount, count: usize) -> Fallible<Vec<f64>> {
    (0..count)
        .map(|n| {
            let name = format!("written-{n}");
            let directory = mount.join(format!("agents/{name}"));
            let record = fs::canonicalize(mount.join(format!("agents/{name}/record")))?;
            let start = Instant::now();
            fs::remove_file(&record)?;
            wait(&name, || !directory.exists())?;
            Ok(ms(start.elapsed()))
        })
        .collect()
}

/// A connection to tmux of our own, which asks for no output.
struct Keyboard {
    client: Child,
    input: ChildStdin,
    pane: String,
}

impl Keyboard {
    fn of(sandbox: &Sandbox, name: &str) -> Fallible<Self> {
        let found = sandbox.tmux(["list-panes", "-a", "-F", "#{session_name} #{pane_id}"]).output()?;
        let found = String::from_utf8(found.stdout)?;
        let wanted = format!("HOUMAO-{name}-");
        let line = found.lines().find(|line| line.starts_with(&wanted)).ok_or("the agent has no pane")?;
        let (session, pane) = line.split_once(' ').ok_or("tmux says something else")?;
        let mut client = sandbox
            .tmux(["-C", "attach-session", "-t", &format!("={session}:"), "-f", "ignore-size,no-output"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        let input = client.stdin.take().ok_or("no standard input")?;
        Ok(Self { client, input, pane: pane.to_owned() })
    }

    fn press(&mut self, key: &str) -> Fallible<()> {
        Ok(writeln!(self.input, "send-keys -t {} {key}", self.pane)?)
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

/// A letter, then its removal, and so on: each changes the screen.
fn keystrokes(sandbox: &Sandbox, mount: &Mount, count: usize, pause: Duration) -> Fallible<Vec<f64>> {
    let mut keyboard = Keyboard::of(sandbox, "typed")?;
    let screen = mount.join("agents/typed/screen");
    let mut times = Vec::new();
    for key in ["x", "BSpace"].into_iter().cycle().take(count) {
        std::thread::sleep(pause);
        let before = fs::read(&screen)?;
        let start = Instant::now();
        keyboard.press(key)?;
        wait("the screen", || fs::read(&screen).is_ok_and(|now| now != before))?;
        times.push(ms(start.elapsed()));
    }
    Ok(times)
}

fn states(sandbox: &Sandbox, mount: &Mount, count: usize) -> Fallible<Vec<f64>> {
    let mut keyboard = Keyboard::of(sandbox, "typed")?;
    let state = mount.join("agents/typed/state.json");
    let editing = || -> Option<String> {
        let state: serde_json::Value = serde_json::from_slice(&fs::read(&state).ok()?).ok()?;
        Some(state["surface"]["editing_input"].as_str()?.to_owned())
    };
    let mut times = Vec::new();
    for (key, expected) in [("x", "yes"), ("BSpace", "no")].into_iter().cycle().take(count) {
        std::thread::sleep(Duration::from_millis(537));
        let start = Instant::now();
        keyboard.press(key)?;
        wait("the state", || editing().as_deref() == Some(expected))?;
        times.push(ms(start.elapsed()));
    }
    Ok(times)
}

fn work(sandbox: &Sandbox, mount: &Mount, count: usize) -> Fallible<Vec<f64>> {
    let mut keyboard = Keyboard::of(sandbox, "typed")?;
    let mut times = Vec::new();
    for _ in 0..count {
        wait_status(mount, "typed", "ready")?;
        keyboard.press("x")?;
        std::thread::sleep(Duration::from_millis(537));
        let start = Instant::now();
        keyboard.press("Enter")?;
        wait_status(mount, "typed", "active")?;
        times.push(ms(start.elapsed()));
    }
    wait_status(mount, "typed", "ready")?;
    Ok(times)
}

fn prompts(sandbox: &Sandbox, mount: &Mount, count: usize) -> Fallible<Vec<f64>> {
    let log = sandbox.path().join("received.jsonl");
    let log_name = log.to_str().ok_or("a path that is not UTF-8")?;
    launch(sandbox, "asked", &["--log", log_name, "--pace", "0"])?;
    let mut times = Vec::new();
    for n in 0..count {
        wait_status(mount, "asked", "ready")?;
        let text = format!("prompt number {n}");
        let mut prompt = File::options().write(true).open(mount.join("agents/asked/prompt"))?;
        prompt.write_all(text.as_bytes())?;
        let start = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
        drop(prompt);
        let mut at = None;
        wait("the prompt", || {
            at = received_at(&fs::read_to_string(&log).unwrap_or_default(), &text);
            at.is_some()
        })?;
        times.push((at.unwrap_or(start) - start) * 1e3);
    }
    Ok(times)
}

/// When the stand-in says that it got that prompt, in seconds since 1970.
fn received_at(log: &str, prompt: &str) -> Option<f64> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    lines.filter(|line| line["event"] == "prompt" && line["text"] == prompt).find_map(|line| line["t"].as_f64())
}
