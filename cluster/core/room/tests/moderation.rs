//! What moderators decide holds: through leaving and coming back, and through a new owner that has only the record.

#![expect(clippy::unwrap_used, reason = "a room that cannot be made here is a bug of the test")]

use std::time::Duration;

use stentor_ids::{Code, Fault, ParticipantId, Role};
use stentor_pace::WallTime;
use stentor_room::{
    Actor, BanPart, Bans, Command, Effect, MAX_BANS, MAX_HANDS, MAX_INVITATIONS, MAX_RULINGS, Notice, Record,
    Refusal, Room, Spec,
};

fn id(name: &str) -> ParticipantId {
    ParticipantId::new(name).unwrap()
}

fn who(name: &str, role: Role) -> Actor {
    Actor::Participant { id: id(name), name: name.to_uppercase(), role }
}

fn host() -> Actor {
    who("host", Role::Host)
}

fn speaker() -> Actor {
    who("bob", Role::Speaker)
}

fn listener() -> Actor {
    who("lis", Role::Listener)
}

/// A room with a clock.
struct Stage {
    room: Room,
    now: WallTime,
}

impl Stage {
    /// An open room with these on the stage.
    fn with(spec: Spec, everyone: &[Actor]) -> Self {
        let mut stage = Self { room: Room::new(Record::new(spec).unwrap()), now: WallTime::from_millis(1) };
        stage.tell(&Actor::Operator, Command::Open).unwrap();
        for by in everyone {
            stage.tell(by, Command::Join).unwrap();
        }
        stage
    }

    fn tell(&mut self, by: &Actor, command: Command) -> Result<Vec<Effect>, Refusal> {
        self.room.handle(self.now, by, command)
    }

    fn code(&mut self, by: &Actor, command: Command) -> Code {
        self.tell(by, command).unwrap_err().code()
    }

    fn invite(&mut self, name: &str, role: Role) -> Result<Vec<Effect>, Refusal> {
        self.tell(&host(), Command::Invite { id: id(name), role })
    }

    fn mute(&mut self, by: &Actor, name: &str, muted: bool) -> Result<Vec<Effect>, Refusal> {
        self.tell(by, Command::Mute { id: id(name), muted })
    }

    fn role(&self, name: &str) -> Option<Role> {
        self.room.record().participant(&id(name)).map(|participant| participant.role())
    }

    fn may_speak(&self, name: &str) -> bool {
        self.room.record().may_speak(&id(name))
    }

    /// A new owner takes the room over.
    fn restart(&mut self) {
        let record = self.room.record();
        let parts = record.bans().parts().iter().map(BanPart::encode).enumerate();
        let bans = Bans::decode(parts.filter(|(_, part)| !part.is_empty())).unwrap();
        self.room = Room::new(Record::decode(&record.encode()).unwrap().with_bans(bans));
    }
}

fn stage() -> Stage {
    Stage::with(Spec::default(), &[host(), speaker()])
}

fn remove(name: &str) -> Command {
    Command::Remove { id: id(name), reason: "noise".into() }
}

fn ban(name: &str) -> Command {
    Command::Ban { id: id(name), reason: "abuse".into() }
}

#[test]
fn a_raised_hand_leads_to_the_stage_by_invitation() {
    let mut stage = stage();
    assert_eq!(stage.tell(&listener(), Command::RaiseHand), Ok(vec![Effect::HandsChanged]));
    assert_eq!(stage.tell(&listener(), Command::RaiseHand), Ok(vec![]));
    assert_eq!((&stage.room.hands()[0].id, stage.room.hands()[0].name.as_str()), (&id("lis"), "LIS"));
    let until = stage.now + Duration::from_secs(120);
    let notice = Notice::Invited { role: Role::Speaker, until };
    let invited = Effect::Notify { participant: id("lis"), notice };
    assert_eq!(stage.invite("lis", Role::Speaker), Ok(vec![invited]));
    assert!(!stage.may_speak("lis"));
    let version = stage.room.record().stage_version() + 1;
    let effects = [
        Effect::Commit,
        Effect::StageChanged { version },
        Effect::HandsChanged,
        Effect::Notify { participant: id("lis"), notice: Notice::Role(Role::Speaker) },
    ];
    assert_eq!(stage.tell(&listener(), Command::Accept), Ok(effects.to_vec()));
    assert!(stage.may_speak("lis") && stage.room.hands().is_empty() && stage.room.invitations().is_empty());
}

