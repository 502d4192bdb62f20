//! What agents cost that repaint their screens all the time, beside the cost of polling them.

use crate::cost::Groups;
use crate::support::{Fallible, Sandbox, done, troop_bin, wait_status};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::fs;
use std::time::{Duration, Instant};

/// Paints a screen of Claude Code at work anew, ten times a second.
const PAINTER: &str = r#"
$| = 1; my @glyphs = ("\xc2\xb7", "\xe2\x9c\xbb", "\xe2\x9c\xbd", "\xe2\x9c\xb6"); my $line = "\xe2\x94\x80" x 100;
for (my $n = 0; ; $n++) {
    my $s = "\e[H";
    $s .= sprintf("\e[2K  \e[3%dmline %d of an answer that goes on and on, number %d\e[0m\r\n", $_ % 8, $_, $n + $_) for 1 .. 24;
    $s .= sprintf("\e[2K%s Churning\xe2\x80\xa6 (%ds \xc2\xb7 \xe2\x86\x93 %d tokens)\r\n", $glyphs[$n % 4], $n / 10, $n);
    $s .= "\e[2K\r\n\e[2K$line\r\n\e[2K\xe2\x9d\xaf\r\n\e[2K$line\r\n\e[2K  ? for shortcuts \xc2\xb7 esc to interrupt\e[0m";
    print $s; select(undef, undef, undef, 0.1);
}
"#;
/// How often a poller looks at every agent: what the Houmao project does (the reference, section 4.5).
const POLL: Duration = Duration::from_millis(500);

pub(crate) fn run(measuring: bool) -> Fallible<String> {
    let (agents, time) = if measuring { (100, Duration::from_secs(20)) } else { (2, Duration::from_secs(1)) };
    let sandbox = Sandbox::new();
    let mount = sandbox.mount();
    let painter = sandbox.work().join("painter.pl");
    fs::write(&painter, PAINTER)?;
    // The name of the process is what makes the rules of a tool apply.
    let script = format!("exec -a claude perl {}", painter.display());
    for n in 0..agents {
        let name = format!("busy-{n}");
        done(sandbox.command(troop_bin()).args(["launch", &name, "--tool", "claude", "--", "bash", "-c", &script]))?;
    }
    for n in 0..agents {
        wait_status(&mount, &format!("busy-{n}"), "active")?;
    }
    let spent = Groups::of(&sandbox, &mount)?.watch(time)?;
    let pushed = spent.core(3);
    let found = sandbox.tmux(["list-panes", "-a", "-F", "#{pane_id}"]).output()?;
    let panes: Vec<String> = String::from_utf8(found.stdout)?.lines().map(str::to_owned).collect();
    drop(mount);
    let alone = Groups::server(&sandbox)?.watch(time)?.core(1);

    // Each round as a poller does it: one list of processes, and one program for each pane.
    let children = || -> Fallible<f64> {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
        Ok((usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6)
    };
    let before = children()?;
    let start = Instant::now();
    let server = Groups::server(&sandbox)?.during(|| {
        while start.elapsed() < time {
            let round = Instant::now();
            done(sandbox.command("ps").args(["-ax", "-o", "pid=,ppid=,comm=,args="]))?;
            for pane in &panes {
                done(&mut sandbox.tmux(["capture-pane", "-p", "-e", "-S", "-", "-E", "-", "-t", pane]))?;
            }
            std::thread::sleep(POLL.saturating_sub(round.elapsed()));
        }
        Ok(())
    })?;
    let polled = (children()? - before) / start.elapsed().as_secs_f64() + server.core(1);
    Ok(format!(
        "{agents} agents that repaint 30 rows ten times a second, {:.0} s; the goal is less than half a core\n\n{spent}\n\
         With nobody looking the tmux server takes {:.0} % of a core for the painting alone, so the daemon costs {:.0} % in all.\n\
         A poller that starts `ps` and a `tmux capture-pane` for each of them every {} ms took {:.0} % of a core with the \
         tmux server, {:.2} times what the first three take together, and sees a change {} ms later on average.\n",
        time.as_secs_f64(),
        alone * 100.0,
        (pushed - alone) * 100.0,
        POLL.as_millis(),
        polled * 100.0,
        polled / pushed,
        POLL.as_millis() / 2,
    ))
}
