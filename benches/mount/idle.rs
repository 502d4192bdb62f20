//! What agents cost that do nothing.

use crate::cost::Groups;
use crate::support::{Fallible, Sandbox, wait_status};
use std::fs;
use std::time::Duration;

/// Until the threads that did disk work have ended and nothing settles any more.
const REST: Duration = Duration::from_secs(15);

pub(crate) fn run(measuring: bool) -> Fallible<String> {
    if !measuring {
        return one(2, Duration::ZERO, Duration::from_secs(1));
    }
    let few = one(50, REST, Duration::from_secs(30))?;
    Ok(format!("{few}\n{}", one(500, REST, Duration::from_secs(30))?))
}

fn one(agents: usize, rest: Duration, time: Duration) -> Fallible<String> {
    let sandbox = Sandbox::new();
    let mount = sandbox.mount();
    for n in 0..agents {
        fs::create_dir(mount.join(format!("agents/idle-{n}")))?;
    }
    for n in 0..agents {
        wait_status(&mount, &format!("idle-{n}"), "ready")?;
    }
    std::thread::sleep(rest);

    let groups = Groups::of(&sandbox, &mount)?;
    let spent = groups.watch(time)?;
    Ok(format!(
        "{agents} stand-ins at their composers, {:.0} s; the goal is less than 1 % of a core for the first three\n\n{spent}",
        time.as_secs_f64()
    ))
}
