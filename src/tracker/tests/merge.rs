//! What happens to a rule's evidence over time.

use super::*;

/// A tool whose title speaks too, and whose screen has marks.
const TITLED: &str = "
[version]
tuned = '>=2, <3'
[ready]
start_ms = 2000
[active]
stale_ms = 5000
[regions]
composer = '(?m)^> .*$'
[[rule]]
id = 'title-idle'
region = 'title'
match = '^idle'
shows = 'ready'
priority = 1
[[rule]]
id = 'title-busy'
region = 'title'
match = '^busy'
shows = 'active'
priority = 9
[[rule]]
id = 'streams'
region = 'composer'
shows = 'active'
moving = true
priority = 8
versions = '>=2.5'
[[rule]]
id = 'viewer'
region = 'screen'
match = 'VIEWER'
shows = 'covered'
priority = 7
[[rule]]
id = 'empty'
region = 'composer'
match = '^> $'
shows = 'ready'
priority = 2
[[rule]]
id = 'interrupted'
region = 'above:composer:1'
match = 'Interrupted'
shows = 'interrupted'
priority = 0
[[rule]]
id = 'failed'
region = 'above:composer:1'
match = 'Error'
shows = 'failed'
priority = 0
";

fn titled(title: &str, text: &str) -> Terminal {
    let Terminal::Seen(mut look) = seen(text) else { unreachable!() };
    look.pane.title = title.to_owned();
    Terminal::Seen(look)
}

struct Play {
    rig: Rig,
    version: Option<Version>,
}

impl Play {
    fn new(version: &str) -> Self {
        Self { rig: Rig::new(TITLED), version: crate::tool::version(version) }
    }

    #[track_caller]
    fn look(&mut self, ms: i64, title: &str, text: &str, expected: Status) {
        let terminal = titled(title, text);
        let before = std::mem::replace(&mut self.rig.screen, Screen { text: text.into(), ansi: text.into() });
        self.rig.tracker.observe(&self.rig.tool, self.version.as_ref(), &terminal, &before, at(ms));
        assert_eq!(self.rig.tracker.status(), expected, "at {ms} ms: {}", self.rig.tracker.why());
    }

    #[track_caller]
    fn wait(&mut self, ms: i64, expected: Status) {
        self.rig.tracker.tick_until(at(ms));
        self.rig.tracker.tick(at(ms));
        assert_eq!(self.rig.tracker.status(), expected, "at {ms} ms: {}", self.rig.tracker.why());
    }

    fn last_turn(&self, ms: i64) -> (TurnResult, TurnSource) {
        let last = self.rig.tracker.tracked("x", at(ms)).last_turn;
        (last.result, last.source)
    }
}

#[test]
fn a_title_that_agrees_shortens_the_settle_time_and_alone_says_nothing() {
    let mut play = Play::new("2.1");
    play.look(0, "busy", "> ", Status::Active);
    play.look(100, "idle", "> ", Status::Active);
    play.wait(350, Status::Ready);
    play.look(400, "busy", "> ", Status::Active);
    play.look(500, "other", "> ", Status::Active);
    play.wait(1999, Status::Active);
    play.wait(2000, Status::Ready);
    play.look(3000, "busy", "> ", Status::Active);
    play.look(3100, "idle", "no composer", Status::Active);
    play.wait(5100, Status::Unknown);
}

#[test]
fn a_release_that_the_rules_were_not_tuned_on_takes_longer() {
    for (version, settles) in [("2.1", 250), ("3.0.1", 1500), ("", 250)] {
        let mut play = Play::new(version);
        play.look(0, "busy", "> ", Status::Active);
        play.look(1000, "idle", "> ", Status::Active);
        play.wait(1000 + settles - 1, Status::Active);
        play.wait(1000 + settles, Status::Ready);
    }
}

#[test]
fn a_program_that_comes_up_has_to_be_still() {
    let mut play = Play::new("2.1");
    play.look(0, "", "loading", Status::Starting);
    play.look(500, "idle", "> ", Status::Starting);
    play.look(2000, "idle", "tip of the day\n> ", Status::Starting);
    play.wait(3999, Status::Starting);
    play.wait(4000, Status::Ready);
    // Who is met at a composer has been there for longer than we have.
    let mut play = Play::new("2.1");
    play.look(0, "idle", "> ", Status::Starting);
    play.wait(250, Status::Ready);
}

#[test]
fn movement_counts_while_it_lasts_and_for_the_releases_that_it_is_for() {
    for (version, status) in [("2.6", Status::Active), ("2.1", Status::Ready)] {
        let mut play = Play::new(version);
        play.look(0, "idle", "one\n> ", Status::Starting);
        play.wait(250, Status::Ready);
        play.look(1000, "idle", "one\ntwo\n> ", status);
        play.wait(1699, status);
        play.wait(1700 + 250, Status::Ready);
        // A composer that grows moves nothing.
        play.look(5000, "idle", "one\ntwo\n\n> ", Status::Ready);
    }
}

#[test]
fn work_that_stands_still_is_unknown_and_a_viewer_hides_everything() {
    let mut play = Play::new("2.1");
    play.look(0, "busy", "> ", Status::Active);
    play.wait(4999, Status::Active);
    play.wait(5000, Status::Unknown);
    play.look(6000, "busy", "moves\n> ", Status::Active);
    play.look(7000, "idle", "VIEWER\n> ", Status::Unknown);
    let surface = play.rig.tracker.tracked("x", at(7000)).surface;
    assert_eq!(surface.accepting_input, crate::model::live::Tristate::No);
}

#[test]
fn a_turn_ends_as_the_screen_says() {
    for (row, result) in
        [("done", TurnResult::Success), ("Interrupted", TurnResult::Interrupted), ("Error", TurnResult::KnownFailure)]
    {
        let mut play = Play::new("2.1");
        play.look(0, "busy", "> ", Status::Active);
        play.look(1000, "idle", &format!("{row}\n> "), Status::Active);
        play.wait(1250, Status::Ready);
        assert_eq!(play.last_turn(1250), (result, TurnSource::SurfaceInference));
    }
}

#[test]
fn an_end_that_was_none_is_retracted() {
    let mut play = Play::new("2.1");
    play.look(0, "idle", "> ", Status::Starting);
    play.wait(250, Status::Ready);
    play.rig.tracker.accepted(1, at(300));
    play.rig.tracker.submitted(at(310), at(310));
    play.look(400, "busy", "> ", Status::Active);
    play.look(1000, "idle", "> ", Status::Active);
    play.wait(1250, Status::Ready);
    assert_eq!(play.last_turn(1250), (TurnResult::Success, TurnSource::ExplicitInput));
    // The same turn goes on, and is still ours.
    play.look(2000, "busy", "> ", Status::Active);
    assert_eq!(play.last_turn(2000), (TurnResult::None, TurnSource::None));
    play.look(3000, "idle", "> ", Status::Active);
    play.wait(3250, Status::Ready);
    assert_eq!(play.last_turn(3250), (TurnResult::Success, TurnSource::ExplicitInput));
    // Much later it is another one.
    play.look(9000, "busy", "> ", Status::Active);
    play.look(9100, "idle", "> ", Status::Active);
    play.wait(9350, Status::Ready);
    assert_eq!(play.last_turn(9350), (TurnResult::Success, TurnSource::SurfaceInference));
}
