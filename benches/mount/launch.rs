//! From a launch to an agent that takes prompts.

use crate::support::{Fallible, LOOK_AGAIN, Mount, Sandbox, done, median_and_p95, ms, troop_bin, wait, wait_status};
use std::fs;
use std::process::Stdio;
use std::time::Instant;

/// How a stand-in is launched under that name.
type Start = fn(&Sandbox, &Mount, &str) -> Fallible<()>;

const STARTS: [(&str, Start); 3] = [
    ("`mkdir agents/NAME`", |_, mount, name| Ok(fs::create_dir(mount.join(format!("agents/{name}")))?)),
    ("`echo launch NAME > control`", |_, mount, name| {
        fs::write(mount.join("control"), format!("launch {name}\n"))?;
        Ok(())
    }),
    ("`troop launch NAME`", |sandbox, _, name| {
        done(sandbox.command(troop_bin()).args(["launch", name]).stdout(Stdio::null()))
    }),
];

pub(crate) fn run(measuring: bool) -> Fallible<String> {
    let count = if measuring { 40 } else { 2 };
    let sandbox = Sandbox::new();
    let mount = sandbox.mount();
    let mut table = format!(
        "ms from the launch of a stand-in to `ready` in its `status`, which is looked for every {LOOK_AGAIN:?}, and to the return\n\n\
         | launch | times | return, median | ready, median | ready, 95 of 100 | goal |\n|---|---:|---:|---:|---:|---:|\n"
    );
    for (at, (what, start)) in STARTS.iter().enumerate() {
        let (mut returned, mut ready) = (Vec::new(), Vec::new());
        for n in 0..count {
            let name = format!("a{at}-{n}");
            let began = Instant::now();
            start(&sandbox, &mount, &name)?;
            returned.push(ms(began.elapsed()));
            wait_status(&mount, &name, "ready")?;
            ready.push(ms(began.elapsed()));
            done(sandbox.command(troop_bin()).args(["stop", "--force", &name]))?;
            wait("it to stop", || !mount.join(format!("agents/{name}")).exists())?;
        }
        let (returned, _) = median_and_p95(&mut returned);
        let (median, p95) = median_and_p95(&mut ready);
        table += &format!("| {what} | {count} | {returned:.0} | {median:.0} | {p95:.0} | 300 |\n");
    }
    Ok(table)
}
