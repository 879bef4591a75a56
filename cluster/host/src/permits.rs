//! How many commands of one room are under way, by the class of who gives them. A crowd that holds all of its own permits
//! holds none of a host's.

use std::{sync::Arc, time::Duration};

use stentor_admission::Class;
use stentor_ids::{Code, Fault, RoomId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// When to come back with a command that found no permit: a commit takes milliseconds.
const BUSY_WAIT: Duration = Duration::from_secs(1);

/// A room's permits.
pub(crate) struct Permits([Arc<Semaphore>; 3]);

impl Permits {
    pub(crate) fn new() -> Self {
        Self(Class::ALL.map(|class| Arc::new(Semaphore::new(class.commands()))))
    }

    /// One for a command that is given back with its answer.
    ///
    /// # Errors
    /// `Overloaded`.
    pub(crate) fn take(&self, room: &RoomId, class: Class) -> Result<OwnedSemaphorePermit, Fault> {
        self.0[class.index()].clone().try_acquire_owned().map_err(|_| {
            let (bound, who) = (class.commands(), class.as_str());
            let detail = format!("{bound} commands of {who} of room {room} are under way already");
            Fault::new(Code::Overloaded, detail).retry_after(BUSY_WAIT)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_that_holds_all_of_its_permits_keeps_no_host_and_no_speaker_waiting() {
        let (permits, room) = (Permits::new(), RoomId::new("demo").unwrap());
        let crowd: Vec<_> = std::iter::from_fn(|| permits.take(&room, Class::Crowd).ok()).collect();
        assert_eq!(crowd.len(), 32);
        let refused = permits.take(&room, Class::Crowd).unwrap_err();
        assert_eq!((refused.code, refused.retry_after), (Code::Overloaded, Some(BUSY_WAIT)));
        let stage: Vec<_> = std::iter::from_fn(|| permits.take(&room, Class::Stage).ok()).collect();
        assert_eq!(stage.len(), 64);
        assert!(permits.take(&room, Class::Moderators).is_ok());
        drop(crowd);
        assert!(permits.take(&room, Class::Crowd).is_ok());
    }
}
