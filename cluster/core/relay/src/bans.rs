//! Who may not hear a room, as words that are told down the tree: a participant is banned, or no more. The newest word on a
//! participant counts, so that words may come by several ways, twice, and late.
//!
//! An owner that begins says all of its bans anew, above everything said before; who has been told all of them forgets what
//! is below ([`Bans::whole`]). A reader keeps nothing but the serial of the last word that it was given: it is given the
//! newest word on each participant and never an older one, so that whoever comes late reads each ban once.
//!
//! Invariants: at most one word for each participant; never more than [`MAX_WORDS`].

use std::collections::{BTreeMap, HashMap};

use stentor_ids::ParticipantId;

/// Words that are held: the bans that a room may have, and as many that were lifted. Beyond it a new word is not taken,
/// which no owner of ours comes to: it says all anew when there are [`MAX_LIFTED`] that were lifted.
pub const MAX_WORDS: usize = 40_000;
/// Words on lifted bans that an owner keeps before it says all anew: far more than people lift in one event.
pub const MAX_LIFTED: usize = 1_000;

/// A word on one participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// On whom.
    pub participant: ParticipantId,
    /// Grows with each word, over all owners of the room.
    pub serial: u64,
    /// Whether the ban is lifted.
    pub lifted: bool,
}

/// The words on a room's bans.
#[derive(Debug, Default)]
pub struct Bans {
    words: BTreeMap<u64, (ParticipantId, bool)>,
    serials: HashMap<ParticipantId, u64>,
    lifted: usize,
    /// Words at or below are over.
    whole_above: u64,
}

impl Bans {
    /// Whether a participant is banned.
    #[must_use]
    pub fn is_banned(&self, participant: &ParticipantId) -> bool {
        let word = self.serials.get(participant).and_then(|serial| self.words.get(serial));
        word.is_some_and(|(_, lifted)| !lifted)
    }

    /// Takes a word in, and says whether it is news.
    pub fn take(&mut self, word: Word) -> bool {
        let Word { participant, serial, lifted } = word;
        let known = self.serials.get(&participant).copied();
        let taken = known.is_none_or(|known| known < serial)
            && serial > self.whole_above
            && !self.words.contains_key(&serial)
            && (known.is_some() || self.words.len() < MAX_WORDS);
        if taken {
            self.forget(known);
            self.lifted += usize::from(lifted);
            self.serials.insert(participant.clone(), serial);
            self.words.insert(serial, (participant, lifted));
        }
        taken
    }

    /// All words above this serial were taken: those at or below it are over. Says whether that is news.
    pub fn whole(&mut self, above: u64) -> bool {
        let rises = above > self.whole_above;
        if rises {
            self.whole_above = above;
            while let Some(word) = self.words.first_entry().filter(|word| *word.key() <= above) {
                let (participant, lifted) = word.remove();
                self.lifted -= usize::from(lifted);
                self.serials.remove(&participant);
            }
        }
        rises
    }

    /// An owner's word on a participant, above all that were said.
    pub fn say(&mut self, participant: ParticipantId, lifted: bool) {
        let serial = self.newest() + 1;
        self.take(Word { participant, serial, lifted });
        if self.lifted > MAX_LIFTED {
            let banned: Vec<_> = self.banned().cloned().collect();
            self.say_all(0, banned);
        }
    }

    /// An owner's word on everyone: these are banned, and nobody else is. It is above `least` and all that were said.
    pub fn say_all(&mut self, least: u64, banned: impl IntoIterator<Item = ParticipantId>) {
        let above = self.newest().max(least);
        self.whole(above);
        for (serial, participant) in (above + 1..).zip(banned) {
            self.take(Word { participant, serial, lifted: false });
        }
    }

    /// The first words above a serial, `most` of them.
    #[must_use]
    pub fn after(&self, serial: u64, most: usize) -> Vec<Word> {
        let word = |(serial, (participant, lifted)): (&u64, &(ParticipantId, bool))| Word {
            participant: participant.clone(),
            serial: *serial,
            lifted: *lifted,
        };
        self.words.range(serial.saturating_add(1)..).take(most).map(word).collect()
    }

