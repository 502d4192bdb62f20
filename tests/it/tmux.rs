//! The tmux driver on real servers.

use crate::support::tmux::{PATIENCE, Server};
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;
use troop::Kind;
use troop::model::PaneId;
use troop::tmux::{Client, Key, What, literal_format, quote};

/// Everything a user's configuration could do against the layout, and a line that is wrong.
const HOSTILE_CONFIG: &str = "
set -g base-index 1
setw -g pane-base-index 1
setw -g automatic-rename on
setw -g allow-rename on
setw -g remain-on-exit off
setw -g window-size smallest
set -g destroy-unattached on
set -g detach-on-destroy off
set -g default-shell /bin/false
set -g no-such-option on
";

/// A program that records N raw bytes, with bracketed paste on, and says when it is ready and done.
const RECORD: &str =
    r#"stty raw -echo; printf '\033[?2004hready\r\n'; head -c "$1" > "$2"; printf 'done\r\n'; cat > /dev/null"#;

fn key(name: &str) -> Key {
    Key::parse(name).unwrap()
}

fn options(server: &Server, target: &str) -> String {
    server.ask(&["show-options", "-w", "-t", target])
}

#[tokio::test]
async fn a_session_has_the_layout_whatever_the_configuration() {
    let server = Server::with_config(HOSTILE_CONFIG);
    let mut agent = server.start("HOUMAO-a-1", "printf ready; cat", &[]).await;
    let frame = agent.see_text("ready").await;
    assert_eq!(frame.pane.id, agent.created.pane);
    assert_eq!(frame.pane.pid, agent.created.pane_pid);
    assert_eq!(frame.pane.size, (100, 30));
    assert!(!frame.pane.in_mode, "the error in the configuration is on top of the agent");
    let place = agent.client.find_agent_pane("HOUMAO-a-1").await.unwrap();
    assert_eq!((place.window_index, place.pane_index, &*place.window_name), (0, 0, "agent"));
    assert_eq!((&place.window, &place.pane), (&agent.created.window, &agent.created.pane));
    let options = options(&server, "=HOUMAO-a-1:0");
    for option in ["remain-on-exit on", "automatic-rename off", "allow-rename off", "window-size latest"] {
        assert!(options.contains(option), "{option} in {options}");
    }
    // The user's own are as they were.
    assert_eq!(server.ask(&["show-options", "-gv", "base-index"]), "1");
    assert_eq!(server.ask(&["show-options", "-gwv", "remain-on-exit"]), "off");
    assert_eq!(server.ask(&["show-options", "-gv", "destroy-unattached"]), "on");
    drop(agent);
    // Nobody is attached any more, and it is still there.
    assert_eq!(server.ask(&["display-message", "-p", "-t", "=HOUMAO-a-1:0.0", "#{pane_dead}"]), "0");
}

#[tokio::test]
async fn arguments_directory_and_variables_arrive_as_they_are() {
    let server = Server::new();
    let cwd = server.path("a #S #[x ##y $HOME 'q' é");
    std::fs::create_dir(&cwd).unwrap();
    let words = ["", ";", "a;", "\\;", "$HOME", "two\nlines", "#{pane_id}", "~", "é😀", "-x", "'\"", "{ }", "%1"];
    let script = r#"printf '%s\0' "$@" > args; pwd > pwd; env -0 > env; printf ready; cat"#;
    let mut session = server.session("a", script, &words);
    session.cwd = cwd.clone();
    session.env = vec![
        ("HOUMAO_MANIFEST_PATH".to_owned(), "/x/manifest.json".to_owned()),
        ("ODD".to_owned(), "a=b;\n$HOME \"'\\ #{x} é".to_owned()),
        ("EMPTY".to_owned(), String::new()),
    ];
    let mut agent = server.start_session(&session).await;
    agent.see_text("ready").await;

    let args = std::fs::read_to_string(cwd.join("args")).unwrap();
    assert_eq!(args.strip_suffix('\0').unwrap().split('\0').collect::<Vec<_>>(), words);
    assert_eq!(std::fs::read_to_string(cwd.join("pwd")).unwrap().trim_end(), cwd.to_str().unwrap());

    let environment = std::fs::read_to_string(cwd.join("env")).unwrap();
    let variables: Vec<_> = environment.split_terminator('\0').filter_map(|v| v.split_once('=')).collect();
    for (name, value) in &session.env {
        assert!(variables.contains(&(name, value)), "{name} in {variables:?}");
        let shown = server.ask(&["show-environment", "-t", "=a:", name]);
        assert_eq!(shown, format!("{name}={value}"));
    }
    // Every other variable is a kept one or of tmux's or the shell's own making.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some(), "there is nothing that could leak");
    let known = ["PATH", "HOME", "LANG", "TERM", "USER", "SHELL", "TMUX_TMPDIR", "TMUX", "TMUX_PANE", "TERM_PROGRAM"];
    let known = [&known[..], &["TERM_PROGRAM_VERSION", "PWD", "OLDPWD", "SHLVL", "_"]].concat();
    for (name, _) in variables {
        assert!(known.contains(&name) || session.env.iter().any(|(ours, _)| ours == name), "{name} has leaked");
    }
    // Nor does it stand where everybody can read it.
    let pid = agent.client.pid().unwrap();
    let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(!command.contains("manifest.json"), "{command}");
    let directory = server.socket.path().parent().unwrap();
    let left: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["test"]);
}

