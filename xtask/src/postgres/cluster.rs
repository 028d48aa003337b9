//! One private cluster, from `initdb` to the deletion of its folder.
//!
//! The server is started by a *keeper*: a shell of a few lines in its own process group whose standard input is a pipe
//! that this process holds. However this process ends (return, panic, Ctrl-C, SIGKILL), the pipe closes, and the
//! keeper stops the server that it started, by its process id, and deletes the folder. Nothing else is ever signalled.
//!
//! PostgreSQL refuses to run as root. As root the keeper and everything below it run as the account `postgres`, or
//! `nobody` where that is missing, and the folder belongs to that account.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{
    programs::{self, Programs},
    small_disk,
};
use crate::outcome::{Failure, Outcome};

/// Name of the superuser inside the cluster.
const SUPERUSER: &str = "postgres";
/// Connections that all tests together may hold.
const CONNECTIONS_MAX: u32 = 200;
/// How long a start may take before it is given up, in seconds.
const START_SECS_MAX: u64 = 60;
/// How long the keeper may take to stop the server and delete its folder, in seconds.
const STOP_SECS_MAX: u64 = 30;
/// Between choosing a free port and binding it another program may take it; then another port is tried.
const PORTS_TRIED_MAX: u32 = 5;
/// Bytes of the server's log that a failed start shows.
const LOG_SHOWN_BYTES: usize = 4096;
/// A Unix socket's path must be shorter than this on every system we run on, in bytes.
const SOCKET_PATH_BYTES_MAX: usize = 100;

/// Tenths of a second that the server has to end after it was asked to, before it is ended by force.
const GRACE_TENTHS: &str = "100";

/// What the keeper does. `$0` is its name; arguments: folder, tenths of a second of grace, program, its arguments.
/// It ignores Ctrl-C and hang-up (they end its parent, which closes the pipe), tells the server's process id, waits for
/// the pipe to close, and stops the server at once (SIGQUIT: its data is thrown away in the next line), at last by
/// force.
const KEEPER: &str = r#"
trap '' INT HUP TERM
folder=$1; grace=$2; shift 2
"$@" </dev/null >>"$folder/log" 2>&1 &
server=$!
echo "$server"
cat >/dev/null
kill -QUIT "$server" 2>/dev/null
tries=0
while kill -0 "$server" 2>/dev/null && [ "$tries" -lt "$grace" ]; do sleep 0.1; tries=$((tries + 1)); done
kill -KILL "$server" 2>/dev/null
wait "$server" 2>/dev/null
cd / && rm -rf "$folder"
"#;

/// A running private cluster. Dropping it stops the server and deletes its folder.
pub(crate) struct Cluster {
    keeper: Child,
    folder: PathBuf,
    programs: Programs,
    url: String,
    small_disk: Option<&'static str>,
}

impl Cluster {
    /// Starts a cluster with the durable defaults and, on top of them, `settings` (each `name=value`).
    pub(crate) fn start(settings: &[&str]) -> Outcome<Cluster> {
        let programs = programs::find_or_install()?;
        let account = Account::for_the_server()?;
        let folder = Folder::make(&account)?;
        let password = random_hex(24)?;
        initdb(&programs, &account, &folder.path, &password)?;
        let mut last = Failure::from("no port was tried");
        for _ in 0..PORTS_TRIED_MAX {
            let port = free_port()?;
            let mut keeper = keep(&programs, &account, &folder.path, port, settings)?;
            match wait_until_ready(&mut keeper, &folder.path) {
                Ok(server) => {
                    let url = format!("postgres://{SUPERUSER}:{password}@127.0.0.1:{port}/postgres");
                    return Ok(Cluster {
                        keeper,
                        folder: folder.given_to_the_keeper(),
                        programs,
                        url,
                        small_disk: small_disk::of(&server),
                    });
                }
                Err(failure) => {
                    let log = tail_of(&folder.path.join("log"));
                    let port_taken = log.contains("could not create any TCP/IP sockets");
                    last = Failure::from(format!("PostgreSQL did not start: {failure}\n{log}"));
                    if !port_taken {
                        stop(&mut keeper);
                        return Err(last);
                    }
                    // The server is gone by itself; the keeper would delete the folder that the next try needs.
                    let _ = keeper.kill();
                    let _ = keeper.wait();
                    let _ = fs::remove_file(folder.path.join("log"));
                }
            }
        }
        Err(last)
    }

