//! Starting other programs: cargo itself above all, always from the root of the repository.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::outcome::{Failure, Outcome};

/// The root of the repository: the folder above this crate's own.
pub(crate) fn root() -> PathBuf {
    let here = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    // Under `cargo run` and `cargo test` the variable names this crate; run by hand it is the place of the build.
    here.parent().map_or(here.clone(), Path::to_path_buf)
}

/// The cargo that started us, so that a toolchain chosen on the command line stays chosen.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a command with our own output and fails unless it ends with exit code 0.
pub(crate) fn succeed(command: &mut Command) -> Outcome<()> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .map_err(|e| not_started(command, &e))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("`{}` ended with {status}", words(command)).into())
    }
}

/// Runs a command and gives back what it wrote to standard output; its errors stay visible.
pub(crate) fn stdout_of(command: &mut Command) -> Outcome<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| not_started(command, &e))?;
    if !output.status.success() {
        return Err(format!("`{}` ended with {}", words(command), output.status).into());
    }
    String::from_utf8(output.stdout)
        .map_err(|_| Failure::from(format!("`{}` wrote something that is not UTF-8", words(command))))
}

/// Whether a command can be run at all and ends well; what it prints is thrown away.
pub(crate) fn works(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Where cargo puts what it builds.
pub(crate) fn target_folder() -> Outcome<PathBuf> {
    if let Some(folder) = env::var_os("CARGO_TARGET_DIR") {
        return Ok(root().join(folder));
    }
    let metadata = stdout_of(cargo().args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: serde_json::Value =
        serde_json::from_str(&metadata).map_err(|e| format!("`cargo metadata` cannot be read: {e}"))?;
    let folder = metadata["target_directory"]
        .as_str()
        .ok_or("`cargo metadata` names no target directory")?;
    Ok(PathBuf::from(folder))
}

/// The file of a program on the search path.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

fn not_started(command: &Command, error: &std::io::Error) -> Failure {
    format!("`{}` could not be started: {error}", words(command)).into()
}

fn words(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|arg| arg.to_string_lossy().into_owned()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_is_a_failure_that_names_it() {
        let failure =
            succeed(Command::new("sh").args(["-c", "exit 3"])).expect_err("exit code 3 is no success");
        let sentence = failure.to_string();
        assert!(
            sentence.contains("sh -c exit 3") && sentence.contains('3'),
            "{sentence}"
        );
    }

    #[test]
    fn a_missing_program_is_a_failure_and_not_a_panic() {
        assert!(succeed(&mut Command::new("no-such-program-here")).is_err());
        assert!(!works(&mut Command::new("no-such-program-here")));
        assert_eq!(on_path("no-such-program-here"), None);
    }

    #[test]
    fn the_root_is_where_the_workspace_is() {
        assert!(root().join("xtask/Cargo.toml").is_file());
    }
}