#[tokio::test]
async fn a_program_without_arguments_is_run_by_no_shell() {
    let server = Server::with_config(HOSTILE_CONFIG);
    let program = server.path("my program; a=b $HOME");
    std::fs::write(&program, "#!/bin/bash\nprintf '%s' \"$0\"; cat\n").unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let mut session = server.session("a", "", &[]);
    session.argv = vec![program.to_str().unwrap().to_owned()];
    let mut agent = server.start_session(&session).await;
    agent.see_text("my program; a=b $HOME").await;
}

#[tokio::test]
async fn a_program_that_ends_at_once_is_kept() {
    let server = Server::new();
    let agent = server.start("a", "printf bye; exit 3", &[]).await;
    let frame = agent.see_dead().await;
    assert!(frame.pane.dead && frame.screen.text.contains("Pane is dead (status 3"), "{frame:?}");
    assert_eq!((frame.pane.exit_status, frame.pane.exit_signal), (Some(3), None));

    let killed = server.start("b", "kill -9 $$", &[]).await;
    let frame = killed.see_dead().await;
    assert_eq!((frame.pane.exit_status, frame.pane.exit_signal), (None, Some(9)));
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused() {
    let server = Server::new();
    let first = server.start("agent-12", "cat", &[]).await;
    let again = server.session("agent-12", "cat", &[]);
    let refused = Client::create(&server.socket, &again, mpsc::channel(1).0).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Exists, "{refused}");
    let refused = first.client.new_session(&again).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Exists, "{refused}");
    // A name that only begins like it is another.
    server.start("agent-1", "cat", &[]).await;
    assert_eq!(first.client.sessions().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_second_session_over_the_same_connection() {
    let server = Server::with_config(HOSTILE_CONFIG);
    let first = server.start("a", "cat", &[]).await;
    let created = first.client.new_session(&server.session("b", "cat", &[])).await.unwrap();
    let place = first.client.find_agent_pane("b").await.unwrap();
    assert_eq!((place.window_index, place.pane_index), (0, 0));
    assert_eq!((place.pane, place.window), (created.pane.clone(), created.window));
    let (sender, _events) = mpsc::channel(1);
    let second = Client::attach(&server.socket, "b", sender).await.unwrap();
    assert_eq!(second.frame(&created.pane).await.unwrap().pane.pid, created.pane_pid);
    assert_ne!(first.client.id(), second.id());
}

#[tokio::test]
async fn what_cannot_be_attached_to() {
    let server = Server::new();
    let attach = async |name: &str| Client::attach(&server.socket, name, mpsc::channel(1).0).await.map(|_| ());
    assert_eq!(attach("agent-1").await.unwrap_err().kind(), Kind::Gone);
    assert!(!server.socket.path().exists(), "attaching has started a server");
    assert_eq!(server.socket.sessions().await.unwrap(), []);

    let _other = server.start("agent-12", "cat", &[]).await;
    let refused = attach("agent-1").await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Gone, "{refused}");
    assert!(refused.sentence().contains("agent-1"), "{refused}");
    assert_eq!(attach("agent-12:0").await.unwrap_err().kind(), Kind::Invalid);
    attach("agent-12").await.unwrap();
    let sessions = server.socket.sessions().await.unwrap();
    assert_eq!(sessions.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["agent-12"]);
}