    /// The superuser's URL; whoever uses it creates databases of its own. It holds the password: for children only.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The cluster's folder: data, socket, log.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The major version that runs.
    pub(crate) fn major(&self) -> u32 {
        self.programs.major
    }

    /// Tells a child where the cluster is.
    pub(crate) fn export_to(&self, command: &mut Command) {
        command
            .env(super::URL_VARIABLE, &self.url)
            .env(super::PROGRAMS_VARIABLE, &self.programs.folder)
            .env("PATH", programs::path_with(&self.programs.folder));
        if let Some(place) = self.small_disk {
            command.env(super::SMALL_DISK_VARIABLE, place);
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        stop(&mut self.keeper);
        if self.folder.exists() {
            eprintln!(
                "xtask: {} could not be deleted in time; delete it by hand",
                self.folder.display()
            );
        }
    }
}

/// Closes the keeper's pipe and waits, bounded, for it to have cleaned up.
fn stop(keeper: &mut Child) {
    drop(keeper.stdin.take());
    let pid = keeper.id();
    if !within(STOP_SECS_MAX, || {
        matches!(keeper.try_wait(), Ok(Some(_)) | Err(_))
    }) {
        eprintln!("xtask: the keeper of PostgreSQL (process {pid}) is still at work");
    }
}

/// The account that the server runs as.
struct Account {
    /// User and group to change to; `None` when we are an ordinary user and stay who we are.
    ids: Option<(u32, u32)>,
}

impl Account {
    fn for_the_server() -> Outcome<Account> {
        if !we_are_root() {
            return Ok(Account { ids: None });
        }
        let accounts = fs::read_to_string("/etc/passwd")?;
        let ids = ["postgres", "nobody"]
            .iter()
            .find_map(|name| ids_of(&accounts, name));
        let ids =
            ids.ok_or("PostgreSQL refuses to run as root and there is no account `postgres` or `nobody`")?;
        Ok(Account { ids: Some(ids) })
    }

    fn become_it(&self, command: &mut Command) {
        if let Some((user, group)) = self.ids {
            command.uid(user).gid(group);
        }
    }

    /// A command that runs as this account, with a small disk where there can be one.
    fn run(&self, program: &str) -> Command {
        let disk = self
            .ids
            .and_then(|(user, group)| small_disk::command(user, group, program));
        disk.unwrap_or_else(|| {
            let mut command = Command::new(program);
            self.become_it(&mut command);
            command
        })
    }

