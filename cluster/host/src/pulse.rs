//! The pulse of this process, taken by a thread that does nothing else: rooms learn from it that the process stood still, and
//! a runtime with much to do is not taken for that.
//!
//! A process that stands still does so by the system's time and by its runtime's. Where one of the two alone has gone on, as
//! in a test that stops its runtime's time and moves it, nothing stood still: the pulse counts what has passed by both.

use std::{sync::Arc, thread};

use parking_lot::Mutex;
use stentor_pace::{self as pace, Time};
use tokio::runtime::Handle;

use crate::Error;

/// The pulse of this process. The thread ends with it.
pub(crate) struct Pulse(Mutex<Taken>);

struct Taken {
    pulse: pace::Pulse,
    /// What has passed by both times up to the last beat, and what each showed then.
    passed: Time,
    runtime: Time,
    system: Time,
}

impl Pulse {
    /// Begins to take the pulse, by the time of the runtime that this is called in.
    pub(crate) fn start() -> Result<Arc<Self>, Error> {
        let runtime = Handle::try_current().ok();
        let (now, system) = (stentor_clock::now(), stentor_clock::system());
        let taken = Taken { pulse: pace::Pulse::default(), passed: now, runtime: now, system };
        let pulse = Arc::new(Self(Mutex::new(taken)));
        let taken = Arc::downgrade(&pulse);
        let beats = move || {
            let _entered = runtime.as_ref().map(Handle::enter);
            while let Some(pulse) = taken.upgrade() {
                pulse.beat();
                drop(pulse);
                thread::sleep(pace::Pulse::BEAT);
            }
        };
        let thread = thread::Builder::new().name("pulse".to_owned()).spawn(beats);
        thread.map(|_| pulse).map_err(|error| Error::Pulse(error.to_string()))
    }

    fn beat(&self) {
        let stood = {
            let mut taken = self.0.lock();
            let (now, system) = (stentor_clock::now(), stentor_clock::system());
            taken.passed = taken.passed(now, system);
            (taken.runtime, taken.system) = (now, system);
            let passed = taken.passed;
            taken.pulse.beat(passed)
        };
        if let Some(stood) = stood {
            tracing::warn!(?stood, "this process stood still: it was stopped, or had no time on its machine");
        }
    }

    /// Until when the process last stood still, by the time of the runtime that asks.
    pub(crate) fn stood(&self, now: Time) -> Option<Time> {
        let taken = self.0.lock();
        let passed = taken.passed(now, stentor_clock::system());
        taken.pulse.stood(passed).map(|stood| now - passed.since(stood))
    }
}

impl Taken {
    /// What has passed by both times.
    fn passed(&self, runtime: Time, system: Time) -> Time {
        let (runtime, system) = (runtime.since(self.runtime), system.since(self.system));
        // Both went on, but not together: the one is moved by a test, and how the machine held up the other says nothing.
        let together = runtime.abs_diff(system) <= pace::Pulse::STILL;
        if together { self.passed + runtime.min(system) } else { self.passed }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_runtime_whose_time_is_moved_has_not_stood_still() {
        let pulse = Pulse::start().unwrap();
        for _ in 0..20 {
            tokio::time::advance(Duration::from_secs(1)).await;
            thread::sleep(pace::Pulse::BEAT);
            assert_eq!(pulse.stood(stentor_clock::now()), None);
        }
    }

    #[test]
    fn the_thread_ends_with_the_pulse() {
        let pulse = Pulse::start().unwrap();
        let weak = Arc::downgrade(&pulse);
        drop(pulse);
        // The thread may hold it for the length of one beat.
        let held = (0..2_000).take_while(|_| {
            thread::sleep(pace::Pulse::BEAT);
            weak.strong_count() > 0
        });
        assert!(held.count() < 2_000);
    }
}
