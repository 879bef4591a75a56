//! Commands as they travel between nodes, turned into what a room understands. Knows no actor and no directory.

use stentor_ids::{Code, Fault, ParticipantId, Role};
use stentor_pace::WallTime;
use stentor_proto::{BadField, gain_from_wire, moment, required, role_from_wire, role_held, v1};
use stentor_room::{Actor, Command, Hand, SpecChange, Visibility};

use v1::command_request::Command as Wire;

/// What was asked of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// To change something.
    Do(Command),
    /// To tell the room as it is.
    Get,
    /// To tell who has a hand up; hosts and cohosts only.
    ListHands,
}

/// Who asks what.
///
/// # Errors
/// A field that is missing, malformed, or of a newer build.
pub(crate) fn parse(request: v1::CommandRequest) -> Result<(Actor, Request), Fault> {
    let by = actor(request.by.unwrap_or_default())?;
    let command = match required(request.command, "command")? {
        Wire::Get(_) => return Ok((by, Request::Get)),
        Wire::ListHands(_) => return Ok((by, Request::ListHands)),
        Wire::Open(_) => Command::Open,
        Wire::GoLive(_) => Command::GoLive,
        Wire::End(_) => Command::End,
        Wire::Join(_) => Command::Join,
        Wire::Leave(_) => Command::Leave,
        Wire::RaiseHand(_) => Command::RaiseHand,
        Wire::LowerHand(_) => Command::LowerHand,
        Wire::Accept(_) => Command::Accept,
        Wire::Decline(_) => Command::Decline,
        Wire::Invite(invite) => Command::Invite {
            id: participant(&invite.participant)?,
            role: role_from_wire(invite.role)?.unwrap_or(Role::Speaker),
        },
        Wire::Mute(mute) => Command::Mute { id: participant(&mute.participant)?, muted: mute.muted },
        Wire::Remove(target) => {
            Command::Remove { id: participant(&target.participant)?, reason: target.reason }
        }
        Wire::Ban(target) => Command::Ban { id: participant(&target.participant)?, reason: target.reason },
        Wire::Update(change) => Command::Update(spec_change(change)?),
        Wire::Role(role) => Command::SetRole {
            id: participant(&role.participant)?,
            role: required(role_from_wire(role.role)?, "role")?,
        },
        Wire::Gain(gain) => {
            Command::SetGain { id: participant(&gain.participant)?, gain_db: gain_from_wire(gain.gain_db)? }
        }
        Wire::Unban(target) => Command::Unban { id: participant(&target.participant)? },
    };
    Ok((by, Request::Do(command)))
}

/// Who raises (true) or lowers a hand.
///
/// # Errors
/// A change without a participant, or with one that is malformed.
pub(crate) fn hands(request: v1::HandsRequest) -> Result<Vec<(Actor, bool)>, Fault> {
    let change = |change: v1::HandChange| match actor(change.by.unwrap_or_default())? {
        Actor::Operator => Err(Fault::new(Code::InvalidArgument, "a hand without a participant")),
        by @ Actor::Participant { .. } => Ok((by, change.up)),
    };
    request.changes.into_iter().map(change).collect()
}

/// What became of a change, as it travels.
pub(crate) fn outcome(refused: Option<Fault>) -> v1::HandOutcome {
    refused.map_or_else(v1::HandOutcome::default, |fault| v1::HandOutcome {
        code: fault.code.to_string(),
        retry_after_ms: fault
            .retry_after
            .map_or(0, |wait| u32::try_from(wait.as_millis()).unwrap_or(u32::MAX)),
        detail: fault.detail.into_owned(),
    })
}

/// A raised hand as it is told.
pub(crate) fn hand(hand: &Hand) -> v1::Hand {
    v1::Hand {
        id: hand.id.to_string(),
        name: hand.name.clone(),
        raised_at: Some(moment(hand.raised_at.as_micros())),
    }
}

