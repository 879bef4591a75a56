//! Ports to listen on.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    sync::atomic::{AtomicU16, Ordering},
};

/// Ports that a test may listen on: below those that the system gives to outgoing connections (32768 on Linux), so that
/// none is taken between being found free and being listened on, nor while who listens on it is down for a moment.
const PORTS: Range<u16> = 15_000..32_000;

/// A port that nothing listens on, and that no other caller in this process is given.
///
/// # Errors
/// All are taken.
pub fn free_port() -> io::Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Tests run as processes side by side, so each begins its search somewhere else.
    let start = std::process::id().wrapping_mul(7919) as u16;
    let count = PORTS.end - PORTS.start;
    (0..count)
        .map(|_| PORTS.start + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % count)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .ok_or_else(|| io::Error::other(format!("no port of {PORTS:?} is free")))
}
