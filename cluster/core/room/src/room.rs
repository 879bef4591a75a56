//! The room: one function takes every command, one match says what it does in which state. What moderators do to others
//! is in `moderation`.
//!
//! Invariants: the lifecycle only moves forward; at most `stage_limit` participants are on the stage; hands and
//! invitations are bounded; a refused command changes nothing.

use std::{collections::BTreeMap, time::Duration};

use stentor_ids::{ParticipantId, Role};
use stentor_pace::WallTime;

use crate::{
    Actor, Command, Effect, Hand, Lifecycle, Notice, Participant, Record, Refusal, Ruling, Unknown,
    hands::{Hands, MAX_HANDS},
};

/// Invitations that stand at once: as many as the largest stage holds. One more is refused.
pub const MAX_INVITATIONS: usize = 100;

/// How long an invitation stands: time to read it and find the microphone, and not to forget that one was asked.
pub(crate) const INVITATION_LASTS: Duration = Duration::from_secs(120);

/// Longest name shown, in characters; tickets have the same bound.
const MAX_NAME_CHARS: usize = 64;

/// When to ask again for doors that nobody announced.
const UNANNOUNCED_RETRY: Duration = Duration::from_secs(10);
/// Doors may open early: nobody is told to wait longer than this.
const LONGEST_RETRY: Duration = Duration::from_secs(300);

/// A place on the stage that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invitation {
    /// As what.
    pub role: Role,
    /// How long the offer stands.
    pub until: WallTime,
}

/// A room and what is going on in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    pub(crate) record: Record,
    pub(crate) hands: Hands,
    pub(crate) invitations: BTreeMap<ParticipantId, Invitation>,
}

impl Room {
    /// The room of a record, as a new owner finds it: without hands and invitations.
    #[must_use]
    pub fn new(record: Record) -> Self {
        Self { record, hands: Hands::default(), invitations: BTreeMap::new() }
    }

    /// What of the room lasts.
    #[must_use]
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// Raised hands, who asked first first.
    #[must_use]
    pub fn hands(&self) -> &[Hand] {
        self.hands.as_slice()
    }

    /// Invitations that nobody has answered yet.
    #[must_use]
    pub const fn invitations(&self) -> &BTreeMap<ParticipantId, Invitation> {
        &self.invitations
    }

    /// Does what is asked and says what to do about it, or refuses.
    ///
    /// # Errors
    /// Why it was refused. Then nothing has changed, but for invitations whose time is over.
    pub fn handle(&mut self, now: WallTime, by: &Actor, command: Command) -> Result<Vec<Effect>, Refusal> {
        self.invitations.retain(|_, invitation| now < invitation.until);
        let role = self.record.role_of(by)?;
        let changes = self.apply(now, by, role, command)?;
        Ok(self.conclude(changes))
    }

    /// Lowers the hands that have been up for too long. Call it every second or so.
    pub fn expire(&mut self, now: WallTime) -> Vec<Effect> {
        let gone = self.hands.expire(now);
        let changed = (!gone.is_empty()).then_some(Effect::HandsChanged);
        let reason = "it was up for 15 minutes; raise it again if you still want to speak";
        let told = gone.into_iter().map(|participant| Effect::Notify {
            participant,
            notice: Notice::HandLowered(reason.to_owned()),
        });
        changed.into_iter().chain(told).collect()
    }

    fn apply(&mut self, now: WallTime, by: &Actor, role: Role, command: Command) -> Result<Changes, Refusal> {
        match (self.record.lifecycle, command) {
            (Lifecycle::Ended { .. }, _) => Err(Refusal::Ended),
            (_, Command::End) => self.become_ended(now, role),
            (_, Command::Update(change)) => self.update(role, change),
            (Lifecycle::Scheduled, Command::Open) => self.become_open(role),
            (Lifecycle::Scheduled, _) => Err(self.doors_closed(now)),
            (Lifecycle::Open, Command::GoLive) => self.become_live(now, role),
            (Lifecycle::Open, Command::Open) => Err(Refusal::Already("open")),
            (Lifecycle::Live { .. }, Command::Open | Command::GoLive) => Err(Refusal::Already("live")),
            (_, Command::Join) => self.join(by, role),
            (_, Command::Leave) => self.leave(by),
            (_, Command::RaiseHand) => self.raise_hand(now, by, role),
            (_, Command::LowerHand) => Ok(Changes::hands(self.hands.lower(own(by, "lower its hand")?))),
            (_, Command::Accept) => self.accept(by),
            (_, Command::Decline) => {
                self.invitations.remove(own(by, "decline")?);
                Ok(Changes::default())
            }
            (_, Command::Invite { id, role: offer }) => self.invite(now, by, role, id, offer),
            (_, Command::Mute { id, muted }) => self.mute(by, role, id, muted),
            (_, Command::SetGain { id, gain_db }) => self.set_gain(role, id, gain_db),
            (_, Command::SetRole { id, role: new }) => self.set_role(by, role, id, new),
            (_, Command::Remove { id, reason }) => self.remove(by, role, id, reason),
            (_, Command::Ban { id, reason }) => self.ban(by, role, id, reason),
            (_, Command::Unban { id }) => self.unban(role, &id),
        }
    }

