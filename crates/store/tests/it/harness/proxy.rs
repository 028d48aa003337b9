//! A wire between the store and PostgreSQL that counts what the client asks, and can be cut at a commit.

use std::sync::{
    Arc,
    atomic::{AtomicU8, AtomicU64, Ordering},
};

use strongroom_store::StoreSettings;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

use super::Place;

const WHOLE: u8 = 0;
const CUT_BEFORE_COMMIT: u8 = 1;
const CUT_AFTER_COMMIT: u8 = 2;
/// Longest message of the protocol that is taken for one, in bytes.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) settings: StoreSettings,
    wire: Arc<Wire>,
}

#[derive(Debug, Default)]
struct Wire {
    /// Messages after which the client waits for an answer: simple queries and syncs.
    round_trips: AtomicU64,
    /// Executed statements that were prepared.
    executes: AtomicU64,
    mode: AtomicU8,
}

impl Proxy {
    /// A wire for the ledger lane alone: the control plane goes straight to the server.
    pub(crate) async fn before_the_lane(place: &Place) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let settings = StoreSettings {
            ledger: Some(place.through(port)),
            ..place.settings.clone()
        };
        let wire = Arc::new(Wire::default());
        let (of_tasks, target) = (wire.clone(), place.server());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(target.clone()).await.unwrap();
                tokio::spawn(carry(client, server, of_tasks.clone()));
            }
        });
        Self { settings, wire }
    }

    pub(crate) fn round_trips(&self) -> u64 {
        self.wire.round_trips.load(Ordering::Relaxed)
    }

    pub(crate) fn executes(&self) -> u64 {
        self.wire.executes.load(Ordering::Relaxed)
    }

    /// The next commit never reaches the server.
    pub(crate) fn cut_before_commit(&self) {
        self.wire.mode.store(CUT_BEFORE_COMMIT, Ordering::Relaxed);
    }

    /// The next commit is done, and the client is not told.
    pub(crate) fn cut_after_commit(&self) {
        self.wire.mode.store(CUT_AFTER_COMMIT, Ordering::Relaxed);
    }
}

async fn carry(client: TcpStream, server: TcpStream, wire: Arc<Wire>) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (mute, muted) = watch::channel(false);
    tokio::join!(
        questions(from_client, to_server, &wire, &mute),
        answers(from_server, to_client, muted)
    );
}

async fn questions(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    wire: &Wire,
    mute: &watch::Sender<bool>,
) -> Option<()> {
    // The first message has no type.
    let mut first = true;
    loop {
        let mut kind = [0; 1];
        if !first {
            from.read_exact(&mut kind).await.ok()?;
        }
        let length = from.read_u32().await.ok()?;
        let body_bytes = usize::try_from(length).ok()?.checked_sub(4)?;
        assert!(body_bytes <= MESSAGE_BYTES_MAX);
        let mut body = vec![0; body_bytes];
        from.read_exact(&mut body).await.ok()?;
        match kind[0] {
            b'Q' | b'S' => drop(wire.round_trips.fetch_add(1, Ordering::Relaxed)),
            b'E' => drop(wire.executes.fetch_add(1, Ordering::Relaxed)),
            _ => (),
        }
        if kind[0] == b'Q' && body.starts_with(b"COMMIT") {
            match wire.mode.swap(WHOLE, Ordering::Relaxed) {
                CUT_BEFORE_COMMIT => {
                    mute.send_replace(true);
                    return None;
                }
                CUT_AFTER_COMMIT => drop(mute.send_replace(true)),
                _ => (),
            }
        }
        if !first {
            to.write_all(&kind).await.ok()?;
        }
        first = false;
        to.write_all(&length.to_be_bytes()).await.ok()?;
        to.write_all(&body).await.ok()?;
    }
}

async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    muted: watch::Receiver<bool>,
) -> Option<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let bytes = from.read(&mut buffer).await.ok().filter(|bytes| *bytes > 0)?;
        if *muted.borrow() {
            // The answer to the commit: it was done, and nobody hears of it.
            return None;
        }
        to.write_all(&buffer[..bytes]).await.ok()?;
    }
}
