//! What holds whatever happens.

use super::*;
use proptest::prelude::*;

fn steps() -> impl Strategy<Value = Vec<(i64, Step)>> {
    let step = prop_oneof![
        "[>BUSYAK ]{0,6}".prop_map(|text| look(&text)),
        Just(look("BUSY")),
        Just(look(">")),
        Just(Step::Look(dead(0))),
        Just(Step::Look(Terminal::NoSession)),
        Just(Step::Look(Terminal::Failed("x".to_owned()))),
        Just(Accepted),
        Just(Submitted),
        Just(Undelivered),
        Just(Interrupted),
        Just(Wait),
    ];
    prop::collection::vec((0i64..3000, step), 0..60)
}

proptest! {
    /// Never ready while the newest look says active; never alive while it says dead.
    #[test]
    fn the_newest_look_is_never_contradicted(steps in steps()) {
        let mut rig = Rig::new(TOOL);
        let mut now = 0;
        for (wait, step) in steps {
            now += wait;
            rig.step(&step, at(now));
            let status = rig.tracker.status();
            if let Step::Look(terminal) = &step {
                let reading = read(&rig.tool, None, terminal);
                if reading.posture(true).is_some_and(|found| found.shows == Shows::Active) {
                    prop_assert_eq!(status, Status::Active);
                }
                if matches!(reading.liveness, Liveness::Dead(_)) {
                    prop_assert_eq!(status, Status::Down);
                }
            }
        }
    }

    /// Waiting for the deadline is as good as looking all the time, and ends.
    #[test]
    fn deadlines_come_to_an_end(steps in steps()) {
        let mut rig = Rig::new(TOOL);
        let mut now = 0;
        for (wait, step) in steps {
            now += wait;
            rig.step(&step, at(now));
        }
        for _ in 0..20 {
            let Some(deadline) = rig.tracker.deadline() else { return Ok(()) };
            rig.tracker.tick(deadline);
        }
        prop_assert!(rig.tracker.deadline().is_none(), "still waiting: {:?}", rig.tracker);
    }

    /// Nothing but the steps and their times decides.
    #[test]
    fn the_same_steps_give_the_same_state(steps in steps()) {
        let play = || {
            let mut rig = Rig::new(TOOL);
            let mut now = 0;
            for (wait, step) in &steps {
                now += wait;
                rig.step(step, at(now));
            }
            format!("{:?}", rig.tracker.tracked("x", at(now)))
        };
        prop_assert_eq!(play(), play());
    }

    /// What a field was before a transition is what it was after the one that changed it last.
    #[test]
    fn transitions_form_a_chain(steps in steps()) {
        let mut rig = Rig::new(TOOL);
        let mut now = 0;
        let (mut known, mut seen) = (std::collections::HashMap::new(), Vec::<Arc<Transition>>::new());
        for (wait, step) in steps {
            now += wait;
            rig.step(&step, at(now));
            let transitions = rig.tracker.tracked("x", at(now)).recent_transitions;
            prop_assert!(transitions.len() <= crate::model::live::RECENT_TRANSITIONS);
            for transition in transitions {
                if seen.iter().any(|known| Arc::ptr_eq(known, &transition)) {
                    continue;
                }
                for change in transition.summary.split("; ") {
                    let (field, values) = change.split_once(": ").unwrap();
                    let (before, after) = values.split_once(" -> ").unwrap();
                    prop_assert_ne!(before, after);
                    if let Some(was) = known.insert(field.to_owned(), after.to_owned()) {
                        prop_assert_eq!(was, before, "{}", field);
                    }
                }
                seen.push(transition);
            }
        }
    }
}
