//! When a packet is due: at the time that all packets before it have lasted, on a steady clock.
//!
//! Invariant: no drift; a packet is never due before the one before it has lasted.

use std::time::Duration;

use stentor_pace::Time;

/// A source that falls further behind than this (a pipe that stalled, a laptop that slept) starts again from now: a
/// burst to catch up would only be thrown away by the room.
const FORGIVEN: Duration = Duration::from_millis(200);

/// The clock of a source.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    due: Option<Time>,
}

impl Pacer {
    /// When to send the next packet, which lasts `duration` and is there since `now`.
    pub(crate) fn next(&mut self, now: Time, duration: Duration) -> Time {
        let due = self.due.filter(|due| now.since(*due) <= FORGIVEN).unwrap_or(now);
        self.due = Some(due + duration);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn packets_of_any_length_are_due_when_those_before_have_lasted() {
        let mut pacer = Pacer::default();
        let mut due = Time::from_millis(1000);
        for length in [20, 60, 10, 40, 20] {
            // However late the driver wakes, the next packet is due by the clock.
            let asked = due + MS(3);
            let next = pacer.next(if length == 20 { due } else { asked }, MS(length));
            assert_eq!(next, due);
            due = next + MS(length);
        }
    }

    #[test]
    fn an_hour_of_packets_does_not_drift() {
        let mut pacer = Pacer::default();
        let mut now = Time::from_millis(5);
        for _ in 0..180_000 {
            now = pacer.next(now, MS(20)) + Duration::from_micros(700);
        }
        assert_eq!(pacer.due, Some(Time::from_millis(5) + MS(3_600_000)));
    }

    #[test]
    fn a_stalled_source_starts_again_from_now_without_a_burst() {
        let mut pacer = Pacer::default();
        pacer.next(Time::from_millis(0), MS(20));
        assert_eq!(pacer.next(Time::from_millis(220), MS(20)), Time::from_millis(20));
        assert_eq!(pacer.next(Time::from_millis(5_000), MS(20)), Time::from_millis(5_000));
        assert_eq!(pacer.next(Time::from_millis(5_001), MS(20)), Time::from_millis(5_020));
    }
}
