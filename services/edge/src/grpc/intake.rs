//! What a speaker may send: sound Opus, in order, not much faster than it can be spoken. Pure.

use std::time::Duration;

use bytes::Bytes;
use stentor_ids::{Code, Fault};
use stentor_mix::Packet;
use stentor_pace::{Time, TokenBucket};

/// Milliseconds of audio taken in a second: twice real time, so that a client may catch up after a stall.
const RATE_MS: u32 = 2000;
/// Milliseconds of audio taken at once: what a client may have held back while its network hung.
const BURST_MS: u32 = 1000;
/// Milliseconds of audio that may be let go for being too much, before the speaker is sent away: a client that stumbles
/// loses a little, one that floods is told to stop.
const EXCESS_MS: u32 = 5000;
/// Over this time the excess is forgiven.
const FORGIVEN_IN: Duration = Duration::from_secs(60);

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// On to the owner.
    Take(Packet),
    /// Its number is not above the one before.
    Repeated,
    /// Too much at once: let go.
    Excess,
}

/// The intake of one speaker.
#[derive(Debug)]
pub(super) struct Intake {
    pace: TokenBucket,
    excess: TokenBucket,
    last: Option<u64>,
}

impl Intake {
    pub(super) fn new() -> Self {
        Self {
            pace: TokenBucket::new(RATE_MS, Duration::from_secs(1), BURST_MS),
            excess: TokenBucket::new(EXCESS_MS, FORGIVEN_IN, EXCESS_MS),
            last: None,
        }
    }

    /// Looks at a packet.
    ///
    /// # Errors
    /// `InvalidPacket` or `TooFast`; the connection is to end with it.
    pub(super) fn pass(&mut self, now: Time, seq: u64, opus: Bytes) -> Result<Verdict, Fault> {
        let packet = Packet::parse(opus)
            .map_err(|error| Fault::new(Code::InvalidPacket, format!("packet {seq}: {error}")))?;
        if self.last.is_some_and(|last| seq <= last) {
            return Ok(Verdict::Repeated);
        }
        // A checked packet lasts 60 ms at most.
        let length = packet.duration().as_millis() as u32;
        if self.pace.take(now, length) {
            self.last = Some(seq);
            return Ok(Verdict::Take(packet));
        }
        if self.excess.take(now, length) {
            return Ok(Verdict::Excess);
        }
        let detail =
            format!("more than {EXCESS_MS} ms of audio came faster than twice real time; send as one speaks");
        Err(Fault::new(Code::TooFast, detail).retry_after(self.excess.wait(now, BURST_MS)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 20 ms of wideband speech framing (RFC 6716, table 2, configuration 9).
    fn packet() -> Bytes {
        Bytes::from_static(&[9 << 3, 1, 2, 3])
    }

    #[test]
    fn speech_in_real_time_and_twice_as_fast_passes_for_ever() {
        for step in [20, 10] {
            let mut intake = Intake::new();
            for seq in 0..10_000 {
                let verdict = intake.pass(Time::from_millis(seq * step), seq, packet()).unwrap();
                assert!(matches!(verdict, Verdict::Take(_)), "{seq} at a packet in {step} ms: {verdict:?}");
            }
        }
    }

    #[test]
    fn a_flood_is_cut_to_its_bound_and_then_sent_away() {
        let mut intake = Intake::new();
        let now = Time::from_millis(5000);
        let mut taken = 0;
        let fault = (0..10_000).find_map(|seq| match intake.pass(now, seq, packet()) {
            Ok(Verdict::Take(_)) => {
                taken += 1;
                None
            }
            Ok(_) => None,
            Err(fault) => Some((seq, fault)),
        });
        let (at, fault) = fault.unwrap();
        assert_eq!((taken, at), (u64::from(BURST_MS / 20), u64::from((BURST_MS + EXCESS_MS) / 20)));
        assert_eq!(fault.code, Code::TooFast);
        assert!(fault.retry_after.is_some_and(|wait| wait > Duration::from_secs(1)));
    }

    #[test]
    fn repeated_numbers_and_bad_packets_are_told() {
        let mut intake = Intake::new();
        let now = Time::from_millis(5000);
        assert!(matches!(intake.pass(now, 7, packet()), Ok(Verdict::Take(_))));
        assert_eq!(intake.pass(now, 7, packet()), Ok(Verdict::Repeated));
        assert_eq!(intake.pass(now, 6, packet()), Ok(Verdict::Repeated));
        for bad in [Bytes::new(), Bytes::from(vec![9 << 3; 4000]), Bytes::from_static(&[0xff; 9])] {
            let fault = intake.pass(now, 8, bad).unwrap_err();
            assert_eq!(fault.code, Code::InvalidPacket);
            assert!(fault.detail.starts_with("packet 8: "), "{fault}");
        }
    }
}