#[test]
fn a_promotion_outlasts_its_owner_and_ends_with_leaving() {
    let mut stage = stage();
    stage.invite("lis", Role::Cohost).unwrap();
    stage.tell(&listener(), Command::Accept).unwrap();
    stage.restart();
    assert_eq!(stage.room.record().role_of(&listener()), Ok(Role::Cohost));
    assert!(stage.mute(&listener(), "bob", true).is_ok());
    stage.tell(&listener(), Command::Leave).unwrap();
    assert_eq!(stage.tell(&listener(), Command::Join), Ok(vec![]));
    assert_eq!(stage.role("lis"), None);
    let refusal = stage.room.record().require_participant(&id("lis")).unwrap_err();
    assert_eq!(refusal.to_string(), "lis is not on the stage; raise a hand and accept the invitation");
}

#[test]
fn an_invitation_can_be_declined_and_runs_out() {
    let mut stage = stage();
    stage.invite("lis", Role::Speaker).unwrap();
    assert_eq!(stage.tell(&listener(), Command::Decline), Ok(vec![]));
    assert_eq!(stage.code(&listener(), Command::Accept), Code::WrongState);
    stage.invite("lis", Role::Speaker).unwrap();
    stage.now = stage.now + Duration::from_secs(120);
    assert_eq!(stage.tell(&listener(), Command::Accept), Err(Refusal::NotInvited(id("lis"))));
}

#[test]
fn who_was_taken_off_the_stage_comes_back_by_invitation_alone() {
    let mut stage = stage();
    let effects = stage.tell(&host(), remove("bob")).unwrap();
    let notice = Notice::Removed("noise".into());
    assert_eq!(effects[0], Effect::Commit);
    assert_eq!(effects.last(), Some(&Effect::Notify { participant: id("bob"), notice }));
    stage.restart();
    stage.tell(&speaker(), Command::Leave).unwrap();
    assert_eq!(stage.tell(&speaker(), Command::Join), Ok(vec![]));
    assert!(!stage.may_speak("bob"));
    stage.tell(&speaker(), Command::RaiseHand).unwrap();
    stage.invite("bob", Role::Speaker).unwrap();
    stage.tell(&speaker(), Command::Accept).unwrap();
    assert!(stage.may_speak("bob"));
    assert!(stage.room.record().rulings().is_empty(), "bob is again what the ticket says");
}

#[test]
fn a_removal_takes_a_hand_or_an_invitation_away_and_rules_nothing() {
    let mut stage = stage();
    stage.tell(&listener(), Command::RaiseHand).unwrap();
    stage.invite("lis", Role::Speaker).unwrap();
    let effects = stage.tell(&host(), remove("lis")).unwrap();
    assert!(effects.contains(&Effect::HandsChanged) && !effects.contains(&Effect::Commit));
    assert_eq!(stage.code(&listener(), Command::Accept), Code::WrongState);
    assert!(stage.room.record().rulings().is_empty());
}

#[test]
fn whose_hand_a_moderator_lowers_is_told() {
    let mut stage = stage();
    stage.tell(&listener(), Command::RaiseHand).unwrap();
    let effects = stage.tell(&host(), remove("lis")).unwrap();
    let notice = Notice::HandLowered("noise".into());
    assert_eq!(effects, [Effect::HandsChanged, Effect::Notify { participant: id("lis"), notice }]);
    stage.tell(&listener(), Command::RaiseHand).unwrap();
    assert_eq!(stage.tell(&listener(), Command::LowerHand), Ok(vec![Effect::HandsChanged]));
}

#[test]
fn who_is_banned_can_do_nothing_until_the_ban_is_lifted() {
    let mut stage = stage();
    let effects = stage.tell(&host(), ban("bob")).unwrap();
    assert!(effects.contains(&Effect::BanChanged { participant: id("bob"), banned: true }));
    assert_eq!(stage.tell(&host(), ban("bob")), Ok(vec![]));
    stage.restart();
    for command in [Command::Join, Command::RaiseHand, Command::Leave, Command::Accept] {
        assert_eq!(stage.code(&speaker(), command), Code::Banned);
    }
    assert_eq!(stage.room.record().require_participant(&id("bob")).unwrap_err().code(), Code::Banned);
    assert_eq!(stage.invite("bob", Role::Speaker).unwrap_err().code(), Code::Banned);
    let lifted = Effect::BanChanged { participant: id("bob"), banned: false };
    assert_eq!(stage.tell(&host(), Command::Unban { id: id("bob") }), Ok(vec![Effect::Commit, lifted]));
    stage.tell(&speaker(), Command::Join).unwrap();
    assert!(stage.may_speak("bob"));
}

