//! How fast wrong admin tokens are answered. Pure: the time is passed in.
//!
//! A right token is never asked about here, so that nobody who guesses keeps an operator waiting.
//!
//! Invariant: of one connection and of a port no more are answered at once than the buckets hold.

use std::time::Duration;

use stentor_ids::{Code, Fault};
use stentor_pace::{Time, TokenBucket};

use crate::Refusal;

/// Wrong tokens of one connection a second, and at once: who has mistyped one tries a few more.
const OF_ONE: (u32, u32) = (1, 5);
/// Wrong tokens of all connections a second, and at once: a dozen automations whose token was replaced try again.
const OF_ALL: (u32, u32) = (10, 50);

/// Wrong tokens that may still be answered at once.
#[derive(Debug)]
pub struct WrongTokens(TokenBucket);

impl WrongTokens {
    /// Those of a port.
    #[must_use]
    pub fn of_all() -> Self {
        Self(TokenBucket::new(OF_ALL.0, Duration::from_secs(1), OF_ALL.1))
    }

    /// Those of one connection.
    #[must_use]
    pub fn of_one() -> Self {
        Self(TokenBucket::new(OF_ONE.0, Duration::from_secs(1), OF_ONE.1))
    }

    /// What to say to one more: what is wrong with it, or that they come too fast and when to come back.
    pub fn answer(&mut self, own: &mut Self, now: Time, why: Fault) -> Fault {
        if !own.0.take(now, 1) {
            return too_fast(OF_ONE.0, "of a connection", own.0.wait(now, 1));
        }
        if !self.0.take(now, 1) {
            return too_fast(OF_ALL.0, "of all connections", self.0.wait(now, 1));
        }
        why
    }
}

fn too_fast(rate: u32, whose: &str, wait: Duration) -> Fault {
    let detail = format!("{}; and more than {rate} wrong ones {whose} come in a second", Refusal::AdminToken);
    Fault::new(Code::TooFast, detail).retry_after(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(all: &mut WrongTokens, own: &mut WrongTokens, now: Time) -> Fault {
        all.answer(own, now, Refusal::AdminToken.into())
    }

    #[test]
    fn a_connection_that_guesses_is_slowed_and_others_are_not() {
        let (mut all, mut one, mut other) =
            (WrongTokens::of_all(), WrongTokens::of_one(), WrongTokens::of_one());
        let now = Time::from_millis(5000);
        for _ in 0..5 {
            assert_eq!(answer(&mut all, &mut one, now).code, Code::Unauthenticated);
        }
        let fault = answer(&mut all, &mut one, now);
        assert_eq!((fault.code, fault.retry_after), (Code::TooFast, Some(Duration::from_secs(1))));
        assert!(
            fault.detail.contains("not one of this cluster's") && fault.detail.contains("of a connection")
        );
        assert_eq!(answer(&mut all, &mut other, now).code, Code::Unauthenticated);
        assert_eq!(answer(&mut all, &mut one, now + Duration::from_secs(1)).code, Code::Unauthenticated);
    }

    #[test]
    fn guesses_over_many_connections_are_slowed_together() {
        let mut all = WrongTokens::of_all();
        let fresh =
            |all: &mut WrongTokens, at| answer(all, &mut WrongTokens::of_one(), Time::from_millis(at));
        let answered = (0..200).filter(|_| fresh(&mut all, 1000).code == Code::Unauthenticated).count();
        assert_eq!(answered, 50);
        let fault = fresh(&mut all, 1000);
        assert_eq!((fault.code, fault.retry_after), (Code::TooFast, Some(Duration::from_millis(100))));
        assert!(fault.detail.contains("of all connections"), "{fault}");
        assert_eq!(fresh(&mut all, 1100).code, Code::Unauthenticated);
    }

    #[test]
    fn a_connection_that_is_too_fast_itself_uses_up_nothing_of_the_others() {
        let (mut all, mut one) = (WrongTokens::of_all(), WrongTokens::of_one());
        for _ in 0..1000 {
            answer(&mut all, &mut one, Time::from_millis(1000));
        }
        let answered = (0..45).all(|_| {
            answer(&mut all, &mut WrongTokens::of_one(), Time::from_millis(1000)).code
                == Code::Unauthenticated
        });
        assert!(answered);
    }
}
