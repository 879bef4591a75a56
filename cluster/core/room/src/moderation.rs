//! What moderators do to others. A cohost does it to anyone but a host; nobody gives a role above their own.
//!
//! The room knows the role of who is on the stage or was ruled about; of anyone else it does not know the ticket and
//! takes them for a listener.

use stentor_ids::{ParticipantId, Role};
use stentor_pace::WallTime;

use crate::{
    Actor, Notice, Participant, Refusal, Room, Ruling,
    room::{Changes, INVITATION_LASTS, Invitation, MAX_INVITATIONS, require},
};

/// Gains in decibels: down to hardly heard, up to what makes a far microphone near; more only lifts its noise.
const GAINS_DB: std::ops::RangeInclusive<i8> = -40..=12;

/// Longest reason told to a participant, in characters.
const MAX_REASON_CHARS: usize = 200;

impl Room {
    pub(crate) fn invite(
        &mut self,
        now: WallTime,
        by: &Actor,
        role: Role,
        id: ParticipantId,
        offer: Role,
    ) -> Result<Changes, Refusal> {
        self.require_above(role, &id, "invite")?;
        require_others(by, &id, "invite")?;
        require_gift(role, offer, "invite someone as")?;
        if !offer.may_speak() {
            return Err(Refusal::Invalid(
                "nobody is invited as a listener; name speaker, cohost or host".into(),
            ));
        }
        if self.record.bans.contains(&id) {
            return Err(Refusal::Banned(id));
        }
        match self.record.participant(&id) {
            Some(participant) if participant.role() == offer => return Ok(Changes::default()),
            Some(_) => {}
            None => self.require_place()?,
        }
        if self.invitations.len() >= MAX_INVITATIONS && !self.invitations.contains_key(&id) {
            let advice = "wait until some are answered";
            return Err(Refusal::Full { what: "invitations", bound: MAX_INVITATIONS, advice });
        }
        let until = now + INVITATION_LASTS;
        self.invitations.insert(id.clone(), Invitation { role: offer, until });
        Ok(Changes::default().notify(&id, Notice::Invited { role: offer, until }))
    }

    pub(crate) fn mute(
        &mut self,
        by: &Actor,
        role: Role,
        id: ParticipantId,
        muted: bool,
    ) -> Result<Changes, Refusal> {
        let itself = by.id() == Some(&id);
        if !itself {
            self.require_above(role, &id, if muted { "mute" } else { "unmute" })?;
        }
        let participant = self.record.participant(&id).ok_or_else(|| Refusal::Unknown(id.clone()))?;
        let before = (participant.muted_itself, participant.muted_by_moderator);
        let after = match (itself, muted, before) {
            (true, true, (_, moderator)) => (true, moderator),
            (true, false, (_, true)) if role < Role::Host => return Err(Refusal::MutedByModerator(id)),
            (true, false, _) => (false, false),
            (false, true, (own, _)) => (own, true),
            (false, false, (true, false)) => return Err(Refusal::MutedItself(id)),
            (false, false, (own, _)) => (own, false),
        };
        if before == after {
            return Ok(Changes::default());
        }
        self.record.rule(&id, Ruling { muted: after.1, ..self.record.ruling(&id) })?;
        if let Some(participant) = self.record.participant_mut(&id) {
            (participant.muted_itself, participant.muted_by_moderator) = after;
        }
        Ok(Changes::stage(true).notify(&id, Notice::Muted(after.0 || after.1)))
    }

    pub(crate) fn set_gain(
        &mut self,
        role: Role,
        id: ParticipantId,
        gain_db: i8,
    ) -> Result<Changes, Refusal> {
        self.require_above(role, &id, "set the gain of")?;
        if !GAINS_DB.contains(&gain_db) {
            let (min, max) = (GAINS_DB.start(), GAINS_DB.end());
            return Err(Refusal::Invalid(format!("gain {gain_db} dB is not within {min} to {max} dB")));
        }
        let participant = self.record.participant_mut(&id).ok_or(Refusal::Unknown(id))?;
        let changed = participant.gain_db != gain_db;
        participant.gain_db = gain_db;
        Ok(Changes::stage(changed))
    }

