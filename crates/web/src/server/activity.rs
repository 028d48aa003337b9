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
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

/// The record of one connection. Clones share it.
#[derive(Clone)]
pub(super) struct Activity(Arc<Inner>);

struct Inner {
    opened: Instant,
    running: AtomicU32,
    /// Milliseconds after `opened`.
    touched: AtomicU64,
}

/// A running request; dropping it ends it.
pub(super) struct Running(Activity);

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner {
            opened: Instant::now(),
            running: AtomicU32::new(0),
            touched: AtomicU64::new(0),
        }))
    }

    pub(super) fn begin(&self) -> Running {
        self.0.running.fetch_add(1, Ordering::Relaxed);
        Running(self.clone())
    }

    fn touch(&self) {
        let since = self.0.opened.elapsed().as_millis();
        self.0
            .touched
            .store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
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

impl Drop for Running {
    fn drop(&mut self) {
        self.0.touch();
        self.0.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Writes below this do not count, in bytes: answers to HTTP/2 pings and settings are 9 to 17 bytes long, and
/// a client that only pings is idle.
const WRITE_BYTES_MIN: usize = 64;

/// A stream whose successful writes count as activity: a client that is still taking a long answer is not
/// idle.
pub(super) struct Watched<T> {
    stream: T,
    activity: Activity,
}

impl<T> Watched<T> {
    pub(super) fn new(stream: T, activity: Activity) -> Self {
        Self { stream, activity }
    }

    fn written(&self, result: &Poll<io::Result<usize>>) {
        if matches!(result, Poll::Ready(Ok(bytes)) if *bytes >= WRITE_BYTES_MIN) {
            self.activity.touch();
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.written(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[tokio::test(start_paused = true)]
    async fn written_bytes_count_and_read_bytes_do_not() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (near, mut far) = tokio::io::duplex(1024);
        let activity = Activity::new();
        let mut watched = Watched::new(near, activity.clone());
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
}
