//! Our own mounting, with real mounts: as root and as an ordinary user.

mod place;

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use troop::error::Kind;
use troop::fuse::mount::{Mountpoint, troop_mounts, unmount_path};

use place::{Place, SERVE_AT};

use crate::support::hello;
use crate::support::skip::have_root;
use crate::support::user::{USUAL_DEVICE, as_user};

#[track_caller]
fn refusal(path: &Path) -> (Kind, String) {
    let error = Mountpoint::prepare(path, false).expect_err("a mountpoint that should be refused");
    (error.kind(), error.sentence().to_owned())
}

#[track_caller]
fn refused(path: &Path, kind: Kind, words: &str) {
    let (was, sentence) = refusal(path);
    assert!(was == kind && sentence.contains(words), "{was:?}: {sentence}");
}

fn mount_tmpfs(path: &Path) {
    mount(Some("other"), path, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
}

#[test]
#[ignore = "the server that other tests start and kill"]
fn serve_until_unmounted() {
    let path = std::env::var_os(SERVE_AT).expect("the path to serve at");
    let (_mounted, connection) = Mountpoint::prepare(Path::new(&path), false).unwrap().mount().unwrap();
    // A server of troops calls itself so: while it is stopped, programs of other tests know not to ask it.
    std::fs::write("/proc/self/comm", env!("CARGO_PKG_NAME")).unwrap();
    hello::serve(connection).unwrap();
}

fn check_mounts_serves_and_unmounts() {
    let place = Place::new();
    let served = place.serve();
    assert_eq!(fs::read(place.path().join(hello::NAME)).unwrap(), [b'h'; hello::SIZE]);

    let entry = place.mounts().remove(0);
    assert_eq!((entry.fs_type.as_str(), entry.source.to_str()), ("fuse.troop", Some("troop")));
    assert_eq!(entry.user_id(), Some(nix::unistd::geteuid().as_raw()));
    // The filesystem checks modes itself: the kernel would ask for them at every open.
    assert!(!entry.options.contains("default_permissions"), "{}", entry.options);
    assert!(!entry.options.contains("allow_other"), "{}", entry.options);
    let flags = nix::sys::statvfs::statvfs(&place.path()).unwrap().flags();
    let expected = nix::sys::statvfs::FsFlags::ST_NOSUID | nix::sys::statvfs::FsFlags::ST_NODEV;
    assert!(flags.contains(expected), "{flags:?}");
    assert!(troop_mounts().unwrap().contains(&entry));

    served.mounted.unmount().unwrap();
    assert_eq!(place.mounts(), []);
    served.mounted.unmount().unwrap();
    served.session.join().unwrap().unwrap();
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn mounts_serves_and_unmounts() {
    check_mounts_serves_and_unmounts();
}

#[test]
fn an_ordinary_user_mounts_serves_and_unmounts() {
    as_user("mount::an_ordinary_user_mounts_serves_and_unmounts", USUAL_DEVICE, check_mounts_serves_and_unmounts);
}

fn check_replaces_a_dead_mount() {
    let place = Place::new();
    place.leave_dead_mount();
    place.serve().end();
    assert_eq!(place.mounts(), []);
}

#[test]
fn replaces_a_dead_mount() {
    check_replaces_a_dead_mount();
}

#[test]
fn an_ordinary_user_replaces_a_dead_mount() {
    as_user("mount::an_ordinary_user_replaces_a_dead_mount", USUAL_DEVICE, check_replaces_a_dead_mount);
}

#[test]
fn a_dead_mount_is_found_through_a_link() {
    let place = Place::new();
    place.leave_dead_mount();
    let link = place.parent().join("link");
    symlink(place.path(), &link).unwrap();
    let mountpoint = Mountpoint::prepare(&link, false).unwrap();
    assert_eq!((mountpoint.path(), place.mounts()), (place.path().as_path(), vec![]));
}

#[test]
fn unmounts_a_dead_mount_by_its_path() {
    let place = Place::new();
    place.leave_dead_mount();
    unmount_path(&place.path()).unwrap();
    assert_eq!(place.mounts(), []);
    assert_eq!(unmount_path(&place.path()).unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn below_a_dead_mount_is_no_place() {
    let place = Place::new();
    place.leave_dead_mount();
    refused(&place.path().join("x/y"), Kind::Invalid, "server has died");
}

#[test]
fn a_dead_mount_of_another_user_stays() {
    if !have_root() {
        return;
    }
    let place = Place::new();
    let device = File::options().read(true).write(true).open("/dev/fuse").unwrap();
    let data = format!("fd={},rootmode=40000,user_id=65534,group_id=0", std::os::fd::AsRawFd::as_raw_fd(&device));
    mount(Some("troop"), &place.path(), Some("fuse.troop"), MsFlags::empty(), Some(data.as_str())).unwrap();
    drop(device);
    let (kind, sentence) = refusal(&place.path());
    assert!(kind == Kind::Busy && sentence.contains("the troop of user 65534"), "{sentence}");
    assert_eq!(place.types(), ["fuse.troop"]);
    // Asked for by its path, root takes it away.
    unmount_path(&place.path()).unwrap();
    assert_eq!(place.mounts(), []);
}

#[test]
fn a_user_cannot_unmount_the_troop_of_root() {
    let setup = format!(
        "{USUAL_DEVICE}; mkdir \"$dev/m\"; exec 9<>\"$dev/fuse\"; \
         mount -i -t fuse.troop -o fd=9,rootmode=40000,user_id=0,group_id=0 troop \"$dev/m\"; \
         exec 9<&-; export TROOP_TEST_MOUNT_OF_ROOT=\"$dev/m\""
    );
    as_user("mount::a_user_cannot_unmount_the_troop_of_root", &setup, || {
        let Some(path) = std::env::var_os("TROOP_TEST_MOUNT_OF_ROOT").map(PathBuf::from) else {
            return crate::support::skip::skip("needs root to set it up");
        };
        let error = unmount_path(&path).unwrap_err();
        assert!(error.kind() == Kind::NotPermitted && error.sentence().contains("user 0"), "{error}");
        refused(&path, Kind::Busy, "the troop of user 0");
    });
}

#[test]
fn a_live_troop_is_refused_and_says_how_to_end_it() {
    let place = Place::new();
    let served = place.serve();
    let (kind, sentence) = refusal(&place.path());
    assert_eq!(kind, Kind::Busy);
    assert!(sentence.contains("already mounted") && sentence.contains("`troop umount /"), "{sentence}");
    served.end();
}

#[test]
fn a_hung_troop_is_refused_in_time() {
    let place = Place::new();
    let mut child = place.serve_in_child();
    let pid = Pid::from_raw(child.id().cast_signed());
    kill(pid, Signal::SIGSTOP).unwrap();
    waitpid(pid, Some(WaitPidFlag::WUNTRACED)).unwrap();
    let (kind, sentence) = refusal(&place.path());
    unmount_path(&place.path()).unwrap();
    kill(pid, Signal::SIGCONT).unwrap();
    child.wait().unwrap();
    assert!(kind == Kind::Busy && sentence.contains("has not answered"), "{sentence}");
}

#[test]
fn unmounts_while_a_file_is_open() {
    let place = Place::new();
    let served = place.serve();
    let mut file = File::open(place.path().join(hello::NAME)).unwrap();
    served.mounted.unmount().unwrap();
    assert_eq!(place.mounts(), []);
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len(), hello::SIZE);
    assert!(!served.session.is_finished());
    // With the last file the filesystem ends, and so does its session.
    drop(file);
    served.session.join().unwrap().unwrap();
}

#[test]
fn what_is_mounted_over_it_is_never_unmounted() {
    if !have_root() {
        return;
    }
    let place = Place::new();
    let served = place.serve();
    mount_tmpfs(&place.path());
    let error = served.mounted.unmount().unwrap_err();
    assert!(error.kind() == Kind::Busy && error.sentence().contains("tmpfs"), "{error}");
    let error = unmount_path(&place.path()).unwrap_err();
    assert!(error.kind() == Kind::NotPermitted && error.sentence().contains("no troop"), "{error}");
    refused(&place.path(), Kind::Busy, "a tmpfs filesystem (other)");
    assert_eq!(place.mounts().len(), 2);
    umount2(&place.path(), MntFlags::empty()).unwrap();
    served.end();
    assert_eq!(place.mounts(), []);
}

#[test]
fn what_is_mounted_after_it_is_never_unmounted() {
    if !have_root() {
        return;
    }
    let place = Place::new();
    let served = place.serve();
    umount2(&place.path(), MntFlags::empty()).unwrap();
    mount_tmpfs(&place.path());
    served.end();
    assert_eq!(place.types(), ["tmpfs"]);
}

#[test]
fn its_successor_is_never_unmounted() {
    // The successor usually gets the very same mount id and device number.
    let place = Place::new();
    let first = place.serve();
    unmount_path(&place.path()).unwrap();
    let second = place.serve();
    first.end();
    assert_eq!(place.types(), ["fuse.troop"]);
    assert!(fs::read(place.path().join(hello::NAME)).is_ok());
    second.end();
}

#[test]
fn two_at_once_are_one() {
    let place = Place::new();
    let first = Mountpoint::prepare(&place.path(), false).unwrap();
    refused(&place.path(), Kind::Busy, "just being mounted");
    drop(first);
    Mountpoint::prepare(&place.path(), false).unwrap();
}

#[test]
fn a_mount_never_served_is_taken_away() {
    let place = Place::new();
    let (mounted, connection) = Mountpoint::prepare(&place.path(), false).unwrap().mount().unwrap();
    assert_eq!(place.types(), ["fuse.troop"]);
    drop(connection);
    drop(mounted);
    assert_eq!(place.mounts(), []);
}

#[test]
fn bad_places_are_refused_with_what_to_do() {
    let place = Place::new();
    let dir = place.parent();
    refused(&dir.join("absent"), Kind::NotFound, "create it with `mkdir /");
    refused(&dir.join("no/parent"), Kind::NotFound, "there is no directory");
    fs::write(dir.join("file"), "").unwrap();
    refused(&dir.join("file"), Kind::Invalid, "is not a directory");
    refused(dir, Kind::Invalid, "is not empty");
    refused(&place.path().join(".."), Kind::Invalid, "is not empty");
    symlink("loop", dir.join("loop")).unwrap();
    refused(&dir.join("loop"), Kind::Invalid, "links");
    refused(Path::new("/proc"), Kind::Busy, "a proc filesystem");
}

#[test]
fn creates_its_directory_when_asked() {
    let place = Place::new();
    let path = place.parent().join("new");
    Mountpoint::prepare(&path, true).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o700);
    Mountpoint::prepare(&path, true).unwrap();
    let error = Mountpoint::prepare(&place.parent().join("a/b"), true).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
}

#[test]
fn a_user_is_told_that_the_directory_is_not_theirs() {
    as_user("mount::a_user_is_told_that_the_directory_is_not_theirs", USUAL_DEVICE, || {
        let empty = Path::new("/usr/share/troop-test-none");
        let error = Mountpoint::prepare(empty, true).unwrap_err();
        assert!(error.sentence().contains("cannot create the mountpoint"), "{error}");
        let of_root = ["/mnt", "/media", "/srv", "/opt"].map(Path::new);
        let of_root = of_root.iter().find(|path| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none()));
        refused(of_root.expect("an empty directory of root"), Kind::Unavailable, "not yours to mount on");
    });
}

#[test]
fn a_user_is_told_about_the_device() {
    as_user("mount::a_user_is_told_about_the_device", "true", || {
        if File::options().read(true).write(true).open("/dev/fuse").is_ok() {
            return crate::support::skip::skip("/dev/fuse can be opened");
        }
        refused(Place::new().parent(), Kind::Unavailable, "`sudo chmod 666 /dev/fuse`");
    });
}

#[test]
fn a_user_is_told_about_fusermount() {
    let setup = format!(
        "{USUAL_DEVICE}; for f in $(command -v fusermount3) /usr/bin/fusermount3 /bin/fusermount3; do \
         if [ -x \"$f\" ]; then mount --bind /dev/null \"$f\"; fi; done"
    );
    as_user("mount::a_user_is_told_about_fusermount", &setup, || {
        if Command::new("fusermount3").arg("-V").output().is_ok() {
            return crate::support::skip::skip("fusermount3 is installed");
        }
        refused(&Place::new().path(), Kind::Unavailable, "install the package fuse3");
    });
}

#[test]
fn no_device_is_said() {
    let setup = "mount -t tmpfs none /dev; touch /dev/fuse /dev/null; dev=/dev; mkdir /dev/none; \
                 mount() { :; }; rm /dev/fuse";
    as_user("mount::no_device_is_said", setup, || {
        if Path::new("/dev/fuse").exists() {
            return crate::support::skip::skip("/dev/fuse exists");
        }
        refused(&Place::new().path(), Kind::Unavailable, "/dev/fuse is missing");
    });
}
