//! What of a room lasts: its spec, its lifecycle, its stage, and what moderators decided. Stored as JSON. The epoch under
//! which it is written belongs to the directory's envelope and is not here.
//!
//! Builds mix while a cluster is upgraded, and origins hand rooms to each other meanwhile. So what a newer build wrote is
//! kept ([`Unknown`], [`StoredRole`]), and a change that an older build must not run a room without raises
//! [`Record::SCHEMA`], which nodes tell each other.
//!
//! Invariants: no participant is twice on the stage; who is banned or was taken off is not on it; the stage's version
//! only rises. A record is never larger than [`MAX_RECORD_BYTES`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stentor_ids::{ParticipantId, Role};

use crate::{
    Actor, Bans, InvalidRecord, InvalidSpec, Lifecycle, Refusal, Spec, StoredRole, Unknown,
    invalid::{MAX_RECORD_BYTES, SCHEMA},
    participant::{Participant, Ruling},
};

/// Participants about whom a ruling is kept: removals, mutes and promotions of one event. They make up most of a record,
/// which is written whole; beyond it the command that needs another is refused.
pub const MAX_RULINGS: usize = 1_000;

/// The durable part of a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What a build must be able to read to run the room.
    #[serde(default = "first_schema")]
    schema: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    incarnation: u64,
    pub(crate) spec: Spec,
    pub(crate) lifecycle: Lifecycle,
    #[serde(default)]
    pub(crate) stage_version: u64,
    #[serde(default)]
    pub(crate) stage: Vec<Participant>,
    #[serde(default)]
    pub(crate) rulings: BTreeMap<ParticipantId, Ruling>,
    /// Stored beside the record.
    #[serde(skip)]
    pub(crate) bans: Bans,
    #[serde(flatten)]
    unknown: Unknown,
}

/// The schema of records that name none.
const fn first_schema() -> u32 {
    1
}

/// The one thing that every build reads in every record.
#[derive(Deserialize)]
struct Head {
    #[serde(default = "first_schema")]
    schema: u32,
}

impl Record {
    /// The highest schema that this build reads. It is raised when an older build must not run a room that a newer one has
    /// written, because what it would leave out would be heard or would let somebody in. Most changes are none of these: new
    /// fields and roles are kept by builds that do not know them.
    pub const SCHEMA: u32 = SCHEMA;

    /// The schema that a stored record names, whether this build can read the rest or not; `None` if it is no record.
    #[must_use]
    pub fn schema_of(bytes: &[u8]) -> Option<u32> {
        let head: Head = serde_json::from_slice(bytes).ok()?;
        Some(head.schema)
    }

    /// The record of a new room, scheduled and empty.
    ///
    /// # Errors
    /// The spec is out of bounds.
    pub fn new(spec: Spec) -> Result<Self, InvalidSpec> {
        spec.validate()?;
        Ok(Self {
            schema: Self::SCHEMA,
            incarnation: 0,
            spec,
            lifecycle: Lifecycle::Scheduled,
            stage_version: 0,
            stage: Vec::new(),
            rulings: BTreeMap::new(),
            bans: Bans::default(),
            unknown: Unknown::default(),
        })
    }

    /// The record of a room that tells itself apart from others of its name by this number, which is to be random.
    #[must_use]
    pub const fn incarnated(mut self, incarnation: u64) -> Self {
        self.incarnation = incarnation;
        self
    }