fn actor(wire: v1::Actor) -> Result<Actor, Fault> {
    if wire.participant.is_empty() {
        return Ok(Actor::Operator);
    }
    let id = participant(&wire.participant)?;
    let role =
        role_held(wire.role).ok_or_else(|| Fault::new(Code::InvalidArgument, "the actor has no role"))?;
    Ok(Actor::Participant { id, name: wire.name, role })
}

fn spec_change(wire: v1::SpecChange) -> Result<SpecChange, BadField> {
    let visibility = wire.visibility.map(|value| match v1::Visibility::try_from(value) {
        Ok(v1::Visibility::Public) => Ok(Visibility::Public),
        Ok(v1::Visibility::Private) => Ok(Visibility::Private),
        _ => Err(BadField::Unknown { field: "visibility", value }),
    });
    Ok(SpecChange {
        title: wire.title,
        visibility: visibility.transpose()?,
        starts_at: wire.starts_at_us.map(|at| (at > 0).then(|| WallTime::from_micros(at))),
        stage_limit: wire.stage_limit,
        bitrate_bps: wire.bitrate_bps,
    })
}

fn participant(name: &str) -> Result<ParticipantId, BadField> {
    Ok(ParticipantId::new(name)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(by: v1::Actor, command: Option<Wire>) -> v1::CommandRequest {
        v1::CommandRequest { room: "demo".into(), by: Some(by), command }
    }

    fn ann() -> v1::Actor {
        v1::Actor { participant: "ann".into(), name: "Ann".into(), role: v1::Role::Host.into() }
    }

    #[test]
    fn an_empty_participant_is_an_operator_and_an_invitation_is_for_a_speaker() {
        let invite = v1::InviteRequest { participant: "bob".into(), ..v1::InviteRequest::default() };
        let parsed = parse(request(v1::Actor::default(), Some(Wire::Invite(invite))));
        let bob = ParticipantId::new("bob").unwrap();
        assert_eq!(
            parsed,
            Ok((Actor::Operator, Request::Do(Command::Invite { id: bob, role: Role::Speaker })))
        );
    }

    #[test]
    fn a_field_that_cannot_be_is_refused_by_name() {
        let refused = |request| parse(request).unwrap_err().detail.into_owned();
        assert_eq!(refused(request(ann(), None)), "field command is missing");
        let nobody = v1::TargetRequest::default();
        assert!(refused(request(ann(), Some(Wire::Remove(nobody)))).starts_with("participant is empty"));
        let roleless = v1::Actor { role: 0, ..ann() };
        assert_eq!(refused(request(roleless, Some(Wire::Join(v1::Empty {})))), "the actor has no role");
        let newer = v1::InviteRequest { participant: "bob".into(), role: 99, ..v1::InviteRequest::default() };
        assert!(refused(request(ann(), Some(Wire::Invite(newer)))).contains("has value 99"));
        let change = v1::SpecChange { visibility: Some(9), ..v1::SpecChange::default() };
        assert!(refused(request(ann(), Some(Wire::Update(change)))).contains("visibility has value 9"));
        let loud = v1::GainRequest { participant: "bob".into(), gain_db: 1000, ..v1::GainRequest::default() };
        assert!(refused(request(ann(), Some(Wire::Gain(loud)))).contains("gain_db is 1000"));
        let nothing = v1::RoleRequest { participant: "bob".into(), ..v1::RoleRequest::default() };
        assert_eq!(refused(request(ann(), Some(Wire::Role(nothing)))), "field role is missing");
    }

    #[test]
    fn whoever_has_a_role_of_a_newer_build_acts_as_a_listener() {
        let newer = v1::Actor { role: 99, ..ann() };
        let (by, _) = parse(request(newer, Some(Wire::RaiseHand(v1::Empty {})))).unwrap();
        assert!(matches!(by, Actor::Participant { role: Role::Listener, .. }), "{by:?}");
    }
}