#[test]
fn neither_mute_lifts_the_other() {
    let mut stage = stage();
    stage.mute(&speaker(), "bob", true).unwrap();
    assert_eq!(stage.mute(&speaker(), "bob", true), Ok(vec![]));
    assert!(!stage.may_speak("bob"));
    assert_eq!(stage.mute(&host(), "bob", false), Err(Refusal::MutedItself(id("bob"))));
    stage.mute(&host(), "bob", true).unwrap();
    assert_eq!(stage.mute(&speaker(), "bob", false), Err(Refusal::MutedByModerator(id("bob"))));
    let effects = stage.mute(&host(), "bob", false).unwrap();
    let notice = Notice::Muted(true);
    assert_eq!(effects.last(), Some(&Effect::Notify { participant: id("bob"), notice }));
    stage.mute(&speaker(), "bob", false).unwrap();
    assert!(stage.may_speak("bob"));
}

#[test]
fn a_moderator_s_mute_outlasts_being_on_the_stage() {
    let mut stage = stage();
    stage.mute(&Actor::Operator, "bob", true).unwrap();
    stage.tell(&speaker(), Command::Leave).unwrap();
    stage.restart();
    stage.tell(&speaker(), Command::Join).unwrap();
    assert!(!stage.may_speak("bob"));
    stage.mute(&host(), "bob", false).unwrap();
    assert!(stage.may_speak("bob") && stage.room.record().rulings().is_empty());
}

#[test]
fn a_role_given_on_the_stage_wins_over_the_ticket() {
    let mut stage = stage();
    let eve = who("eve", Role::Host);
    stage.tell(&eve, Command::Join).unwrap();
    stage.tell(&host(), Command::SetRole { id: id("eve"), role: Role::Speaker }).unwrap();
    stage.tell(&eve, Command::Leave).unwrap();
    stage.tell(&eve, Command::Join).unwrap();
    assert_eq!(stage.role("eve"), Some(Role::Speaker));
    assert_eq!(stage.code(&eve, Command::GoLive), Code::RoleForbids);
    assert!(stage.tell(&host(), Command::GoLive).is_ok());
}

#[test]
fn a_full_stage_takes_nobody_until_someone_leaves() {
    let mut stage = Stage::with(Spec { stage_limit: 2, ..Spec::default() }, &[host()]);
    stage.invite("lis", Role::Speaker).unwrap();
    stage.tell(&speaker(), Command::Join).unwrap();
    assert_eq!(stage.code(&listener(), Command::Accept), Code::StageFull);
    assert_eq!(stage.code(&who("dan", Role::Speaker), Command::Join), Code::StageFull);
    assert_eq!(stage.invite("dan", Role::Speaker).unwrap_err().code(), Code::StageFull);
    let fault = Fault::from(stage.invite("dan", Role::Speaker).unwrap_err());
    assert_eq!(fault.detail, "all 2 places on the stage are taken; try again when someone has left");
    assert!(fault.retry_after.is_some());
    assert!(stage.invite("bob", Role::Cohost).is_ok(), "bob is on the stage already");
    stage.tell(&speaker(), Command::Leave).unwrap();
    assert!(stage.tell(&listener(), Command::Accept).is_ok());
}

#[test]
fn hands_invitations_and_rulings_are_bounded() {
    let mut stage = stage();
    for i in 0..MAX_HANDS {
        stage.tell(&who(&format!("h{i}"), Role::Listener), Command::RaiseHand).unwrap();
    }
    assert_eq!(stage.code(&listener(), Command::RaiseHand), Code::Overloaded);
    for i in 0..MAX_INVITATIONS {
        stage.invite(&format!("h{i}"), Role::Speaker).unwrap();
    }
    assert_eq!(stage.invite("lis", Role::Speaker).unwrap_err().code(), Code::Overloaded);
    assert!(stage.invite("h0", Role::Cohost).is_ok());
    for i in 0..MAX_RULINGS {
        let removed = who(&format!("r{i}"), Role::Speaker);
        stage.tell(&removed, Command::Join).unwrap();
        let remove = Command::Remove { id: removed.id().unwrap().clone(), reason: String::new() };
        stage.tell(&host(), remove).unwrap();
    }
    assert_eq!(stage.code(&host(), Command::Mute { id: id("bob"), muted: true }), Code::Overloaded);
    assert!(stage.may_speak("bob"));
    stage.tell(&host(), ban("bob")).expect("bans have places of their own");
    stage.tell(&host(), Command::Unban { id: id("r0") }).unwrap();
}

