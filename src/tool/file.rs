//! A tool definition as it is written: names and types only, the rules about them are in [`super::Tool::parse`].

use super::{Answer, Headless, Hooks, RoleWay, Rule, StatusFile, TranscriptFile};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) name: String,
    #[serde(default)]
    pub(super) aliases: Vec<String>,
    pub(super) summary: String,
    pub(super) start: Start,
    #[serde(default)]
    pub(super) home: Option<Home>,
    #[serde(default)]
    pub(super) process: Process,
    pub(super) submit: Submit,
    pub(super) interrupt: Interrupt,
    #[serde(default)]
    pub(super) resume: Resume,
    #[serde(default)]
    pub(super) role: Option<RoleWay>,
    #[serde(default)]
    pub(super) model: Model,
    #[serde(default)]
    pub(super) version: Version,
    #[serde(default)]
    pub(super) ready: Ready,
    #[serde(default)]
    pub(super) active: Active,
    #[serde(default)]
    pub(super) status_file: Option<StatusFile>,
    #[serde(default)]
    pub(super) hooks: Option<Hooks>,
    #[serde(default)]
    pub(super) headless: Option<Headless>,
    #[serde(default)]
    pub(super) transcript: Vec<TranscriptFile>,
    #[serde(default)]
    pub(super) question: Question,
    #[serde(default)]
    pub(super) answer: Option<Answer>,
    #[serde(default)]
    pub(super) reply: Reply,
    #[serde(default)]
    pub(super) regions: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) rule: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Start {
    pub(super) command: Vec<String>,
    #[serde(default)]
    pub(super) inherit_env: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Home {
    pub(super) env: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Process {
    #[serde(default)]
    pub(super) names: Vec<String>,
    #[serde(default)]
    pub(super) shared: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Submit {
    pub(super) key: String,
    pub(super) settle_ms: u64,
    #[serde(default)]
    pub(super) settle_ms_per_kib: u64,
    #[serde(default)]
    pub(super) blank_after: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Reply {
    #[serde(default)]
    pub(super) close: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Interrupt {
    pub(super) key: String,
    #[serde(default)]
    pub(super) twice: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Resume {
    #[serde(default)]
    pub(super) last: Vec<String>,
    #[serde(default)]
    pub(super) exact: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Model {
    #[serde(default)]
    pub(super) args: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Version {
    #[serde(default)]
    pub(super) args: Vec<String>,
    pub(super) tuned: Option<semver::VersionReq>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Ready {
    pub(super) settle_ms: Option<u64>,
    pub(super) start_ms: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Active {
    pub(super) stale_ms: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    pub(super) region: Option<String>,
    pub(super) choice: Option<String>,
}
