//! Following a room's mix log, as a mirror does.

use std::sync::{Arc, Mutex};

use stentor_ids::{ParticipantId, Slot};
use stentor_kit::{Cluster, Meddler, Plan, SOON, meddled, speak, talk, until, voice, who};
use stentor_mix::{
    Config, History, LogEntry, Mixer, PacketRef, Participant, SpeakerPacket, Stage, Step, VoiceLog,
};
use stentor_pace::Time;
use stentor_proto::v1::{
    self, FollowRequest, follow_response::Message, mirror_service_client::MirrorServiceClient,
};

/// What a mixer is given, as the mirror gets it by its own uplinks.
#[derive(Default)]
struct Packets(Mutex<Vec<(Time, ParticipantId, SpeakerPacket)>>);

impl Meddler for Packets {
    fn takes(&self, now: Time, who: &ParticipantId, packet: &SpeakerPacket) {
        self.0.lock().unwrap().push((now, who.clone(), packet.clone()));
    }
}

fn stage(state: &v1::StageState) -> Stage {
    let participant = |told: &v1::Participant| Participant {
        id: who(&told.id),
        muted: told.muted,
        gain_db: told.gain_db as f32,
    };
    Stage { version: state.version, participants: state.seats.iter().map(participant).collect() }
}

fn entry(entry: &v1::MixLogEntry) -> LogEntry {
    let packet = |packet: &v1::PacketRef| PacketRef { stream: packet.stream, seq: packet.seq };
    let step = |step: &v1::MixStep| match step.step.as_ref().unwrap() {
        v1::mix_step::Step::Packet(name) => Step::Packet(packet(name)),
        v1::mix_step::Step::Conceal(samples) => Step::Conceal(*samples),
        v1::mix_step::Step::Fec(name) => Step::Fec(packet(name)),
        v1::mix_step::Step::Drift(by) => Step::Drift(*by),
    };
    let voice = |voice: &v1::SpeakerSteps| VoiceLog {
        participant: who(&voice.participant),
        carried: voice.carried,
        steps: voice.steps.iter().map(step).collect(),
    };
    LogEntry {
        slot: Slot(entry.slot),
        stage_version: entry.stage_version,
        voices: entry.speakers.iter().map(voice).collect(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_can_replay_the_last_half_second() {
    let cluster = Cluster::in_memory();
    let packets = Arc::new(Packets::default());
    let plan = Plan::of(&["origin"]).mixed_by(meddled(packets.clone()));
    let origin = cluster.start("origin-1", plan).await;
    let room = cluster.create("demo", true).await;
    cluster.owner_from(&room, 1).await;
    let edge = cluster.uplinks("edge-1");
    let _talking = talk(speak(&edge, &room, "ann", false).await, voice("voice-a.ogg"));
    until("packets come", || packets.0.lock().unwrap().len() > 50).await;

    let channel = cluster.pool("mirror").channel(origin.link_addr()).unwrap();
    let mut client = MirrorServiceClient::new(channel);
    let request = |epoch| FollowRequest { room: room.to_string(), node: "mirror".into(), epoch };
    assert!(client.follow(request(2)).await.is_err(), "an owner of an older epoch is not followed");
    let mut log = client.follow(request(1)).await.unwrap().into_inner();
    let (mut history, mut stages, mut entries, mut frames) = (History::new(), 0, 0, 0);
    while frames < 75 {
        let said = tokio::time::timeout(SOON, log.message()).await.unwrap().unwrap().unwrap();
        match said.message.unwrap() {
            Message::Stage(state) => {
                stages += 1;
                history.push_stage(stage(&state));
            }
            Message::Entry(logged) => {
                for (at, who, packet) in packets.0.lock().unwrap().iter() {
                    history.push_packet(*at, who, packet.clone());
                }
                entries += 1;
                history.push_log(entry(&logged));
            }
            Message::Frame(frame) => {
                assert_eq!(Some(Slot(frame.slot)), history.last_slot(), "a frame follows its entry");
                frames += 1;
            }
            Message::Origin(_)
            | Message::Room(_)
            | Message::Levels(_)
            | Message::Bans(_)
            | Message::Event(_)
            | Message::Fence(_) => {}
        }
    }
    assert_eq!((stages, entries), (1, 75));
    history.ready(25).unwrap();
    let now = packets.0.lock().unwrap().last().unwrap().0;
    let mut mirror = Mixer::replay(Config::default(), &history, now, 25).unwrap();
    let next = history.last_slot().unwrap().next();
    let output = mirror.tick(now, next).unwrap();
    assert_eq!(output.log.slot, next);
}