    pub(crate) fn set_role(
        &mut self,
        by: &Actor,
        role: Role,
        id: ParticipantId,
        new: Role,
    ) -> Result<Changes, Refusal> {
        if !new.may_speak() {
            return self.remove(by, role, id, String::new());
        }
        self.require_above(role, &id, "change the role of")?;
        require_others(by, &id, "set-role")?;
        require_gift(role, new, "make someone")?;
        let participant = self.record.participant(&id).ok_or_else(|| Refusal::Unknown(id.clone()))?;
        if participant.role() == new {
            return Ok(Changes::default());
        }
        self.record.rule(&id, Ruling { role: Some(new.into()), ..self.record.ruling(&id) })?;
        if let Some(participant) = self.record.participant_mut(&id) {
            participant.role = new.into();
        }
        Ok(Changes::stage(true).notify(&id, Notice::Role(new)))
    }

    pub(crate) fn remove(
        &mut self,
        by: &Actor,
        role: Role,
        id: ParticipantId,
        reason: String,
    ) -> Result<Changes, Refusal> {
        self.require_above(role, &id, "remove")?;
        require_others(by, &id, "remove")?;
        require_reason(&reason)?;
        let on_stage = self.record.participant(&id).is_some();
        if !on_stage && !self.invitations.contains_key(&id) && !self.hands.contains(&id) {
            return Err(Refusal::Unknown(id));
        }
        if on_stage {
            self.record.rule(&id, Ruling { role: Some(Role::Listener.into()), ..self.record.ruling(&id) })?;
        }
        let (hand_alone, changes) = (!on_stage && self.hands.contains(&id), self.clear(&id));
        let notice = if hand_alone { Notice::HandLowered(reason) } else { Notice::Removed(reason) };
        Ok(changes.notify(&id, notice))
    }

    pub(crate) fn ban(
        &mut self,
        by: &Actor,
        role: Role,
        id: ParticipantId,
        reason: String,
    ) -> Result<Changes, Refusal> {
        self.require_above(role, &id, "ban")?;
        require_others(by, &id, "ban")?;
        require_reason(&reason)?;
        if self.record.bans.contains(&id) {
            return Ok(Changes::default());
        }
        self.record.bans.insert(id.clone())?;
        // A promotion ends with a ban. To rule less is never refused.
        self.record.rule(&id, Ruling { role: None, ..self.record.ruling(&id) })?;
        let changes = Changes { record: true, ban: Some((id.clone(), true)), ..self.clear(&id) };
        Ok(changes.notify(&id, Notice::Banned(reason)))
    }

    pub(crate) fn unban(&mut self, role: Role, id: &ParticipantId) -> Result<Changes, Refusal> {
        require(role, Role::Cohost, "unban")?;
        let ruling = self.record.ruling(id);
        let role = ruling.role.clone().filter(|role| *role != Role::Listener.into());
        let lifted = Ruling { role, ..ruling.clone() };
        let removal = lifted != ruling;
        self.record.rule(id, lifted)?;
        let ban = self.record.bans.remove(id).then(|| (id.clone(), false));
        Ok(Changes { record: removal || ban.is_some(), ban, ..Changes::default() })
    }

    /// Takes away the place on the stage, the hand and the invitation.
    fn clear(&mut self, id: &ParticipantId) -> Changes {
        self.invitations.remove(id);
        Changes { hands: self.hands.lower(id), ..Changes::stage(self.record.take_off_stage(id)) }
    }

    /// Checks that the actor moderates, and is not below its target.
    fn require_above(&self, role: Role, id: &ParticipantId, action: &'static str) -> Result<(), Refusal> {
        require(role, Role::Cohost, action)?;
        let target =
            self.record.participant(id).map(Participant::role).or_else(|| self.record.ruling(id).role());
        match target {
            Some(above) if above > role => Err(Refusal::Outranked { role, action, above }),
            _ => Ok(()),
        }
    }
}

fn require_others(by: &Actor, id: &ParticipantId, action: &'static str) -> Result<(), Refusal> {
    if by.id() == Some(id) { Err(Refusal::Oneself(action)) } else { Ok(()) }
}

fn require_gift(role: Role, gift: Role, action: &'static str) -> Result<(), Refusal> {
    if gift > role { Err(Refusal::Outranked { role, action, above: gift }) } else { Ok(()) }
}

fn require_reason(reason: &str) -> Result<(), Refusal> {
    let chars = reason.chars().count();
    if chars <= MAX_REASON_CHARS {
        return Ok(());
    }
    Err(Refusal::Invalid(format!("reason has {chars} characters; at most {MAX_REASON_CHARS} are allowed")))
}
