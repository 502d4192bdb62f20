//! What programs say elsewhere than on their terminals, against what is seen.

use super::*;

/// A report of the tests' usual source.
fn says(rig: &mut Rig, shows: Shows, ms: i64) {
    reports(rig, "registry", shows, ms);
}

fn reports(rig: &mut Rig, source: &'static str, shows: Shows, ms: i64) {
    let fresh_for = SignedDuration::from_secs(10);
    rig.tracker.report(Report::new(source, "status".to_owned(), shows, at(ms), fresh_for), at(ms));
}

#[test]
fn a_report_ends_when_a_newer_one_or_the_composer_says_ready() {
    let mut rig = Rig::new(TOOL);
    rig.step(&look("???"), at(0));
    reports(&mut rig, "hook", Shows::Approval, 100);
    assert_eq!(rig.tracker.status(), Status::Blocked);
    // Refused: no hook says so, and the status file does.
    reports(&mut rig, "registry", Shows::Ready, 1000);
    rig.step(&Wait, at(2999));
    assert_eq!(rig.tracker.status(), Status::Unknown);

    let mut rig = Rig::new(TOOL);
    rig.step(&look(">"), at(0));
    reports(&mut rig, "hook", Shows::Active, 100);
    rig.step(&look(">"), at(200));
    rig.step(&look("???"), at(300));
    assert_eq!(rig.tracker.status(), Status::Active, "a composer may stay while a program works");
    // Interrupted: the composer outlasts it.
    rig.step(&look(">"), at(400));
    rig.step(&look(">"), at(1600));
    rig.step(&look("???"), at(2000));
    rig.step(&Wait, at(4000));
    assert_eq!(rig.tracker.status(), Status::Unknown);
}

#[test]
fn a_report_decides_where_the_rules_are_silent_and_only_while_it_is_fresh() {
    let mut rig = Rig::new(TOOL);
    rig.step(&look("???"), at(0));
    says(&mut rig, Shows::Active, 100);
    assert_eq!(rig.tracker.status(), Status::Active);
    assert_eq!(rig.tracker.tracked("x", at(100)).sources[0].source, "registry");
    says(&mut rig, Shows::Approval, 200);
    assert_eq!(rig.tracker.status(), Status::Blocked);
    rig.step(&Wait, at(10_199));
    assert_eq!(rig.tracker.status(), Status::Blocked);
    rig.step(&Wait, at(10_200));
    assert_eq!(rig.tracker.status(), Status::Blocked, "the last verdict lasts a little");
    rig.step(&Wait, at(12_199));
    assert_eq!(rig.tracker.status(), Status::Unknown);
    says(&mut rig, Shows::Ready, 13_000);
    assert_eq!(rig.tracker.status(), Status::Unknown, "ready is never taken on a report alone");
}

#[test]
fn a_report_of_work_stands_against_a_composer_only_for_a_while() {
    let mut rig = Rig::new(TOOL);
    rig.step(&look(">"), at(0));
    rig.step(&Wait, at(250));
    says(&mut rig, Shows::Active, 1000);
    assert_eq!(rig.tracker.status(), Status::Active);
    // However often it is looked at.
    for ms in (1000..2500).step_by(30) {
        rig.step(&look(">"), at(ms));
        assert_eq!(rig.tracker.status(), Status::Active, "{ms}");
    }
    rig.step(&Wait, at(2500));
    assert_eq!(rig.tracker.status(), Status::Active, "a composer has to settle");
    rig.step(&Wait, at(2750));
    assert_eq!(rig.tracker.status(), Status::Ready);
    // What it said before the composer came back does not count.
    rig.step(&look("BUSY"), at(3000));
    says(&mut rig, Shows::Active, 3100);
    rig.step(&look(">"), at(3200));
    rig.step(&Wait, at(3450));
    assert_eq!(rig.tracker.status(), Status::Ready);
    says(&mut rig, Shows::Active, 3500);
    rig.step(&Step::Look(dead(0)), at(3600));
    assert_eq!(rig.tracker.status(), Status::Down, "liveness comes first");
}