#[tokio::test]
async fn a_stale_socket_is_no_server() {
    let server = Server::new();
    std::fs::create_dir(server.socket.path().parent().unwrap()).unwrap();
    drop(std::os::unix::net::UnixListener::bind(server.socket.path()).unwrap());
    let refused = Client::attach(&server.socket, "a", mpsc::channel(1).0).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Gone, "{refused}");
    assert_eq!(server.socket.sessions().await.unwrap(), []);
    server.start("a", "cat", &[]).await;
}

#[tokio::test]
async fn without_tmux_the_sentence_says_what_to_install() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = directory.path().to_str().unwrap().to_owned();
    let variable = |name: &str| (name == "PATH").then(|| nowhere.clone());
    let refused = troop::tmux::version(variable).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Unavailable);
    assert!(refused.sentence().contains("install"), "{refused}");
    let version = troop::tmux::version(|name| std::env::var(name).ok()).await.unwrap();
    assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{version}");
}

#[tokio::test]
async fn a_frame_shows_the_screen_and_the_facts() {
    let server = Server::new();
    let script = r#"printf '\033]2;%%end 1 2 3 é #{pane_id}\007\033[?1049h\033[2J\033[H\033[1;31mred\033[0m é😀\r\n\033(0lqk\033(B box'; cat"#;
    let mut agent = server.start("a", script, &[]).await;
    let frame = agent.see_text("box").await;
    assert_eq!(&*frame.screen.text, "red é😀\n┌─┐ box\n");
    assert!(frame.screen.ansi.starts_with("\u{1b}[1m\u{1b}[31mred\u{1b}[0m"), "{:?}", frame.screen.ansi);
    assert_eq!(frame.screen.ansi.lines().count(), 30);
    assert_eq!(frame.pane.title, "%end 1 2 3 é #{pane_id}");
    assert_eq!(frame.pane.cursor, (7, 1));
    assert!(frame.pane.alternate && !frame.pane.dead && !frame.pane.input_off && !frame.pane.in_mode);
    assert_eq!((frame.pane.exit_status, frame.pane.exit_signal), (None, None));

    server.ask(&["select-pane", "-d", "-t", agent.pane.as_str()]);
    server.ask(&["copy-mode", "-t", agent.pane.as_str()]);
    let frame = agent.see(|frame| frame.pane.in_mode).await;
    assert!(frame.pane.input_off);
    assert_eq!(&*frame.screen.text, "red é😀\n┌─┐ box\n");

    let missing = agent.client.frame(&PaneId::parse("%999").unwrap()).await.unwrap_err();
    assert_eq!(missing.kind(), Kind::Gone, "{missing}");
}

#[tokio::test]
async fn output_is_an_event() {
    let server = Server::new();
    let mut agent = server.start("a", "cat", &[]).await;
    agent.client.keys(&agent.pane, &[key("h"), key("i"), key("Enter")]).await.unwrap();
    agent.see_text("hi\nhi").await;
    while agent.events.try_recv().is_ok() {}
    agent.client.keys(&agent.pane, &[key("x")]).await.unwrap();
    assert_eq!(agent.event().await, What::Dirty(agent.pane.clone()));
}

#[tokio::test]
async fn scrollback_is_history_only() {
    let server = Server::new();
    let mut agent = server.start("a", "printf 'one line'; read -r; seq 1000; printf end; cat", &[]).await;
    agent.see_text("one line").await;
    assert_eq!(agent.client.scrollback(&agent.pane, 100).await.unwrap(), "");
    agent.client.submit(&agent.pane, &key("Enter")).await.unwrap();
    let frame = agent.see_text("end").await;
    assert_eq!(frame.pane.history, 1000 + 2 - 30);
    let all = agent.client.scrollback(&agent.pane, u32::MAX).await.unwrap();
    assert!(all.starts_with("one line\n1\n2\n") && all.ends_with("\n970\n971\n"), "{all}");
    assert_eq!(agent.client.scrollback(&agent.pane, 2).await.unwrap(), "970\n971\n");
    assert_eq!(agent.client.scrollback(&agent.pane, 0).await.unwrap(), "");
}

