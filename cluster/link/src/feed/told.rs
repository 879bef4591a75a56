//! What is told of a room besides its status: the levels that change all the time, and the words on bans. Between the wire
//! and what a feed holds.

use std::sync::Arc;

use stentor_ids::ParticipantId;
use stentor_proto::v1;
use stentor_relay::Word;

/// Talkers whose levels are taken: as many as the largest stage holds. The rest is let go.
const MAX_TALKERS: usize = 100;
/// Words on bans in one message: some 20 kB with the longest names, so that frames find their way between two.
pub(super) const WORDS_A_MESSAGE: usize = 256;

pub(super) type Levels = Option<Arc<v1::Levels>>;

pub(super) fn bounded(mut levels: v1::Levels) -> v1::Levels {
    levels.talkers.truncate(MAX_TALKERS);
    levels
}

/// Completes a room's status by its newest levels.
pub fn fill(status: &mut v1::RoomStatus, levels: &v1::Levels) {
    status.count = levels.count;
    status.slot = status.slot.max(levels.slot);
    status.lineage = status.lineage.max(levels.lineage);
    for one in &mut status.stage {
        if let Some(talker) = levels.talkers.iter().find(|talker| talker.participant == one.id) {
            one.level_dbov = Some(talker.level_dbov);
        }
    }
}

/// Words on bans as they travel.
#[must_use]
pub fn bans_to_wire(words: Vec<Word>, whole_above: Option<u64>) -> v1::Bans {
    let word = |word: Word| v1::BanWord {
        participant: word.participant.to_string(),
        serial: word.serial,
        lifted: word.lifted,
    };
    v1::Bans { words: words.into_iter().map(word).collect(), whole_above: whole_above.unwrap_or_default() }
}

pub(super) fn words_of(bans: v1::Bans) -> impl Iterator<Item = Word> {
    bans.words.into_iter().filter_map(|word| {
        let participant = ParticipantId::new(&word.participant).ok()?;
        Some(Word { participant, serial: word.serial, lifted: word.lifted })
    })
}