    /// Serial of the newest word, or below which all are over.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.words.last_key_value().map_or(0, |(serial, _)| *serial).max(self.whole_above)
    }

    /// The serial at or below which no word holds.
    #[must_use]
    pub const fn whole_above(&self) -> u64 {
        self.whole_above
    }

    /// Everyone who is banned.
    pub fn banned(&self) -> impl Iterator<Item = &ParticipantId> {
        self.words.values().filter(|(_, lifted)| !lifted).map(|(participant, _)| participant)
    }

    fn forget(&mut self, serial: Option<u64>) {
        if let Some((_, lifted)) = serial.and_then(|serial| self.words.remove(&serial)) {
            self.lifted -= usize::from(lifted);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn id(n: usize) -> ParticipantId {
        ParticipantId::new(format!("p{n}")).unwrap()
    }

    fn banned(bans: &Bans) -> BTreeSet<ParticipantId> {
        bans.banned().cloned().collect()
    }

    /// Gives a reader at `place` all there is, in chunks.
    fn read(from: &Bans, place: &mut u64, to: &mut Bans, chunk: usize) {
        loop {
            let words = from.after(*place, chunk);
            let Some(last) = words.last() else { break };
            *place = last.serial;
            for word in words {
                to.take(word);
            }
        }
        to.whole(from.whole_above());
    }

    #[test]
    fn the_newest_word_counts_whichever_comes_first() {
        let word = |serial, lifted| Word { participant: id(1), serial, lifted };
        let mut bans = Bans::default();
        assert!(bans.take(word(7, true)));
        assert!(!bans.take(word(5, false)) && !bans.take(word(7, true)));
        assert!(!bans.is_banned(&id(1)));
        assert!(bans.take(word(9, false)) && bans.is_banned(&id(1)));
        assert_eq!(bans.after(0, 10), [word(9, false)]);
    }

    #[test]
    fn the_next_owner_s_word_undoes_what_was_never_saved() {
        let (mut owner, mut edge, mut place) = (Bans::default(), Bans::default(), 0);
        owner.say_all(100, [id(1), id(2)]);
        owner.say(id(3), false);
        read(&owner, &mut place, &mut edge, 2);
        assert!(edge.is_banned(&id(3)));
        let mut next = Bans::default();
        next.say_all(200, [id(1), id(2)]);
        let mut place = 0;
        read(&next, &mut place, &mut edge, 1);
        assert_eq!(banned(&edge), [id(1), id(2)].into());
        // The former owner's words come late by another way.
        read(&owner, &mut 0, &mut edge, 9);
        assert_eq!(banned(&edge), [id(1), id(2)].into());
    }

    #[test]
    fn an_owner_that_lifts_very_many_says_all_anew_and_nothing_grows() {
        let (mut owner, mut edge, mut place) = (Bans::default(), Bans::default(), 0);
        owner.say_all(0, [id(0)]);
        for n in 1..3 * MAX_LIFTED {
            owner.say(id(n), false);
            owner.say(id(n), true);
            if n % 700 == 0 {
                read(&owner, &mut place, &mut edge, 64);
            }
        }
        read(&owner, &mut place, &mut edge, 64);
        assert!(owner.words.len() <= MAX_LIFTED + 2, "{} words", owner.words.len());
        assert!(edge.words.len() <= MAX_LIFTED + 2, "{} words", edge.words.len());
        assert_eq!(banned(&edge), [id(0)].into());
    }

    #[test]
    fn no_more_words_are_taken_than_there_are_places() {
        let mut bans = Bans::default();
        for n in 0..MAX_WORDS + 5 {
            bans.take(Word { participant: id(n), serial: n as u64 + 1, lifted: false });
        }
        assert_eq!((bans.words.len(), bans.serials.len()), (MAX_WORDS, MAX_WORDS));
        assert!(bans.take(Word { participant: id(0), serial: u64::MAX - 1, lifted: true }));
    }

    proptest! {
        /// Two readers in a row, reading whenever they please, come to what the owner has.
        #[test]
        fn whoever_reads_to_the_end_has_what_the_owner_has(steps: Vec<(u8, u8)>) {
            let (mut owner, mut relay, mut edge) = (Bans::default(), Bans::default(), Bans::default());
            let (mut relay_at, mut edge_at, mut true_set) = (0, 0, BTreeSet::new());
            for (what, n) in steps {
                let who = id(usize::from(n % 16));
                match what % 8 {
                    0..=2 => { owner.say(who.clone(), false); true_set.insert(who); }
                    3 | 4 => { owner.say(who.clone(), true); true_set.remove(&who); }
                    5 => read(&owner, &mut relay_at, &mut relay, 3),
                    6 => read(&relay, &mut edge_at, &mut edge, 3),
                    _ => owner.say_all(0, true_set.iter().cloned().collect::<Vec<_>>()),
                }
            }
            read(&owner, &mut relay_at, &mut relay, 3);
            read(&relay, &mut edge_at, &mut edge, 3);
            prop_assert_eq!(banned(&owner), true_set.clone());
            prop_assert_eq!(banned(&relay), true_set.clone());
            prop_assert_eq!(banned(&edge), true_set);
        }
    }
}