/// What a program gets when `text` is pasted: all of it, in brackets.
async fn pasted(text: &[u8]) -> Vec<u8> {
    let server = Server::new();
    let (input, record) = (server.path("in #S; 'x'"), server.path("record"));
    std::fs::write(&input, text).unwrap();
    let count = (text.len() + "\x1b[200~\x1b[201~".len()).to_string();
    let mut agent = server.start("a", RECORD, &[&count, record.to_str().unwrap()]).await;
    agent.see_text("ready").await;
    agent.client.paste(&agent.pane, &input).await.unwrap();
    agent.see_text("done").await;
    assert_eq!(server.ask(&["list-buffers"]), "");
    let got = std::fs::read(record).unwrap();
    let got = got.strip_prefix(b"\x1b[200~").and_then(|got| got.strip_suffix(b"\x1b[201~"));
    got.expect("the brackets").to_vec()
}

#[tokio::test]
async fn pastes_arrive_byte_for_byte() {
    let long: Vec<u8> = (0..100 * 1024).map(|n| if n % 80 == 79 { b'\n' } else { b'a' + (n % 23) as u8 }).collect();
    for text in ["x", "two\nlines\n", "ends in ;", "é😀\tü", "'\"\\ $HOME #{pane_id} `ls` ~ ;", "%end 1 2 3\n%exit"]
    {
        assert_eq!(pasted(text.as_bytes()).await, text.as_bytes(), "{text}");
    }
    assert!(pasted(&long).await == long, "100 KiB arrived changed");
}

#[tokio::test]
async fn a_dead_pane_takes_nothing_and_the_server_survives() {
    let server = Server::new();
    let agent = server.start("a", "exit 0", &[]).await;
    let file = server.path("text");
    std::fs::write(&file, "rm -rf /\n").unwrap();
    agent.see_dead().await;
    let missing = PaneId::parse("%77").unwrap();
    for pane in [&agent.pane, &missing] {
        let refused = [
            agent.client.paste(pane, &file).await.unwrap_err(),
            agent.client.submit(pane, &key("Enter")).await.unwrap_err(),
            agent.client.submit(pane, &key("C-m")).await.unwrap_err(),
            agent.client.keys(pane, &[key("a")]).await.unwrap_err(),
        ];
        for refused in refused {
            assert_eq!(refused.kind(), Kind::Gone, "{refused}");
        }
    }
    assert_eq!(server.ask(&["list-buffers"]), "");
    assert!(agent.client.frame(&agent.pane).await.unwrap().pane.dead);
}

#[tokio::test]
async fn input_that_is_switched_off_and_files_that_are_not_there_are_refused() {
    let server = Server::new();
    let agent = server.start("a", "cat", &[]).await;
    let file = server.path("text");
    let refused = agent.client.paste(&agent.pane, &file).await.unwrap_err();
    assert!(refused.sentence().contains("No such file"), "{refused}");
    std::fs::write(&file, "").unwrap();
    let refused = agent.client.paste(&agent.pane, &file).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Invalid, "{refused}");
    std::fs::write(&file, "x").unwrap();
    let refused = agent.client.paste(&agent.pane, Path::new("text")).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Invalid, "{refused}");
    server.ask(&["select-pane", "-d", "-t", agent.pane.as_str()]);
    for refused in [
        agent.client.paste(&agent.pane, &file).await.unwrap_err(),
        agent.client.submit(&agent.pane, &key("Enter")).await.unwrap_err(),
        agent.client.keys(&agent.pane, &[key("a")]).await.unwrap_err(),
    ] {
        assert_eq!(refused.kind(), Kind::Busy, "{refused}");
        assert!(refused.sentence().contains("select-pane -e"), "{refused}");
    }
    assert_eq!(server.ask(&["list-buffers"]), "");
}

#[tokio::test]
async fn enter_reaches_the_program_in_copy_mode_and_other_keys_are_refused() {
    let server = Server::new();
    let record = server.path("record");
    let mut agent = server.start("a", RECORD, &["1", record.to_str().unwrap()]).await;
    agent.see_text("ready").await;
    server.ask(&["copy-mode", "-t", agent.pane.as_str()]);
    let refused = agent.client.submit(&agent.pane, &key("C-j")).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Busy, "{refused}");
    assert!(refused.sentence().contains("copy mode"), "{refused}");
    agent.client.submit(&agent.pane, &key("Enter")).await.unwrap();
    let frame = agent.see_text("done").await;
    assert!(frame.pane.in_mode, "the person's copy mode was left");
    assert_eq!(std::fs::read(record).unwrap(), b"\r");
}

