//! The bounded buffer between those who log and the one thread that writes.

use std::{
    io::{self, Write},
    mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

/// What waits to be written, in bytes; more is dropped.
const BUFFER_BYTES_MAX: usize = 1024 * 1024;
/// From so many bytes on the writer does not wait for more.
const URGENT_BYTES: usize = 64 * 1024;
/// How long the writer waits for more lines, so that a busy server writes hundreds of lines per system call.
const LINGER: Duration = Duration::from_millis(5);

/// The end that lines go into. Clones share it.
#[derive(Clone)]
pub(crate) struct LogBuffer(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Something came into an empty buffer, or the end is near.
    filled: Condvar,
    /// The writer should not linger any longer.
    urgent: Condvar,
    dropped: AtomicU64,
}

#[derive(Default)]
struct State {
    lines: Vec<u8>,
    closing: bool,
}

/// Writes out what is left and ends the thread when dropped.
pub(crate) struct LogGuard {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

/// Starts a writer thread for that output.
pub(super) fn start(output: impl Write + Send + 'static) -> io::Result<(LogBuffer, LogGuard)> {
    let shared = Arc::new(Shared {
        state: Mutex::default(),
        filled: Condvar::new(),
        urgent: Condvar::new(),
        dropped: AtomicU64::new(0),
    });
    let theirs = Arc::clone(&shared);
    let writer = thread::Builder::new()
        .name("log".into())
        .spawn(move || theirs.write_out(output))?;
    Ok((
        LogBuffer(Arc::clone(&shared)),
        LogGuard {
            shared,
            writer: Some(writer),
        },
    ))
}

impl Shared {
    /// A panic while the lock was held leaves at worst half a line behind.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_out(&self, mut output: impl Write) {
        let mut lines = Vec::new();
        loop {
            let waiting = |state: &mut State| state.lines.is_empty() && !state.closing;
            let state = self
                .filled
                .wait_while(self.state(), waiting)
                .unwrap_or_else(PoisonError::into_inner);
            let lingering = |state: &mut State| state.lines.len() < URGENT_BYTES && !state.closing;
            let (mut state, _) = self
                .urgent
                .wait_timeout_while(state, LINGER, lingering)
                .unwrap_or_else(PoisonError::into_inner);
            let closing = state.closing;
            mem::swap(&mut state.lines, &mut lines);
            drop(state);
            // Nobody is left to tell that standard error is closed.
            let _ = output.write_all(&lines).and_then(|()| output.flush());
            lines.clear();
            if closing {
                return;
            }
        }
    }
}

impl LogBuffer {
    /// How many lines found the buffer full.
    pub(crate) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.0.state();
        let before = state.lines.len();
        if before + line.len() > BUFFER_BYTES_MAX {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.lines.extend_from_slice(line);
        let after = state.lines.len();
        drop(state);
        if before == 0 {
            self.0.filled.notify_one();
        }
        if before < URGENT_BYTES && after >= URGENT_BYTES {
            self.0.urgent.notify_one();
        }
    }
}

impl Write for LogBuffer {
    /// Takes one whole line; never fails and never waits for the output.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogBuffer {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.shared.state().closing = true;
        self.shared.filled.notify_one();
        self.shared.urgent.notify_one();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// An output that hands over every write and waits until it may go on.
    struct Gate {
        written: mpsc::Sender<Vec<u8>>,
        go: mpsc::Receiver<()>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.written.send(bytes.to_vec());
            let _ = self.go.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (LogBuffer, LogGuard, mpsc::Receiver<Vec<u8>>, mpsc::Sender<()>) {
        let (written, receiver) = mpsc::channel();
        let (sender, go) = mpsc::channel();
        let (buffer, guard) = start(Gate { written, go }).unwrap();
        (buffer, guard, receiver, sender)
    }

    #[test]
    fn lines_come_out_whole_and_in_order_when_the_guard_drops() {
        let (buffer, guard, written, go) = gated();
        for number in 0..100 {
            buffer.push(format!("line {number}\n").as_bytes());
        }
        drop(go);
        drop(guard);
        let all: Vec<u8> = written.iter().flatten().collect();
        let expected: String = (0..100).map(|number| format!("line {number}\n")).collect();
        assert_eq!(String::from_utf8(all).unwrap(), expected);
        assert_eq!(buffer.dropped(), 0);
    }

    #[test]
    fn a_stuck_output_drops_lines_instead_of_holding_anybody_up() {
        let (buffer, guard, written, go) = gated();
        buffer.push(b"first\n");
        assert_eq!(
            written.recv().unwrap(),
            b"first\n",
            "the writer is stuck in its first write now"
        );
        let line = [b'x'; 1024];
        for _ in 0..2000 {
            buffer.push(&line);
        }
        assert_eq!(buffer.dropped(), 2000 - (BUFFER_BYTES_MAX / line.len()) as u64);
        drop(go);
        drop(guard);
        assert_eq!(
            written.iter().map(|bytes| bytes.len()).sum::<usize>(),
            BUFFER_BYTES_MAX
        );
    }
}