    /// The stage is another version than up to this one, which another stage has. Says so if it is news.
    pub(crate) fn raise_stage(&mut self, above: u64) -> Option<Effect> {
        let version = &mut self.record.stage_version;
        let rises = *version <= above;
        if rises {
            *version = above.saturating_add(1);
        }
        rises.then_some(Effect::StageChanged { version: *version })
    }

    fn conclude(&mut self, changes: Changes) -> Vec<Effect> {
        let mut effects = Vec::new();
        if changes.record {
            effects.push(Effect::Commit);
        }
        if changes.lifecycle {
            effects.push(Effect::LifecycleChanged);
        }
        if changes.spec {
            effects.push(Effect::SpecChanged);
        }
        if changes.stage {
            self.record.stage_version = self.record.stage_version.saturating_add(1);
            effects.push(Effect::StageChanged { version: self.record.stage_version });
        }
        if changes.hands {
            effects.push(Effect::HandsChanged);
        }
        effects.extend(changes.notice.map(|(participant, notice)| Effect::Notify { participant, notice }));
        let banned = |(participant, banned)| Effect::BanChanged { participant, banned };
        effects.extend(changes.ban.map(banned));
        effects
    }

    fn become_open(&mut self, role: Role) -> Result<Changes, Refusal> {
        require(role, Role::Host, "open the doors")?;
        self.record.lifecycle = Lifecycle::Open;
        Ok(Changes { record: true, lifecycle: true, ..Changes::default() })
    }

    fn become_live(&mut self, now: WallTime, role: Role) -> Result<Changes, Refusal> {
        require(role, Role::Host, "go live")?;
        self.record.lifecycle = Lifecycle::Live { since: now };
        Ok(Changes { record: true, lifecycle: true, ..Changes::default() })
    }

    fn become_ended(&mut self, now: WallTime, role: Role) -> Result<Changes, Refusal> {
        require(role, Role::Host, "end the room")?;
        self.record.lifecycle = Lifecycle::Ended { at: now };
        let stage = !std::mem::take(&mut self.record.stage).is_empty();
        self.invitations.clear();
        let hands = self.hands.lower_all();
        Ok(Changes { record: true, lifecycle: true, stage, hands, ..Changes::default() })
    }

    fn doors_closed(&self, now: WallTime) -> Refusal {
        let announced = self.record.spec.starts_at.map(|start| start.since(now));
        let wait = announced.filter(|wait| !wait.is_zero()).unwrap_or(UNANNOUNCED_RETRY);
        Refusal::NotOpen { retry_after: wait.clamp(Duration::from_secs(1), LONGEST_RETRY) }
    }

    fn join(&mut self, by: &Actor, role: Role) -> Result<Changes, Refusal> {
        let (id, name) = named(by, "join")?;
        if !role.may_speak() {
            return Ok(Changes::default());
        }
        if let Some(participant) = self.record.participant_mut(id) {
            let renamed = participant.name != *name;
            participant.name.clone_from(name);
            return Ok(Changes::stage(renamed));
        }
        self.require_place()?;
        Ok(self.sit(id, name, role))
    }

    fn leave(&mut self, by: &Actor) -> Result<Changes, Refusal> {
        let Actor::Participant { id, role: ticket, .. } = by else { return Err(Refusal::NotInRoom("leave")) };
        let mut ruling = self.record.ruling(id);
        let promoted = ruling.role().is_some_and(|role| role > *ticket);
        if promoted {
            ruling.role = None;
            self.record.rule(id, ruling)?;
        }
        let on_stage = self.record.take_off_stage(id);
        self.invitations.remove(id);
        let hands = self.hands.lower(id);
        Ok(Changes { record: on_stage || promoted, stage: on_stage, hands, ..Changes::default() })
    }