    fn own(&self, path: &Path) -> Outcome<()> {
        if let Some((user, group)) = self.ids {
            chown(path, Some(user), Some(group))?;
        }
        Ok(())
    }
}

/// User and group id of an account, from the text of the account file.
fn ids_of(accounts: &str, name: &str) -> Option<(u32, u32)> {
    let line = accounts
        .lines()
        .find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

pub(super) fn we_are_root() -> bool {
    // The process's own folder in /proc belongs to whoever it runs as; elsewhere than on Linux ask the environment.
    fs::metadata("/proc/self").map_or_else(
        |_| std::env::var("USER").is_ok_and(|user| user == "root"),
        |me| me.uid() == 0,
    )
}

/// The temporary folder, deleted on drop until a keeper has taken it over.
struct Folder {
    path: PathBuf,
    ours: bool,
}

impl Folder {
    fn make(account: &Account) -> Outcome<Folder> {
        let name = format!("strongroom-pg-{}", random_hex(8)?);
        let path = temporary_parent(&name).join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        let folder = Folder { path, ours: true };
        account.own(&folder.path)?;
        Ok(folder)
    }

    fn given_to_the_keeper(mut self) -> PathBuf {
        self.ours = false;
        self.path.clone()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// The temporary folder of the environment, unless another account could not enter it or a socket's path would grow
/// too long there.
fn temporary_parent(name: &str) -> PathBuf {
    let wanted = std::env::temp_dir();
    let socket_bytes = wanted.as_os_str().len() + name.len() + "/.s.PGSQL.65535".len() + 1;
    let everybody_enters = wanted.ancestors().all(|folder| {
        folder.as_os_str().is_empty()
            || fs::metadata(folder).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0)
    });
    let shared = fs::metadata(&wanted).is_ok_and(|meta| meta.permissions().mode() & 0o002 != 0);
    let fits = socket_bytes <= SOCKET_PATH_BYTES_MAX;
    if fits && (!we_are_root() || (everybody_enters && shared)) {
        wanted
    } else {
        PathBuf::from("/tmp")
    }
}

fn initdb(programs: &Programs, account: &Account, folder: &Path, password: &str) -> Outcome<()> {
    let pwfile = folder.join("password");
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&pwfile)?;
    file.write_all(password.as_bytes())?;
    drop(file);
    account.own(&pwfile)?;
    let mut command = Command::new(programs.folder.join("initdb"));
    command
        .current_dir(folder)
        .arg("--pgdata=data")
        .arg("--pwfile=password")
        .args([
            &format!("--username={SUPERUSER}"),
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
        ])
        // The empty cluster need not survive a crash of this moment; what tests commit into it is flushed.
        .arg("--no-sync")
        .stdin(Stdio::null());
    account.become_it(&mut command);
    let output = command
        .output()
        .map_err(|e| Failure::from(format!("`initdb` could not be started: {e}")))?;
    fs::remove_file(&pwfile)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("`initdb` ended with {}:\n{said}", output.status).into())
}

/// The settings of every cluster: durable as in production, reachable from this machine only.
fn settings(folder: &Path, port: u16) -> Vec<String> {
    vec![
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        format!("unix_socket_directories={}", folder.display()),
        "unix_socket_permissions=0700".to_owned(),
        format!("max_connections={CONNECTIONS_MAX}"),
        "fsync=on".to_owned(),
        "synchronous_commit=on".to_owned(),
        "full_page_writes=on".to_owned(),
        "timezone=UTC".to_owned(),
        "log_timezone=UTC".to_owned(),
        "password_encryption=scram-sha-256".to_owned(),
        "max_wal_size=2GB".to_owned(),
    ]
}

fn keep(programs: &Programs, account: &Account, folder: &Path, port: u16, extra: &[&str]) -> Outcome<Child> {
    let mut command = account.run("/bin/sh");
    command
        .args(["-c", KEEPER, "strongroom-keeper"])
        .arg(folder)
        .arg(GRACE_TENTHS);
    command
        .arg(programs.folder.join("postgres"))
        .arg("-D")
        .arg(folder.join("data"));
    for setting in settings(folder, port)
        .iter()
        .map(String::as_str)
        .chain(extra.iter().copied())
    {
        command.args(["-c", setting]);
    }
    command.current_dir(folder).process_group(0);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
        .spawn()
        .map_err(|e| format!("the keeper of PostgreSQL could not be started: {e}").into())
}

/// Waits until the server says in its own state file that it takes connections; returns its process id.
fn wait_until_ready(keeper: &mut Child, folder: &Path) -> Outcome<String> {
    let pid = first_line_of(keeper)?;
    let state = folder.join("data/postmaster.pid");
    let ready = || fs::read_to_string(&state).is_ok_and(|text| says_ready(&text, &pid));
    let ended = || !Path::new("/proc").join(&pid).exists() && Path::new("/proc/self").exists();
    let mut gone = false;
    let in_time = within(START_SECS_MAX, || {
        gone = ended() || is_zombie(&pid);
        gone || ready()
    });
    match (in_time, gone) {
        (true, false) => Ok(pid),
        (true, true) => Err("the server ended at once".into()),
        (false, _) => Err(format!("not ready after {START_SECS_MAX} s").into()),
    }
}

/// The state file's first line is the server's process, its eighth its state.
fn says_ready(text: &str, pid: &str) -> bool {
    let mut lines = text.lines();
    lines.next() == Some(pid) && lines.nth(6).is_some_and(|state| state.trim() == "ready")
}

/// An ended server stays in the process table until its keeper looks, which it does only at the end.
fn is_zombie(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

fn first_line_of(keeper: &mut Child) -> Outcome<String> {
    let mut out = keeper.stdout.take().ok_or("the keeper has no output")?;
    let mut line = Vec::new();
    let mut byte = [0_u8; 1];
    while out.read(&mut byte)? == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    String::from_utf8(line).map_err(|_| "the keeper spoke nonsense".into())
}

/// Asks until the answer is yes, for at most so many seconds; `false` when it never was.
fn within(secs: u64, mut is_so: impl FnMut() -> bool) -> bool {
    let pause = Duration::from_millis(20);
    for _ in 0..secs * 50 {
        if is_so() {
            return true;
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "another process's file or end: there is nothing to wait on"
        )]
        std::thread::sleep(pause);
    }
    is_so()
}

fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn tail_of(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let start = text.len().saturating_sub(LOG_SHOWN_BYTES);
    String::from_utf8_lossy(&text[start..]).into_owned()
}

/// So many random bytes of the operating system, in hexadecimal.
fn random_hex(bytes: usize) -> Outcome<String> {
    let mut random = vec![0_u8; bytes];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_ready_only_when_its_own_process_says_so() {
        let text = "71\n/data\n1\n5432\n/tmp\n127.0.0.1\n  1 2\nready   \n";
        assert!(says_ready(text, "71"));
        assert!(
            !says_ready(text, "72"),
            "a file left by another process counts for nothing"
        );
        assert!(!says_ready(&text.replace("ready", "starting"), "71"));
        assert!(!says_ready("71\n", "71"));
    }

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let accounts =
            "root:x:0:0::/:/bin/sh\npostgresql:x:7:8::/:/\npostgres:x:101:104:PostgreSQL:/var:/bin/bash\n";
        assert_eq!(ids_of(accounts, "postgres"), Some((101, 104)));
        assert_eq!(ids_of(accounts, "nobody"), None);
    }

