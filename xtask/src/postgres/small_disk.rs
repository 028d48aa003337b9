//! A disk that is soon full, for tests of what happens then.
//!
//! As root, the server is started in a mount namespace of its own in which `/mnt` is a small `tmpfs` that belongs to
//! the server's account. Nobody else sees it, and it is gone with the last process of the server. A test puts a
//! tablespace there. Where that cannot be made the test says that it did not run.

use std::fs;
use std::process::{Command, Stdio};

/// Where the disk is, for the server alone.
const PLACE: &str = "/mnt";
/// Its size: some empty databases and a little more.
const SIZE: &str = "96m";

/// `$0` is its name; arguments: place, size, user, group, program, its arguments. A disk that cannot be mounted is done
/// without.
const MOUNT: &str = r#"
place=$1; size=$2; user=$3; group=$4; shift 4
mount -t tmpfs -o "size=$size,mode=0700,uid=$user,gid=$group" strongroom "$place" 2>/dev/null
exec setpriv --reuid "$user" --regid "$group" --clear-groups "$@"
"#;

/// A command that becomes this account and runs `program` where the disk is; `None` where no namespace can be made.
pub(super) fn command(user: u32, group: u32, program: &str) -> Option<Command> {
    let possible = Command::new("unshare")
        .args(["--mount", "setpriv", "--version"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !possible.is_ok_and(|status| status.success()) {
        return None;
    }
    let mut command = Command::new("unshare");
    command
        .args([
            "--mount",
            "--propagation",
            "private",
            "/bin/sh",
            "-c",
            MOUNT,
            "strongroom-disk",
        ])
        .args([PLACE, SIZE, &user.to_string(), &group.to_string(), program]);
    Some(command)
}

/// Where the disk of a running server is, if it has one.
pub(super) fn of(server: &str) -> Option<&'static str> {
    let mounts = fs::read_to_string(format!("/proc/{server}/mounts")).ok()?;
    mounts
        .lines()
        .any(|line| line.starts_with(&format!("strongroom {PLACE} tmpfs ")))
        .then_some(PLACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_the_disk_has_none() {
        assert_eq!(of("self"), None);
        assert_eq!(of("0"), None);
    }
}
