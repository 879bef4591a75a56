//! What this edge has been told of rooms that it does not play, and whether a name is asked for. Pure.
//!
//! Rooms that are there and names that are none are kept apart. Until it has asked, an edge cannot tell a room from a name
//! that somebody made up, so what is bounded is how often it asks for a name that it has heard nothing of: for each
//! connection, and for the edge as a whole. A name that turns out to be a room costs neither of the two anything.
//!
//! | the room is | and was told | then |
//! |---|---|---|
//! | known | less than [`FRESH`] ago | that is the answer |
//! | known | less than [`STALE`] ago | that is the answer, and it is asked for anew meanwhile |
//! | known | longer ago | it is asked for; if nobody can say, what was told is the answer for [`KEPT`] |
//! | none | less than [`FRESH_NONE`] ago | that there is none |
//! | neither | | it is asked for within the bounds, and by who holds a ticket for it whatever they say |
//!
//! Invariants: a known room is never refused and never forgotten because of names that are none; one question about a room
//! is under way at a time.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use stentor_ids::{Code, Fault, RoomId};
use stentor_pace::{Time, TokenBucket};
use stentor_proto::v1;

/// What is told of a room.
pub(super) type Found = Result<Arc<v1::RoomStatus>, Fault>;

/// How old an answer may be that is given without asking anew, and one that is given while it is asked for anew. A room
/// that goes live is heard of within the second.
const FRESH: Duration = Duration::from_millis(500);
const STALE: Duration = Duration::from_secs(1);
/// How old an answer may be that is given when nobody above can say: as long as relays may take to come back.
const KEPT: Duration = Duration::from_secs(30);
/// How long a name is none. A room that is made is heard of within this.
const FRESH_NONE: Duration = Duration::from_secs(1);
/// A question that has had no answer for this long was lost: the locator gives up after a second.
const LOST: Duration = Duration::from_secs(3);
/// Rooms that are remembered: as many as a large cluster has at once. Beyond it the quarter that was asked for longest ago
/// is forgotten, and asked about again when it is wanted.
const MAX_KNOWN: usize = 8192;
/// Names nobody has heard of that an edge asks about: a second, and at once, as when it has just started and the audiences
/// of that many rooms come. Two relays are asked each time: 64 edges full of guesses cost a relay 6,400 answers from
/// memory a second, a sixth of a core. Beyond it the asker is told to come back.
const GUESSES: u32 = 200;
const GUESSES_AT_ONCE: u32 = 1000;
/// The same for one connection: nobody mistypes a name faster, and a proxy in front of many people has some room.
const OF_ONE: u32 = 5;
const OF_ONE_AT_ONCE: u32 = 20;

/// What is known of rooms.
#[derive(Debug)]
pub(super) struct Answers {
    known: HashMap<RoomId, Known>,
    /// Names that are none, until when. As few as [`GUESSES`] lets through within [`FRESH_NONE`].
    none: HashMap<RoomId, Time>,
    /// The same, oldest first.
    none_until: VecDeque<(Time, RoomId)>,
    /// Names that are asked about, since when, and whether they were paid for as guesses.
    asked: HashMap<RoomId, (Time, bool)>,
    guesses: TokenBucket,
}

/// A room that is there.
#[derive(Debug)]
struct Known {
    status: Arc<v1::RoomStatus>,
    /// When it was told.
    since: Time,
    /// When it was last asked for, with or without success.
    tried: Time,
    /// When somebody last wanted to know.
    wanted: Time,
}

/// What comes of a look at a room.
#[derive(Debug, PartialEq)]
pub(super) enum Look {
    /// This is how it is.
    Told(Found),
    /// The same; and it is to be asked for.
    Refresh(Arc<v1::RoomStatus>),
    /// It is to be asked for, and the answer to be waited for.
    Ask,
    /// Somebody asks already; that answer is to be waited for.
    Wait,
}

/// What one connection may ask about names that nobody has heard of.
pub(super) fn of_one() -> TokenBucket {
    TokenBucket::new(OF_ONE, Duration::from_secs(1), OF_ONE_AT_ONCE)
}

impl Answers {
    pub(super) fn new() -> Self {
        Self {
            known: HashMap::new(),
            none: HashMap::new(),
            none_until: VecDeque::new(),
            asked: HashMap::new(),
            guesses: TokenBucket::new(GUESSES, Duration::from_secs(1), GUESSES_AT_ONCE),
        }
    }

