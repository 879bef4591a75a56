//! Moments and spans as people are told them, from and to the integers that the domain and the links between nodes count
//! in. Knows no clock.

use std::time::Duration;

use prost_types::Timestamp;

use crate::BadField;

const MICROS: u64 = 1_000_000;
/// The end of the year 9999, which is the last one that a `Timestamp` and RFC 3339 can express, in seconds since 1970.
const LAST_SECOND: u64 = 253_402_300_799;

/// A moment, given in microseconds since the Unix epoch.
#[must_use]
pub fn moment(micros: u64) -> Timestamp {
    let (seconds, rest) = (micros / MICROS, micros % MICROS);
    Timestamp { seconds: seconds.min(LAST_SECOND).cast_signed(), nanos: rest as i32 * 1000 }
}

/// The microseconds since the Unix epoch of a moment that somebody has sent in this field.
///
/// # Errors
/// [`BadField::Moment`]: it lies before 1970, after 9999, or is malformed.
pub fn micros_of(moment: Timestamp, field: &'static str) -> Result<u64, BadField> {
    let Timestamp { seconds, nanos } = moment;
    let bad = BadField::Moment { field, seconds, nanos };
    let whole = u64::try_from(seconds).ok().filter(|seconds| *seconds <= LAST_SECOND);
    let part = u64::try_from(nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
    let (Some(whole), Some(part)) = (whole, part) else { return Err(bad) };
    Ok(whole * MICROS + part / 1000)
}

/// A moment as JSON has it: RFC 3339 in UTC, to the millisecond.
#[must_use]
pub fn rfc3339(moment: Timestamp) -> String {
    let nanos = moment.nanos - moment.nanos % 1_000_000;
    Timestamp { nanos, ..moment }.to_string()
}

/// A span of time.
#[must_use]
pub fn span(length: Duration) -> prost_types::Duration {
    prost_types::Duration::try_from(length).unwrap_or(prost_types::Duration { seconds: i64::MAX, nanos: 0 })
}

/// A span that may lie on either side of nothing, given in microseconds.
#[must_use]
pub const fn signed_span(micros: i64) -> prost_types::Duration {
    let million = MICROS.cast_signed();
    prost_types::Duration { seconds: micros / million, nanos: (micros % million) as i32 * 1000 }
}

/// The microseconds of such a span; 0 where none was sent.
#[must_use]
pub fn signed_micros_of(span: Option<prost_types::Duration>) -> i64 {
    let span = span.unwrap_or_default();
    span.seconds.saturating_mul(MICROS.cast_signed()).saturating_add(i64::from(span.nanos) / 1000)
}

/// How long a span is; nothing where it is negative or none was sent.
#[must_use]
pub fn length_of(span: Option<prost_types::Duration>) -> Duration {
    span.and_then(|span| Duration::try_from(span).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_spans_survive_the_wire() {
        for micros in [0, 1, 999_999, 1_000_000, 1_798_135_200_250_001] {
            assert_eq!(micros_of(moment(micros), "at"), Ok(micros));
        }
        let length = Duration::new(7, 250_000_001);
        assert_eq!(length_of(Some(span(length))), length);
        for micros in [0, 1, -1, 999_999, -1_000_001, 660_000_000, i64::MIN / 2, i64::MAX] {
            assert_eq!(signed_micros_of(Some(signed_span(micros))), micros);
        }
        assert_eq!(length_of(None), Duration::ZERO);
        assert_eq!(length_of(Some(prost_types::Duration { seconds: -1, nanos: 0 })), Duration::ZERO);
    }

    #[test]
    fn a_moment_that_cannot_be_is_refused_by_its_field() {
        let refused = |seconds, nanos| micros_of(Timestamp { seconds, nanos }, "starts_at").unwrap_err();
        for (seconds, nanos) in [(-1, 0), (0, -1), (0, 1_000_000_000), (253_402_300_800, 0), (i64::MAX, 0)] {
            let error = refused(seconds, nanos).to_string();
            assert!(error.contains("starts_at") && error.contains(&seconds.to_string()), "{error}");
        }
        assert_eq!(moment(u64::MAX).seconds, 253_402_300_799);
    }

    #[test]
    fn a_moment_prints_in_utc_to_the_millisecond() {
        assert_eq!(rfc3339(moment(1_798_135_200_250_999)), "2026-12-24T18:00:00.250Z");
        assert_eq!(rfc3339(moment(1_798_135_200_000_001)), "2026-12-24T18:00:00Z");
    }
}
