//! `troop mount` and `troop umount`.

use super::args::{Common, Mount};
use super::context::{Context, home};
use super::signals;
use crate::daemon::{Daemon, Scope, Settings};
use crate::error::{Error, Kind, Result};
use crate::fuse;
use crate::fuse::mount::Mountpoint;
use crate::store::make_private;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How long the first readers wait at most until every agent has been looked at.
const FIRST_LOOK_LIMIT: Duration = Duration::from_secs(2);
/// What the background process says when its mount answers; a line before that is for the person.
const READY: &str = "ready";

/// Mounts, and serves until a signal or somebody else ends the mount.
pub(super) fn mount(common: &Common, options: &Mount) -> Result<()> {
    if options.detach {
        return detach(options);
    }
    let context = Context::new(common)?;
    let log = options.announce.then(|| open_log(&context.settings.roots.state)).transpose();
    // A mount is no worse for having no log.
    let complaints = log.as_ref().err().into_iter().chain(&context.tool_errors).map(ToString::to_string);
    if options.announce {
        // Its standard error is heard only when it fails: what has been said there is said again.
        let wrong = context.settings.presets.wrong.as_ref().map(|wrong| format!("{wrong}; nothing of it counts"));
        super::print(|out| complaints.chain(wrong).try_for_each(|line| writeln!(out, "troop: {line}")))?;
    } else {
        complaints.for_each(|line| super::say(&format!("troop: {line}")));
    }
    start_logging(log.ok().flatten());
    let path = options.path.clone().unwrap_or_else(default_path);
    super::doctor::tmux_version()?;
    let mountpoint = Mountpoint::prepare(&path, options.path.is_none())?;
    raise_file_limit();
    let (ended, end) = std::sync::mpsc::channel();
    signals::forward((), ended.clone())?;
    let mut presets = context.settings.presets;
    presets.defaults.tool = options.default_tool.clone().or(presets.defaults.tool);
    let settings = Settings {
        scope: Scope::All,
        keeps_history: true,
        presets,
        discovers: options.discover,
        default_cwd: home(),
        mountpoint: Some(mountpoint.path().to_owned()),
        ..context.settings
    };
    let daemon = Daemon::start(settings)?;
    daemon.port().wait_for(FIRST_LOOK_LIMIT, |snapshot| snapshot.settled.then_some(()));
    let served = fuse::serve(mountpoint, daemon.port(), move || {
        let _ = ended.send(());
    })?;
    if options.announce {
        super::print(|out| writeln!(out, "{READY}"))?;
    }
    // Either a signal, or the mount was taken away by somebody else.
    let _ = end.recv();
    served.unmount()
}

/// Takes a mount away.
pub(super) fn umount(path: Option<&Path>) -> Result<()> {
    fuse::mount::unmount_path(&path.map_or_else(default_path, Path::to_owned))
}

fn default_path() -> PathBuf {
    home().join("troop")
}

/// Starts the same command in the background and waits until its mount answers.
fn detach(options: &Mount) -> Result<()> {
    let failed = |error: std::io::Error| Error::io("cannot start the mount in the background", &error);
    let program = std::env::current_exe().map_err(failed)?;
    let arguments = std::env::args_os().skip(1).filter(|argument| argument != "--detach");
    let mut child = Command::new(program)
        .args(arguments)
        .arg("--announce")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut is_ready = false;
    for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()).map_while(|line| line.ok())
    {
        is_ready = line == READY;
        if is_ready {
            break;
        }
        super::say(&line);
    }
    if is_ready {
        let path = options.path.clone().unwrap_or_else(default_path);
        super::say(&format!("mounted at {} (troop umount {} takes it away)", path.display(), path.display()));
        return Ok(());
    }
    let mut said = String::new();
    if let Some(err) = child.stderr.take() {
        let _ = err.take(1 << 16).read_to_string(&mut said);
    }
    let status = child.wait().map_err(failed)?;
    let sentence = said.lines().last().map(|line| line.trim_start_matches("troop: ").to_owned());
    let kind = status.code().map_or(Kind::Io, super::exit::kind);
    Err(Error::new(kind, sentence.unwrap_or_else(|| format!("the mount in the background ended with {status}"))))
}

/// A process in the background has nobody to talk to: it leaves the terminal's
/// session and writes into a file.
fn open_log(dir: &Path) -> Result<File> {
    // Fails only for the leader of a process group, which needs no new session.
    let _ = nix::unistd::setsid();
    let path = dir.join("mount.log");
    make_private(dir)?;
    let opened = File::options().create(true).append(true).mode(0o600).open(&path);
    opened.map_err(|error| Error::io(format!("cannot write {}", path.display()), &error))
}

/// `TROOP_LOG` says what is logged (warnings by default), to standard error or to `log`.
fn start_logging(log: Option<File>) {
    let wanted = std::env::var("TROOP_LOG").ok().and_then(|wanted| wanted.parse().ok());
    let filter = wanted.unwrap_or_else(|| Targets::new().with_default(LevelFilter::WARN));
    // Lets every level through: the filter beside it decides. A line that cannot be written, on a full disk or to a
    // standard error that is closed, is let go: to complain of it there is a panic.
    let builder =
        tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false).log_internal_errors(false);
    // Only a second call could fail, and there is none.
    let _ = match log {
        Some(file) => builder.with_writer(std::sync::Mutex::new(file)).finish().with(filter).try_init(),
        None => builder.with_writer(std::io::stderr).finish().with(filter).try_init(),
    };
}

/// How many descriptors a mount asks for at most: every agent needs a few.
const MAX_FILES: u64 = 65_536;

/// Raises the soft limit as far as the hard one allows.
pub(super) fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft.max(hard.min(MAX_FILES)), hard);
    }
}
