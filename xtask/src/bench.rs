//! `cargo xtask bench`: the release build of server and load generator, side by side with a private PostgreSQL.

use std::process::Command;

use crate::outcome::Outcome;
use crate::postgres::Cluster;
use crate::run;

/// What a database of a small bank would be given on a machine of its own. Durability stays as it is everywhere:
/// everything that is compared runs on this one cluster, so that the comparison is about Strongroom.
const SETTINGS: [&str; 4] = [
    "shared_buffers=512MB",
    "max_wal_size=4GB",
    "checkpoint_timeout=15min",
    "wal_compression=off",
];

/// Builds, starts the database, and hands over to the benchmark with the arguments as they came.
pub(crate) fn verb(args: &[String]) -> Outcome<()> {
    eprintln!("bench: building strongroom and bench for release");
    run::succeed(run::cargo().args([
        "build",
        "--release",
        "--package",
        "strongroom",
        "--package",
        "bench",
    ]))?;
    let built = run::target_folder()?.join("release");
    let cluster = Cluster::start(&SETTINGS)?;
    eprintln!(
        "bench: PostgreSQL {} runs in {}",
        cluster.major(),
        cluster.folder().display()
    );
    let mut command = Command::new(built.join("bench"));
    command.current_dir(run::root());
    command.arg("--server").arg(built.join("strongroom")).args(args);
    // The cluster's password goes by the environment: command lines are seen by everybody.
    cluster.export_to(&mut command);
    run::succeed(&mut command)
}
