//! A private PostgreSQL: found or installed, started in a temporary folder on a free port, gone afterwards.
//!
//! The cluster runs with the durability of production (`fsync`, `synchronous_commit`, `full_page_writes` on), because
//! a test that passes on a database which forgets proves nothing. It never meets another cluster of the machine:
//! own folder, own socket, own port, own random password, and only the process that was started here is stopped.

mod cluster;
mod programs;
mod small_disk;

pub(crate) use cluster::Cluster;

use std::io::Read;
use std::process::Command;

use crate::outcome::Outcome;
use crate::run;

/// Where the tests find the superuser's URL.
pub(crate) const URL_VARIABLE: &str = "STRONGROOM_TEST_POSTGRES";
/// Where the server has a disk that is soon full; absent where it has none.
const SMALL_DISK_VARIABLE: &str = "STRONGROOM_TEST_POSTGRES_SMALL_DISK";
/// Where they find `initdb`, `postgres` and the like, for a cluster of their own.
const PROGRAMS_VARIABLE: &str = "STRONGROOM_TEST_POSTGRES_PROGRAMS";

/// `cargo xtask postgres`: runs a cluster until Ctrl-C or the end of standard input; with a command, for as long as
/// that command runs, which is told where the cluster is by the variables of the tests.
pub(crate) fn verb(args: &[String]) -> Outcome<()> {
    let cluster = Cluster::start(&[])?;
    eprintln!(
        "PostgreSQL {} runs in {}",
        cluster.major(),
        cluster.folder().display()
    );
    let args = args.strip_prefix(&["--".to_owned()]).unwrap_or(args);
    if let Some((program, rest)) = args.split_first() {
        let mut command = Command::new(program);
        cluster.export_to(command.args(rest));
        return run::succeed(&mut command);
    }
    eprintln!("Ctrl-C, or the end of standard input, stops it and deletes its folder. For the tests:");
    println!("export {URL_VARIABLE}='{}'", cluster.url());
    // Ctrl-C ends this process; the keeper sees its pipe close and cleans up.
    let mut input = std::io::stdin().lock();
    let mut scratch = [0_u8; 256];
    while input.read(&mut scratch)? > 0 {}
    Ok(())
}
