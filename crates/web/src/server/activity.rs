//! When a connection last did something useful.
//!
//! One rule covers slow heads, idle keep-alive connections and dead HTTP/2 clients alike: a connection
//! without a running request, over which nothing was written, must bring the head of its next request
//! within the bound. Bytes that trickle in do not count, so a head sent one byte at a time ends as well.
//! One timer per connection that fires once per bound replaces a timer per request.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    sync::{Notify, OwnedSemaphorePermit},
    time::Instant,
};

use super::addresses::OfAddress;

/// A place among the connections; given back when its last holder is gone.
pub(super) type Place = Arc<Held>;

/// What a connection holds: a place among all, and one among those of its address.
pub(super) struct Held {
    _of_all: OwnedSemaphorePermit,
    _of_address: OfAddress,
}

impl Held {
    pub(super) const fn new(of_all: OwnedSemaphorePermit, of_address: OfAddress) -> Self {
        Self {
            _of_all: of_all,
            _of_address: of_address,
        }
    }
}

/// The record of one connection. Clones share it.
#[derive(Clone)]
pub(super) struct Activity(Arc<Inner>);

struct Inner {
    opened: Instant,
    running: AtomicU32,
    /// Milliseconds after `opened`.
    touched: AtomicU64,
    /// Bytes read since the last request began.
    unasked: AtomicU64,
    answered: AtomicU32,
    abandoned: AtomicU32,
    flooded: Notify,
}

/// How many requests a client may take back beyond those that it let be answered. Browsers take back what a person
/// clicks away; whoever takes back everything makes the server work for nothing (CVE-2023-44487).
const ABANDONED_MAX: u32 = 100;

