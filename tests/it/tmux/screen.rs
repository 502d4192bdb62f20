//! What a pane shows, and what it may pretend to show.

use super::*;

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
    // After a word of output there is no other until somebody looks.
    agent.client.frame(&agent.pane).await.unwrap();
    agent.client.keys(&agent.pane, &[key("x")]).await.unwrap();
    assert_eq!(agent.event().await, What::Dirty(agent.pane.clone()));
}

#[tokio::test]
async fn a_glance_leaves_the_pane_paused() {
    let server = Server::new();
    let mut agent =
        server.start("a", "stty -echo; printf ready; while read -rsn1 c; do printf %s \"$c\"; done", &[]).await;
    agent.see_text("ready").await;
    while agent.events.try_recv().is_ok() {}
    agent.client.frame(&agent.pane).await.unwrap();
    agent.client.keys(&agent.pane, &[key("x")]).await.unwrap();
    assert_eq!(agent.event().await, What::Dirty(agent.pane.clone()));
    agent.client.keys(&agent.pane, &[key("y")]).await.unwrap();
    let glances = async {
        while !agent.client.glance(&agent.pane).await.unwrap().screen.text.contains("readyxy") {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, glances).await.unwrap();
    assert!(agent.events.try_recv().is_err(), "nothing is heard of a paused pane");
    // What was written meanwhile is not told again, and what is written from now on is.
    let frame = agent.client.frame(&agent.pane).await.unwrap();
    assert_eq!(&*frame.screen.text, "readyxy\n");
    agent.client.keys(&agent.pane, &[key("z")]).await.unwrap();
    assert_eq!(agent.event().await, What::Dirty(agent.pane.clone()));
}

#[tokio::test]
async fn looking_takes_no_memory_for_good() {
    let version = troop::tmux::version(|name| std::env::var(name).ok()).await.unwrap();
    if ["3.2", "3.4", "3.5"].iter().any(|leaking| version.starts_with(leaking)) {
        return;
    }
    let server = Server::new();
    let mut agent = server.start("a", "yes 0123456789abcdef | head -500 | paste -sd ' '; printf end; cat", &[]).await;
    let frame = agent.see_text("end").await;
    assert!(frame.screen.text.len() > 2500, "{frame:?}");
    let pid = server.ask(&["display-message", "-p", "#{pid}"]);
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    for _ in 0..100 {
        agent.client.frame(&agent.pane).await.unwrap();
    }
    let before = resident();
    for _ in 0..400 {
        agent.client.frame(&agent.pane).await.unwrap();
        agent.client.glance(&agent.pane).await.unwrap();
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 1024, "{grown} KiB more after 800 looks at a screen of {} bytes", frame.screen.ansi.len());
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