#[tokio::test]
async fn every_key_is_a_key_and_not_its_name() {
    let names = "Enter Escape Tab BTab Space BSpace Up Down Left Right Home End PageUp PPage PgUp PageDown NPage PgDn IC DC \
        F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 F11 F12 C-a C-Z C-[ C-\\ C-] C-^ C-_ C-? C-Up S-Up M-x M-; C-M-a a ; - é 😀 # $ ~ { \" ' \\ %";
    let server = Server::new();
    let record = server.path("record");
    // Every key is followed by a NUL, which is what C-@ sends, and the last by an EOT.
    let script = r#"stty raw -echo; printf 'ready\r\n'; stdbuf -o0 od -An -v -tx1 -w1 | while read -r byte; do
        if [ $byte = 04 ]; then printf done; else printf "\\x$byte" >> "$1"; fi; done"#;
    let mut agent = server.start("a", script, &[record.to_str().unwrap()]).await;
    agent.see_text("ready").await;
    for name in names.split_whitespace() {
        agent.client.keys(&agent.pane, &[key(name), key("C-@")]).await.unwrap();
    }
    agent.client.keys(&agent.pane, &[key("C-d")]).await.unwrap();
    agent.see_text("done").await;
    let record = std::fs::read_to_string(record).unwrap();
    let keys: Vec<_> = record.split_terminator('\0').collect();
    assert_eq!(keys.len(), names.split_whitespace().count());
    for (name, bytes) in names.split_whitespace().zip(keys) {
        if name.chars().count() == 1 {
            assert_eq!(bytes, name);
        } else {
            assert_ne!(bytes, name, "tmux does not know {name}");
            assert!((1..=8).contains(&bytes.len()), "{name}: {bytes:?}");
        }
    }
}

#[tokio::test]
async fn a_server_that_ends_closes_the_client() {
    let server = Server::new();
    let mut agent = server.start("a", "cat", &[]).await;
    server.ask(&["kill-server"]);
    agent.closed().await;
    let refused = agent.client.frame(&agent.pane).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Gone, "{refused}");
    assert!(!agent.client.is_open());
}

#[tokio::test]
async fn a_server_that_is_killed_closes_the_client() {
    let server = Server::new();
    let mut agent = server.start("a", "cat", &[]).await;
    let pid = server.ask(&["display-message", "-p", "#{pid}"]).parse().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL).unwrap();
    agent.closed().await;
}

#[tokio::test]
async fn a_session_that_somebody_kills_closes_only_its_client() {
    for config in ["", "set -g detach-on-destroy off"] {
        let server = Server::with_config(config);
        let mut one = server.start("agent-1", "cat", &[]).await;
        let twelve = server.start("agent-12", "cat", &[]).await;
        server.ask(&["kill-session", "-t", "=agent-1"]);
        one.closed().await;
        assert!(twelve.client.frame(&twelve.pane).await.is_ok());
        assert_eq!(one.client.frame(&one.pane).await.unwrap_err().kind(), Kind::Gone);
    }
}

#[tokio::test]
async fn killing_a_session_is_exact() {
    let server = Server::new();
    let twelve = server.start("agent-12", "cat", &[]).await;
    let refused = twelve.client.kill_session("agent-1").await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Gone, "{refused}");
    let mut one = server.start("agent-1", "cat", &[]).await;
    // Our own session, and another's.
    one.client.kill_session("agent-1").await.unwrap();
    one.closed().await;
    let mut three = server.start("agent-3", "cat", &[]).await;
    twelve.client.kill_session("agent-3").await.unwrap();
    three.closed().await;
    assert_eq!(server.ask(&["list-sessions", "-F", "#{session_name}"]), "agent-12");
}

