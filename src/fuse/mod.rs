//! The kernel's side of the tree: our own mount, and its requests answered from
//! `tree` and `port`.

mod awaits;
mod errno;
mod handle;
mod invalidate;
mod kernel;
pub mod mount;
pub mod mountinfo;
mod refuse;
mod stat;
mod tree_fs;
mod waits;

use crate::error::{Error, Result};
use crate::port::Port;
use mount::{Mounted, Mountpoint};
use stat::{Stat, Told};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use tree_fs::TreeFs;
use waits::Waits;

/// How many threads answer the kernel. No handler waits, so one is enough; of two, the kernel
/// would wake the other for each request, which costs more than it gives (docs/BENCHMARKS.md).
const THREADS: usize = 1;
/// How long unmounting waits for the last answers.
const END_LIMIT: Duration = Duration::from_secs(2);

/// A mount that is being served.
pub struct Served {
    mounted: Mounted,
    ended: Arc<AtomicBool>,
    waits: Waits,
    done: std::sync::mpsc::Receiver<()>,
}

/// Mounts and serves the tree of `port`. `on_end` is called once, from another
/// thread, when the mount has ended, whoever ended it.
pub fn serve(mountpoint: Mountpoint, port: &Port, on_end: impl FnOnce() + Send + 'static) -> Result<Served> {
    let (mounted, connection) = mountpoint.mount()?;
    let mut config = fuser::Config::default();
    config.n_threads = Some(THREADS);
    let waits = Waits::new(port.clone());
    let told = Arc::new(Told::nothing());
    let tree = TreeFs::new(Stat::new(port.clone(), told.clone(), SystemTime::now()), waits.clone());
    let session = fuser::Session::from_fd(tree, connection, fuser::SessionACL::Owner, config)
        .map_err(|error| Error::io("cannot talk to the kernel about the mount", &error))?;
    let notifier = session.notifier();
    let ended = Arc::new(AtomicBool::new(false));
    let (finished, done) = std::sync::mpsc::channel();
    let failed = |error| Error::io("cannot start a thread for the mount", &error);
    {
        let (port, ended) = (port.clone(), ended.clone());
        let thread = std::thread::Builder::new().name("troop-notify".to_owned());
        thread.spawn(move || invalidate::run(&port, &told, &notifier, &ended)).map_err(failed)?;
    }
    {
        let waits = waits.clone();
        let mut watch = mountinfo::Watch::new(mounted.device())?;
        let thread = std::thread::Builder::new().name("troop-waits".to_owned());
        thread.spawn(move || waits.run(|| watch.is_gone())).map_err(failed)?;
    }
    {
        let (ended, waits) = (ended.clone(), waits.clone());
        let thread = std::thread::Builder::new().name("troop-fuse".to_owned());
        let serve = move || {
            if let Err(error) = run(session) {
                tracing::debug!(%error, "the FUSE session ended with an error");
            }
            ended.store(true, Ordering::Relaxed);
            waits.end();
            let _ = finished.send(());
            on_end();
        };
        thread.spawn(serve).map_err(failed)?;
    }
    Ok(Served { mounted, ended, waits, done })
}

/// Answers the kernel until the connection ends, which is no error, whoever ended it.
pub fn run(session: fuser::Session<impl fuser::Filesystem>) -> std::io::Result<()> {
    session.run().or_else(|error| match error.kind() {
        // The kernel says ENODEV for a connection that has ended, which fuser takes for its end, but this when it ends
        // while a request is being handed over (fuse_dev_do_read): closing the last file of a detached mount queues
        // its RELEASE and ends the connection at once.
        std::io::ErrorKind::ConnectionAborted => Ok(()),
        _ => Err(error),
    })
}

impl Served {
    /// Takes the mount away, if it is still ours, and waits a little for its last answers.
    /// Whoever waits for something in it is answered first.
    pub fn unmount(self) -> Result<()> {
        self.waits.end();
        if !self.ended.load(Ordering::Relaxed) {
            self.mounted.unmount()?;
        }
        // A file that somebody keeps open keeps the connection open; the program's end closes it.
        let _ = self.done.recv_timeout(END_LIMIT);
        Ok(())
    }
}