/// A running request; dropping it ends it.
pub(super) struct Running {
    activity: Activity,
    answered: bool,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner {
            opened: Instant::now(),
            running: AtomicU32::new(0),
            touched: AtomicU64::new(0),
            unasked: AtomicU64::new(0),
            answered: AtomicU32::new(0),
            abandoned: AtomicU32::new(0),
            flooded: Notify::new(),
        }))
    }

    pub(super) fn begin(&self) -> Running {
        self.0.running.fetch_add(1, Ordering::Relaxed);
        self.0.unasked.store(0, Ordering::Relaxed);
        Running {
            activity: self.clone(),
            answered: false,
        }
    }

    /// Returns once the client makes work without asking for anything.
    pub(super) async fn flooded(&self) {
        self.0.flooded.notified().await;
    }

    /// Counts what was read, in bytes; whether it is more than `bytes_max` for each request that runs and one to come.
    fn is_flooded_by(&self, bytes: u64, bytes_max: u64) -> bool {
        let unasked = self.0.unasked.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let running = u64::from(self.0.running.load(Ordering::Relaxed));
        unasked > bytes_max.saturating_mul(running + 1)
    }

    fn touch(&self) {
        let since = self.0.opened.elapsed().as_millis();
        self.0
            .touched
            .store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How long ago the connection did something useful.
    fn quiet_for(&self) -> Duration {
        self.0
            .opened
            .elapsed()
            .saturating_sub(Duration::from_millis(self.0.touched.load(Ordering::Relaxed)))
    }

    /// Returns once the connection has been idle for `bound`.
    pub(super) async fn idle_for(&self, bound: Duration) {
        loop {
            let now = Instant::now();
            let touched = self.0.opened + Duration::from_millis(self.0.touched.load(Ordering::Relaxed));
            let busy = self.0.running.load(Ordering::Relaxed) > 0;
            let until = if busy { now + bound } else { touched + bound };
            if until <= now {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

impl Running {
    /// It ends with an answer.
    pub(super) fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Activity(inner) = &self.activity;
        if self.answered {
            inner.answered.fetch_add(1, Ordering::Relaxed);
        } else {
            let abandoned = inner.abandoned.fetch_add(1, Ordering::Relaxed) + 1;
            let answered = inner.answered.load(Ordering::Relaxed);
            if abandoned > answered.saturating_add(ABANDONED_MAX) {
                inner.flooded.notify_one();
            }
        }
        self.activity.touch();
        inner.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Writes below this do not count, in bytes: answers to HTTP/2 pings and settings are 9 to 17 bytes long, and
/// a client that only pings is idle.
const WRITE_BYTES_MIN: usize = 64;

/// A stream whose successful writes count as activity, so that a client that is still taking a long answer
/// is not idle, and that closes gently.
pub(super) struct Watched<T: Lingering> {
    /// `None` once it is gone.
    stream: Option<T>,
    activity: Activity,
    place: Place,
    unasked_bytes_max: u64,
    ended: bool,
}

/// A stream that may outlive its connection for a moment.
pub(super) trait Lingering: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Lingering for T {}

impl<T: Lingering> Watched<T> {
    pub(super) fn new(stream: T, activity: Activity, place: Place, unasked_bytes_max: u64) -> Self {
        Self {
            stream: Some(stream),
            activity,
            place,
            unasked_bytes_max,
            ended: false,
        }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut T>> {
        self.stream
            .as_mut()
            .map(Pin::new)
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn written(&self, result: &Poll<io::Result<usize>>) {
        if matches!(result, Poll::Ready(Ok(bytes)) if *bytes >= WRITE_BYTES_MIN) {
            self.activity.touch();
        }
    }
}

impl<T: Lingering> Drop for Watched<T> {
    fn drop(&mut self) {
        if !self.ended
            && self.activity.quiet_for() < LINGER
            && let Some(stream) = self.stream.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(linger(stream, self.place.clone()));
        }
    }
}

impl<T: Lingering> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = self.stream()?.poll_read(cx, buffer);
        let bytes = buffer.filled().len() - before;
        if matches!(result, Poll::Ready(Err(_))) || (result.is_ready() && bytes == 0) {
            self.ended = true;
        }
        if self.activity.is_flooded_by(bytes as u64, self.unasked_bytes_max) {
            self.ended = true;
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        result
    }
}

impl<T: Lingering> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = self.stream()?.poll_write(cx, bytes);
        self.written(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = self.stream()?.poll_write_vectored(cx, slices);
        self.written(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}

/// How long a connection that was in use a moment ago is read on after its last answer. Closing a socket
/// with unread bytes resets it, and a reset takes the answer away from a client that is still sending: the
/// 413 to a large body would never be seen.
const LINGER: Duration = Duration::from_secs(1);
/// How much is read and thrown away meanwhile, in bytes.
const LINGER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Says goodbye, then reads until the client has seen it, within the bounds. The place stays taken.
async fn linger<T: Lingering>(mut stream: T, place: Place) {
    let reading = async {
        stream.shutdown().await?;
        let mut scratch = [0; 4096];
        let mut total = 0;
        while total < LINGER_BYTES_MAX {
            match stream.read(&mut scratch).await? {
                0 => break,
                bytes => total += bytes,
            }
        }
        io::Result::Ok(())
    };
    let _ = tokio::time::timeout(LINGER, reading).await;
    drop(place);
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use strongroom_guard::TrustedProxies;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::server::addresses::Addresses;

    const BOUND: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn an_untouched_connection_is_idle_after_the_bound() {
        let activity = Activity::new();
        let begun = Instant::now();
        activity.idle_for(BOUND).await;
        assert_eq!(begun.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_running_request_keeps_the_connection_and_its_end_starts_the_clock() {
        let activity = Activity::new();
        let running = activity.begin();
        let idle = activity.idle_for(BOUND);
        tokio::pin!(idle);
        assert!(
            tokio::time::timeout(Duration::from_secs(25), &mut idle)
                .await
                .is_err()
        );
        drop(running);
        let begun = Instant::now();
        idle.await;
        assert!(
            (9..=11).contains(&begun.elapsed().as_secs()),
            "{:?}",
            begun.elapsed()
        );
    }

    async fn held(places: &Arc<Semaphore>) -> Place {
        let addresses = Addresses::new(1, TrustedProxies::default());
        let of_address = addresses.enter(Ipv4Addr::LOCALHOST.into()).unwrap();
        Arc::new(Held::new(
            Arc::clone(places).acquire_owned().await.unwrap(),
            of_address,
        ))
    }

    #[tokio::test(start_paused = true)]
    async fn written_bytes_count_and_read_bytes_do_not() {
        let (near, mut far) = tokio::io::duplex(1024);
        let activity = Activity::new();
        let place = held(&Arc::new(Semaphore::new(1))).await;
        let mut watched = Watched::new(near, activity.clone(), place, u64::MAX);
        let begun = Instant::now();
        tokio::time::sleep(Duration::from_secs(8)).await;
        far.write_all(b"x").await.unwrap();
        watched.read_u8().await.unwrap();
        activity.idle_for(BOUND).await;
        assert_eq!(begun.elapsed().as_secs(), 10, "reading is no activity");
        watched.write_all(&[0; 17]).await.unwrap();
        activity.idle_for(BOUND).await;
        assert_eq!(
            begun.elapsed().as_secs(),
            10,
            "the answer to a ping is none either"
        );
        watched.write_all(&[0; 100]).await.unwrap();
        activity.idle_for(BOUND).await;
        assert_eq!(begun.elapsed().as_secs(), 20, "an answer is");
    }

    #[tokio::test]
    async fn a_client_that_is_still_sending_can_finish_and_the_place_stays_taken_meanwhile() {
        let places = Arc::new(Semaphore::new(1));
        let place = held(&places).await;
        let (near, mut far) = tokio::io::duplex(1024);
        let mut watched = Watched::new(near, Activity::new(), place, u64::MAX);
        watched.write_all(b"413").await.unwrap();
        drop(watched);
        far.write_all(&[0; 100_000]).await.unwrap();
        assert_eq!(places.available_permits(), 0);
        let mut answer = Vec::new();
        far.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"413");
        drop(far);
        places.acquire().await.unwrap().forget();
    }
}
