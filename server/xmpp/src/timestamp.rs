//! Points in time as microseconds since 1970-01-01T00:00:00Z, and their XEP-0082 text.
//!
//! Why: the store keeps times as BIGINT and the wire wants XEP-0082; one type does both. It never reads a clock.

use std::fmt;
use std::time::Duration;

/// Microseconds since the epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

impl Timestamp {
    /// `2026-11-25T20:00:00.250Z`, at millisecond precision; the fraction is left out when zero (XEP-0082 3.2). Years
    /// outside 0000..9999 cannot be written in XEP-0082 and are clamped.
    pub fn to_xep0082(&self) -> String {
        let clamped = self.0.clamp(FIRST, LAST);
        let (year, month, day) = civil_from_days(clamped.div_euclid(DAY));
        let time = clamped.rem_euclid(DAY);
        let (seconds, millis) = (time / SECOND, time % SECOND / 1000);
        let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        if millis == 0 {
            format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z")
        } else {
            format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{millis:03}Z")
        }
    }

    /// Reads a XEP-0082 DateTime; a zone offset is converted to UTC, digits beyond microseconds are dropped. `None` when
    /// it is not one.
    pub fn parse_xep0082(text: &str) -> Option<Self> {
        if !text.is_ascii() {
            return None;
        }
        let (date, rest) = (text.get(..10)?, text.get(10..)?);
        let time = rest.strip_prefix('T')?;
        let (d, year, month, day) = (
            date.as_bytes(),
            number(&date[..4])?,
            number(&date[5..7])?,
            number(&date[8..])?,
        );
        let zone_at = time.find(['Z', '+', '-'])?;
        let (time, zone) = time.split_at(zone_at);
        let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
        let c = clock.as_bytes();
        if d[4] != b'-' || d[7] != b'-' || c.len() != 8 || c[2] != b':' || c[5] != b':' {
            return None;
        }
        let (h, m, s) = (
            number(&clock[..2])?,
            number(&clock[3..5])?,
            number(&clock[6..])?,
        );
        // 60 is a leap second; the arithmetic below makes it the first second of the next minute.
        if !(1..=12).contains(&month)
            || !(1..=days_in(year, month)).contains(&day)
            || h > 23
            || m > 59
            || s > 60
        {
            return None;
        }
        let micros = number(&format!("{:0<6}", fraction.get(..fraction.len().min(6))?))?;
        if !fraction.bytes().all(|b| b.is_ascii_digit()) || fraction.is_empty() {
            return None;
        }
        let seconds = h * 3600 + m * 60 + s - offset_seconds(zone)?;
        Some(Self(
            days_from_civil(year, month, day) * DAY + seconds * SECOND + micros,
        ))
    }

    /// Whole seconds since the epoch.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(SECOND)
    }

    /// From whole seconds since the epoch.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(SECOND))
    }

    /// Later by a duration.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// How long after `earlier` this is; zero when it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_xep0082())
    }
}

/// 0000-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z.
const FIRST: i64 = -719_528 * DAY;
const LAST: i64 = 2_932_897 * DAY - 1;

fn number(digits: &str) -> Option<i64> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// Seconds east of UTC of `Z`, `+hh:mm`, `-hh:mm`.
fn offset_seconds(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = hours * 3600 + minutes * 60;
    Some(if zone.starts_with('-') {
        -seconds
    } else {
        seconds
    })
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since the epoch of a date in the proleptic Gregorian calendar; years begin in March so that leap days come last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Reverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, micros: i64) {
        assert_eq!(
            Timestamp::parse_xep0082(text),
            Some(Timestamp(micros)),
            "{text}"
        );
    }

    #[test]
    fn xep_0082_reading() {
        check("1970-01-01T00:00:00Z", 0);
        check("1969-07-21T02:56:15Z", -14_159_025 * SECOND);
        check("1969-07-20T21:56:15-05:00", -14_159_025 * SECOND);
        check("2026-11-25T20:00:00.25Z", 1_795_636_800 * SECOND + 250_000);
        check(
            "2000-02-29T23:59:59.9999999Z",
            951_868_799 * SECOND + 999_999,
        );
        for bad in [
            "",
            "2026-11-25",
            "2026-11-25T20:00:00",
            "2026-13-25T20:00:00Z",
            "2026-02-30T20:00:00Z",
            "2026-11-25T24:00:00Z",
            "2026-11-25 20:00:00Z",
            "2026-11-25T20:00:00.Z",
            "2026-11-25T20:00:00+1:00",
            "2026-11-25T20:00:00+aa:00",
            "20261125T20:00:00",
            "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}T20:00:00Z",
            "2026-11-25T20:00:00.2\u{e9}Z",
            "2026-11-25T+0:00:00Z",
            "2026\u{e9}11-25T20:00:00Z",
        ] {
            assert_eq!(Timestamp::parse_xep0082(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn xep_0082_writing() {
        assert_eq!(Timestamp(0).to_xep0082(), "1970-01-01T00:00:00Z");
        assert_eq!(
            Timestamp(1_795_636_800_250_000).to_xep0082(),
            "2026-11-25T20:00:00.250Z"
        );
        assert_eq!(Timestamp(i64::MAX).to_xep0082(), "9999-12-31T23:59:59.999Z");
        assert_eq!(Timestamp(i64::MIN).to_xep0082(), "0000-01-01T00:00:00Z");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(millis in FIRST / 1000..LAST / 1000) {
            let t = Timestamp(millis * 1000);
            prop_assert_eq!(Timestamp::parse_xep0082(&t.to_xep0082()), Some(t));
        }

        #[test]
        fn any_text_is_survived(text in "\\PC{0,40}") {
            let _ = Timestamp::parse_xep0082(&text);
        }
    }
}
