//! A tool's rules, asked about one look.

use super::region::{Part, Region, Sight};
use super::rule::{Condition, Hit, Rule, Shows};
use super::{GENERIC, Tool};
use crate::model::Question;
use semver::Version;
use std::cell::{OnceCell, RefCell};

/// A rule that matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub rule: String,
    /// What it shows.
    pub shows: Shows,
    /// `title` or `screen`.
    pub source: &'static str,
    /// Its priority.
    pub priority: i32,
    /// Whether it counts only while the screen keeps changing.
    pub moving: bool,
    /// The rows it matched.
    pub lines: Vec<String>,
}

impl Tool {
    /// Every rule that matches, highest priority first. `version` is the release that
    /// runs, if it is known: then rules for other releases are left out. When none says how the program is, the
    /// rules for any program are asked whether it works or asks: a release that looks new is not a riddle.
    pub fn find(&self, sight: &Sight<'_>, version: Option<&Version>) -> Vec<Found> {
        let mut found = self.find_own(sight, version);
        if let Some(generic) = self.last_resort.as_ref().filter(|_| !found.iter().any(|found| found.shows.is_posture()))
        {
            let generic = generic.find_own(sight, None).into_iter();
            let usable = generic.filter(|found| found.shows == Shows::Active || found.shows.is_blocked());
            found.extend(usable.map(|found| Found { rule: format!("{GENERIC}/{}", found.rule), ..found }));
        }
        found
    }

    fn find_own(&self, sight: &Sight<'_>, version: Option<&Version>) -> Vec<Found> {
        let parts = Parts::new(self, sight);
        let applies = |rule: &&Rule| match (&rule.versions, version) {
            (Some(range), Some(version)) => range.matches(version),
            _ => true,
        };
        let found = self.rules.iter().filter(applies).filter_map(|rule| {
            let hit = parts.hit(rule.first())?;
            let holds = rule.also.iter().all(|condition| parts.hit(condition).is_some())
                && !rule.unless.iter().any(|condition| parts.hit(condition).is_some());
            holds.then(|| Found {
                rule: rule.id.clone(),
                shows: rule.shows,
                source: rule.source(),
                priority: rule.priority,
                moving: rule.moving,
                lines: hit.lines(),
            })
        });
        found.collect()
    }

    /// The question on the screen, when `found` says that there is one.
    pub fn question(&self, sight: &Sight<'_>, found: &Found) -> Question {
        let part = self.question.region().and_then(|region| Parts::new(self, sight).part(region));
        self.question
            .read(part.map_or_else(|| found.lines.clone(), |part| part.text.lines().map(str::to_owned).collect()))
    }

    /// The first row of the region `composer`, when the definition has one and the screen too.
    pub fn composer_row(&self, sight: &Sight<'_>) -> Option<usize> {
        let (_, composer) = self.regions.iter().find(|(name, _)| name == "composer")?;
        let first = composer.last_in(sight.screen())?.start;
        Some(sight.screen()[..first].matches('\n').count())
    }

    /// Whether its title can say that the program is ready.
    pub fn titles_ready(&self) -> bool {
        self.rules.iter().any(|rule| rule.source() == "title" && rule.shows.is_idle())
    }

    /// Whether `version` is known and none of those that the rules were tuned on.
    pub fn is_untuned(&self, version: Option<&Version>) -> bool {
        matches!((&self.tuned, version), (Some(tuned), Some(version)) if !tuned.matches(version))
    }

    /// Whether it can tell more than whether its program is alive.
    pub fn has_rules(&self) -> bool {
        self.rules.iter().any(|rule| rule.shows.is_idle())
    }
}

/// The regions of one look, each found once.
struct Parts<'a> {
    tool: &'a Tool,
    sight: &'a Sight<'a>,
    named: Vec<OnceCell<Option<std::ops::Range<usize>>>>,
    parts: RefCell<Vec<(Region, Option<std::rc::Rc<Part>>)>>,
}

impl<'a> Parts<'a> {
    fn new(tool: &'a Tool, sight: &'a Sight<'a>) -> Self {
        Self { tool, sight, named: vec![OnceCell::new(); tool.regions.len()], parts: RefCell::default() }
    }

    fn part(&self, region: &Region) -> Option<std::rc::Rc<Part>> {
        if let Some((_, part)) = self.parts.borrow().iter().find(|(known, _)| known == region) {
            return part.clone();
        }
        let named = |name: &str| {
            let at = self.tool.regions.iter().position(|(known, _)| known == name)?;
            self.named[at].get_or_init(|| self.tool.regions[at].1.last_in(self.sight.screen())).clone()
        };
        let part = self.sight.part(region, named).map(std::rc::Rc::new);
        self.parts.borrow_mut().push((region.clone(), part.clone()));
        part
    }

    fn hit(&self, condition: &Condition) -> Option<Hit> {
        condition.find(self.sight, &*self.part(&condition.region)?)
    }
}
