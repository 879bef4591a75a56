//! One claim, by a node that does not run the room, of an office that nobody holds. When it is this node's turn
//! is `stentor-placement`'s to say.
//!
//! | step | then |
//! |---|---|
//! | of an owner's office: ask the former owner, if there is one and the office has not been empty for [`PATIENCE`] | it runs the room: come back; else claim |
//! | of a mirror's: ask the owner | it runs the room: claim; else come back |
//! | claim | won: run the room; another was faster: lost; else come back |
//! | run | it runs: won; else give the key up and come back |
//!
//! Invariants: nobody claims from an owner that answers, but one that has had the time to put its key back; nobody takes the
//! mirror's office of an owner that it does not reach, for it could not follow it, and would find it lost at once.

use std::time::Duration;

use crate::timing::{ASK_AGAIN, CLAIM_AGAIN, COLD_AHEAD, PATIENCE, REACH_AGAIN};

/// What to do next; its end is told to [`Candidacy::next`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Ask the former owner whether it runs the room.
    AskFormer,
    /// Ask the owner whether it runs the room.
    AskOwner,
    /// Claim the office; as an owner so many slots ahead of the wall clock.
    Claim {
        /// In slots.
        ahead: u64,
    },
    /// Run the room.
    Run,
    /// Give the key up that was claimed, and come back after this time.
    Withdraw(Duration),
    /// It is over.
    Over(Outcome),
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// Whether the owner, or the former owner, says that it runs the room.
    Answered {
        /// It does.
        runs: bool,
    },
    /// The office is this node's by the directory.
    Claimed,
    /// Another node was faster.
    Faster,
    /// The room runs.
    Runs,
    /// The step could not be done.
    Failed,
}

/// How a candidacy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// This node holds the office.
    Won,
    /// Another node was faster.
    Lost,
    /// Not now; to be looked at again after this time.
    NotYet(Duration),
}

/// A claim under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidacy(Step);

impl Candidacy {
    /// Begins a claim of an owner's office that has been empty for so long; `former` tells whether there is someone to ask.
    #[must_use]
    pub fn of_owner(empty: Duration, former: bool) -> Self {
        Self(if former && empty < PATIENCE { Step::AskFormer } else { Step::Claim { ahead: COLD_AHEAD } })
    }

    /// Begins a claim of a mirror's office.
    #[must_use]
    pub const fn of_mirror() -> Self {
        Self(Step::AskOwner)
    }

    /// What to do now.
    #[must_use]
    pub const fn step(&self) -> Step {
        self.0
    }

    /// What to do next. What cannot have come of the step under way changes nothing.
    pub fn next(&mut self, came: Came) -> Step {
        self.0 = match (self.0, came) {
            (Step::AskFormer, Came::Answered { runs: true }) => Step::Over(Outcome::NotYet(ASK_AGAIN)),
            // Who does not answer, or says no, is not asked again.
            (Step::AskFormer, Came::Answered { runs: false } | Came::Failed) => {
                Step::Claim { ahead: COLD_AHEAD }
            }
            (Step::AskOwner, Came::Answered { runs: true }) => Step::Claim { ahead: 0 },
            (Step::AskOwner, Came::Answered { runs: false } | Came::Failed) => {
                Step::Over(Outcome::NotYet(REACH_AGAIN))
            }
            (Step::Claim { .. }, Came::Claimed) => Step::Run,
            (Step::Claim { .. }, Came::Faster) => Step::Over(Outcome::Lost),
            (Step::Claim { .. }, Came::Failed) => Step::Over(Outcome::NotYet(CLAIM_AGAIN)),
            (Step::Run, Came::Runs) => Step::Over(Outcome::Won),
            (Step::Run, Came::Failed) => Step::Withdraw(CLAIM_AGAIN),
            (Step::Withdraw(wait), _) => Step::Over(Outcome::NotYet(wait)),
            (step, _) => step,
        };
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(mut candidacy: Candidacy, came: &[Came]) -> Vec<Step> {
        let first = candidacy.step();
        let next: Vec<_> = came.iter().map(|came| candidacy.next(*came)).collect();
        [vec![first], next].concat()
    }

    const CLAIM: Step = Step::Claim { ahead: COLD_AHEAD };

    #[test]
    fn a_former_owner_that_runs_the_room_is_left_alone_until_its_patience_is_over() {
        let asked = Candidacy::of_owner(PATIENCE - Duration::from_millis(1), true);
        let left = Step::Over(Outcome::NotYet(ASK_AGAIN));
        assert_eq!(steps(asked, &[Came::Answered { runs: true }]), [Step::AskFormer, left]);
        assert_eq!(steps(asked, &[Came::Answered { runs: false }]), [Step::AskFormer, CLAIM]);
        assert_eq!(steps(asked, &[Came::Failed]), [Step::AskFormer, CLAIM]);
        assert_eq!(Candidacy::of_owner(PATIENCE, true).step(), CLAIM);
        assert_eq!(Candidacy::of_owner(Duration::ZERO, false).step(), CLAIM);
    }

    #[test]
    fn nobody_mirrors_an_owner_that_it_does_not_reach() {
        let again = Step::Over(Outcome::NotYet(REACH_AGAIN));
        for came in [Came::Answered { runs: false }, Came::Failed] {
            assert_eq!(steps(Candidacy::of_mirror(), &[came]), [Step::AskOwner, again]);
        }
        let reached = [Step::AskOwner, Step::Claim { ahead: 0 }, Step::Run];
        assert_eq!(steps(Candidacy::of_mirror(), &[Came::Answered { runs: true }, Came::Claimed]), reached);
    }

    #[test]
    fn a_claim_that_is_won_runs_the_room_or_gives_the_key_up() {
        let claim = Candidacy::of_owner(Duration::ZERO, false);
        let won = [CLAIM, Step::Run, Step::Over(Outcome::Won)];
        assert_eq!(steps(claim, &[Came::Claimed, Came::Runs]), won);
        let again = Step::Over(Outcome::NotYet(CLAIM_AGAIN));
        let failed = [CLAIM, Step::Run, Step::Withdraw(CLAIM_AGAIN), again];
        assert_eq!(steps(claim, &[Came::Claimed, Came::Failed, Came::Failed]), failed);
        assert_eq!(steps(claim, &[Came::Faster]), [CLAIM, Step::Over(Outcome::Lost)]);
        assert_eq!(steps(claim, &[Came::Failed]), [CLAIM, again]);
    }

    #[test]
    fn what_comes_twice_or_of_another_step_changes_nothing() {
        let claim = Candidacy::of_owner(Duration::ZERO, false);
        let came = [Came::Answered { runs: true }, Came::Runs, Came::Claimed, Came::Claimed];
        assert_eq!(steps(claim, &came), [CLAIM, CLAIM, CLAIM, Step::Run, Step::Run]);
        let over = steps(claim, &[Came::Faster, Came::Claimed, Came::Failed]);
        assert_eq!(over.last(), Some(&Step::Over(Outcome::Lost)));
    }
}
