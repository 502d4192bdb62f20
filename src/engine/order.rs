//! From what a launch says to an order in which nothing is left open: its own words first, then its profile's, then the
//! defaults, then the tool's.

use super::world::World;
use crate::command::Launch;
use crate::error::{Error, Kind, Result};
use crate::model::{AgentName, ChatSession, LaunchOptions};
use crate::tool::{STAND_IN, Tool};
use jiff::Timestamp;
use std::path::PathBuf;

/// A launch with every default filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchOrder {
    /// The agent's name.
    pub name: AgentName,
    /// The profile that was asked for.
    pub profile: Option<String>,
    /// The tool's name.
    pub tool: String,
    /// The program's own words, model included: `{troop}` not yet replaced, without those for hooks, conversation and role.
    pub argv: Vec<String>,
    /// Whether the tool's hooks are injected: the launch gave no command line of its own.
    pub has_hooks: bool,
    /// Whether each turn is a process of its own.
    pub headless: bool,
    /// Where it works.
    pub cwd: PathBuf,
    /// The file with its role, not yet read.
    pub role: Option<PathBuf>,
    /// The model, whose words are in `argv` already.
    pub model: Option<String>,
    /// Variables for it, each name once.
    pub env: Vec<(String, String)>,
    /// Which conversation it goes on with.
    pub chat: ChatSession,
    /// Whether it is done only when its program is up.
    pub waits: bool,
}

/// The order of a launch, or why it is refused.
pub(super) fn order(world: &World, launch: Launch, now: Timestamp) -> Result<LaunchOrder> {
    let Launch { name, profile, options, chat, argv, headless, waits } = launch;
    is_free(world, &name, now)?;
    let asked = match &profile {
        Some(profile) => over(options, world.presets.profile(profile)?),
        None => options,
    };
    let defaults = &world.presets.defaults;
    let tool_name = asked.tool.clone().or_else(|| defaults.tool.clone()).unwrap_or_else(|| STAND_IN.to_owned());
    let tool = known_tool(world, &tool_name)?;
    let is_own = argv.is_empty();
    let mut argv = if is_own { tool.command.clone() } else { argv };
    if argv.is_empty() {
        let sentence = format!("the tool {tool_name} has no command of its own; give one after --");
        return Err(Error::new(Kind::Invalid, sentence));
    }
    let asked = if is_own { over(asked, &fitting(defaults, tool)) } else { over(asked, &plain(defaults)) };
    if let Some(model) = &asked.model {
        argv.extend(tool.model_args(model)?);
    }
    if asked.role.is_some() {
        tool.role_way()?;
    }
    if !headless {
        tool.chat_args(&chat)?;
    } else if tool.headless.is_none() {
        let sentence = format!("{tool_name} cannot run a turn as a process of its own; launch it without --headless");
        return Err(Error::new(Kind::Unsupported, sentence));
    }
    Ok(LaunchOrder {
        name,
        profile,
        tool: tool_name,
        argv,
        has_hooks: is_own && tool.hooks.is_some() && !headless,
        headless,
        cwd: asked.cwd.unwrap_or_else(|| world.default_cwd.clone()),
        role: asked.role,
        model: asked.model,
        env: asked.env,
        chat,
        waits,
    })
}

/// What `first` says, and where that says nothing, what `second` does. A model belongs to the tool that it stands beside.
fn over(first: LaunchOptions, second: &LaunchOptions) -> LaunchOptions {
    let other_tool = first.tool.is_some() && second.tool.is_some() && first.tool != second.tool;
    let mut env = second.env.clone();
    for (name, value) in first.env {
        env.retain(|(known, _)| *known != name);
        env.push((name, value));
    }
    LaunchOptions {
        model: first.model.or_else(|| second.model.clone().filter(|_| !other_tool)),
        tool: first.tool.or_else(|| second.tool.clone()),
        cwd: first.cwd.or_else(|| second.cwd.clone()),
        role: first.role.or_else(|| second.role.clone()),
        env,
    }
}

/// The defaults for a tool's own command. They are for every launch, so one that the tool has no way for is left out.
fn fitting(defaults: &LaunchOptions, tool: &Tool) -> LaunchOptions {
    LaunchOptions {
        model: defaults.model.clone().filter(|model| tool.model_args(model).is_ok()),
        role: defaults.role.clone().filter(|_| tool.role_way().is_ok()),
        ..plain(defaults)
    }
}

/// The defaults for a command line that the launch gave: its own words say which model and which role.
fn plain(defaults: &LaunchOptions) -> LaunchOptions {
    LaunchOptions { model: None, role: None, ..defaults.clone() }
}

/// The tool of that name, or which there are.
pub(super) fn known_tool<'a>(world: &'a World, name: &str) -> Result<&'a Tool> {
    world.tools.get(name).map(AsRef::as_ref).ok_or_else(|| {
        let known: Vec<&str> = world.tools.texts().map(|(name, _)| name).collect();
        Error::new(Kind::NotFound, format!("there is no tool {name:?}; the tools are {}", known.join(", ")))
    })
}

