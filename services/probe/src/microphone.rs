//! A source in real time: packets come out when they are due. Reading happens on a thread of its own, as a pipe may block
//! for ever; pacing on a task. Both end with the [`Microphone`].
//!
//! Bounded: a reader runs at most [`AHEAD`] packets ahead, and at most [`HELD`] packets wait for the speaker; a live voice
//! does not wait longer, so what is beyond is dropped and counted.

use std::{
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use stentor_mix::Packet;
use stentor_pace::Time;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::task::AbortOnDropHandle;

use crate::{Source, SourceError, pacer::Pacer};

/// Packets that are read before they are due: 20 ms packets of a slow disk's third of a second.
const AHEAD: usize = 16;
/// Packets that wait while a speaker changes its edge: at 20 ms a packet, 160 ms.
const HELD: usize = 8;

type Item = Result<Packet, SourceError>;

pub(crate) struct Microphone {
    packets: mpsc::Receiver<Item>,
    /// An error that [`flush`](Self::flush) came across.
    failed: Option<SourceError>,
    dropped: Arc<AtomicU64>,
    _pacing: AbortOnDropHandle<()>,
}

impl Microphone {
    /// Starts now: the first packet is due at once.
    pub(crate) fn start(source: Source) -> Self {
        let (read, ahead) = mpsc::channel(AHEAD);
        std::thread::spawn(move || read_all(source, &read));
        let (held, packets) = mpsc::channel(HELD);
        let dropped = Arc::new(AtomicU64::new(0));
        let pacing = tokio::spawn(pace(ahead, held, Arc::clone(&dropped)));
        Self { packets, failed: None, dropped, _pacing: AbortOnDropHandle::new(pacing) }
    }

    /// The next packet, when it is due; none at the end of the source.
    pub(crate) async fn next(&mut self) -> Option<Item> {
        match self.failed.take() {
            Some(error) => Some(Err(error)),
            None => self.packets.recv().await,
        }
    }

    /// Throws away the packets that have waited while nobody was there to take them.
    pub(crate) fn flush(&mut self) {
        while let Ok(item) = self.packets.try_recv() {
            match item {
                Ok(_) => drop(self.dropped.fetch_add(1, Relaxed)),
                Err(error) => self.failed = Some(error),
            }
        }
    }

    /// Packets that nobody took in time.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

fn read_all(mut source: Source, read: &mpsc::Sender<Item>) {
    loop {
        let next = source.next_packet();
        let last = !matches!(next, Ok(Some(_)));
        let Some(item) = next.transpose() else { return };
        if read.blocking_send(item).is_err() || last {
            return;
        }
    }
}

async fn pace(mut ahead: mpsc::Receiver<Item>, held: mpsc::Sender<Item>, dropped: Arc<AtomicU64>) {
    let start = Instant::now();
    let now = || Time::default() + start.elapsed();
    let mut pacer = Pacer::default();
    while let Some(item) = ahead.recv().await {
        let Ok(packet) = &item else {
            // The source's end must not get lost, however long it takes to be heard.
            let _ = held.send(item).await;
            return;
        };
        let due = pacer.next(now(), packet.duration());
        tokio::time::sleep_until(start + due.since(Time::default())).await;
        match held.try_send(item) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => drop(dropped.fetch_add(1, Relaxed)),
            Err(mpsc::error::TrySendError::Closed(_)) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use stentor_mix::SILENCE;

    use super::*;

    /// What [`read_all`] would read: packets of 10, 20 and 60 ms, `count` of each.
    async fn paced(count: usize) -> Vec<Duration> {
        let silence = |toc: u8| Packet::parse(Bytes::from(vec![toc, 0xff, 0xfe])).unwrap();
        // CELT of 10 and 20 ms, SILK of 60 ms (RFC 6716, table 2).
        let [ten, twenty, sixty] = [30 << 3, SILENCE[0], 3 << 3].map(silence);
        let (read, ahead) = mpsc::channel(AHEAD);
        tokio::spawn(async move {
            for packet in std::iter::repeat_n([ten, twenty, sixty], count).flatten() {
                read.send(Ok(packet)).await.unwrap();
            }
        });
        let (held, mut packets) = mpsc::channel(HELD);
        tokio::spawn(pace(ahead, held, Arc::default()));
        let start = Instant::now();
        let mut times = Vec::new();
        while packets.recv().await.is_some() {
            times.push(start.elapsed());
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn packets_leave_when_those_before_them_have_lasted() {
        let times = paced(100).await;
        let millis: Vec<_> = times.iter().map(Duration::as_millis).collect();
        assert_eq!(millis[..7], [0, 10, 30, 90, 100, 120, 180]);
        assert_eq!(*millis.last().unwrap(), 100 * 90 - 60);
    }

    #[tokio::test(start_paused = true)]
    async fn packets_that_nobody_takes_are_dropped_and_the_rest_stays_in_time() {
        let packet = Packet::parse(Bytes::from_static(SILENCE)).unwrap();
        let (read, ahead) = mpsc::channel(AHEAD);
        tokio::spawn(async move { while read.send(Ok(packet.clone())).await.is_ok() {} });
        let (held, packets) = mpsc::channel(HELD);
        let dropped = Arc::new(AtomicU64::new(0));
        let pacing = AbortOnDropHandle::new(tokio::spawn(pace(ahead, held, Arc::clone(&dropped))));
        let mut microphone = Microphone { packets, failed: None, dropped, _pacing: pacing };
        tokio::time::sleep(Duration::from_millis(999)).await;
        assert_eq!(microphone.dropped(), 50 - HELD as u64);
        microphone.flush();
        assert_eq!(microphone.dropped(), 50);
        let start = Instant::now();
        microphone.next().await.unwrap().unwrap();
        assert!(start.elapsed() <= Duration::from_millis(2), "{:?}", start.elapsed());
    }
}
