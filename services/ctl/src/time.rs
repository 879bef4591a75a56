//! Moments and lengths of time as people write them.

use std::{fmt::Display, time::Duration};

use chrono::{DateTime, Local, TimeZone};
use stentor_pace::WallTime;
use stentor_proto::{Timestamp, micros_of};

/// A moment that was told.
pub(crate) fn wall_time(moment: Timestamp) -> WallTime {
    WallTime::from_micros(micros_of(moment, "moment").unwrap_or_default())
}

/// The time of day of a moment as clocks show it here, to the millisecond; given in milliseconds since the Unix epoch.
pub(crate) fn local_time(millis: u64) -> String {
    time_of_day(millis, &Local)
}

fn time_of_day<Z: TimeZone<Offset: Display>>(millis: u64, zone: &Z) -> String {
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    let moment = DateTime::from_timestamp_millis(millis).unwrap_or_default();
    moment.with_timezone(zone).format("%H:%M:%S%.3f").to_string()
}

/// Reads a moment: RFC 3339, for example `2026-12-24T18:00:00Z`.
pub(crate) fn parse_moment(text: &str) -> Result<WallTime, String> {
    let moment = DateTime::parse_from_rfc3339(text)
        .map_err(|error| format!("{text:?} is no moment like 2026-12-24T18:00:00Z: {error}"))?;
    let micros =
        u64::try_from(moment.timestamp_micros()).map_err(|_| format!("{text:?} lies before 1970"))?;
    Ok(WallTime::from_micros(micros))
}

/// Reads a length of time: a number with `s`, `m`, `h` or `d`.
pub(crate) fn parse_length(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no length of time; write 90s, 15m, 2h or 7d");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    if number == 0 {
        return Err(wrong());
    }
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

/// Reads a number of seconds above 0, with or without a fraction.
pub(crate) fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is no number of seconds"))?;
    let length = Duration::try_from_secs_f64(seconds).ok().filter(|length| !length.is_zero());
    length.ok_or_else(|| format!("{text} is no number of seconds above 0"))
}

/// A length of time to three places: `17.3 ms`, `2.41 s`, `14 m 05 s`.
pub(crate) fn length(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{:.1} ms", time.as_secs_f64() * 1000.0),
        1..=59 => format!("{:.2} s", time.as_secs_f64()),
        60..=3599 => format!("{} m {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use stentor_proto::{moment, rfc3339};

    use super::*;

    #[test]
    fn moments_read_back_as_they_print() {
        let text = "2026-12-24T18:00:00.250Z";
        let read = parse_moment(text).unwrap();
        let told = moment(read.as_micros());
        assert_eq!((rfc3339(told).as_str(), wall_time(told)), (text, read));
        let (utc, delhi) = (chrono::Utc, chrono::FixedOffset::east_opt(5 * 3600 + 1800).unwrap());
        assert_eq!(time_of_day(read.as_millis(), &utc), "18:00:00.250");
        assert_eq!(time_of_day(read.as_millis(), &delhi), "23:30:00.250");
        assert!(parse_moment("1969-01-01T00:00:00Z").unwrap_err().contains("1970"));
    }

    #[test]
    fn lengths_have_a_unit_and_are_above_zero() {
        assert_eq!(parse_length("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_length("7d"), Ok(Duration::from_secs(604_800)));
        for wrong in ["", "s", "0h", "-1h", "1", "1w", "1.5h", "99999999999s", "ü"] {
            assert!(parse_length(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_seconds("2.5"), Ok(Duration::from_millis(2500)));
        for wrong in ["", "0", "-1", "inf", "NaN", "x"] {
            assert!(parse_seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lengths_print_in_the_unit_that_fits() {
        let printed =
            [17_340, 2_412_000, 845_000_000, 7_320_000_000].map(|us| length(Duration::from_micros(us)));
        assert_eq!(printed, ["17.3 ms", "2.41 s", "14 m 05 s", "2 h 02 m"]);
    }
}
