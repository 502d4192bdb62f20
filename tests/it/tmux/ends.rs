//! Clients, sessions and servers that end, and what they leave.

use super::*;

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

/// tmux 3.3a gives up, with every session, when a client goes that output is queued for.
#[tokio::test]
async fn clients_that_come_and_go_in_a_flood_leave_the_server_alive() {
    let server = Server::new();
    let keeper = server.start("keeper", "cat", &[]).await;
    let flood = "while :; do printf '%4000s'; done";
    let mut flooded = Vec::new();
    for n in 0..6 {
        flooded.push(server.start(&format!("flood-{n}"), flood, &[]).await);
    }
    for n in 0..20 {
        let agent = &mut flooded[n % 6];
        let (sender, mut events) = mpsc::channel(16);
        let client = Client::attach(&server.socket, agent.client.session(), sender).await.unwrap();
        // One that has heard of the pane, one that is about to, and one that never asked.
        match n % 3 {
            0 => {
                client.listen().await.unwrap();
                while !matches!(events.recv().await.unwrap().what, What::Dirty(_)) {}
            }
            1 => client.listen().await.unwrap(),
            _ => {}
        }
        drop(client);
        agent.client.frame(&agent.pane).await.unwrap();
    }
    for agent in flooded {
        agent.client.kill_session(agent.client.session()).await.unwrap();
    }
    assert_eq!(keeper.client.sessions().await.unwrap().len(), 1);
    keeper.alone().await;
    drop(keeper);
    server.socket.detach_all().await;
}

#[tokio::test]
async fn output_is_told_once_until_somebody_looks() {
    let server = Server::new();
    let mut agent = server.start("a", "while :; do echo working; done", &[]).await;
    for _ in 0..3 {
        while agent.event().await != What::Dirty(agent.pane.clone()) {}
        // What was on its way still comes; the answer to this comes after it.
        agent.client.run("display-message -p x").await.unwrap();
        while agent.events.try_recv().is_ok() {}
        for _ in 0..50 {
            agent.client.run("display-message -p x").await.unwrap();
        }
        let more: Vec<_> = std::iter::from_fn(|| agent.events.try_recv().ok()).collect();
        assert!(more.len() <= 1, "the pane is paused: {more:?}");
        agent.client.frame(&agent.pane).await.unwrap();
    }
    drop(agent);
    server.socket.detach_all().await;
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
