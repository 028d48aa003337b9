//! What the process itself gives away: nothing by core dumps, by debuggers or by the rights of new files.

use rustix::{
    fs::Mode,
    process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit, umask},
};

/// Hardens the process. Called first, before any secret is read.
pub(crate) fn harden() -> Result<(), std::io::Error> {
    umask(Mode::RWXG | Mode::RWXO);
    setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    )?;
    // Not dumpable: no core, no attaching debugger of the same user, `/proc/PID` belongs to root.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Takes as many file descriptors as the system grants: the usual soft bound of 1,024 is below the bound on
/// connections. Failing to is no error; the server then refuses connections earlier.
pub(crate) fn raise_descriptors() {
    let bound = getrlimit(Resource::Nofile);
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: bound.maximum,
            maximum: bound.maximum,
        },
    );
}
