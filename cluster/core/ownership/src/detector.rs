//! When a mirror takes control over: whether the owner of its room is dead, silent only to this node, or paused. Pure.
//!
//! | phase | it ends |
//! |---|---|
//! | hearing | when the stream has been lost for a moment or silent for long, or the view shows no owner: then it asks |
//! | asking | by the answer, or when that has not come in its time: then it asks again |
//! | resting | after a pause: then it asks again; or when the owner is heard |
//! | decided | at once: it claims, or contests the owner first |
//! | contesting | after a second with a bid, and another answer: then it claims, or yields; or when the owner is heard |
//! | claiming | when the claim was refused; won, the detector is over |
//!
//! An owner that says that it runs the room, or that some relay has heard a moment ago, is left alone, however long this
//! node hears nothing of it; so is one that this node has never heard, until its key is gone or its process answers for itself. Only one whose key is gone and stays gone is claimed over all the same, so that the room can
//! be moderated again: its lease has ended, and it has had the time to put the key back.
//!
//! A claim is contested unless the key is gone or the owner's process is: silence may be that of a cut, on whose other side the
//! owner plays on. Who reaches more is told by bids in the directory, and compared by whoever bids.
//!
//! It does not know how the owner is asked; whoever asks answers with one answer to each question, and drops an answer to an
//! earlier one.
//!
//! Invariants: every claim follows an answer to a question asked since this node last was paused; questions are
//! [`ASK_APART`] apart.

use std::time::Duration;

use stentor_pace::{Backoff, Deadline, Time, soonest};

use crate::timing::{
    ANSWER, ASK, ASK_APART, CONTEST, HEARD, PATIENCE, PAUSE, RECONNECT, REFUSED, REFUSED_CAP, REST, SILENT,
};

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Ask the owner and the relays, and tell by [`Detector::answered`].
    Ask,
    /// Bid for the room, and tell by [`Detector::bid`].
    Contest,
    /// Claim the room; tell by [`Detector::refused`] if it came to nothing.
    Claim {
        /// A second has passed since the bid: who is outbid does not claim, and tells by [`Detector::yields`].
        contested: bool,
    },
}

/// What came of asking.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answer {
    /// The owner itself says that it runs the room.
    pub runs: bool,
    /// Whoever is where the owner was refuses the connection, or says that it does not run the room: that process has ended,
    /// or has let the room go. Silence is no such answer.
    pub gone: bool,
    /// How long ago the owner was last heard, by whichever relay heard it last.
    pub heard: Option<Duration>,
}

/// Why the detector wakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// The owner's stream has brought nothing for too long.
    Silent,
    /// The owner's stream broke and did not come back.
    Lost,
    /// The view shows no owner.
    Unowned,
    /// The pause is over.
    Rested,
    /// No answer came.
    Unanswered,
    /// While it contests the owner, it is asked about once more.
    Contests,
    /// The owner is given up.
    Decided,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Hearing,
    Asking,
    Resting {
        until: Time,
    },
    Decided {
        at: Time,
        contested: bool,
    },
    /// With a bid that was made then, or is being made.
    Contesting {
        bid: Option<Time>,
        asked: Asked,
    },
    Claiming,
}

/// How far the question is that is asked while the owner is contested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    NotYet,
    Open,
    Answered,
}

/// A mirror's watch over its room's owner. A room whose owner changes gets a new one.
#[derive(Debug, Clone)]
pub struct Detector {
    phase: Phase,
    /// When the owner was last heard, or when the detector began.
    heard: Time,
    /// Since when its stream is broken.
    lost: Option<Time>,
    /// Since when the view shows no owner.
    unowned: Option<Time>,
    /// When the last question was asked.
    asked: Option<Time>,
    since: Option<Time>,
    /// Anything has come on the owner's stream since this node mirrors it.
    met: bool,
    refusals: Backoff,
}