#[test]
fn the_twenty_thousandth_troll_is_banned_and_the_next_one_is_refused_and_stays_as_it_was() {
    let mut stage = stage();
    for i in 0..MAX_BANS {
        stage.tell(&host(), ban(&format!("b{i}"))).unwrap();
    }
    assert_eq!(stage.code(&host(), ban("bob")), Code::Overloaded);
    assert!(stage.may_speak("bob"));
    stage.restart();
    assert_eq!(stage.room.record().bans().len(), MAX_BANS);
    stage.tell(&host(), Command::Unban { id: id("b0") }).unwrap();
    assert!(stage.tell(&host(), ban("bob")).is_ok());
    assert!(stage.room.record().encode().len() < 2_000, "the record does not grow by them");
}

#[test]
fn a_hand_that_nobody_lowers_goes_down_by_itself() {
    let mut stage = stage();
    stage.tell(&listener(), Command::RaiseHand).unwrap();
    assert_eq!(stage.room.expire(stage.now), []);
    stage.now = stage.now + Duration::from_secs(15 * 60);
    stage.tell(&who("dan", Role::Listener), Command::RaiseHand).unwrap();
    let effects = stage.room.expire(stage.now);
    assert_eq!(effects[0], Effect::HandsChanged);
    assert_eq!(effects.len(), 2, "{effects:?}");
    assert!(
        matches!(&effects[1], Effect::Notify { participant, notice: Notice::HandLowered(_) } if *participant == id("lis")),
        "{effects:?}"
    );
    assert_eq!(stage.room.hands().iter().map(|hand| hand.id.as_str()).collect::<Vec<_>>(), ["dan"]);
}

#[test]
fn what_is_too_long_or_too_loud_is_refused_with_the_value() {
    let mut stage = stage();
    let told = |outcome: Result<Vec<Effect>, Refusal>| outcome.unwrap_err().to_string();
    let gain = Command::SetGain { id: id("bob"), gain_db: 13 };
    assert_eq!(told(stage.tell(&host(), gain)), "gain 13 dB is not within -40 to 12 dB");
    let reason = Command::Remove { id: id("bob"), reason: "x".repeat(201) };
    assert_eq!(told(stage.tell(&host(), reason)), "reason has 201 characters; at most 200 are allowed");
    let name = Actor::Participant { id: id("dan"), name: "x".repeat(65), role: Role::Speaker };
    assert_eq!(told(stage.tell(&name, Command::Join)), "name has 65 characters; at most 64 are allowed");
    assert!(told(stage.invite("lis", Role::Listener)).starts_with("nobody is invited as a listener"));
    let cohost = who("coco", Role::Cohost);
    assert_eq!(told(stage.tell(&cohost, remove("host"))), "a cohost may not remove a host; ask a host");
    assert_eq!(told(stage.tell(&listener(), remove("bob"))), "a listener may not remove; it takes a cohost");
}

#[test]
fn closed_doors_say_when_to_come_back() {
    let starts_at = Some(WallTime::from_millis(100_000));
    let mut room = Room::new(Record::new(Spec { starts_at, ..Spec::default() }).unwrap());
    let mut wait = |millis| {
        let refusal = room.handle(WallTime::from_millis(millis), &speaker(), Command::Join).unwrap_err();
        Fault::from(refusal).retry_after.unwrap().as_secs()
    };
    assert_eq!([wait(60_000), wait(99_999), wait(100_000), wait(500_000)], [40, 1, 10, 10]);
    let starts_at = Some(WallTime::from_millis(86_400_000));
    let mut room = Room::new(Record::new(Spec { starts_at, ..Spec::default() }).unwrap());
    let refusal = room.handle(WallTime::from_millis(0), &speaker(), Command::Join).unwrap_err();
    assert_eq!(Fault::from(refusal).retry_after, Some(Duration::from_secs(300)));
}

#[test]
fn the_end_empties_the_room() {
    let mut stage = stage();
    stage.tell(&host(), Command::GoLive).unwrap();
    stage.tell(&listener(), Command::RaiseHand).unwrap();
    let version = stage.room.record().stage_version() + 1;
    let effects =
        [Effect::Commit, Effect::LifecycleChanged, Effect::StageChanged { version }, Effect::HandsChanged];
    assert_eq!(stage.tell(&host(), Command::End), Ok(effects.to_vec()));
    assert!(stage.room.record().stage().is_empty() && stage.room.hands().is_empty());
    assert_eq!(stage.code(&host(), Command::End), Code::RoomEnded);
}
