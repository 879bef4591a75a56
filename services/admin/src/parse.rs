//! Requests as they come from the wire, turned into domain values or refused by field.

use stentor_ids::{Code, Fault, NodeId, ParticipantId, Role, RoomId};
use stentor_pace::WallTime;
use stentor_proto::{BadField, gain_from_wire, micros_of, required, role_from_wire, v1};
use stentor_room::{Spec, SpecChange, Visibility};

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
    let starts_at =
        wire.starts_at.map(|at| micros_of(at, "starts_at")).transpose()?.map(WallTime::from_micros);
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

/// The room, and what of its spec is to be different.
pub(crate) fn update(request: v1::UpdateRoomRequest) -> Result<(RoomId, Act), Fault> {
    let room = room(&request.room)?;
    let wire = request.spec.unwrap_or_default();
    let set = [
        ("title", !wire.title.is_empty()),
        ("visibility", wire.visibility != 0),
        ("starts_at", wire.starts_at.is_some()),
        ("stage_limit", wire.stage_limit != 0),
        ("bitrate_bps", wire.bitrate_bps != 0),
    ];
    let mask = request.update_mask.unwrap_or_default().paths;
    let is_field = |path: &str| path == "*" || set.iter().any(|(name, _)| *name == path);
    if let Some(path) = mask.iter().find(|path| !is_field(path)) {
        let names = set.map(|(name, _)| name).join(", ");
        let detail =
            format!("update_mask names {path:.100?}, which is no field of a spec; give * or some of {names}");
        return Err(Fault::new(Code::InvalidArgument, detail));
    }
    let changes = |field: &str| match mask.as_slice() {
        [] => set.iter().any(|(name, set)| *name == field && *set),
        mask => mask.iter().any(|path| path == "*" || path == field),
    };
    if !set.iter().any(|(name, _)| changes(name)) {
        let detail = "nothing is to be changed; set a field of spec, or name one in update_mask";
        return Err(Fault::new(Code::InvalidArgument, detail));
    }
    let spec = spec(Some(wire))?;
    let change = SpecChange {
        title: changes("title").then_some(spec.title),
        visibility: changes("visibility").then_some(spec.visibility),
        starts_at: changes("starts_at").then_some(spec.starts_at),
        stage_limit: changes("stage_limit").then_some(spec.stage_limit),
        bitrate_bps: changes("bitrate_bps").then_some(spec.bitrate_bps),
    };
    Ok((room, Act::Update(change)))
}

pub(crate) fn set_role(request: &v1::RoleRequest) -> Result<(RoomId, Act), Fault> {
    let role = required(role_from_wire(request.role)?, "role")?;
    Ok((room(&request.room)?, Act::SetRole { id: participant(&request.participant)?, role }))
}

pub(crate) fn set_gain(request: &v1::GainRequest) -> Result<(RoomId, Act), Fault> {
    let gain_db = gain_from_wire(request.gain_db)?;
    Ok((room(&request.room)?, Act::SetGain { id: participant(&request.participant)?, gain_db }))
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
    use stentor_proto::Timestamp;

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
        let before = |spec: &mut v1::RoomSpec| spec.starts_at = Some(Timestamp { seconds: -1, nanos: 0 });
        assert!(refused(with(before)).contains("starts_at is no moment from 1970 to 9999: -1 s"));
        assert!(refused(with(|spec| spec.stage_limit = 5000)).contains("5000"));
        assert!(refused(with(|spec| spec.bitrate_bps = 7)).contains('7'));
        assert!(refused(with(|spec| spec.title = "x".repeat(201))).contains("201"));
    }

    #[test]
    fn a_mask_says_which_fields_change_and_without_one_those_that_are_set_do() {
        let wire = v1::RoomSpec { title: "New".into(), stage_limit: 7, ..v1::RoomSpec::default() };
        let change = |paths: &[&str], spec: &v1::RoomSpec| {
            let paths = paths.iter().map(ToString::to_string).collect();
            let update_mask = Some(stentor_proto::FieldMask { paths });
            update(v1::UpdateRoomRequest { room: "r".into(), spec: Some(spec.clone()), update_mask })
        };
        let changed = |paths: &[&str]| match change(paths, &wire) {
            Ok((_, Act::Update(change))) => change,
            other => panic!("{other:?}"),
        };
        let title = SpecChange { title: Some("New".into()), ..SpecChange::default() };
        assert_eq!(changed(&["title"]), title);
        assert_eq!(changed(&[]), SpecChange { stage_limit: Some(7), ..title.clone() });
        assert_eq!(changed(&["title", "starts_at"]), SpecChange { starts_at: Some(None), ..title.clone() });
        let all = SpecChange {
            visibility: Some(Visibility::Private),
            starts_at: Some(None),
            stage_limit: Some(7),
            bitrate_bps: Some(32_000),
            ..title
        };
        assert_eq!(changed(&["*"]), all);
        assert!(refused(change(&["title", "colour"], &wire)).contains("\"colour\", which is no field"));
        assert!(refused(change(&[], &v1::RoomSpec::default())).contains("nothing is to be changed"));
        let long = v1::RoomSpec { title: "x".repeat(201), ..v1::RoomSpec::default() };
        assert!(refused(change(&["title"], &long)).contains("201"));
    }
}