impl Detector {
    /// Begins as if the owner had just been heard.
    #[must_use]
    pub fn new(now: Time) -> Self {
        Self {
            phase: Phase::Hearing,
            heard: now,
            lost: None,
            unowned: None,
            asked: None,
            since: None,
            met: false,
            refusals: Backoff::new(REFUSED, REFUSED_CAP),
        }
    }

    /// Begins anew over the same owner, whose key is another.
    #[must_use]
    pub fn again(&self, now: Time) -> Self {
        Self { met: self.met, ..Self::new(now) }
    }

    /// Something came on the owner's stream.
    pub fn heard(&mut self, now: Time) {
        self.met = true;
        self.lives(now);
    }

    /// The owner lives, whoever it was heard by.
    fn lives(&mut self, now: Time) {
        self.heard = now;
        self.lost = None;
        match self.phase {
            // A claim under way cannot be called back.
            Phase::Claiming => {}
            _ if self.unowned.is_none() => {
                self.phase = Phase::Hearing;
                self.since = None;
                self.refusals.reset();
            }
            // It lives, but a room without an owner key stays in doubt.
            Phase::Decided { .. } if !self.has_waited(now) => self.rest(now),
            _ => {}
        }
    }

    /// The owner's stream broke, or could not be made.
    pub fn lost(&mut self, now: Time) {
        self.notice_pause(now);
        self.lost.get_or_insert(now);
    }

    /// A current view shows that nobody owns the room.
    pub fn unowned(&mut self, now: Time) {
        self.notice_pause(now);
        self.unowned.get_or_insert(now);
        if self.contests() {
            // There is nothing to contest any more; whether it lives is asked as ever.
            self.phase = Phase::Hearing;
        }
    }

    /// A current view shows the owner. One that has put its key back lives.
    pub fn owned(&mut self, now: Time) {
        self.notice_pause(now);
        if self.unowned.take().is_some() {
            self.lives(now);
        }
    }

    /// What came of the last question.
    pub fn answered(&mut self, now: Time, answer: Answer) {
        self.notice_pause(now);
        let contests = matches!(self.phase, Phase::Contesting { asked: Asked::Open, .. });
        if self.phase != Phase::Asking && !contests {
            return;
        }
        let alive = answer.runs || answer.heard.is_some_and(|ago| ago < HEARD) || self.hears(now);
        // Whoever has never heard an owner cannot tell that it has failed from that it was never to be heard here: as after a
        // claim by the side of a cut that this node is not on. Then only a key that is gone is claimed.
        let unmet = !self.met && !answer.gone && self.unowned.is_none();
        if (alive || unmet) && !self.has_waited(now) {
            self.rest(now);
            return;
        }
        let contested = !answer.gone && self.unowned.is_none();
        self.phase = match self.phase {
            Phase::Contesting { bid, .. } if contested => Phase::Contesting { bid, asked: Asked::Answered },
            _ => Phase::Decided { at: now, contested },
        };
    }

    /// The bid is made, and the contest's time begins; or it could not be.
    pub fn bid(&mut self, now: Time, made: bool) {
        match &mut self.phase {
            Phase::Contesting { bid, .. } if made => {
                bid.get_or_insert(now);
            }
            Phase::Contesting { .. } => self.rest(now),
            _ => {}
        }
    }

    /// This node is outbid, and does not claim.
    pub fn yields(&mut self, now: Time) {
        if self.phase == Phase::Claiming {
            self.rest(now);
        }
    }

    /// Whether the owner is being contested: then this node's bid is to stand.
    #[must_use]
    pub const fn contests(&self) -> bool {
        matches!(self.phase, Phase::Contesting { .. })
    }

    /// The claim was lost, or is not possible now.
    pub fn refused(&mut self, now: Time) {
        if self.phase == Phase::Claiming {
            // Nobody else claims by this clock, so there is nothing to jitter.
            self.phase = Phase::Resting { until: now + self.refusals.next(u64::MAX) };
        }
    }

