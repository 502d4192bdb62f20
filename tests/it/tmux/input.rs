//! What reaches the program in a pane.

use super::*;

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
async fn what_arrives_is_what_the_modes_of_the_terminal_ask_for() {
    // Cursor keys of the application or not (DECCKM), and pastes in brackets or not.
    for (modes, arrives) in [
        ("\\033[?1h\\033[?2004h", "\x1bOA\x1bOB\x1b[200~x\x1b[201~\r\x03"),
        ("\\033[?1l\\033[?2004l", "\x1b[A\x1b[Bx\r\x03"),
    ] {
        let server = Server::new();
        let (input, record) = (server.path("input"), server.path("record"));
        std::fs::write(&input, "x").unwrap();
        let script = format!(
            r#"stty raw -echo; printf '{modes}ready\r\n'; head -c "$1" > "$2"; printf 'done\r\n'; cat > /dev/null"#
        );
        let count = arrives.len().to_string();
        let mut agent = server.start("a", &script, &[&count, record.to_str().unwrap()]).await;
        agent.see_text("ready").await;
        agent.client.keys(&agent.pane, &[key("Up"), key("Down")]).await.unwrap();
        agent.client.paste(&agent.pane, &input).await.unwrap();
        // Neither of two keys at once is lost.
        agent.client.keys(&agent.pane, &[key("Enter"), key("C-c")]).await.unwrap();
        agent.see_text("done").await;
        assert_eq!(String::from_utf8(std::fs::read(record).unwrap()).unwrap(), arrives, "{modes}");
    }
}