    /// Looks a room up for a connection that has `guesses` left, or for someone who need not guess. What is to be asked
    /// for counts as asked for from now on, until [`Answers::told`].
    pub(super) fn look(&mut self, now: Time, room: &RoomId, guesses: Option<&mut TokenBucket>) -> Look {
        let asked = self.asked.get(room).is_some_and(|(since, _)| now.since(*since) < LOST);
        if let Some(known) = self.known.get_mut(room) {
            known.wanted = now;
            let (age, tried) = (now.since(known.since), now.since(known.tried));
            let status = known.status.clone();
            if tried < FRESH && age < KEPT || asked && age < STALE {
                return Look::Told(Ok(status));
            }
            if !asked {
                self.asked.insert(room.clone(), (now, false));
            }
            return match (age < STALE, asked) {
                (true, _) => Look::Refresh(status),
                (false, true) => Look::Wait,
                (false, false) => Look::Ask,
            };
        }
        if asked {
            return Look::Wait;
        }
        if self.none.get(room).is_some_and(|until| now < *until) {
            return Look::Told(Err(none(room)));
        }
        let guessed = guesses.is_some();
        if let Some(guesses) = guesses
            && let Err(fault) = self.pay(now, guesses)
        {
            return Look::Told(Err(fault));
        }
        self.asked.insert(room.clone(), (now, guessed));
        Look::Ask
    }

    /// What was found of a room that was asked for, by the connection with these `guesses`; and what is to be told of it.
    pub(super) fn told(
        &mut self,
        now: Time,
        room: &RoomId,
        found: Found,
        guesses: Option<&mut TokenBucket>,
    ) -> Found {
        let guessed = self.asked.remove(room).is_some_and(|(_, guessed)| guessed);
        match found {
            Ok(status) => {
                if guessed {
                    self.guesses.put_back(1);
                    if let Some(guesses) = guesses {
                        guesses.put_back(1);
                    }
                }
                self.learn(now, room, status.clone());
                Ok(status)
            }
            Err(fault) if fault.code == Code::UnknownRoom => {
                self.known.remove(room);
                self.forget_none(now);
                let until = now + FRESH_NONE;
                self.none.insert(room.clone(), until);
                self.none_until.push_back((until, room.clone()));
                Err(fault)
            }
            Err(fault) => {
                let known = self.known.get_mut(room).filter(|known| now.since(known.since) < KEPT);
                known.map_or(Err(fault), |known| {
                    known.tried = now;
                    Ok(known.status.clone())
                })
            }
        }
    }

    fn learn(&mut self, now: Time, room: &RoomId, status: Arc<v1::RoomStatus>) {
        self.none.remove(room);
        if let Some(known) = self.known.get_mut(room) {
            (known.status, known.since, known.tried) = (status, now, now);
            return;
        }
        if self.known.len() >= MAX_KNOWN {
            let mut wanted: Vec<_> = self.known.values().map(|known| known.wanted).collect();
            let (_, oldest, _) = wanted.select_nth_unstable(MAX_KNOWN / 4);
            self.known.retain(|_, known| known.wanted > *oldest);
        }
        self.known.insert(room.clone(), Known { status, since: now, tried: now, wanted: now });
    }

    /// Takes a guess out of what the connection has left and out of what the edge has.
    fn pay(&mut self, now: Time, guesses: &mut TokenBucket) -> Result<(), Fault> {
        if !guesses.take(now, 1) {
            let detail = format!("more than {OF_ONE} rooms a second that are not known here were asked for");
            return Err(Fault::new(Code::TooFast, detail).retry_after(guesses.wait(now, 1)));
        }
        if !self.guesses.take(now, 1) {
            guesses.put_back(1);
            let detail = format!(
                "more than {GUESSES} rooms a second that are not known here were asked for at this edge"
            );
            return Err(Fault::new(Code::Overloaded, detail).retry_after(self.guesses.wait(now, 1)));
        }
        Ok(())
    }

    fn forget_none(&mut self, now: Time) {
        while self.none_until.front().is_some_and(|(until, _)| *until <= now)
            && let Some((_, room)) = self.none_until.pop_front()
        {
            self.none.remove(&room);
        }
    }
}