#[tokio::test]
async fn a_client_that_is_dropped_leaves_no_process_and_a_live_session() {
    let server = Server::new();
    let agent = server.start("a", "cat", &[]).await;
    let pid = i32::try_from(agent.client.pid().unwrap()).unwrap();
    let started = troop::process::start_time(pid).unwrap();
    let pane_pid = agent.created.pane_pid;
    drop(agent);
    tokio::time::timeout(PATIENCE, troop::process::ended(pid, started)).await.unwrap().unwrap();
    // It is reaped as well: its entry goes away.
    tokio::time::timeout(PATIENCE, async {
        while Path::new(&format!("/proc/{pid}")).exists() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the client program was not reaped");
    assert!(troop::process::start_time(pane_pid).is_some());
    assert_eq!(server.ask(&["list-sessions", "-F", "#{session_name} #{session_attached}"]), "a 0");
}

#[tokio::test]
async fn clients_that_come_and_go_at_once_leave_the_server_alive() {
    let server = Server::new();
    let keeper = server.start("keeper", "cat", &[]).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        let (socket, session) = (server.socket.clone(), server.session(&format!("s{n}"), "cat", &[]));
        tasks.spawn(async move {
            for _ in 0..3 {
                let (client, _) = Client::create(&socket, &session, mpsc::channel(1).0).await.unwrap();
                let again = Client::attach(&socket, &session.name, mpsc::channel(1).0).await.unwrap();
                drop(client);
                again.kill_session(&session.name).await.unwrap();
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    assert_eq!(keeper.client.sessions().await.unwrap().len(), 1);
    keeper.alone().await;
}

#[tokio::test]
async fn a_caller_that_stops_waiting_does_no_harm() {
    let server = Server::new();
    let keeper = server.start("keeper", "cat", &[]).await;
    for micros in (0..40).map(|n| n * 250) {
        let attach = Client::attach(&server.socket, "keeper", mpsc::channel(1).0);
        // Given up at any moment of the connection.
        let _ = tokio::time::timeout(std::time::Duration::from_micros(micros), attach).await;
    }
    assert_eq!(keeper.client.sessions().await.unwrap().len(), 1);
    keeper.alone().await;
}

#[tokio::test]
async fn the_clients_of_a_killed_process_are_cleared_away_by_its_successor() {
    for _ in 0..5 {
        let server = Server::new();
        server.start_by_hand("a", "while sleep 0.01; do echo working; done");
        server.start_by_hand("b", "cat");
        // What a killed process leaves: both pipes of each client closed at once, and the clients on their way out.
        let mut orphans: Vec<_> = ["a", "b", "a", "b"].iter().map(|name| server.control_client(name)).collect();
        for orphan in &mut orphans {
            drop((orphan.stdin.take(), orphan.stdout.take()));
            server.until_abandoned(orphan.id());
        }
        let (sender, _events) = mpsc::channel(1);
        let client = Client::attach(&server.socket, "b", sender).await.unwrap();
        let clients = client.run("list-clients").await.unwrap().remove(0);
        assert_eq!(clients.lines().count(), 1, "{}", clients.text());
        for orphan in &mut orphans {
            orphan.wait().unwrap();
        }
        server.socket.detach_all().await;
    }
}

#[tokio::test]
async fn everybody_detaches_before_the_program_ends() {
    let server = Server::new();
    let busy = server.start("busy", "yes", &[]).await;
    let idle = server.start("idle", "cat", &[]).await;
    server.socket.detach_all().await;
    assert!(!busy.client.is_open() && !idle.client.is_open());
    assert_eq!(server.ask(&["list-clients"]), "");
    assert_eq!(server.ask(&["list-sessions", "-F", "#{session_name}"]), "busy\nidle");
    // And the door is open again.
    assert!(Client::attach(&server.socket, "idle", mpsc::channel(1).0).await.is_ok());
}

#[tokio::test]
async fn pane_text_that_looks_like_the_protocol_is_text() {
    let server = Server::new();
    let mut agent = server.start("a", r#"read -rs; printf '%s\r\n' "$REPLY"; printf end; cat"#, &[]).await;
    // The very numbers the server is about to use, as far as anybody outside can know them.
    let reply = agent.client.run("display-message -p x").await.unwrap().remove(0);
    let mut lines = vec!["%exit".to_owned(), "%output %9 x".to_owned(), "%begin 1 2 3".to_owned()];
    lines.extend((0..20).map(|n| format!("%end {} {} 1", reply.time, reply.number + n)));
    let text = lines.join("\r\n");
    let file = server.path("text");
    std::fs::write(&file, format!("{}\n", text.replace("\r\n", "  "))).unwrap();
    agent.client.paste(&agent.pane, &file).await.unwrap();
    let frame = agent.see_text("end").await;
    assert!(frame.screen.text.contains("%exit  %output %9 x  %begin 1 2 3  %end"), "{}", frame.screen.text);

    let mut shown =
        server.start("b", r#"printf '%%exit\n%%begin 1 2 3\n%%end 1 2 3\n%%error 1 2 3\nlast'; cat"#, &[]).await;
    let frame = shown.see_text("last").await;
    assert_eq!(&*frame.screen.text, "%exit\n%begin 1 2 3\n%end 1 2 3\n%error 1 2 3\nlast\n");
}

#[tokio::test]
async fn a_pane_that_guesses_the_numbers_is_refused_and_shifts_no_answer() {
    let server = Server::new();
    // A screen full of guesses, always of this second and of the numbers to come, as an agent
    // that can ask the server for them may draw it.
    let script = r#"while read -r first; do printf '\033[2J\033[H'; for n in $(seq 0 28); do printf '%%end %s %s 1\r\n' "$(date +%s)" $((first + n)); done; printf drawn; done"#;
    let mut agent = server.start("a", script, &[]).await;
    let mut refused = 0;
    for round in 0..20 {
        let reply = agent.client.run("display-message -p number").await.unwrap().remove(0);
        let text = format!("{}", reply.number + 8);
        let keys: Vec<_> = text.chars().map(|c| key(&c.to_string())).chain([key("Enter")]).collect();
        agent.client.keys(&agent.pane, &keys).await.unwrap();
        while agent.event().await != What::Dirty(agent.pane.clone()) {}
        match agent.client.frame(&agent.pane).await {
            Ok(frame) => assert_eq!(frame.screen.ansi.lines().count(), 30),
            Err(error) => {
                refused += 1;
                assert_eq!(error.kind(), Kind::Malformed, "{error}");
            }
        }
        // Whatever the pane shows, the next answer is the next answer.
        let word = format!("word-{round}");
        let reply = agent.client.run(&format!("display-message -p {word}")).await.unwrap();
        assert_eq!(reply[0].text(), word, "after {refused} refusals");
    }
}

#[tokio::test]
async fn answers_come_to_who_asked() {
    let server = Server::new();
    let agent = server.start("a", "cat", &[]).await;
    let client = Arc::new(agent.client);
    let texts = async |line: &str| {
        let replies = client.run(line).await.unwrap();
        replies.iter().map(|r| format!("{}{}", if r.failed { "!" } else { "" }, r.text())).collect::<Vec<_>>()
    };
    assert_eq!(texts("display-message -p a ; display-message -p b").await, ["a", "b"]);
    assert_eq!(
        texts("display-message -p a ; kill-session -t =no: ; display-message -p b").await,
        ["a", "!can't find session: no"]
    );
    assert_eq!(texts("no-such-command").await, ["!parse error: unknown command: no-such-command"]);
    assert_eq!(texts("if-shell -F 1 'display-message -p yes'").await, ["", "yes"]);
    assert_eq!(texts("# only a comment").await, [""; 0]);
    // Many at once, more than may wait for their turn.
    let mut asking = tokio::task::JoinSet::new();
    for n in 0..300 {
        let client = Arc::clone(&client);
        asking.spawn(async move { (n, client.run(&format!("display-message -p {n}")).await.unwrap()[0].text()) });
    }
    while let Some(answered) = asking.join_next().await {
        let (n, answer) = answered.unwrap();
        assert_eq!(answer, n.to_string());
    }
    for line in ["", "  ", "a\nb", "a\0"] {
        assert_eq!(client.run(line).await.unwrap_err().kind(), Kind::Invalid);
    }
}

#[tokio::test]
async fn nobody_has_to_read_the_events() {
    let server = Server::new();
    let (sender, mut events) = mpsc::channel(1);
    let (client, created) = Client::create(&server.socket, &server.session("a", "yes", &[]), sender).await.unwrap();
    for n in 0..200 {
        assert_eq!(client.run(&format!("display-message -p {n}")).await.unwrap()[0].text(), n.to_string());
    }
    // What waits is one of each kind, and the end comes last.
    client.kill_session("a").await.unwrap();
    let mut count = 0;
    loop {
        match tokio::time::timeout(PATIENCE, events.recv()).await.unwrap().unwrap().what {
            What::Closed { .. } => break,
            What::Dirty(pane) => assert_eq!(pane, created.pane),
            What::Windows | What::Sessions => {}
        }
        count += 1;
    }
    assert!(count < 10, "{count} events were kept");
    assert!(events.recv().await.is_none());
}

#[tokio::test]
async fn a_person_who_attaches_decides_the_size() {
    let server = Server::new();
    let mut agent = server.start("a", "cat", &[]).await;
    agent.client.resize(&agent.pane, 90, 20).await.unwrap();
    agent.see(|frame| frame.pane.size == (90, 20)).await;
    assert_eq!(agent.client.resize(&agent.pane, 0, 20).await.unwrap_err().kind(), Kind::Invalid);

    // The person's terminal is a pane of a second server, 120x40 with one row of status line.
    let terminal = Server::with_config("set -g status off");
    let mut session = terminal.session(
        "t",
        r#"exec env -u TMUX tmux -S "$1" attach-session -t =a"#,
        &[server.socket.path().to_str().unwrap()],
    );
    session.size = (120, 40);
    let person = terminal.start_session(&session).await;
    agent.see(|frame| frame.pane.size == (120, 39)).await;
    let refused = agent.client.resize(&agent.pane, 90, 20).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Busy, "{refused}");
    drop(person);
    drop(terminal);
    loop {
        // The server notices that the terminal is gone when it notices.
        match agent.client.resize(&agent.pane, 80, 24).await {
            Ok(()) => break,
            Err(error) => assert_eq!(error.kind(), Kind::Busy),
        }
    }
    agent.see(|frame| frame.pane.size == (80, 24)).await;
}

#[tokio::test]
async fn the_programs_of_a_pane() {
    let server = Server::new();
    let mut agent = server
        .start("a", "(exec -a 'my (odd) name' sleep 1000) & printf 'ready\\n'; cat; printf after; cat", &[])
        .await;
    agent.see_text("ready").await;
    let programs = loop {
        let programs = troop::process::programs(agent.created.pane_pid).unwrap();
        let has = |comm: &str| programs.all.iter().any(|p| p.comm == comm);
        if has("cat") && has("sleep") {
            break programs;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((programs.all[0].pid, programs.all[0].comm.as_str()), (agent.created.pane_pid, "bash"));
    let find = |comm: &str| programs.all.iter().find(|p| p.comm == comm).unwrap();
    assert_eq!(find("sleep").argv, ["my (odd) name", "1000"]);
    assert!(programs.in_front().any(|p| p.comm == "cat"));
    let cat = find("cat").clone();
    agent.client.keys(&agent.pane, &[key("C-d")]).await.unwrap();
    tokio::time::timeout(PATIENCE, troop::process::ended(cat.pid, cat.start_time)).await.unwrap().unwrap();
    agent.see_text("after").await;
    let programs = troop::process::programs(agent.created.pane_pid).unwrap();
    assert!(!programs.all.iter().any(|p| p.pid == cat.pid));
}

#[test]
fn quoted_text_is_the_text() {
    let server = Server::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let agent = runtime.block_on(server.start("a", "cat", &[]));
    let file = server.path("buffer");
    let text = prop_oneof![any::<String>(), "[ -~\n\t]{0,30}", "[#\\[{}S$~;'\"\\\\%\n]{0,12}"];
    proptest!(ProptestConfig::with_cases(150), |(text in text)| {
        let text = text.replace('\0', "");
        prop_assume!(!text.is_empty());
        runtime.block_on(async {
            let quoted = quote(&text);
            let save = format!("set-buffer -b x -- {quoted} ; save-buffer -b x {}", quote(file.to_str().unwrap()));
            let replies = agent.client.run(&save).await.unwrap();
            assert!(!replies.iter().any(|r| r.failed), "{replies:?}");
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
            // And as a format: `%` would be the time's.
            let shown = text.replace(|c: char| c.is_control() || c == '%', "");
            let reply = agent.client.run(&format!("display-message -p -- {}", quote(&literal_format(&shown)))).await.unwrap().remove(0);
            assert_eq!(reply.text(), shown);
        });
    });
}
