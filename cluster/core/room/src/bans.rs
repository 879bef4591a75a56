//! Who is kept out of a room: a set beside the record, in [`Bans::PARTS`] parts that are stored apart, so that one ban more
//! writes its part of them and not all.
//!
//! Which part a participant belongs to, XXH64 of the name with seed 0, is part of what is stored: builds that differ in it
//! would not find each other's bans. What a newer build wrote of a ban is kept.
//!
//! Invariant: no more than [`MAX_BANS`], each in its own part.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use stentor_ids::ParticipantId;
use twox_hash::XxHash64;

use crate::{InvalidRecord, Refusal, Unknown};

/// Participants banned from one room. A room of hundreds of thousands is raided by thousands; with the longest names it
/// is 1.4 MB, which origins read when they take the room. Beyond it a ban is refused.
pub const MAX_BANS: usize = 20_000;

/// What is kept of one ban: what a newer build knows of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Ban {
    #[serde(flatten)]
    unknown: Unknown,
}

/// Some of a room's bans, by participant. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BanPart(Arc<BTreeMap<ParticipantId, Ban>>);

impl BanPart {
    /// The part as it is stored: JSON; nothing where nobody is banned.
    ///
    /// # Panics
    /// Never: a part holds nothing that JSON cannot express.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        if self.0.is_empty() {
            return Vec::new();
        }
        serde_json::to_vec(self).expect("a part holds only strings and maps with string keys")
    }
}

/// Who is banned from a room. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bans {
    parts: Vec<BanPart>,
    len: usize,
}

impl Default for Bans {
    fn default() -> Self {
        Self { parts: vec![BanPart::default(); Self::PARTS], len: 0 }
    }
}

impl Bans {
    /// In how many parts they are stored: enough that a ban writes a few kilobytes, few enough to be written anew in a few
    /// transactions of the directory.
    pub const PARTS: usize = 64;

    /// Reads stored parts, each with its number. Parts that are not given are empty.
    ///
    /// # Errors
    /// A number is none, a part does not parse or has a ban that is another's, or they are too many.
    pub fn decode<B: AsRef<[u8]>>(
        stored: impl IntoIterator<Item = (usize, B)>,
    ) -> Result<Self, InvalidRecord> {
        let mut bans = Self::default();
        for (number, bytes) in stored {
            let wrong = |what: String| InvalidRecord::Bans { part: number, what };
            let part = bans.parts.get_mut(number);
            let part = part.ok_or_else(|| wrong(format!("there are {} parts", Self::PARTS)))?;
            *part = serde_json::from_slice(bytes.as_ref()).map_err(|error| wrong(error.to_string()))?;
            if let Some(other) = part.0.keys().find(|id| part_of(id) != number) {
                return Err(wrong(format!("{other} belongs into part {}", part_of(other))));
            }
            bans.len += part.0.len();
        }
        if bans.len > MAX_BANS {
            let what = format!("{} bans are more than {MAX_BANS}", bans.len);
            return Err(InvalidRecord::Inconsistent(what));
        }
        Ok(bans)
    }

    /// The parts by number: what is stored.
    #[must_use]
    pub fn parts(&self) -> &[BanPart] {
        &self.parts
    }

    /// How many are banned.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody is.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether a participant is banned.
    #[must_use]
    pub fn contains(&self, id: &ParticipantId) -> bool {
        self.parts[part_of(id)].0.contains_key(id)
    }

    /// Everyone who is banned, part by part.
    pub fn iter(&self) -> impl Iterator<Item = &ParticipantId> {
        self.parts.iter().flat_map(|part| part.0.keys())
    }

    /// Bans a participant who is not banned yet.
    pub(crate) fn insert(&mut self, id: ParticipantId) -> Result<(), Refusal> {
        if self.len >= MAX_BANS {
            return Err(Refusal::Full { what: "bans", bound: MAX_BANS, advice: "unban someone first" });
        }
        let part = Arc::make_mut(&mut self.parts[part_of(&id)].0);
        self.len += usize::from(part.insert(id, Ban::default()).is_none());
        Ok(())
    }

