//! Prompts whose turn is over before anybody has looked again.

use super::*;

#[test]
fn what_was_sent_is_no_draft() {
    let mut rig = Rig::new(TOOL);
    for (ms, step) in [(0, look(">")), (250, Wait), (1000, Accepted), (1010, look("> text")), (1020, Submitted)] {
        rig.step(&step, at(ms));
    }
    // The answer is written down before anybody has looked again.
    rig.tracker.transcript(Some((true, true)), at(1030));
    assert_eq!(rig.tracker.status(), Status::Pending);
    // Taken before the key, told after it.
    rig.step(&look("> text"), at(1040));
    assert_eq!(rig.tracker.status(), Status::Pending);
    rig.step(&look(">"), at(1050));
    assert_eq!(rig.tracker.status(), Status::Ready);
    // What still stands there after that was typed by somebody.
    rig.step(&look("> more"), at(1060));
    rig.step(&Wait, at(2030));
    assert_eq!(rig.tracker.status(), Status::Ready);
}

#[test]
fn a_look_from_before_a_turn_does_not_end_it() {
    let marked =
        "[[rule]]\nid = 'stopped'\nregion = 'screen'\nmatch = 'STOPPED'\nshows = 'interrupted'\npriority = 9\n";
    let mut rig = Rig::new(&format!("{TOOL}{marked}"));
    for (ms, step) in [(0, look("STOPPED >")), (250, Wait), (1000, Accepted), (1020, Submitted)] {
        rig.step(&step, at(ms));
    }
    rig.tracker.transcript(Some((true, true)), at(1030));
    assert_eq!(rig.tracker.status(), Status::Pending);
    rig.step(&look(">"), at(1050));
    assert_eq!((rig.tracker.status(), rig.tracker.turn_now().last.result), (Status::Ready, TurnResult::Success));
    // A look that came before the transcript was read is no old one.
    for (ms, step) in [(3000, Accepted), (3020, Submitted), (3030, look("new >"))] {
        rig.step(&step, at(ms));
    }
    rig.tracker.transcript(Some((true, true)), at(3040));
    assert_eq!(rig.tracker.status(), Status::Ready);
}

#[test]
fn a_mark_of_the_turn_before_is_none_of_this_one() {
    let marked =
        "[[rule]]\nid = 'stopped'\nregion = 'screen'\nmatch = 'STOPPED'\nshows = 'interrupted'\npriority = 9\n";
    let mut rig = Rig::new(&format!("{TOOL}{marked}"));
    for (ms, step) in
        [(0, look("STOPPED >")), (250, Wait), (1000, Accepted), (1020, Submitted), (1030, look("STOPPED >"))]
    {
        rig.step(&step, at(ms));
    }
    // The log has the prompt before the screen shows work.
    rig.tracker.transcript(Some((true, false)), at(1040));
    rig.step(&Wait, at(1500));
    assert_eq!(rig.tracker.status(), Status::Pending);
    for (ms, step) in [(1600, look("BUSY")), (1700, look("STOPPED >")), (2000, Wait)] {
        rig.step(&step, at(ms));
    }
    assert_eq!((rig.tracker.status(), rig.tracker.turn_now().last.result), (Status::Ready, TurnResult::Interrupted));
}