    fn raise_hand(&mut self, now: WallTime, by: &Actor, role: Role) -> Result<Changes, Refusal> {
        let (id, name) = named(by, "raise a hand")?;
        if role.may_speak() {
            return Err(Refusal::NeedsNoHand(id.clone()));
        }
        if self.hands.contains(id) {
            return Ok(Changes::default());
        }
        if self.hands.is_full() {
            let advice = "try again when some are lowered";
            return Err(Refusal::Full { what: "raised hands", bound: MAX_HANDS, advice });
        }
        self.hands.raise(Hand { id: id.clone(), name: name.clone(), raised_at: now });
        Ok(Changes::hands(true))
    }

    fn accept(&mut self, by: &Actor) -> Result<Changes, Refusal> {
        let (id, name) = named(by, "accept")?;
        let Actor::Participant { role: ticket, .. } = by else { return Err(Refusal::NotInRoom("accept")) };
        let offer = self.invitations.get(id).ok_or_else(|| Refusal::NotInvited(id.clone()))?.role;
        if self.record.participant(id).is_none() {
            self.require_place()?;
        }
        let role = (offer != *ticket).then(|| offer.into());
        self.record.rule(id, Ruling { role, ..self.record.ruling(id) })?;
        let changes = match self.record.participant_mut(id) {
            Some(participant) => {
                participant.role = offer.into();
                self.invitations.remove(id);
                Changes::stage(true)
            }
            None => self.sit(id, name, offer),
        };
        Ok(changes.notify(id, Notice::Role(offer)))
    }

    pub(crate) fn require_place(&self) -> Result<(), Refusal> {
        let limit = self.record.spec.stage_limit;
        if self.record.stage.len() < limit as usize { Ok(()) } else { Err(Refusal::StageFull { limit }) }
    }

    /// The caller has seen that the participant is not on the stage and that a place is free.
    fn sit(&mut self, id: &ParticipantId, name: &str, role: Role) -> Changes {
        let muted_by_moderator = self.record.ruling(id).muted;
        let name = name.to_owned();
        let participant = Participant {
            id: id.clone(),
            name,
            role: role.into(),
            muted_itself: false,
            muted_by_moderator,
            gain_db: 0,
            unknown: Unknown::default(),
        };
        self.record.stage.push(participant);
        self.invitations.remove(id);
        Changes { hands: self.hands.lower(id), ..Changes::stage(true) }
    }
}

/// What a command has changed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) record: bool,
    pub(crate) lifecycle: bool,
    pub(crate) spec: bool,
    pub(crate) stage: bool,
    pub(crate) hands: bool,
    /// Who is banned, or no more.
    pub(crate) ban: Option<(ParticipantId, bool)>,
    pub(crate) notice: Option<(ParticipantId, Notice)>,
}

impl Changes {
    /// The stage, which is part of the record, if it did change.
    pub(crate) fn stage(changed: bool) -> Self {
        Self { record: changed, stage: changed, ..Self::default() }
    }

    fn hands(changed: bool) -> Self {
        Self { hands: changed, ..Self::default() }
    }

    pub(crate) fn notify(self, id: &ParticipantId, notice: Notice) -> Self {
        Self { notice: Some((id.clone(), notice)), ..self }
    }
}

/// Checks that a role reaches.
pub(crate) fn require(role: Role, needs: Role, action: &'static str) -> Result<(), Refusal> {
    if role >= needs { Ok(()) } else { Err(Refusal::Role { role, needs, action }) }
}

/// Who acts, for a command about oneself.
fn own<'a>(by: &'a Actor, action: &'static str) -> Result<&'a ParticipantId, Refusal> {
    by.id().ok_or(Refusal::NotInRoom(action))
}

/// Who acts and under which name, for a command after which others see the name.
fn named<'a>(by: &'a Actor, action: &'static str) -> Result<(&'a ParticipantId, &'a String), Refusal> {
    let Actor::Participant { id, name, .. } = by else { return Err(Refusal::NotInRoom(action)) };
    let chars = name.chars().count();
    if chars > MAX_NAME_CHARS {
        return Err(Refusal::Invalid(format!(
            "name has {chars} characters; at most {MAX_NAME_CHARS} are allowed"
        )));
    }
    Ok((id, name))
}