    /// Which of the rooms of its name this is; 0 of one that an older build made.
    #[must_use]
    pub const fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// The record as it is stored, without its bans.
    ///
    /// # Panics
    /// Never: a record holds nothing that JSON cannot express.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a record holds only strings, numbers and maps with string keys")
    }

    /// Reads a stored record of this or another build; its bans are stored beside it and joined [`with`](Self::with_bans) it by
    /// who decides by them. What this build does not know is kept, and written back by [`Record::encode`].
    ///
    /// # Errors
    /// The bytes are not a consistent record, or one that only a newer build may touch.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidRecord> {
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(InvalidRecord::TooLong(bytes.len()));
        }
        if let Some(schema) = Self::schema_of(bytes).filter(|schema| *schema > Self::SCHEMA) {
            return Err(InvalidRecord::Newer(schema));
        }
        let record: Self = serde_json::from_slice(bytes)?;
        record.spec.validate()?;
        record.consistent().map_err(InvalidRecord::Inconsistent)?;
        Ok(record)
    }

    /// The record with its bans. Who is banned is not on the stage: a ban is the stronger word, should the two have
    /// been written apart.
    #[must_use]
    pub fn with_bans(mut self, bans: Bans) -> Self {
        self.stage.retain(|participant| !bans.contains(&participant.id));
        self.bans = bans;
        self
    }

    /// What a build must be able to read to run the room, at most [`Record::SCHEMA`].
    #[must_use]
    pub const fn schema(&self) -> u32 {
        self.schema
    }

    /// What the room is to be.
    #[must_use]
    pub const fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Where the room stands.
    #[must_use]
    pub const fn lifecycle(&self) -> Lifecycle {
        self.lifecycle
    }

    /// Raised by each change of the stage: who is on it, roles, mutes, gains.
    #[must_use]
    pub const fn stage_version(&self) -> u64 {
        self.stage_version
    }

    /// Everyone who may speak, in the order they came.
    #[must_use]
    pub fn stage(&self) -> &[Participant] {
        &self.stage
    }

    /// What moderators decided, by participant.
    #[must_use]
    pub const fn rulings(&self) -> &BTreeMap<ParticipantId, Ruling> {
        &self.rulings
    }

    /// Who is banned.
    #[must_use]
    pub const fn bans(&self) -> &Bans {
        &self.bans
    }

    /// A participant, if it is on the stage.
    #[must_use]
    pub fn participant(&self, id: &ParticipantId) -> Option<&Participant> {
        self.stage.iter().find(|participant| participant.id == *id)
    }

    /// A participant on the stage that wants to speak.
    ///
    /// # Errors
    /// It is banned, or not on the stage.
    pub fn require_participant(&self, id: &ParticipantId) -> Result<&Participant, Refusal> {
        if self.bans.contains(id) {
            return Err(Refusal::Banned(id.clone()));
        }
        self.participant(id).ok_or_else(|| Refusal::NotOnStage(id.clone()))
    }

    /// Whether a packet of this participant may be mixed now.
    #[must_use]
    pub fn may_speak(&self, id: &ParticipantId) -> bool {
        self.lifecycle.has_owner()
            && self
                .participant(id)
                .is_some_and(|participant| participant.role().may_speak() && !participant.is_muted())
    }

    /// The role of an actor in this room: as it has it on the stage, else as moderators decided, else of its ticket. An
    /// operator counts as a host.
    ///
    /// # Errors
    /// The actor is banned.
    pub fn role_of(&self, actor: &Actor) -> Result<Role, Refusal> {
        let Actor::Participant { id, role, .. } = actor else { return Ok(Role::Host) };
        if self.bans.contains(id) {
            return Err(Refusal::Banned(id.clone()));
        }
        Ok(self.participant(id).map(Participant::role).or_else(|| self.ruling(id).role()).unwrap_or(*role))
    }

    /// The ruling about a participant; an empty one if there is none.
    #[must_use]
    pub fn ruling(&self, id: &ParticipantId) -> Ruling {
        self.rulings.get(id).cloned().unwrap_or_default()
    }

    /// Stores a ruling, or forgets it when it says nothing.
    ///
    /// # Errors
    /// It says something and there is no place for it.
    pub(crate) fn rule(&mut self, id: &ParticipantId, ruling: Ruling) -> Result<(), Refusal> {
        if ruling == Ruling::default() {
            self.rulings.remove(id);
        } else if self.rulings.len() < MAX_RULINGS || self.rulings.contains_key(id) {
            self.rulings.insert(id.clone(), ruling);
        } else {
            return Err(Refusal::Full {
                what: "removals, mutes and promotions",
                bound: MAX_RULINGS,
                advice: "unmute someone first, or lift a removal by unbanning",
            });
        }
        Ok(())
    }

    pub(crate) fn participant_mut(&mut self, id: &ParticipantId) -> Option<&mut Participant> {
        self.stage.iter_mut().find(|participant| participant.id == *id)
    }

    /// Whether it was on the stage.
    pub(crate) fn take_off_stage(&mut self, id: &ParticipantId) -> bool {
        let before = self.stage.len();
        self.stage.retain(|participant| participant.id != *id);
        self.stage.len() != before
    }

    fn consistent(&self) -> Result<(), String> {
        let participants = self.stage.len();
        if participants > *Spec::STAGE_LIMITS.end() as usize || self.rulings.len() > MAX_RULINGS {
            return Err(format!(
                "{participants} participants and {} rulings are too many",
                self.rulings.len()
            ));
        }
        for (i, participant) in self.stage.iter().enumerate() {
            if self.stage[..i].iter().any(|other| other.id == participant.id) {
                return Err(format!("{} is twice on the stage", participant.id));
            }
            let ruling = self.ruling(&participant.id);
            let ruled = ruling.role.as_ref().unwrap_or(&participant.role);
            // Of roles that only a newer build knows this one cannot say whether they go together.
            let ours = [ruled, &participant.role].iter().all(|role| matches!(role, StoredRole::Known(_)));
            if ours && (*ruled != participant.role || !participant.role().may_speak()) {
                return Err(format!(
                    "{} is on the stage as {:?} against {ruling:?}",
                    participant.id, participant.role
                ));
            }
        }
        Ok(())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_keeps_its_incarnation_in_its_record() {
        let record = Record::new(Spec::default()).unwrap().incarnated(u64::MAX - 1);
        assert_eq!(Record::decode(&record.encode()).unwrap().incarnation(), u64::MAX - 1);
        let old = r#"{"spec":{},"lifecycle":{"state":"open"}}"#;
        assert_eq!(Record::decode(old.as_bytes()).unwrap().incarnation(), 0);
    }

    #[test]
    fn a_record_of_another_build_is_read() {
        let old = r#"{"spec":{"title":"t"},"lifecycle":{"state":"open"}}"#;
        let record = Record::decode(old.as_bytes()).unwrap();
        assert_eq!((record.lifecycle, record.spec.stage_limit), (Lifecycle::Open, 20));
        let new =
            r#"{"spec":{"title":"t","colour":"red"},"lifecycle":{"state":"live","since":7,"x":1},"y":[]}"#;
        assert!(matches!(Record::decode(new.as_bytes()).unwrap().lifecycle, Lifecycle::Live { .. }));
    }

    #[test]
    fn a_record_that_contradicts_itself_is_refused() {
        let decode = |stage: &str, rulings: &str| {
            let text = format!(
                r#"{{"spec":{{}},"lifecycle":{{"state":"open"}},"stage":[{stage}],"rulings":{{{rulings}}}}}"#
            );
            Record::decode(text.as_bytes()).map(|_| ()).map_err(|error| error.to_string())
        };
        let ann = r#"{"id":"ann","name":"Ann","role":"speaker"}"#;
        assert_eq!(decode(ann, ""), Ok(()));
        assert!(decode(&format!("{ann},{ann}"), "").unwrap_err().contains("ann is twice on the stage"));
        assert!(decode(ann, r#""ann":{"role":"listener"}"#).unwrap_err().contains("ann is on the stage"));
        assert!(decode(&ann.replace("speaker", "listener"), "").unwrap_err().contains("ann is on the stage"));
        let crowd: Vec<_> = (0..101).map(|i| ann.replace("ann", &format!("ann{i}"))).collect();
        assert!(decode(&crowd.join(","), "").unwrap_err().contains("101 participants"));
    }

    #[test]
    fn the_largest_record_fits_its_bound() {
        let id = |i: usize| ParticipantId::new(format!("{i:0>64}")).unwrap();
        let participant = |i| Participant {
            id: id(i),
            name: "\u{1F399}".repeat(64),
            role: Role::Speaker.into(),
            muted_itself: true,
            muted_by_moderator: true,
            gain_db: -40,
            unknown: Unknown::default(),
        };
        let ruling = Ruling { role: Some(Role::Speaker.into()), muted: true, ..Ruling::default() };
        let record = Record {
            schema: Record::SCHEMA,
            incarnation: u64::MAX,
            unknown: Unknown::default(),
            bans: Bans::default(),
            spec: Spec { title: "\u{1F399}".repeat(200), stage_limit: 100, ..Spec::default() },
            lifecycle: Lifecycle::Open,
            stage_version: u64::MAX,
            stage: (0..100).map(participant).collect(),
            rulings: (0..MAX_RULINGS).map(|i| (id(i), ruling.clone())).collect(),
        };
        assert!(record.encode().len() <= MAX_RECORD_BYTES / 2);
        assert_eq!(Record::decode(&record.encode()).unwrap(), record);
        assert!(matches!(Record::decode(&vec![b' '; MAX_RECORD_BYTES + 1]), Err(InvalidRecord::TooLong(_))));
    }
}
