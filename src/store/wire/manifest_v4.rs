//! `manifest.json` of schema version 4 (the reference, section 2.2): every
//! section strict, the free ones carried along. What must hold between the
//! fields is in `manifest_rules`.

use super::{Object, Word};
use crate::model::{self, record::Backend};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ManifestV4 {
    pub(crate) schema_version: u32,
    pub(crate) backend: Word<Backend>,
    pub(crate) tool: String,
    pub(crate) role_name: String,
    pub(crate) created_at_utc: String,
    pub(crate) working_directory: String,
    pub(crate) brain_manifest_path: String,
    pub(crate) agent_name: Option<String>,
    pub(crate) agent_id: Option<String>,
    pub(crate) tmux_session_name: Option<String>,
    pub(crate) registry_generation_id: Option<String>,
    #[serde(default)]
    pub(crate) registry_launch_authority: Word<LaunchAuthority>,
    pub(crate) runtime: Object<Runtime>,
    pub(crate) tmux: Option<Object<Tmux>>,
    pub(crate) interactive: Option<Object<Interactive>>,
    pub(crate) agent_launch_authority: Option<Object<AgentLaunchAuthority>>,
    pub(crate) gateway_authority: Option<Object<GatewayAuthority>>,
    pub(crate) launch_plan: Object<LaunchPlan>,
    pub(crate) launch_policy_provenance: Option<Object<Provenance>>,
    pub(crate) system_prompt: Option<Value>,
    pub(crate) backend_state: serde_json::Map<String, Value>,
    pub(crate) codex: Option<Value>,
    pub(crate) headless: Option<Object<Headless>>,
    pub(crate) local_interactive: Option<Object<LocalInteractive>>,
    pub(crate) cao: Option<Value>,
    pub(crate) houmao_server: Option<Value>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LaunchAuthority {
    #[default]
    Runtime,
    External,
}

impl<T: Default> Default for Word<T> {
    fn default() -> Self {
        Self(T::default())
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Runtime {
    pub(crate) session_id: Option<String>,
    pub(crate) memory_root: Option<String>,
    pub(crate) memo_file: Option<String>,
    pub(crate) pages_dir: Option<String>,
    pub(crate) agent_def_dir: Option<String>,
    pub(crate) agent_pid: Option<i64>,
    pub(crate) registry_generation_id: Option<String>,
    #[serde(default)]
    pub(crate) registry_launch_authority: Word<LaunchAuthority>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) enum WindowRole {
    #[default]
    #[serde(rename = "managed_agent_surface")]
    ManagedAgentSurface,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tmux {
    pub(crate) session_name: String,
    #[serde(default = "first_window")]
    pub(crate) primary_window_index: String,
    #[serde(default)]
    pub(crate) primary_window_role: Word<WindowRole>,
    pub(crate) primary_window_name: Option<String>,
    pub(crate) primary_window_id: Option<String>,
    pub(crate) primary_pane_id: Option<String>,
}

pub(crate) fn first_window() -> String {
    "0".to_owned()
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ParsingMode {
    CaoOnly,
    ShadowOnly,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Interactive {
    #[serde(default)]
    pub(crate) turn_index: i64,
    pub(crate) working_directory: Option<String>,
    pub(crate) role_bootstrap_applied: Option<bool>,
    pub(crate) terminal_id: Option<String>,
    pub(crate) parsing_mode: Option<Word<ParsingMode>>,
    pub(crate) tmux_window_name: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Origin {
    JoinedTmux,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Posture {
    RuntimeLaunchPlan,
    TuiLaunchOptions,
    HeadlessLaunchOptions,
    Unavailable,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgentLaunchAuthority {
    pub(crate) backend: Word<Backend>,
    pub(crate) tool: String,
    pub(crate) tmux_session_name: Option<String>,
    #[serde(default = "first_window")]
    pub(crate) primary_window_index: String,
    pub(crate) primary_window_id: Option<String>,
    pub(crate) primary_pane_id: Option<String>,
    pub(crate) working_directory: String,
    pub(crate) session_id: Option<String>,
    pub(crate) profile_name: Option<String>,
    pub(crate) profile_path: Option<String>,
    pub(crate) session_origin: Option<Word<Origin>>,
    pub(crate) posture_kind: Option<Word<Posture>>,
    pub(crate) launch_args: Option<Vec<String>>,
    pub(crate) launch_env: Option<Vec<Object<EnvBinding>>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum EnvBinding {
    Literal { name: String, value: String },
    Inherit { name: String },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GatewayAuthority {
    pub(crate) attach: Object<Endpoint>,
    pub(crate) control: Object<Endpoint>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Endpoint {
    pub(crate) api_base_url: Option<String>,
    pub(crate) managed_agent_ref: Option<String>,
    pub(crate) terminal_id: Option<String>,
    pub(crate) profile_name: Option<String>,
    pub(crate) profile_path: Option<String>,
    pub(crate) parsing_mode: Option<Word<ParsingMode>>,
    pub(crate) tmux_window_name: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LaunchPlan {
    pub(crate) backend: Word<Backend>,
    pub(crate) tool: String,
    pub(crate) executable: String,
    pub(crate) args: Vec<String>,
    pub(crate) working_directory: String,
    pub(crate) home_selector: Object<HomeSelector>,
    pub(crate) env_var_names: Vec<String>,
    pub(crate) role_injection: Object<RoleInjection>,
    pub(crate) metadata: serde_json::Map<String, Value>,
    pub(crate) mailbox: Option<Value>,
    pub(crate) launch_policy_provenance: Option<Object<Provenance>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HomeSelector {
    pub(crate) env_var: String,
    pub(crate) home_path: String,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RoleMethod {
    NativeDeveloperInstructions,
    NativeAppendSystemPrompt,
    NativeHomeSystemPrompt,
    BootstrapMessage,
    CaoProfile,
}

impl From<model::RoleMethod> for RoleMethod {
    fn from(method: model::RoleMethod) -> Self {
        match method {
            model::RoleMethod::NativeDeveloperInstructions => Self::NativeDeveloperInstructions,
            model::RoleMethod::NativeAppendSystemPrompt => Self::NativeAppendSystemPrompt,
            model::RoleMethod::NativeHomeSystemPrompt => Self::NativeHomeSystemPrompt,
            model::RoleMethod::BootstrapMessage => Self::BootstrapMessage,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleInjection {
    pub(crate) method: Word<RoleMethod>,
    pub(crate) role_name: String,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PromptMode {
    AsIs,
    Unattended,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SelectionSource {
    Registry,
    EnvOverride,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Provenance {
    pub(crate) requested_operator_prompt_mode: Word<PromptMode>,
    pub(crate) detected_tool_version: String,
    pub(crate) selected_strategy_id: String,
    pub(crate) selection_source: Word<SelectionSource>,
    pub(crate) override_env_var_name: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Resume {
    #[default]
    None,
    Last,
    Exact,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Headless {
    pub(crate) session_id: Option<String>,
    pub(crate) turn_index: i64,
    pub(crate) role_bootstrap_applied: bool,
    pub(crate) working_directory: String,
    #[serde(default)]
    pub(crate) resume_selection_kind: Word<Resume>,
    pub(crate) resume_selection_value: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LocalInteractive {
    pub(crate) turn_index: i64,
    pub(crate) role_bootstrap_applied: bool,
    pub(crate) working_directory: String,
}
