//! Requests as they come from the wire, turned into domain values or refused by field.

use stentor_ids::{Code, Fault, NodeId, ParticipantId, Role, RoomId};
use stentor_pace::WallTime;
use stentor_proto::{BadField, role_from_wire, v1};
use stentor_room::{Spec, Visibility};

use crate::act::Act;

/// Rooms of a page when nobody says how many.
const DEFAULT_PAGE: u32 = 100;
/// Most rooms of a page: about a quarter of a megabyte as it travels.
const MAX_PAGE: u32 = 1000;

pub(crate) fn room(name: &str) -> Result<RoomId, Fault> {
    Ok(RoomId::new(name).map_err(BadField::from)?)
}

pub(crate) fn node(name: &str) -> Result<NodeId, Fault> {
    Ok(NodeId::new(name).map_err(BadField::from)?)
}

fn participant(name: &str) -> Result<ParticipantId, Fault> {
    Ok(ParticipantId::new(name).map_err(BadField::from)?)
}

/// A node if one is named.
pub(crate) fn optional_node(name: &str) -> Result<Option<NodeId>, Fault> {
    Some(name).filter(|name| !name.is_empty()).map(node).transpose()
}

/// A room if one is named.
pub(crate) fn optional_room(name: &str) -> Result<Option<RoomId>, Fault> {
    Some(name).filter(|name| !name.is_empty()).map(room).transpose()
}

/// How many rooms, and after which.
pub(crate) fn page(request: &v1::ListRoomsRequest) -> Result<(usize, Option<RoomId>), Fault> {
    let size = match request.page_size {
        0 => DEFAULT_PAGE,
        size @ 1..=MAX_PAGE => size,
        size => {
            let detail = format!("page_size is {size}; give 1 to {MAX_PAGE}, or 0 for {DEFAULT_PAGE}");
            return Err(Fault::new(Code::InvalidArgument, detail));
        }
    };
    let token = &request.page_token;
    let after = optional_room(token).map_err(|_| {
        let detail = format!("page_token {token:?} is not one of an earlier answer");
        Fault::new(Code::InvalidArgument, detail)
    })?;
    Ok((size as usize, after))
}

/// What a room is to be; what is left out takes its default, and a room that does not say who may hear it is private.
pub(crate) fn spec(wire: Option<v1::RoomSpec>) -> Result<Spec, Fault> {
    let wire = wire.unwrap_or_default();
    let default = Spec::default();
    let visibility = match v1::Visibility::try_from(wire.visibility) {
        Ok(v1::Visibility::Unspecified) => default.visibility,
        Ok(v1::Visibility::Public) => Visibility::Public,
        Ok(v1::Visibility::Private) => Visibility::Private,
        Err(_) => return Err(BadField::Unknown { field: "visibility", value: wire.visibility }.into()),
    };
    let starts_at = match u64::try_from(wire.starts_at_ms) {
        Ok(0) => None,
        Ok(millis) => Some(WallTime::from_millis(millis)),
        Err(_) => {
            let detail = format!("starts_at_ms is {}; give milliseconds since 1970, or 0", wire.starts_at_ms);
            return Err(Fault::new(Code::InvalidArgument, detail));
        }
    };
    let or_default = |value, default| if value == 0 { default } else { value };
    let spec = Spec {
        title: wire.title,
        visibility,
        starts_at,
        stage_limit: or_default(wire.stage_limit, default.stage_limit),
        bitrate_bps: or_default(wire.bitrate_bps, default.bitrate_bps),
        ..Spec::default()
    };
    spec.validate().map_err(|error| Fault::new(Code::InvalidArgument, error.to_string()))?;
    Ok(spec)
}

pub(crate) fn invite(request: &v1::InviteRequest) -> Result<(RoomId, Act), Fault> {
    let role = role_from_wire(request.role)?.unwrap_or(Role::Speaker);
    Ok((room(&request.room)?, Act::Invite { id: participant(&request.participant)?, role }))
}

pub(crate) fn mute(request: &v1::MuteRequest) -> Result<(RoomId, Act), Fault> {
    let (id, muted) = (participant(&request.participant)?, request.muted);
    Ok((room(&request.room)?, Act::Mute { id, muted }))
}

pub(crate) fn remove(request: v1::TargetRequest) -> Result<(RoomId, Act), Fault> {
    Ok((room(&request.room)?, Act::Remove { id: participant(&request.participant)?, reason: request.reason }))
}

pub(crate) fn ban(request: v1::TargetRequest) -> Result<(RoomId, Act), Fault> {
    Ok((room(&request.room)?, Act::Ban { id: participant(&request.participant)?, reason: request.reason }))
}

pub(crate) fn unban(request: &v1::UnbanRequest) -> Result<(RoomId, Act), Fault> {
    Ok((room(&request.room)?, Act::Unban { id: participant(&request.participant)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T>(outcome: Result<T, Fault>) -> String {
        let fault = outcome.err().expect("refused");
        assert_eq!(fault.code, Code::InvalidArgument);
        fault.detail.into_owned()
    }

    #[test]
    fn a_name_that_is_none_is_refused_with_its_kind() {
        assert!(refused(room("a/b")).contains("room \"a/b\" holds '/'"));
        assert!(refused(node("")).starts_with("node is empty"));
        let mute = super::mute(&v1::MuteRequest { room: "r".into(), participant: "x y".into(), muted: true });
        assert!(refused(mute).contains("participant \"x y\""));
    }

    #[test]
    fn a_page_has_bounds() {
        let page =
            |page_size, token: &str| page(&v1::ListRoomsRequest { page_size, page_token: token.into() });
        assert_eq!(page(0, "").unwrap(), (100, None));
        assert_eq!(page(1000, "demo").unwrap(), (1000, Some(RoomId::new("demo").unwrap())));
        assert!(refused(page(1001, "")).contains("1001"));
        assert!(refused(page(1, "not a token")).contains("not a token"));
    }

    #[test]
    fn a_spec_takes_defaults_and_names_what_is_out_of_bounds() {
        let default = spec(None).unwrap();
        assert_eq!(default, Spec::default());
        assert_eq!(default.visibility, Visibility::Private);
        let with = |change: fn(&mut v1::RoomSpec)| {
            let mut wire = v1::RoomSpec::default();
            change(&mut wire);
            spec(Some(wire))
        };
        assert!(refused(with(|spec| spec.visibility = 9)).contains("visibility has value 9"));
        assert!(refused(with(|spec| spec.starts_at_ms = -1)).contains("starts_at_ms is -1"));
        assert!(refused(with(|spec| spec.stage_limit = 5000)).contains("5000"));
        assert!(refused(with(|spec| spec.bitrate_bps = 7)).contains('7'));
        assert!(refused(with(|spec| spec.title = "x".repeat(201))).contains("201"));
    }
}
