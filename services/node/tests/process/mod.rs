//! A process under test: ended with its guard, asked over its own ports.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::Child,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

/// Longest wait for anything.
const WITHIN: Duration = Duration::from_secs(30);

/// A running process, killed at the end of the test.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).expect("it runs");
    }

    /// Waits for its end and gives its exit code.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        until("the process to end", || self.0.try_wait().expect("it is ours").is_some());
        self.0.wait().expect("it has ended").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until something holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < WITHIN, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Asks for a page and gives the first `most` bytes of the answer, head included.
pub(crate) fn get(at: SocketAddr, path: &str, most: u64) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(most).read_to_end(&mut answer)?;
    Ok(answer)
}

/// Whether a process says that it is ready.
pub(crate) fn ready(ops: SocketAddr) -> bool {
    get(ops, "/readyz", 4096).is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 200"))
}