/// Whether no agent has that name that is live or can come back.
pub(super) fn is_free(world: &World, name: &AgentName, now: Timestamp) -> Result<()> {
    let managed = world.agents.values().filter(|agent| agent.is_managed());
    let taken = managed.into_iter().find(|agent| {
        agent.record.name == name.as_str() && (agent.is_live(now) || agent.record.lifecycle.can_return())
    });
    let sentence = match taken {
        None => return Ok(()),
        Some(agent) if agent.is_live(now) => {
            format!("there is an agent named {name} already; choose another name, or stop it first")
        }
        Some(_) => format!(
            "{name} is the name of a stopped agent; retire that one first (troop retire {name}) or choose another name"
        ),
    };
    Err(Error::new(Kind::Exists, sentence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Presets;
    use crate::tool::Tools;

    const NOW: Timestamp = Timestamp::constant(1_795_226_700, 0);

    fn options(tool: Option<&str>, model: Option<&str>, role: Option<&str>, env: &[(&str, &str)]) -> LaunchOptions {
        let text = |text: &str| text.to_owned();
        LaunchOptions {
            tool: tool.map(text),
            cwd: None,
            role: role.map(Into::into),
            model: model.map(text),
            env: env.iter().map(|(name, value)| (text(name), text(value))).collect(),
        }
    }

    fn world() -> World {
        let profiles = [
            (
                "claude",
                options(Some("claude"), Some("opus"), Some("/profile.md"), &[("A", "profile"), ("B", "profile")]),
            ),
            ("small", options(None, Some("mini"), None, &[])),
            ("bare", options(Some("generic"), None, Some("/r"), &[])),
        ];
        let presets = Presets {
            defaults: LaunchOptions {
                cwd: Some("/default".into()),
                ..options(Some("codex"), Some("gpt"), Some("/default.md"), &[("A", "default"), ("C", "default")])
            },
            profiles: profiles.into_iter().map(|(name, options)| (name.to_owned(), options)).collect(),
            wrong: None,
        };
        World::new(Tools::with_overrides(&[]).0, presets, "/home".into())
    }

    fn launch(profile: Option<&str>, options: LaunchOptions, argv: &[&str]) -> Launch {
        Launch {
            profile: profile.map(str::to_owned),
            options,
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            ..Launch::new(AgentName::new("a").unwrap())
        }
    }

    #[track_caller]
    fn ordered(launch: Launch) -> LaunchOrder {
        order(&world(), launch, NOW).unwrap()
    }

    #[test]
    fn the_nearest_word_counts() {
        let order = ordered(launch(None, LaunchOptions::default(), &[]));
        assert_eq!(order.argv, ["codex", "--model", "gpt"]);
        assert_eq!((order.role, order.cwd), (Some("/default.md".into()), "/default".into()));
        let order = ordered(launch(Some("claude"), options(None, None, None, &[("B", "own")]), &[]));
        assert_eq!(order.argv, ["claude", "--model", "opus"]);
        assert_eq!((order.role, order.has_hooks), (Some("/profile.md".into()), true));
        let env: Vec<_> = order.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(env, [("C", "default"), ("A", "profile"), ("B", "own")]);
        let own = options(Some("codex"), Some("own"), Some("/own.md"), &[("A", "own")]);
        let order = ordered(launch(Some("claude"), own, &[]));
        assert_eq!((order.argv.join(" ").as_str(), order.role), ("codex --model own", Some("/own.md".into())));
    }

    #[test]
    fn a_model_belongs_to_the_tool_beside_it() {
        let with = |tool: &str| options(Some(tool), None, None, &[]);
        assert_eq!(ordered(launch(None, with("claude"), &[])).argv, ["claude"]);
        assert_eq!(ordered(launch(Some("claude"), with("codex"), &[])).argv, ["codex", "--model", "gpt"]);
        assert_eq!(ordered(launch(Some("small"), with("qwen"), &[])).argv, ["qwen", "--model", "mini"]);
        assert_eq!(ordered(launch(Some("small"), LaunchOptions::default(), &[])).argv, ["codex", "--model", "mini"]);
    }

    #[test]
    fn defaults_stay_out_of_a_command_line_and_of_tools_without_a_way() {
        let order = ordered(launch(None, LaunchOptions::default(), &["codex", "-m", "x"]));
        assert_eq!((order.argv.join(" ").as_str(), order.role, order.model), ("codex -m x", None, None));
        let order = ordered(launch(None, options(Some("generic"), None, None, &[]), &["sh"]));
        assert_eq!((order.argv.join(" ").as_str(), order.role), ("sh", None));
        let order = ordered(launch(None, options(None, Some("m"), Some("/r"), &[]), &["codex"]));
        assert_eq!((order.argv.join(" ").as_str(), order.role), ("codex --model m", Some("/r".into())));
    }

    #[test]
    fn what_a_tool_cannot_do_is_refused() {
        let refused = |launch: Launch| order(&world(), launch, NOW).unwrap_err().kind();
        let generic = |model, role| options(Some("generic"), model, role, &[]);
        assert_eq!(refused(launch(None, generic(Some("m"), None), &["sh"])), Kind::Unsupported);
        assert_eq!(refused(launch(None, generic(None, Some("/r")), &["sh"])), Kind::Unsupported);
        assert_eq!(refused(launch(Some("bare"), LaunchOptions::default(), &["sh"])), Kind::Unsupported);
        let chat = ChatSession::Last;
        assert_eq!(refused(Launch { chat, ..launch(None, generic(None, None), &["sh"]) }), Kind::Unsupported);
        assert_eq!(refused(launch(Some("none"), LaunchOptions::default(), &[])), Kind::NotFound);
    }

    #[test]
    fn a_wrong_configuration_refuses_profiles_alone() {
        let wrong = Some(Error::new(Kind::Malformed, "x.toml is wrong at line 3"));
        let presets = Presets { wrong, ..Presets::default() };
        let world = World::new(Tools::with_overrides(&[]).0, presets, "/home".into());
        let error = order(&world, launch(Some("p"), LaunchOptions::default(), &[]), NOW).unwrap_err();
        assert!(error.kind() == Kind::Malformed && error.sentence().contains("line 3"), "{error}");
        assert_eq!(order(&world, launch(None, LaunchOptions::default(), &[]), NOW).unwrap().tool, STAND_IN);
    }
}
