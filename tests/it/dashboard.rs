//! The dashboard on a real terminal, with real agents.

use crate::support::sandbox::troop_bin;
use crate::support::{Person, Sandbox, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(30);

#[track_caller]
fn troop(sandbox: &Sandbox, args: &[&str]) -> String {
    let output = sandbox.command(troop_bin()).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Two agents that are ready.
fn with_agents() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ["alice", "bob"] {
        troop(&sandbox, &["launch", name]);
    }
    wait_for("both to be ready", LIMIT, || troop(&sandbox, &["status"]) == "2 ready\n");
    sandbox
}

/// The terminal is as it was, and the shell in front.
#[track_caller]
fn is_given_back(person: &Person<'_>, modes: &str, ended: &str) {
    person.reads(&[ended]);
    assert_eq!(person.fact("#{alternate_on} #{cursor_flag}"), "0 1", "{}", person.screen());
    wait_for("the terminal's modes", LIMIT, || person.modes() == modes);
}

/// The process of the dashboard, the only child of the person's shell.
fn dashboard_pid(person: &Person<'_>) -> Pid {
    let shell = person.fact("#{pane_pid}");
    let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
    Pid::from_raw(children.trim().parse().unwrap_or_else(|_| panic!("{children:?}")))
}

/// The whole screen is the agent's.
fn is_attached(screen: &str) -> bool {
    screen.contains("A practice agent") && !screen.starts_with("troop  ")
}

/// A tmux client that has only just come drops what is typed: then it is typed again.
fn detach(person: &Person<'_>) {
    wait_for("the end of the agent's own terminal", LIMIT, || {
        person.presses(&["C-b", "d"]);
        let again = Instant::now() + Duration::from_secs(2);
        // A program that paints anew because its terminal has another size is no sign of an end.
        let is_back = || person.screen().starts_with("troop  ");
        while !is_back() && Instant::now() < again {
            std::thread::sleep(Duration::from_millis(10));
        }
        is_back()
    });
}

#[test]
fn watch_answer_pick_attach_and_leave() {
    let sandbox = with_agents();
    let person = Person::sits_down(&sandbox, 120, 40);
    let modes = person.modes();
    person.runs("troop dashboard --allow-approvals; echo ended $?");
    person.reads(&["troop  2 ready", "ready (2)", "alice", "bob", "▸"]);

    // One goes blocked while it is watched; its question is answered after a yes.
    troop(&sandbox, &["prompt", "bob", "sim:ask=touch-it", "sim:say=it-is-done"]);
    person.reads(&["1 blocked: bob", "blocked (1)", "? Allow this command?"]);
    person.presses(&["g"]).reads(&["─ bob · screen", "2. Yes, always"]);
    person.presses(&["a"]).reads(&["approve bob?", "y yes   n no"]);
    person.presses(&["y"]).reads(&["troop  2 ready", "it is done", "approve bob: done"]);

    // A prompt, and a refusal in words.
    person.presses(&["/", "a", "l", "i", "c", "e", "Enter"]).sees("alice alone", |screen| !screen.contains("bob"));
    person.presses(&["p"]).reads(&["prompt to alice:"]);
    person.tmux(&["send-keys", "-t", "=person:", "-l", "sim:say=typed-here"]);
    person.presses(&["Enter"]).reads(&["typed here", "prompt to alice: done"]);
    person.presses(&["i"]).reads(&["so there is nothing to interrupt"]);
    person.presses(&["Escape"]).reads(&["bob"]);

    // Homes have their whole paths.
    let home = sandbox.troop_home();
    person.presses(&["H"]).reads(&["Homes (1)", "all Homes", home.to_str().unwrap(), "2 live of 2"]);
    person.presses(&["j", "Enter"]).reads(&["Home ", "alice", "bob"]);

    // To the agent's own terminal and back.
    person.presses(&["g", "Enter"]).sees("the agent's own terminal", is_attached);
    detach(&person);
    person.reads(&["troop  2 ready", "Home "]);

    // Another size: columns drop out, and nothing is left of the old picture.
    person.tmux(&["resize-window", "-t", "=person:", "-x", "60", "-y", "14"]);
    let small = person.sees("the small picture", |screen| screen.contains("troop  2 ready") && !screen.contains("CWD"));
    assert_eq!((small.lines().count(), small.contains("─ bob")), (14, false), "{small}");
    person.presses(&["?"]).reads(&["move the cursor"]);
    person.presses(&["C-c"]);
    is_given_back(&person, &modes, "ended 0");
}

#[test]
fn signals_give_the_terminal_back() {
    let sandbox = with_agents();
    let person = Person::sits_down(&sandbox, 80, 24);
    let modes = person.modes();
    for (number, signal) in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().enumerate() {
        person.runs(&format!("clear; troop dashboard; echo ended-$?-{number}"));
        person.reads(&["troop  2 ready"]);
        kill(dashboard_pid(&person), signal).unwrap();
        is_given_back(&person, &modes, &format!("ended-0-{number}"));
    }
    // Also while an agent's own terminal is shown.
    person.runs("clear; troop dashboard; echo ended-$?-attached");
    person.reads(&["troop  2 ready"]);
    let dashboard = dashboard_pid(&person);
    person.presses(&["Enter"]).sees("the agent's own terminal", is_attached);
    kill(dashboard, Signal::SIGTERM).unwrap();
    is_given_back(&person, &modes, "ended-0-attached");
    assert_eq!(troop(&sandbox, &["status"]), "2 ready\n", "agents stay as they are");
}

#[test]
fn suspended_and_resumed() {
    let sandbox = with_agents();
    let person = Person::sits_down(&sandbox, 80, 24);
    let modes = person.modes();
    person.runs("troop dashboard");
    for from_outside in [false, true] {
        person.reads(&["troop  2 ready", "q quit"]);
        if from_outside {
            kill(dashboard_pid(&person), Signal::SIGTSTP).unwrap();
        } else {
            person.presses(&["C-z"]);
        }
        wait_for("the shell's screen", LIMIT, || person.fact("#{alternate_on} #{cursor_flag}") == "0 1");
        wait_for("the terminal's modes", LIMIT, || person.modes() == modes);
        person.reads(&["Stopped"]);
        person.runs("clear; fg");
    }
    person.reads(&["troop  2 ready", "q quit"]);
    person.presses(&["j", "q"]).sees("the shell", |screen| screen.trim_end().ends_with("shell>"));
    assert_eq!(person.fact("#{alternate_on} #{cursor_flag}"), "0 1");
}

/// Run by the test below in a terminal: a panic gives the terminal back although nothing is dropped.
#[test]
#[ignore = "takes over the terminal it runs on"]
fn takes_over_the_terminal_and_panics() {
    let terminal = troop::dashboard::Terminal::open().unwrap();
    std::thread::sleep(Duration::from_secs(1));
    std::mem::forget(terminal);
    panic!("on purpose");
}

#[test]
fn a_panic_gives_the_terminal_back() {
    let sandbox = Sandbox::new();
    let person = Person::sits_down(&sandbox, 80, 24);
    let modes = person.modes();
    let tests = std::env::current_exe().unwrap();
    let name = "dashboard::takes_over_the_terminal_and_panics";
    person.runs(&format!("{} --ignored --exact {name} --nocapture; echo ended", tests.display()));
    wait_for("the dashboard's screen", LIMIT, || person.fact("#{alternate_on}") == "1");
    assert_ne!(person.modes(), modes);
    is_given_back(&person, &modes, "on purpose");
}

#[test]
fn notified_by_bell_and_by_command() {
    let sandbox = with_agents();
    let person = Person::sits_down(&sandbox, 80, 24);
    let told = sandbox.path().join("told");
    person.runs(&format!("troop dashboard --notify 'echo $TROOP_AGENT $TROOP_STATUS >> {}'", told.display()));
    person.reads(&["troop  2 ready"]);
    troop(&sandbox, &["prompt", "bob", "sim:work=300"]);
    wait_for("the command", LIMIT, || std::fs::read_to_string(&told).is_ok_and(|text| text == "bob ready\n"));
    person.presses(&["q"]);
    person.sees("the shell", |screen| screen.trim_end().ends_with("shell>"));
    assert_eq!(person.fact("#{window_bell_flag}"), "0");
    // The window that rings has to be another one than the one that is looked at.
    person.runs("troop dashboard");
    person.reads(&["troop  2 ready"]);
    person.tmux(&["new-window", "-t", "person", "sleep 1000"]);
    troop(&sandbox, &["prompt", "bob", "sim:ask"]);
    wait_for("the bell", LIMIT, || {
        person.tmux(&["list-windows", "-t", "person", "-F", "#{window_bell_flag}"]).starts_with('1')
    });
}

/// The command of the configuration is called where no option says how to tell, and not where one does.
#[test]
fn notified_as_the_configuration_says() {
    let sandbox = with_agents();
    let told = sandbox.path().join("told");
    let config = sandbox.home().join(".config/troop/config.toml");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    let command = format!("echo $TROOP_AGENT $TROOP_STATUS >> {}; echo noise > /dev/tty; exit 7", told.display());
    fs::write(&config, format!("[dashboard]\nnotify = '{command}'\n")).unwrap();
    let person = Person::sits_down(&sandbox, 80, 24);
    let told_now = || fs::read_to_string(&told).unwrap_or_default();

    person.runs("troop dashboard --notify bell");
    person.reads(&["troop  2 ready"]);
    troop(&sandbox, &["prompt", "bob", "sim:ask"]);
    person.reads(&["1 blocked: bob"]);
    person.presses(&["q"]).sees("the shell", |screen| screen.trim_end().ends_with("shell>"));
    assert_eq!(told_now(), "");

    person.runs("clear; troop dashboard");
    person.reads(&["1 blocked: bob"]);
    troop(&sandbox, &["interrupt", "bob"]);
    wait_for("the command", LIMIT, || told_now() == "bob ready\n");
    // How it failed is told; what it printed is not there.
    let screen = person.reads(&["troop  2 ready", "the command that tells of agents failed: exit status: 7"]);
    assert!(!screen.contains("noise"), "{screen}");
}

/// Where the person's tmux client is a client of the agent's own server, it goes to the agent and comes back by tmux's own keys.
#[test]
fn attaching_from_a_pane_of_the_agents_own_server() {
    let sandbox = with_agents();
    let env: Vec<String> =
        sandbox.env().into_iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
    let shell = format!("env {} PS1='desk> ' sh -i", env.join(" "));
    let made = sandbox.tmux(["new-session", "-d", "-s", "desk", "-x", "100", "-y", "30", &shell]).status().unwrap();
    assert!(made.success());
    let person = Person::sits_down(&sandbox, 100, 30);
    person.runs("env -u TMUX tmux attach -t desk");
    person.reads(&["desk>", "[desk]"]);
    person.runs("troop dashboard");
    person.reads(&["troop  2 ready", "[desk]"]);
    person.presses(&["s", "g"]).reads(&["by name", "▸ alice"]);
    let clients = || {
        let output = sandbox.tmux(["list-clients", "-F", "#{client_control_mode} #{client_session}"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().filter_map(|line| line.strip_prefix("0 ")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(clients(), ["desk"]);
    person
        .presses(&["Enter"])
        .sees("the agent's own terminal", |screen| is_attached(screen) && !screen.contains("[desk]"));
    let shown = clients();
    assert!(shown.len() == 1 && shown[0].contains("alice"), "the client has moved and there is no other: {shown:?}");
    person.presses(&["C-b", "L"]);
    person.reads(&["troop  2 ready", "[desk]", "your tmux shows alice now", "switch-client -l (prefix L)"]);
    assert_eq!(clients(), ["desk"]);
}

/// Agents end, and a mount is killed, while they are looked at.
#[test]
fn what_goes_away_while_it_is_looked_at() {
    let sandbox = with_agents();
    let mut mount = sandbox.mount();
    let person = Person::sits_down(&sandbox, 100, 30);
    person.runs("troop dashboard; echo ended $?");
    person.reads(&["troop  2 ready"]);
    person.presses(&["s", "g"]).reads(&["by name", "▸ alice"]);
    mount.end(Signal::SIGKILL);
    troop(&sandbox, &["prompt", "bob", "sim:say=nobody-mounts-this"]);
    person.reads(&["nobody mounts this", "troop  2 ready"]);

    person.presses(&["Enter"]).sees("the agent's own terminal", is_attached);
    troop(&sandbox, &["stop", "--force", "alice"]);
    person.reads(&["troop  1 ready", "▸ bob"]);
    person.presses(&["p"]).reads(&["prompt to bob:"]);
    person.tmux(&["send-keys", "-t", "=person:", "-l", "too late"]);
    troop(&sandbox, &["stop", "--force", "bob"]);
    person.reads(&["no agents; launch one"]);
    person
        .presses(&["Enter"])
        .sees("a refusal", |screen| screen.contains("bob is ") && screen.contains("launch it again"));
    person.presses(&["q"]).reads(&["ended 0"]);
}

#[test]
fn without_a_terminal_it_says_so() {
    let sandbox = Sandbox::new();
    let output = sandbox.command(troop_bin()).arg("dashboard").output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&output.stderr).contains("needs a terminal"), "{output:?}");
    let person = Person::sits_down(&sandbox, 160, 24);
    person.runs("TERM=dumb troop dashboard; echo ended $?");
    person.reads(&["TERM says that this one cannot", "ended 7"]);
}
