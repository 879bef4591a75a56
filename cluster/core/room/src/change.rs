//! What a room is to be, changed after it was created: which field may change when.
//!
//! | field | scheduled | open | live |
//! |---|---|---|---|
//! | title, stage limit | yes | yes | yes |
//! | visibility | yes | yes | to public; who hears a public room without a ticket would stay |
//! | announced start | yes | yes | no: it has started |
//! | bit rate | yes | no: the encoders are made when the doors open | no |
//!
//! A value that the room has already is no change, and is never refused. Who is on a stage that becomes smaller stays.

use stentor_ids::Role;

use crate::{
    Lifecycle, Refusal, Room, Spec, SpecChange, Visibility,
    room::{Changes, require},
};

impl Room {
    pub(crate) fn update(&mut self, role: Role, change: SpecChange) -> Result<Changes, Refusal> {
        require(role, Role::Host, "change what the room is to be")?;
        let spec = change.applied(&self.record.spec);
        spec.validate().map_err(|error| Refusal::Invalid(error.to_string()))?;
        if spec == self.record.spec {
            return Ok(Changes::default());
        }
        self.require_in_time(&spec)?;
        self.record.spec = spec;
        Ok(Changes { record: true, spec: true, ..Changes::default() })
    }

    fn require_in_time(&self, new: &Spec) -> Result<(), Refusal> {
        let (lifecycle, old) = (self.record.lifecycle, &self.record.spec);
        let too_late = |field, why| Err(Refusal::TooLate { field, lifecycle, why });
        if new.bitrate_bps != old.bitrate_bps && lifecycle != Lifecycle::Scheduled {
            return too_late("bit rate", "its encoders are made when the doors open");
        }
        let live = matches!(lifecycle, Lifecycle::Live { .. });
        if live && new.starts_at != old.starts_at {
            return too_late("announced start", "it has started");
        }
        if live && new.visibility == Visibility::Private && old.visibility == Visibility::Public {
            return too_late("visibility to private", "those who hear it without a ticket would stay");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use stentor_ids::Code;
    use stentor_pace::WallTime;

    use super::*;
    use crate::{Actor, Command, Effect, Record};

    const NOW: WallTime = WallTime::from_millis(1_000);

    fn room(commands: &[Command]) -> Room {
        let spec = Spec { visibility: Visibility::Public, ..Spec::default() };
        let mut room = Room::new(Record::new(spec).unwrap());
        for command in commands {
            room.handle(NOW, &Actor::Operator, command.clone()).unwrap();
        }
        room
    }

    fn update(room: &mut Room, change: SpecChange) -> Result<Vec<Effect>, Refusal> {
        room.handle(NOW, &Actor::Operator, Command::Update(change))
    }

    #[test]
    fn each_field_changes_until_it_is_too_late_for_it() {
        let changes = [
            ("title", SpecChange { title: Some("Another".into()), ..SpecChange::default() }),
            ("stage", SpecChange { stage_limit: Some(1), ..SpecChange::default() }),
            ("start", SpecChange { starts_at: Some(Some(NOW)), ..SpecChange::default() }),
            ("private", SpecChange { visibility: Some(Visibility::Private), ..SpecChange::default() }),
            ("bitrate", SpecChange { bitrate_bps: Some(64_000), ..SpecChange::default() }),
        ];
        let refused = |commands: &[Command]| {
            let mut refused = Vec::new();
            for (name, change) in &changes {
                let mut room = room(commands);
                let before = room.clone();
                match update(&mut room, change.clone()) {
                    Ok(effects) => {
                        assert_eq!(effects, [Effect::Commit, Effect::SpecChanged], "{name}");
                        assert!(
                            update(&mut room, change.clone()).unwrap().is_empty(),
                            "{name} is so already"
                        );
                    }
                    Err(refusal) => {
                        assert_eq!((&room, refusal.code()), (&before, Code::WrongState), "{refusal}");
                        refused.push(*name);
                    }
                }
            }
            refused.join(" ")
        };
        assert_eq!(refused(&[]), "");
        assert_eq!(refused(&[Command::Open]), "bitrate");
        assert_eq!(refused(&[Command::Open, Command::GoLive]), "start private bitrate");
        let mut ended = room(&[Command::End]);
        assert_eq!(update(&mut ended, changes[0].1.clone()), Err(Refusal::Ended));
    }

    #[test]
    fn a_live_room_may_be_opened_to_everyone_and_says_why_it_does_not_close() {
        let mut live = room(&[Command::Open, Command::GoLive]);
        let to = |visibility| SpecChange { visibility: Some(visibility), ..SpecChange::default() };
        let refusal = update(&mut live, to(Visibility::Private)).unwrap_err();
        let told = "the room is live, too late to change its visibility to private: those who hear it without a ticket \
                    would stay";
        assert_eq!(refusal.to_string(), told);
        let mut private = Room::new(Record::new(Spec::default()).unwrap());
        for command in [Command::Open, Command::GoLive, Command::Update(to(Visibility::Public))] {
            private.handle(NOW, &Actor::Operator, command).unwrap();
        }
        assert_eq!(private.record().spec().visibility, Visibility::Public);
    }

    #[test]
    fn a_change_out_of_bounds_changes_nothing() {
        let mut room = room(&[]);
        let change = SpecChange { title: Some("New".into()), stage_limit: Some(0), ..SpecChange::default() };
        let refusal = update(&mut room, change).unwrap_err();
        assert_eq!(refusal.to_string(), "stage limit 0 is not within 1 to 100");
        assert_eq!(room.record().spec().title, "");
    }
}