    /// Whether the participant was banned.
    pub(crate) fn remove(&mut self, id: &ParticipantId) -> bool {
        // A part that stays as it is stays shared.
        let was = self.contains(id) && Arc::make_mut(&mut self.parts[part_of(id)].0).remove(id).is_some();
        self.len -= usize::from(was);
        was
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it is below the number of parts")]
fn part_of(id: &ParticipantId) -> usize {
    (XxHash64::oneshot(0, id.as_str().as_bytes()) % Bans::PARTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(i: usize) -> ParticipantId {
        ParticipantId::new(format!("troll-{i}")).unwrap()
    }

    fn stored(bans: &Bans) -> Vec<(usize, Vec<u8>)> {
        let parts = bans.parts().iter().map(BanPart::encode).enumerate();
        parts.filter(|(_, bytes)| !bytes.is_empty()).collect()
    }

    #[test]
    fn twenty_thousand_are_banned_and_one_more_is_refused() {
        let mut bans = Bans::default();
        for i in 0..MAX_BANS {
            bans.insert(id(i)).unwrap();
        }
        let before = bans.clone();
        assert_eq!(
            bans.insert(id(MAX_BANS)).unwrap_err().to_string(),
            "20000 bans are kept and no more; unban someone first"
        );
        assert_eq!((bans == before, bans.len(), bans.iter().count()), (true, MAX_BANS, MAX_BANS));
        let parts = stored(&bans);
        assert!(parts.iter().all(|(_, bytes)| bytes.len() < 16 * 1024), "one ban writes a few kilobytes");
        assert_eq!(Bans::decode(parts).unwrap(), bans);
        assert!(bans.remove(&id(7)) && !bans.remove(&id(7)));
        bans.insert(id(MAX_BANS)).unwrap();
    }

    #[test]
    fn a_ban_changes_one_part_and_shares_the_others() {
        let mut bans = Bans::default();
        (0..1000).for_each(|i| bans.insert(id(i)).unwrap());
        let before = bans.clone();
        bans.insert(id(1000)).unwrap();
        let same = bans.parts.iter().zip(&before.parts).filter(|(one, other)| Arc::ptr_eq(&one.0, &other.0));
        assert_eq!(same.count(), Bans::PARTS - 1);
    }

    /// The values are those of the reference implementation of XXH64 (python-xxhash).
    #[test]
    fn the_part_of_a_name_is_the_same_in_every_build() {
        assert_eq!(
            ["eve", "mallory", "troll-1"].map(|name| part_of(&ParticipantId::new(name).unwrap())),
            [17, 39, 8]
        );
    }

    #[test]
    fn what_a_newer_build_knows_of_a_ban_is_kept_and_garbage_is_refused_by_what_is_wrong() {
        let eve = ParticipantId::new("eve").unwrap();
        let (number, part) = (part_of(&eve), br#"{"eve":{"by":"ann"}}"#);
        let bans = Bans::decode([(number, part)]).unwrap();
        assert!(bans.contains(&eve));
        assert_eq!(stored(&bans), [(number, part.to_vec())]);
        let refused = |number: usize, bytes: &[u8]| Bans::decode([(number, bytes)]).unwrap_err().to_string();
        assert!(refused(64, b"{}").contains("there are 64 parts"));
        assert!(refused(number ^ 1, part).contains("eve belongs into part"));
        assert!(refused(number, b"{\"eve\":").contains("part"));
        assert!(refused(number, b"").contains("part"));
        assert!(refused(number, br#"{"no/name":{}}"#).contains("part"));
    }

    #[test]
    fn more_than_there_may_be_are_refused_whole() {
        let mut parts = vec![BTreeMap::new(); Bans::PARTS];
        for i in 0..=MAX_BANS {
            parts[part_of(&id(i))].insert(id(i), Ban::default());
        }
        let parts = parts.into_iter().map(|part| BanPart(Arc::new(part)).encode()).enumerate();
        let refused = Bans::decode(parts).unwrap_err().to_string();
        assert!(refused.contains("20001 bans are more than 20000"), "{refused}");
    }

    proptest! {
        #[test]
        fn it_is_a_set_that_is_read_back_as_it_was_stored(acts in prop::collection::vec((0..40_usize, any::<bool>()), 0..200)) {
            let (mut bans, mut set) = (Bans::default(), std::collections::BTreeSet::new());
            for (i, banned) in acts {
                if banned {
                    bans.insert(id(i)).unwrap();
                    set.insert(id(i));
                } else {
                    prop_assert_eq!(bans.remove(&id(i)), set.remove(&id(i)));
                }
                prop_assert_eq!(bans.len(), set.len());
                prop_assert_eq!(bans.contains(&id(i)), banned);
            }
            prop_assert_eq!(bans.iter().cloned().collect::<std::collections::BTreeSet<_>>(), set);
            prop_assert_eq!(&Bans::decode(stored(&bans)).unwrap(), &bans);
        }
    }
}
