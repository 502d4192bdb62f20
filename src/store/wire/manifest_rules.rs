//! What must hold between the fields of a manifest (the reference, section 2.2),
//! for reading and for writing.

use super::manifest_v4::{AgentLaunchAuthority, LaunchPlan, ManifestV4, Posture, Provenance, Resume, Runtime, Tmux};
use super::{Object, Reason, Word, not_blank, not_blank_if_any};
use crate::model::name::is_registry_token;
use crate::model::record::Backend;

type Checked = Result<(), Reason>;

impl ManifestV4 {
    /// The first cross check of the reference, section 2.2, that fails.
    pub(crate) fn check(&self) -> Checked {
        for (field, text) in [
            ("tool", &self.tool),
            ("role_name", &self.role_name),
            ("created_at_utc", &self.created_at_utc),
            ("working_directory", &self.working_directory),
            ("brain_manifest_path", &self.brain_manifest_path),
        ] {
            not_blank(field, text)?;
        }
        let plan = &self.launch_plan.0;
        equal("launch_plan.backend", "backend", plan.backend.0.as_str(), self.backend.0.as_str())?;
        equal("launch_plan.tool", "tool", &plan.tool, &self.tool)?;
        plan.check()?;
        let runtime = &self.runtime.0;
        runtime.check()?;
        if let Some(generation) = &self.registry_generation_id {
            not_blank("registry_generation_id", generation)?;
            let in_runtime = runtime.registry_generation_id.as_deref().unwrap_or("absent");
            equal("runtime.registry_generation_id", "registry_generation_id", in_runtime, generation)?;
        }
        if runtime.registry_launch_authority != self.registry_launch_authority {
            return Err("runtime.registry_launch_authority differs from registry_launch_authority".to_owned());
        }
        if let Some(Object(provenance)) = &self.launch_policy_provenance {
            provenance.check()?;
        }
        self.check_identity()?;
        self.check_backend_section()
    }

    /// The sections every agent in tmux has, and no other.
    fn check_identity(&self) -> Checked {
        let identity = [
            ("agent_name", &self.agent_name),
            ("agent_id", &self.agent_id),
            ("tmux_session_name", &self.tmux_session_name),
        ];
        if self.backend.0 == Backend::CodexAppServer {
            return match identity.iter().find(|(_, value)| value.is_some()) {
                Some((field, _)) => Err(format!("{field} is set and the backend has no terminal")),
                None => Ok(()),
            };
        }
        if let Some((field, _)) = identity.iter().find(|(_, value)| value.is_none()) {
            return Err(format!("{field} is missing"));
        }
        for (field, value) in &identity[..2] {
            if let Some(value) = value.as_deref().filter(|value| !is_registry_token(value)) {
                return Err(format!("{field} is {value:?}, which cannot be one"));
            }
        }
        let Some(Object(tmux)) = &self.tmux else { return Err("the section tmux is missing".to_owned()) };
        let Some(Object(authority)) = &self.agent_launch_authority else {
            return Err("the section agent_launch_authority is missing".to_owned());
        };
        if self.interactive.is_none() || self.gateway_authority.is_none() {
            return Err("the section interactive or gateway_authority is missing".to_owned());
        }
        tmux.check()?;
        authority.check()?;
        let session = self.tmux_session_name.as_deref().unwrap_or_default();
        equal("tmux.session_name", "tmux_session_name", &tmux.session_name, session)
    }

    /// Exactly the section of the backend is there.
    fn check_backend_section(&self) -> Checked {
        let wanted = match self.backend.0 {
            Backend::LocalInteractive => "local_interactive",
            Backend::CodexHeadless | Backend::ClaudeHeadless | Backend::KimiHeadless => "headless",
            Backend::CodexAppServer => "codex",
            Backend::CaoRest => "cao",
            Backend::HoumaoServerRest => "houmao_server",
        };
        for (section, there) in [
            ("local_interactive", self.local_interactive.is_some()),
            ("headless", self.headless.is_some()),
            ("codex", self.codex.is_some()),
            ("cao", self.cao.is_some()),
            ("houmao_server", self.houmao_server.is_some()),
        ] {
            if there != (section == wanted) {
                let verb = if there { "set" } else { "missing" };
                return Err(format!("the section {section} is {verb} and the backend is {}", self.backend.0.as_str()));
            }
        }
        if let Some(Object(headless)) = &self.headless
            && (headless.resume_selection_kind.0 == Resume::Exact) != headless.resume_selection_value.is_some()
        {
            return Err(
                "headless.resume_selection_value belongs to resume_selection_kind exact, and only there".to_owned()
            );
        }
        Ok(())
    }
}

impl Runtime {
    fn check(&self) -> Checked {
        let memory = [&self.memory_root, &self.memo_file, &self.pages_dir].map(Option::is_some);
        if memory.contains(&true) && memory.contains(&false) {
            return Err("runtime has some of memory_root, memo_file and pages_dir, and not all".to_owned());
        }
        if self.agent_pid.is_some_and(|pid| pid <= 0) {
            return Err("runtime.agent_pid is not above 0".to_owned());
        }
        not_blank_if_any("runtime.session_id", self.session_id.as_deref())
    }
}

impl Tmux {
    fn check(&self) -> Checked {
        not_blank("tmux.session_name", &self.session_name)?;
        not_blank("tmux.primary_window_index", &self.primary_window_index)?;
        not_blank_if_any("tmux.primary_window_id", self.primary_window_id.as_deref())?;
        not_blank_if_any("tmux.primary_pane_id", self.primary_pane_id.as_deref())
    }
}

impl AgentLaunchAuthority {
    fn check(&self) -> Checked {
        not_blank("agent_launch_authority.tool", &self.tool)?;
        not_blank("agent_launch_authority.working_directory", &self.working_directory)?;
        let (args, env) = (self.launch_args.as_ref(), self.launch_env.as_ref());
        match self.posture_kind.map(|Word(posture)| posture) {
            Some(Posture::RuntimeLaunchPlan | Posture::Unavailable) if args.is_some() || env.is_some() => {
                Err("agent_launch_authority has launch_args or launch_env, which its posture_kind forbids".to_owned())
            }
            Some(Posture::TuiLaunchOptions | Posture::HeadlessLaunchOptions)
                if args.is_none_or(Vec::is_empty) && env.is_none_or(Vec::is_empty) =>
            {
                Err("agent_launch_authority has neither launch_args nor launch_env, and its posture_kind requires one"
                    .to_owned())
            }
            _ => Ok(()),
        }
    }
}

impl LaunchPlan {
    fn check(&self) -> Checked {
        not_blank("launch_plan.executable", &self.executable)?;
        not_blank("launch_plan.working_directory", &self.working_directory)?;
        not_blank("launch_plan.home_selector.env_var", &self.home_selector.0.env_var)?;
        not_blank("launch_plan.home_selector.home_path", &self.home_selector.0.home_path)?;
        not_blank("launch_plan.role_injection.role_name", &self.role_injection.0.role_name)?;
        self.launch_policy_provenance.as_ref().map_or(Ok(()), |Object(provenance)| provenance.check())
    }
}

impl Provenance {
    fn check(&self) -> Checked {
        not_blank("launch_policy_provenance.detected_tool_version", &self.detected_tool_version)?;
        not_blank("launch_policy_provenance.selected_strategy_id", &self.selected_strategy_id)
    }
}

fn equal(field: &str, other: &str, value: &str, wanted: &str) -> Checked {
    if value == wanted { Ok(()) } else { Err(format!("{field} is {value:?} and {other} is {wanted:?}")) }
}
