//! In what condition a live agent's session is, from what tmux says of it and what the manifest names
//! (the reference, section 5).

use super::agent::Agent;
use crate::model::{LifecycleState, Manifest, Placed, Probe, Record, Recovery};
use jiff::{SignedDuration, Timestamp};

/// How long a relaunch may take. A record that has been `relaunching` for longer was left so by a
/// process that died: what its agent is, is what is there.
pub const RELAUNCH_LIMIT: SignedDuration = SignedDuration::from_secs(15);

/// The condition of a session.
pub fn classify(probe: &Probe, manifest: Option<&Manifest>) -> Recovery {
    if !probe.session {
        return Recovery::StaleMissingSession;
    }
    let Some(manifest) = manifest else {
        return if first(&probe.panes).is_some() { Recovery::Healthy } else { Recovery::DegradedMissingPrimary };
    };
    if manifest.joined {
        // Somebody's own session: which of its windows the agent is in was theirs to choose.
        return if primary(&probe.panes, Some(manifest)).is_some() {
            Recovery::Healthy
        } else {
            Recovery::DegradedMissingPrimary
        };
    }
    if first(&probe.panes).is_none() {
        return Recovery::DegradedMissingPrimary;
    }
    let in_first =
        |is: &dyn Fn(&Placed) -> bool| probe.panes.iter().any(|placed| placed.window_index == 0 && is(placed));
    let window = manifest.window.as_ref().is_none_or(|window| in_first(&|placed| placed.window == *window));
    let pane = manifest.pane.as_ref().is_none_or(|pane| in_first(&|placed| placed.pane == *pane));
    if window && pane { Recovery::Healthy } else { Recovery::DegradedStalePrimaryHandles }
}

/// The agent's pane among those of its session: the one that the manifest names, wherever it is by now, else
/// the first pane of window 0. In a session that was joined no other pane is taken for one that was named.
pub fn primary<'a>(panes: &'a [Placed], manifest: Option<&Manifest>) -> Option<&'a Placed> {
    let Some(named) = manifest.and_then(|manifest| manifest.pane.as_ref()) else {
        return if manifest.is_some_and(|manifest| manifest.joined) { panes.first() } else { first(panes) };
    };
    let joined = manifest.is_some_and(|manifest| manifest.joined);
    panes.iter().find(|placed| placed.pane == *named).or_else(|| if joined { None } else { first(panes) })
}

fn first(panes: &[Placed]) -> Option<&Placed> {
    panes.iter().find(|placed| placed.window_index == 0 && placed.pane_index == 0)
}

/// Until when a record that is `relaunching` is left to whoever relaunches it.
pub fn relaunching_until(record: &Record) -> Option<Timestamp> {
    (record.lifecycle.state == LifecycleState::Relaunching)
        .then(|| record.lifecycle.updated_at.saturating_add(RELAUNCH_LIMIT).unwrap_or(Timestamp::MAX))
}

/// Whether somebody relaunches it now.
pub fn is_relaunching(record: &Record, now: Timestamp) -> bool {
    relaunching_until(record).is_some_and(|until| now < until)
}

impl Agent {
    /// The condition of its session; none for one that is not live, is being relaunched, or has not been looked at.
    pub fn recovery(&self, now: Timestamp) -> Option<Recovery> {
        let known = self.is_live(now) && !is_relaunching(&self.record, now);
        self.probe.as_ref().filter(|_| known).map(|probe| classify(probe, self.manifest.as_deref().ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PaneId;

    fn placed(window_index: u32, pane_index: u32, window: &str, pane: &str) -> Placed {
        Placed { window_index, pane_index, window: window.to_owned(), pane: PaneId::parse(pane).unwrap() }
    }

    fn probe(panes: &[Placed]) -> Probe {
        Probe { session: true, panes: panes.into() }
    }

    fn manifest(window: Option<&str>, pane: Option<&str>, joined: bool) -> Manifest {
        Manifest {
            working_directory: "/".into(),
            window: window.map(str::to_owned),
            pane: pane.and_then(PaneId::parse),
            tmux_socket: None,
            joined,
            tool_version: None,
        }
    }

    #[test]
    fn the_four_conditions() {
        use Recovery::*;
        let named = manifest(Some("@1"), Some("%1"), false);
        let gateway = placed(1, 0, "@2", "%2");
        for (panes, wanted) in [
            (vec![placed(0, 0, "@1", "%1"), gateway.clone()], Healthy),
            // Split by a person, so that it is not the first any more.
            (vec![placed(0, 0, "@1", "%5"), placed(0, 1, "@1", "%1")], Healthy),
            (vec![gateway], DegradedMissingPrimary),
            (vec![placed(0, 1, "@1", "%9")], DegradedMissingPrimary),
            (vec![], DegradedMissingPrimary),
            (vec![placed(0, 0, "@7", "%7")], DegradedStalePrimaryHandles),
            (vec![placed(0, 0, "@7", "%7"), placed(3, 0, "@1", "%1")], DegradedStalePrimaryHandles),
            (vec![placed(0, 0, "@1", "%7")], DegradedStalePrimaryHandles),
        ] {
            assert_eq!(classify(&probe(&panes), Some(&named)), wanted, "{panes:?}");
        }
        assert_eq!(classify(&Probe::default(), Some(&named)), StaleMissingSession);
        assert_eq!(classify(&Probe::default(), None), StaleMissingSession);
        assert_eq!(classify(&probe(&[placed(0, 0, "@7", "%7")]), None), Healthy);
        assert_eq!(classify(&probe(&[placed(0, 0, "@7", "%7")]), Some(&manifest(None, None, false))), Healthy);
    }

    #[test]
    fn a_joined_agent_is_where_it_was_found() {
        let joined = manifest(Some("@4"), Some("%4"), true);
        let there = [placed(1, 1, "@3", "%3"), placed(2, 1, "@4", "%4")];
        assert_eq!(classify(&probe(&there), Some(&joined)), Recovery::Healthy);
        assert_eq!(primary(&there, Some(&joined)), Some(&there[1]));
        assert_eq!(classify(&probe(&there[..1]), Some(&joined)), Recovery::DegradedMissingPrimary);
        assert_eq!(primary(&there[..1], Some(&manifest(None, None, true))), Some(&there[0]));
    }

    #[test]
    fn another_pane_is_taken_for_it_only_in_window_0() {
        let named = manifest(Some("@1"), Some("%1"), false);
        let panes = [placed(0, 0, "@7", "%7"), placed(3, 0, "@1", "%1")];
        assert_eq!(primary(&panes, Some(&named)), Some(&panes[1]));
        assert_eq!(primary(&panes[..1], Some(&named)), Some(&panes[0]));
        assert_eq!(primary(&[placed(1, 0, "@2", "%2")], Some(&named)), None);
    }
}