    #[test]
    fn no_setting_weakens_durability() {
        let all = settings(Path::new("/tmp/x"), 1);
        for durable in ["fsync=on", "synchronous_commit=on", "full_page_writes=on"] {
            assert!(all.iter().any(|setting| setting == durable), "{durable}");
        }
        assert!(all.contains(&"listen_addresses=127.0.0.1".to_owned()));
    }

    #[test]
    fn passwords_are_long_and_differ() {
        let (one, two) = (
            random_hex(24).expect("random bytes"),
            random_hex(24).expect("random bytes"),
        );
        assert_eq!(one.len(), 48);
        assert_ne!(one, two);
    }

    #[test]
    fn the_keeper_stops_what_it_started_and_deletes_the_folder_when_its_pipe_closes() {
        let account = Account { ids: None };
        let folder = Folder::make(&account)
            .expect("a temporary folder")
            .given_to_the_keeper();
        let mut keeper = Command::new("/bin/sh")
            .args(["-c", KEEPER, "strongroom-keeper"])
            .arg(&folder)
            .args(["1", "sleep", "1000"])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let pid = first_line_of(&mut keeper).expect("the process id");
        let alive = |pid: &str| {
            Command::new("kill")
                .args(["-0", pid])
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|s| s.success())
        };
        assert!(alive(&pid) && folder.exists());
        stop(&mut keeper);
        assert!(!alive(&pid), "the process lives on");
        assert!(!folder.exists(), "the folder is still there");
    }
}
