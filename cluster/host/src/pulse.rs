//! The pulse of this process, taken by a thread that does nothing else: rooms learn from it that the process stood still, and
//! a runtime with much to do is not taken for that.

use std::{sync::Arc, thread};

use parking_lot::Mutex;
use stentor_pace::{self as pace, Time};

use crate::{Error, timebase::Timebase};

/// The pulse of this process. The thread ends with it.
pub(crate) struct Pulse(Mutex<pace::Pulse>);

impl Pulse {
    /// Begins to take the pulse.
    pub(crate) fn start(timebase: Timebase) -> Result<Arc<Self>, Error> {
        let pulse = Arc::new(Self(Mutex::default()));
        let taken = Arc::downgrade(&pulse);
        let beats = move || {
            while let Some(pulse) = taken.upgrade() {
                pulse.beat(timebase.now());
                drop(pulse);
                thread::sleep(pace::Pulse::BEAT);
            }
        };
        let thread = thread::Builder::new().name("pulse".to_owned()).spawn(beats);
        thread.map(|_| pulse).map_err(|error| Error::Pulse(error.to_string()))
    }

    fn beat(&self, now: Time) {
        let stood = self.0.lock().beat(now);
        if let Some(stood) = stood {
            tracing::warn!(?stood, "this process stood still: it was stopped, or had no time on its machine");
        }
    }

    /// Until when the process last stood still.
    pub(crate) fn stood(&self, now: Time) -> Option<Time> {
        self.0.lock().stood(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_ends_with_the_pulse() {
        let pulse = Pulse::start(Timebase::start()).unwrap();
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
