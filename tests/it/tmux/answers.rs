//! Commands and answers over one connection.

use super::*;

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
    client.listen().await.unwrap();
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
async fn the_programs_of_a_pane() {
    let server = Server::new();
    let mut agent = server
        .start("a", "(exec -a 'my (odd) name' sleep 1000) & printf 'ready\\n'; cat; printf after; cat", &[])
        .await;
    agent.see_text("ready").await;
    let programs = loop {
        let programs = troop::process::programs(agent.created.pane_pid).unwrap();
        // In the middle of an exec a process has its new name and no arguments yet.
        let has = |comm: &str| programs.all.iter().any(|p| p.comm == comm && !p.argv.is_empty());
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
