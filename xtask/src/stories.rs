//! Runs tests so that one bad moment of a busy machine is told apart from a fault.
//!
//! The stories start whole servers, mail sinks and browsers on two cores; now and then one of them waits longer than it
//! was given. Such a story is run once more, alone. What passes then is named as unsteady at the end, for it wants
//! mending all the same. Whatever is about things that happen at once has no second try: there, one failure in a
//! hundred is what the story is for.

use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind, Write};
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::outcome::Outcome;

/// Most stories that are run again; more is no bad moment.
const AGAIN_MAX: usize = 3;

/// How long a full pipe is left alone.
const PAUSE: Duration = Duration::from_millis(5);

/// In the names of stories that have no second try.
const ONCE_ONLY: [&str; 12] = [
    "at_once",
    "at_the_same_time",
    "crash",
    "faults::",
    "however_many",
    "kill",
    "laws::",
    "model",
    "once",
    "parallel",
    "races::",
    "storm",
];

/// Runs the tests, shows what they print, and runs failed stories again where they have a second try: `again` makes the
/// command for them, to which their names are added. Gives the stories that passed at the second try only.
pub(crate) fn run(all: &mut Command, again: impl FnOnce() -> Command) -> Outcome<Vec<String>> {
    // Not by way of the buffer of `stdout`, which loses its place where a write is put off.
    let mut out = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    run_to(&mut out, all, again)
}

fn run_to(out: &mut impl Write, all: &mut Command, again: impl FnOnce() -> Command) -> Outcome<Vec<String>> {
    let first = shown(out, all)?;
    if first.ended_well {
        return Ok(Vec::new());
    }
    let failed = first.failed;
    if !has_second_try(&failed) {
        return Err(format!("{} tests failed: {}", failed.len(), failed.join(", ")).into());
    }
    eprintln!("xtask: once more, alone: {}", failed.join(", "));
    let mut command = again();
    command.args(["--exact", "--test-threads", "1"]).args(&failed);
    let second = shown(out, &mut command)?;
    if !second.ended_well {
        Err(format!("failed twice: {}", second.failed.join(", ")).into())
    } else if second.passed < failed.len() {
        Err(format!("{} of {} ran once more", second.passed, failed.len()).into())
    } else {
        Ok(failed)
    }
}

/// Whether these are few enough, all of them stories, and none about things that happen at once. None at all is a
/// failure that no test has said: a build, or a program that died.
fn has_second_try(failed: &[String]) -> bool {
    (1..=AGAIN_MAX).contains(&failed.len())
        && failed.iter().all(|name| {
            let story = ["::sqlite::", "::postgres::", "::on_sqlite", "::on_postgres"]
                .iter()
                .any(|engine| name.contains(engine));
            story && !ONCE_ONLY.iter().any(|part| name.contains(part))
        })
}

/// What a run of tests came to.
struct Run {
    ended_well: bool,
    /// How many tests passed.
    passed: usize,
    /// The names of those that failed.
    failed: Vec<String>,
}

/// Runs a command whose standard output is both shown and read.
fn shown(to: &mut impl Write, command: &mut Command) -> Outcome<Run> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let (mut failed, mut passed) = (Vec::new(), 0);
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).split(b'\n') {
            let mut line = line?;
            line.push(b'\n');
            write_whole(to, &line)?;
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches('\n');
            failed.extend(failed_test(line).map(str::to_owned));
            passed += passed_tests(line).unwrap_or(0);
        }
    }
    Ok(Run {
        ended_well: child.wait()?.success(),
        passed,
        failed,
    })
}

/// Writes all of it, also to a pipe that is full and does not wait: a program that a story starts may have made it so,
/// for a pipe's way of waiting is shared by all who hold it.
#[expect(
    clippy::disallowed_methods,
    reason = "nobody says when a pipe that does not wait has room"
)]
fn write_whole(to: &mut impl Write, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(PAUSE),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The count in a line such as `test result: ok. 3 passed; 0 failed; 0 ignored`.
fn passed_tests(line: &str) -> Option<usize> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    counts.split_once(" passed;")?.0.parse().ok()
}

/// The name in a line such as `test mails::sqlite::no_mail_is_lost ... FAILED`.
fn failed_test(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_failed_test_is_known_by_its_line() {
        assert_eq!(failed_test("test a::sqlite::b ... FAILED"), Some("a::sqlite::b"));
        assert_eq!(failed_test("test a::sqlite::b ... ok"), None);
        assert_eq!(failed_test("error: test failed, to rerun pass `--lib`"), None);
        assert_eq!(
            passed_tests("test result: ok. 12 passed; 0 failed; 0 ignored"),
            Some(12)
        );
        assert_eq!(
            passed_tests("test result: FAILED. 3 passed; 1 failed; 0 ignored"),
            Some(3)
        );
        assert_eq!(passed_tests("test a::sqlite::b ... ok"), None);
    }

    #[test]
    fn a_full_pipe_that_does_not_wait_loses_nothing() {
        /// Takes a byte every other time.
        struct Hesitant(Vec<u8>, bool);
        impl Write for Hesitant {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.1 = !self.1;
                if self.1 {
                    return Err(ErrorKind::WouldBlock.into());
                }
                self.0.push(bytes[0]);
                Ok(1)
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut pipe = Hesitant(Vec::new(), false);
        write_whole(&mut pipe, b"a line\n").expect("it is written in the end");
        assert_eq!(pipe.0, b"a line\n");
    }

    #[test]
    fn few_stories_have_a_second_try_and_races_have_none() {
        for one in ["mails::sqlite::a_mail_goes", "holds::a_hold_is_kept::on_postgres"] {
            assert!(has_second_try(&names(&[one])), "{one}");
        }
        for none in [
            &[][..],
            &["a::b::unit_test"],
            &["money::postgres::ten_at_once_debit_once"],
            &["races::sqlite::of_two_one_wins"],
            &["a::sqlite::b", "a::sqlite::c", "a::sqlite::d", "a::sqlite::e"],
        ] {
            assert!(!has_second_try(&names(none)), "{none:?}");
        }
    }

    #[test]
    fn what_fails_once_is_named_and_what_fails_twice_fails() {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script, "sh"]);
            command
        };
        // Not to where this test's own words go: whoever reads them would take these for others'.
        let mut out = Vec::new();
        let failing = "echo 'test a::sqlite::b ... FAILED'; exit 101";
        assert_eq!(
            run_to(&mut out, &mut shell("exit 0"), || shell("exit 1")).expect("it passes"),
            names(&[])
        );
        let passing = "echo 'test result: ok. 1 passed; 0 failed; 0 ignored'";
        assert_eq!(
            run_to(&mut out, &mut shell(failing), || shell(passing)).expect("it passes then"),
            names(&["a::sqlite::b"])
        );
        // A second run that ran nothing shows nothing.
        assert!(run_to(&mut out, &mut shell(failing), || shell("exit 0")).is_err());
        assert!(run_to(&mut out, &mut shell(failing), || shell(failing)).is_err());
        assert!(run_to(&mut out, &mut shell("exit 101"), || shell("exit 0")).is_err());
    }
}
