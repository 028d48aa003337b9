//! Administration from the command line: through the running server, or, where none runs, by this process itself.
//!
//! One process owns a data directory. A verb takes the lock when it is free; else it speaks to the owner over
//! `DATA/control.sock`: one JSON request in a line, one JSON answer in a line. The socket is 0600, and the kernel says
//! who is at the other end: only the server's own user and root are heard, and the audit log names them as `cli:<uid>`.

use std::{
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use strongroom_app::Bank;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
};

/// Longest request and answer, in bytes.
const LINE_BYTES_MAX: u64 = 1024 * 1024;
/// Conversations at a time.
const AT_ONCE: usize = 4;
/// Longest conversation.
const TALK_SECONDS_MAX: u64 = 60;

/// What the command line asks for. Each verb lives in the file of its command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// `operator add`.
    OperatorAdd(crate::cli::operator::Add),
    /// `audit verify`.
    AuditVerify(crate::cli::audit::Notes),
    /// `customer import`.
    CustomerImport(crate::cli::customer::Portion),
    /// `api-key add`.
    ApiKeyAdd(crate::cli::api_key::Add),
    /// `api-key list`.
    ApiKeyList(crate::cli::api_key::All),
    /// `api-key revoke`.
    ApiKeyRevoke(crate::cli::api_key::Revoke),
    /// `policy list`.
    PolicyList(crate::cli::policy::All),
    /// `policy validate`, `policy draft` and `policy diff`.
    PolicyText(crate::cli::policy::Text),
    /// `policy simulate`.
    PolicySimulate(Box<crate::cli::policy_tries::Simulate>),
    /// `policy explain`.
    PolicyExplain(crate::cli::policy_tries::Explain),
    /// `policy activate` and `policy rollback`.
    PolicyActivate(crate::cli::policy::Activation),
    /// `policy deactivate`.
    PolicyDeactivate(crate::cli::policy::Name),
    /// Verbs of `incident` that do something.
    IncidentTake(crate::cli::incident::Take),
    /// `incident lift`.
    IncidentLift(crate::cli::incident::Lift),
    /// `incident list`.
    IncidentList(crate::cli::incident::List),
    /// `keys list`.
    KeyList(crate::cli::keys::All),
    /// `keys rotate`.
    KeyRotate(crate::cli::keys::Rotation),
    /// `grant list`.
    GrantList(crate::cli::grant::Whose),
    /// `grant add`.
    GrantAdd(crate::cli::grant::Add),
    /// `grant take`.
    GrantTake(crate::cli::grant::Take),
}

impl Request {
    /// Does it, in the name of a user of the host.
    pub(crate) async fn run(self, bank: &Arc<Bank>, uid: u32) -> Result<Value, strongroom_app::Error> {
        match self {
            Self::OperatorAdd(add) => add.execute(bank, uid).await,
            Self::AuditVerify(notes) => notes.execute(bank).await,
            Self::CustomerImport(portion) => portion.execute(bank, uid).await,
            Self::ApiKeyAdd(add) => add.execute(bank, uid).await,
            Self::ApiKeyList(all) => all.execute(bank, uid).await,
            Self::ApiKeyRevoke(revoke) => revoke.execute(bank, uid).await,
            Self::PolicyList(all) => all.execute(bank, uid).await,
            Self::PolicyText(text) => text.execute(bank, uid).await,
            Self::PolicySimulate(asked) => asked.execute(bank, uid).await,
            Self::PolicyExplain(what) => what.execute(bank, uid).await,
            Self::PolicyActivate(change) => change.execute(bank, uid).await,
            Self::PolicyDeactivate(name) => name.execute(bank, uid).await,
            Self::IncidentTake(take) => take.execute(bank, uid).await,
            Self::IncidentLift(lift) => lift.execute(bank, uid).await,
            Self::IncidentList(list) => list.execute(bank, uid).await,
            Self::KeyList(all) => all.execute(bank, uid).await,
            Self::KeyRotate(rotation) => rotation.execute(bank, uid).await,
            Self::GrantList(whose) => whose.execute(bank, uid).await,
            Self::GrantAdd(add) => add.execute(bank, uid).await,
            Self::GrantTake(take) => take.execute(bank, uid).await,
        }
    }
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    Done(Value),
    /// A sentence for the person at the keyboard.
    Refused(String),
}

/// The server's end. Takes itself away when it is dropped.
#[derive(Debug)]
pub(crate) struct Control {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Control {
    /// Listens in the data directory, whose lock the caller holds: a socket that lies there is of a process that is
    /// gone.
    pub(crate) fn listen(data: &Path, bank: Arc<Bank>) -> io::Result<Self> {
        let path = data.join("control.sock");
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let task = tokio::spawn(accept(listener, bank));
        Ok(Self { path, task })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(target: "strongroom", %error, "the control socket could not be removed");
        }
    }
}

async fn accept(listener: UnixListener, bank: Arc<Bank>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let bank = bank.clone();
                tokio::spawn(async move {
                    let talk =
                        tokio::time::timeout(Duration::from_secs(TALK_SECONDS_MAX), talk(stream, bank));
                    if let Ok(Err(error)) = talk.await {
                        tracing::warn!(target: "strongroom", %error, "a conversation on the control socket broke off");
                    }
                    drop(place);
                });
            }
            Err(error) => tracing::warn!(target: "strongroom", %error, "the control socket accepts nobody"),
        }
    }
}

async fn talk(mut stream: UnixStream, bank: Arc<Bank>) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    let own = rustix::process::geteuid().as_raw();
    let (reader, mut writer) = stream.split();
    let reply = if uid == own || uid == 0 {
        let mut line = String::new();
        BufReader::new(reader)
            .take(LINE_BYTES_MAX)
            .read_line(&mut line)
            .await?;
        match serde_json::from_str::<Request>(&line) {
            Ok(request) => match request.run(&bank, uid).await {
                Ok(value) => Reply::Done(value),
                Err(error) => Reply::Refused(describe(&error)),
            },
            Err(_) => Reply::Refused(
                "the server does not know this request: are both of the same version?".to_owned(),
            ),
        }
    } else {
        tracing::warn!(target: "strongroom", uid, "somebody else's user spoke to the control socket");
        Reply::Refused("only the server's own user and root administrate it".to_owned())
    };
    let mut text = serde_json::to_vec(&reply)?;
    text.push(b'\n');
    writer.write_all(&text).await?;
    writer.shutdown().await
}

/// A refusal as a person reads it.
pub(crate) fn describe(error: &strongroom_app::Error) -> String {
    let mut text = format!("{} ({})", error.detail, error.code);
    for field in &error.fields {
        text.push_str(&format!(
            "; {} {}",
            field.pointer.trim_start_matches('/'),
            field.detail
        ));
    }
    text
}

/// Asks the running server.
pub(crate) fn ask(data: &Path, request: &Request) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
    use std::io::{BufRead, Read};
    let path = data.join("control.sock");
    let mut stream = std::os::unix::net::UnixStream::connect(&path).map_err(|error| {
        format!(
            "the data directory is in use, and {} does not answer: {error}",
            path.display()
        )
    })?;
    stream.set_read_timeout(Some(Duration::from_secs(TALK_SECONDS_MAX)))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    std::io::BufReader::new(stream.take(LINE_BYTES_MAX)).read_line(&mut answer)?;
    match serde_json::from_str(&answer)? {
        Reply::Done(value) => Ok(value),
        Reply::Refused(text) => Err(text.into()),
    }
}
