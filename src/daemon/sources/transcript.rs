//! The log that a program keeps of its conversation, read on as it grows.

use super::bind::{Binder, Found};
use super::claims::{Asked, Claim, Claims};
use super::place::{Place, Places};
use super::{Follow, News};
use crate::transcript::Log;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

pub(super) struct Source {
    binder: Binder,
    places: Places,
    claim: Rc<Claim>,
    bound: Option<(Log, Place)>,
    /// Something has been told, be it that nothing is bound.
    is_told: bool,
}

impl Source {
    /// None when there is nobody who could write one: then the last one stays.
    pub(super) fn of(follow: &Follow, places: &Places, claims: &Claims, again: bool) -> Option<Self> {
        if follow.tool.transcripts.is_empty() || follow.programs.is_empty() {
            return None;
        }
        let claim = claims.begin();
        claim.ask(follow.asked.clone());
        let binder = Binder::new(follow, places, claims, again);
        Some(Self { binder, places: places.clone(), claim, bound: None, is_told: false })
    }

    fn update(&mut self, thoroughly: bool) -> News {
        let before = self.bound.as_ref().map(|(log, _)| log);
        let mut is_new = match self.binder.find(&self.claim, before, thoroughly) {
            Found::File(path, format) if before.is_none_or(|log| (log.path(), log.format()) != (&*path, format)) => {
                self.bound = self.places.hold(path.clone()).map(|place| (Log::new(path, format), place));
                true
            }
            Found::NotYet if before.is_some() => {
                self.bound = None;
                true
            }
            _ => false,
        };
        // Watched before it is read, so that nothing falls in between.
        if self.bound.as_mut().is_some_and(|(_, place)| place.settle().is_none()) {
            self.bound = None;
            is_new = true;
        }
        if let Some((log, _)) = &mut self.bound {
            is_new |= log.refresh();
        }
        self.claim.take(self.bound.as_ref().map(|(log, _)| log.path()));
        if !is_new && std::mem::replace(&mut self.is_told, true) {
            return News::Nothing;
        }
        self.is_told = true;
        News::Wrote(self.bound.as_ref().map(|(log, _)| Arc::new(log.transcript())))
    }
}

impl super::Source for Source {
    fn concerns(&self, path: &Path) -> bool {
        self.binder.concerns(path) || self.bound.as_ref().is_some_and(|(_, place)| place.concerns(path))
    }

    fn read(&mut self) -> News {
        self.update(!self.is_told)
    }

    fn look(&mut self, asked: Option<Asked>) -> News {
        self.claim.ask(asked);
        self.update(true)
    }

    fn name(&self) -> Option<&'static str> {
        None
    }
}
