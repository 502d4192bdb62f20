//! Mounting and unmounting as root, and the device that every mount needs.

use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MntFlags, MsFlags};
use nix::unistd::{Gid, Uid};

use super::named;
use crate::error::{Error, Kind, Result};
use crate::fuse::mountinfo::{FS_TYPE, MountEntry};

pub(super) const DEVICE: &str = "/dev/fuse";

/// What `mount` and `df` show as mounted.
const SOURCE: &str = "troop";

/// Opens a new connection to the kernel: not yet mounted, closed again without effect.
pub(super) fn open_device() -> Result<File> {
    OpenOptions::new().read(true).write(true).open(DEVICE).map_err(|e| {
        Error::new(Kind::Unavailable, match Errno::from_raw(e.raw_os_error().unwrap_or(0)) {
            Errno::ENOENT | Errno::ENXIO | Errno::ENODEV => format!(
                "{DEVICE} is missing, so nothing can be mounted; load the module with `sudo modprobe fuse`, \
                 or start the container with `--device {DEVICE} --cap-add SYS_ADMIN`"
            ),
            Errno::EACCES => format!(
                "{DEVICE} may not be opened by this user; give it its usual mode with `sudo chmod 666 {DEVICE}`, \
                 or mount as root"
            ),
            Errno::EPERM => format!(
                "{DEVICE} may not be opened in this container; start it with `--device {DEVICE} --cap-add SYS_ADMIN`"
            ),
            _ => format!("{DEVICE} cannot be opened: {e}"),
        })
    })
}

/// Mounts on the directory that `directory` is and `path` names, and gives the connection.
pub(super) fn mount(path: &Path, directory: &File) -> Result<OwnedFd> {
    let device = open_device()?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOATIME;
    let data =
        format!("fd={},rootmode=40000,user_id={},group_id={}", device.as_raw_fd(), Uid::effective(), Gid::effective());
    // By descriptor: the directory that was checked, whatever has the name by now.
    let target = format!("/proc/self/fd/{}", directory.as_raw_fd());
    nix::mount::mount(Some(SOURCE), target.as_str(), Some(FS_TYPE), flags, Some(data.as_str())).map_err(|e| {
        let at = path.display();
        Error::new(
            Kind::Unavailable,
            match e {
                Errno::EPERM => format!(
                    "root may not mount at {at} here; a container needs `--cap-add SYS_ADMIN --device {DEVICE}` \
                 (and a profile that allows mount)"
                ),
                Errno::ENODEV => "this kernel has no FUSE; load the module with `modprobe fuse`".to_owned(),
                e => format!("cannot mount at {at}: {}", e.desc()),
            },
        )
    })?;
    Ok(device.into())
}

/// Detaches `mount`, lazily. It is held by a descriptor while its id is compared, so that nothing mounted at the
/// path in the meantime can be hit. Opening with `O_PATH` asks the server nothing.
pub(super) fn unmount(mount: &MountEntry) -> Result<()> {
    let failed = |e: std::io::Error| Error::io(format!("cannot unmount {}", mount.path.display()), &e);
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
    let root = OpenOptions::new().read(true).custom_flags(flags.bits()).open(&mount.path).map_err(failed)?;
    let descriptor = root.as_raw_fd();
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).map_err(failed)?;
    let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
    if id != Some(mount.id) {
        let (what, at) = (named(mount), mount.path.display());
        return Err(Error::new(
            Kind::Busy,
            format!("{what} at {at} was replaced while it was being unmounted; look again"),
        ));
    }
    let held = format!("/proc/self/fd/{descriptor}");
    nix::mount::umount2(held.as_str(), MntFlags::MNT_DETACH).map_err(|e| failed(e.into()))
}
