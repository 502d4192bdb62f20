//! Sessions: how they are made and what cannot be.

use super::*;
use crate::support::wait_until;

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
    session.env.extend([
        ("HOUMAO_MANIFEST_PATH".to_owned(), "/x/manifest.json".to_owned()),
        ("ODD".to_owned(), "a=b;\n$HOME \"'\\ #{x} é".to_owned()),
        ("EMPTY".to_owned(), String::new()),
    ]);
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
    // Every other variable is of tmux's or the shell's own making.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some(), "there is nothing that could leak");
    let known = ["TERM", "SHELL", "TMUX", "TMUX_PANE", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "PWD", "OLDPWD"];
    let known = [&known[..], &["SHLVL", "_"]].concat();
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
async fn nothing_of_the_servers_own_environment_passes() {
    let server = Server::new();
    server.start_by_hand("stranger", "sleep 600");
    let foreign: Vec<_> = (0..200).map(|number| format!("API_KEY_{number}")).collect();
    let odd = ["ODD NAME", "BASH_FUNC_f%%", "-DASH", "TMUX", "TMUX_PANE", "TERM_PROGRAM", "PWD", "HOME"];
    for name in foreign.iter().map(String::as_str).chain(odd) {
        server.ask(&["set-environment", "-g", "--", name, "secret\nPATH=secret\n"]);
    }
    let script = "env -0 > $1.tmp; mv $1.tmp $1; cat";
    let session = server.session("a", script, &["first"]);
    let agent = server.start_session(&session).await;
    agent.client.new_session(&server.session("b", script, &["second"])).await.unwrap();
    for file in ["first", "second"] {
        let read = || std::fs::read_to_string(server.path(file));
        let environment = wait_until("the environment", PATIENCE, read);
        assert!(!environment.contains("secret") && !environment.contains("API_KEY"), "{environment}");
        for (name, value) in &session.env {
            assert!(environment.split_terminator('\0').any(|seen| seen == format!("{name}={value}")), "{environment}");
        }
    }
    // Nor does what a person starts in the session have it; the server keeps it for everybody else.
    server.ask(&[
        "new-window",
        "-d",
        "-t",
        "=a:",
        "-c",
        server.home().to_str().unwrap(),
        "env > late.tmp; mv late.tmp late",
    ]);
    let late =
        crate::support::wait_until("the second window", PATIENCE, || std::fs::read_to_string(server.path("late")));
    assert!(!late.contains("secret") && late.contains("TMUX="), "{late}");
    assert!(server.ask(&["show-environment", "-g", "API_KEY_7"]).contains("secret"));
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
async fn a_program_that_hears_of_the_focus_may_be_killed() {
    let server = Server::new();
    let other = server.start("other", "cat", &[]).await;
    let pid = server.ask(&["display-message", "-p", "#{pid}"]);
    for (name, end) in [("a", "kill -9 $$"), ("b", "exit 3")] {
        let agent =
            server.start(name, &format!("printf '\\n\\nits last\\033[?1004h words'; sleep 0.3; {end}"), &[]).await;
        let frame = agent.see_dead().await;
        assert!(frame.screen.text.contains("its last words"), "{frame:?}");
        drop(agent);
        // The client goes, another comes, and the session ends.
        let mut client = server.control_client(name);
        client.kill().unwrap();
        client.wait().unwrap();
        server.ask(&["kill-session", "-t", name]);
    }
    assert_eq!(server.ask(&["display-message", "-p", "#{pid}"]), pid);
    drop(other);
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
