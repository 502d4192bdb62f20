//! Since when: what was written down before anybody of us looked.

use super::*;

#[test]
fn a_status_that_was_written_down_is_not_new() {
    let mut rig = Rig::new(TOOL);
    let since = |rig: &Rig| rig.tracker.tracked("t", at(9000)).status_since;
    rig.tracker.recorded(Status::Active, Status::Ready, at(-60_000));
    for (ms, step) in [(0, look(">")), (250, Wait)] {
        rig.step(&step, at(ms));
    }
    assert_eq!((rig.tracker.status(), since(&rig)), (Status::Ready, at(-60_000)));
    // Whoever writes down what is observed from now on has found it so.
    rig.tracker.recorded(Status::Unknown, Status::Ready, at(250));
    assert_eq!(since(&rig), at(-60_000));
    // It was unknown in between, and somebody has seen that.
    rig.tracker.recorded(Status::Ready, Status::Unknown, at(-30_000));
    rig.tracker.recorded(Status::Unknown, Status::Ready, at(-20_000));
    assert_eq!(since(&rig), at(-20_000));
    rig.tracker.nothing_recorded();
    assert_eq!(since(&rig), at(250));
}

#[test]
fn what_was_seen_to_end_counts_no_more() {
    let mut rig = Rig::new(TOOL);
    let since = |rig: &Rig| rig.tracker.tracked("t", at(9000)).status_since;
    rig.tracker.recorded(Status::Active, Status::Ready, at(-60_000));
    for (ms, step) in [(0, look(">")), (250, Wait), (1000, look("BUSY >"))] {
        rig.step(&step, at(ms));
    }
    assert_eq!((rig.tracker.status(), since(&rig)), (Status::Active, at(1000)));
    for (ms, step) in [(3000, look(">")), (5000, Wait)] {
        rig.step(&step, at(ms));
    }
    assert_eq!(rig.tracker.status(), Status::Ready);
    assert!(since(&rig) >= at(3000), "nobody has written it down");
}