fn none(room: &RoomId) -> Fault {
    Fault::new(Code::UnknownRoom, format!("there is no room {room}; check its name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    struct Edge {
        answers: Answers,
        now: Time,
    }

    impl Edge {
        fn new() -> Self {
            Self { answers: Answers::new(), now: Time::from_millis(5000) }
        }

        fn look(&mut self, name: &str, guesses: &mut TokenBucket) -> Look {
            self.answers.look(self.now, &room(name), Some(guesses))
        }

        fn told(&mut self, name: &str, found: Found, guesses: &mut TokenBucket) -> Found {
            self.answers.told(self.now, &room(name), found, Some(guesses))
        }

        /// Knows a room from now on.
        fn learns(&mut self, name: &str, version: u64) {
            let mut guesses = of_one();
            assert_eq!(self.look(name, &mut guesses), Look::Ask);
            assert_eq!(self.told(name, Ok(there(version)), &mut guesses), Ok(there(version)));
        }

        /// Asks about a name that is none, and says whether it was let.
        fn guesses(&mut self, name: &str, guesses: &mut TokenBucket) -> Result<(), Fault> {
            match self.look(name, guesses) {
                Look::Ask => {
                    self.told(name, Err(none(&room(name))), guesses).unwrap_err();
                    Ok(())
                }
                Look::Told(Err(fault)) => Err(fault),
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    fn room(name: &str) -> RoomId {
        RoomId::new(name).unwrap()
    }

    fn there(stage_version: u64) -> Arc<v1::RoomStatus> {
        Arc::new(v1::RoomStatus { stage_version, ..v1::RoomStatus::default() })
    }

    fn gone() -> Found {
        Err(Fault::new(Code::NodeUnavailable, "nobody answers"))
    }

    #[test]
    fn a_room_is_asked_for_once_and_its_answer_is_never_older_than_a_second_while_relays_answer() {
        let (mut edge, mut guesses) = (Edge::new(), of_one());
        edge.learns("talk", 1);
        edge.now = edge.now + FRESH - Duration::from_millis(1);
        assert_eq!(edge.look("talk", &mut guesses), Look::Told(Ok(there(1))));
        edge.now = edge.now + Duration::from_millis(1);
        assert_eq!(edge.look("talk", &mut guesses), Look::Refresh(there(1)));
        assert_eq!(edge.look("talk", &mut guesses), Look::Told(Ok(there(1))), "one question at a time");
        edge.now = edge.now + (STALE - FRESH);
        assert_eq!(edge.look("talk", &mut guesses), Look::Wait, "it is too old to be told");
        assert_eq!(edge.told("talk", Ok(there(2)), &mut guesses), Ok(there(2)));
        assert_eq!(edge.look("talk", &mut guesses), Look::Told(Ok(there(2))));
        edge.now = edge.now + 10 * SECOND;
        assert_eq!(edge.look("talk", &mut guesses), Look::Ask);
        assert_eq!(edge.look("talk", &mut guesses), Look::Wait);
        edge.now = edge.now + LOST;
        assert_eq!(edge.look("talk", &mut guesses), Look::Ask, "the question was lost");
    }

    #[test]
    fn what_was_told_is_told_on_for_half_a_minute_while_nobody_can_say() {
        let (mut edge, mut guesses) = (Edge::new(), of_one());
        edge.learns("talk", 1);
        let told_at = edge.now;
        edge.now = edge.now + 2 * SECOND;
        assert_eq!(edge.look("talk", &mut guesses), Look::Ask);
        assert_eq!(edge.told("talk", gone(), &mut guesses), Ok(there(1)));
        assert_eq!(edge.look("talk", &mut guesses), Look::Told(Ok(there(1))), "nobody waits again at once");
        edge.now = told_at + KEPT - Duration::from_millis(1);
        assert_eq!(edge.look("talk", &mut guesses), Look::Ask);
        edge.now = told_at + KEPT;
        assert_eq!(edge.told("talk", gone(), &mut guesses), gone());
        assert_eq!(edge.look("talk", &mut guesses), Look::Ask, "it is a room all the same, and no guess");
        assert_eq!(edge.told("talk", Err(none(&room("talk"))), &mut guesses), Err(none(&room("talk"))));
        assert_eq!(edge.look("talk", &mut guesses), Look::Told(Err(none(&room("talk")))));
    }

    #[test]
    fn a_connection_that_makes_names_up_is_told_when_to_come_back_and_nobody_else_is() {
        let (mut edge, mut guesser, mut other) = (Edge::new(), of_one(), of_one());
        edge.learns("soon", 1);
        let mut let_through = 0;
        for number in 0..20_000 {
            edge.now = edge.now + Duration::from_micros(50);
            match edge.guesses(&format!("guess-{number}"), &mut guesser) {
                Ok(()) => let_through += 1,
                Err(fault) => {
                    assert_eq!(fault.code, Code::TooFast);
                    assert!(fault.retry_after.is_some_and(|wait| !wait.is_zero() && wait <= SECOND / OF_ONE));
                }
            }
        }
        assert!(let_through <= OF_ONE_AT_ONCE + OF_ONE, "{let_through} names were asked for");
        edge.learns("new", 1);
        assert_eq!(edge.look("new", &mut guesser), Look::Told(Ok(there(1))));
        assert_eq!(edge.look("soon", &mut guesser), Look::Ask, "it is a known room");
        edge.guesses("typo", &mut other).unwrap();
    }

    #[test]
    fn an_edge_full_of_guesses_knows_its_rooms_and_lets_in_who_holds_a_ticket() {
        let mut edge = Edge::new();
        for number in 0..MAX_KNOWN {
            edge.learns(&format!("room-{number}"), 1);
        }
        let (mut let_through, mut refused) = (0, 0);
        for number in 0..20_000 {
            edge.now = edge.now + Duration::from_micros(50);
            match edge.guesses(&format!("guess-{number}"), &mut of_one()) {
                Ok(()) => let_through += 1,
                Err(fault) => {
                    assert_eq!(fault.code, Code::Overloaded);
                    assert!(fault.retry_after.is_some_and(|wait| !wait.is_zero()));
                    refused += 1;
                }
            }
            assert!(edge.answers.none.len() <= (GUESSES_AT_ONCE + GUESSES) as usize);
        }
        assert!(let_through <= GUESSES_AT_ONCE + GUESSES && refused > 18_000, "{let_through}, {refused}");
        for number in 0..MAX_KNOWN {
            let looked = edge.look(&format!("room-{number}"), &mut of_one());
            assert!(matches!(looked, Look::Told(Ok(_)) | Look::Refresh(_) | Look::Ask), "{looked:?}");
        }
        assert_eq!(edge.answers.look(edge.now, &room("private"), None), Look::Ask);
        edge.now = edge.now + FRESH_NONE;
        edge.guesses("later", &mut of_one()).unwrap();
        assert_eq!((edge.answers.none.len(), edge.answers.none_until.len()), (1, 1));
    }

    #[test]
    fn a_name_that_is_none_is_asked_for_again_after_a_second_and_may_be_a_room_then() {
        let (mut edge, mut guesses) = (Edge::new(), of_one());
        edge.guesses("talk", &mut guesses).unwrap();
        edge.now = edge.now + FRESH_NONE - Duration::from_millis(1);
        assert_eq!(edge.look("talk", &mut guesses), Look::Told(Err(none(&room("talk")))));
        edge.now = edge.now + Duration::from_millis(1);
        edge.learns("talk", 1);
        assert_eq!(edge.look("talk", &mut guesses), Look::Told(Ok(there(1))));
    }

    #[test]
    fn rooms_cost_no_guesses_and_beyond_the_bound_those_wanted_longest_ago_are_forgotten() {
        let (mut edge, mut guesses) = (Edge::new(), of_one());
        for number in 0..=MAX_KNOWN {
            edge.now = edge.now + Duration::from_micros(1);
            let name = format!("room-{number}");
            assert_eq!(edge.look(&name, &mut guesses), Look::Ask, "{name}");
            edge.told(&name, Ok(there(1)), &mut guesses).unwrap();
        }
        assert!(edge.answers.known.len() <= MAX_KNOWN);
        assert!(!edge.answers.known.contains_key(&room("room-0")));
        assert!(edge.answers.known.contains_key(&room(&format!("room-{MAX_KNOWN}"))));
        assert!(edge.answers.asked.is_empty());
    }
}