    /// What is due now. To be called again until there is nothing, and then at [`next_deadline`](Self::next_deadline).
    pub fn poll(&mut self, now: Time) -> Option<Act> {
        self.notice_pause(now);
        let due = self.next_deadline().filter(|deadline| deadline.is_due(now))?;
        match (self.phase, due.why) {
            (Phase::Decided { contested: true, .. }, _) => {
                self.phase = Phase::Contesting { bid: None, asked: Asked::NotYet };
                return Some(Act::Contest);
            }
            (_, Wake::Decided) => {
                let contested = self.contests();
                self.phase = Phase::Claiming;
                return Some(Act::Claim { contested });
            }
            // Nobody claims without an answer.
            (Phase::Contesting { .. }, Wake::Unanswered) => {
                self.rest(now);
                return None;
            }
            (Phase::Contesting { bid, .. }, _) => {
                self.asked = Some(now);
                self.phase = Phase::Contesting { bid, asked: Asked::Open };
                return Some(Act::Ask);
            }
            _ => {}
        }
        let silent = (due.why == Wake::Silent).then_some(self.heard);
        let signs = [self.since, self.lost, self.unowned, silent];
        self.since = signs.into_iter().flatten().min();
        self.asked = Some(now);
        self.phase = Phase::Asking;
        Some(Act::Ask)
    }

    /// When to poll next, and why; `None` while a claim is under way, or a bid.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Deadline<Wake>> {
        let free = self.asked.map_or(Time::default(), |asked| asked + ASK_APART);
        let ask = |at: Time, why| Some(Deadline::new(at.max(free), why));
        match self.phase {
            Phase::Hearing => soonest([
                self.unowned.and_then(|since| ask(since, Wake::Unowned)),
                self.lost.and_then(|since| ask(since + RECONNECT, Wake::Lost)),
                ask(self.heard + SILENT, Wake::Silent),
            ]),
            Phase::Asking => self.asked.map(|asked| Deadline::new(asked + ANSWER, Wake::Unanswered)),
            Phase::Resting { until } => ask(until, Wake::Rested),
            Phase::Decided { at, .. } => Some(Deadline::new(at, Wake::Decided)),
            Phase::Contesting { bid: None, .. } | Phase::Claiming => None,
            Phase::Contesting { bid: Some(bid), asked } => match asked {
                // So that the answer is there by the end.
                Asked::NotYet => ask(bid + CONTEST.saturating_sub(ASK), Wake::Contests),
                Asked::Open => self.asked.map(|asked| Deadline::new(asked + ANSWER, Wake::Unanswered)),
                Asked::Answered => Some(Deadline::new(bid + CONTEST, Wake::Decided)),
            },
        }
    }

    /// The first sign that led to the question or claim under way: when the stream broke, fell silent, or the owner key
    /// went. `None` while nothing is in doubt.
    #[must_use]
    pub const fn since(&self) -> Option<Time> {
        self.since
    }

    fn rest(&mut self, now: Time) {
        self.phase = Phase::Resting { until: now + REST };
    }

    /// Whether the owner has had its time to put its key back.
    fn has_waited(&self, now: Time) -> bool {
        self.unowned.is_some_and(|since| now.since(since) >= PATIENCE)
    }

    /// Whether the owner's stream stands and has not fallen silent.
    fn hears(&self, now: Time) -> bool {
        self.lost.is_none() && now.since(self.heard) < SILENT
    }

    /// If this node has been paused, what it did not hear proves nothing: everything begins anew.
    fn notice_pause(&mut self, now: Time) {
        let paused = self.next_deadline().is_some_and(|deadline| now.since(deadline.at) > PAUSE);
        if paused {
            self.phase = Phase::Hearing;
            self.heard = now;
            self.lost = self.lost.map(|_| now);
            self.unowned = self.unowned.map(|_| now);
            self.since = None;
        }
    }
}
