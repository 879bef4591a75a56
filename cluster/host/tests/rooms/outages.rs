//! Owners that lose touch with the directory, or their room.

use std::time::Duration;

use stentor_directory::{NodeRecord, NodeRole, SessionState, View};
use stentor_ids::{Code, Epoch, NodeId, Slot};
use stentor_kit::{Cluster, Node, speak, until, until_async, who};
use stentor_programs::Etcd;
use stentor_proto::v1::{Empty, MuteRequest, command_request::Command};

/// Slots from a mute that is asked for to its being told, on a machine that does much else: a second. Who waited for the
/// directory would not tell it at all.
const AT_ONCE: u64 = 50;

fn mute() -> Command {
    Command::Mute(MuteRequest { participant: "ann".into(), muted: true, ..MuteRequest::default() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_whose_lease_is_gone_puts_its_key_back_and_nobody_takes_the_room() {
    let etcd = Etcd::start().unwrap();
    let cluster = Cluster::on(&etcd).await;
    let origin = cluster.origin("origin-1").await;
    let room = cluster.create("demo", true).await;
    cluster.owner_from(&room, 1).await;
    let heard = cluster.listen("relay-1", &room).await;
    heard.heard_of(1, 20).await;
    let other = cluster.origin("origin-2").await;
    let SessionState::Held(lease) = *origin.session().state().borrow() else { panic!("no lease") };

    let key = "/stentor/v1/rooms/demo/owner";
    let value = etcd.control(&["get", "-w", "fields", key]).unwrap();
    let field = |line: &str| line.strip_prefix("\"Lease\" : ").and_then(|lease| lease.parse::<i64>().ok());
    let number = value.lines().find_map(field).expect("the owner key is on a lease");
    etcd.control(&["lease", "revoke", &format!("{number:x}")]).unwrap();
    cluster.shows("nobody owns it", |view| view.rooms[&room].owner.is_none()).await;
    let at = heard.highest();
    let owner = cluster.owner_from(&room, 1).await;
    assert_eq!((owner.node.as_str(), owner.epoch), ("origin-1", Epoch(1)));
    until("it goes on", || heard.highest() > at.plus(100)).await;
    assert_ne!(*origin.session().state().borrow(), SessionState::Held(lease), "it is a new lease");
    assert_eq!(heard.audio().missing, [0; 0]);
    assert_eq!(other.host().rooms(), 0);
    origin.command(&room, Command::End(Empty {})).await.expect("it commits again");
}

/// Ends the leases that these origins hold.
async fn end_leases(cluster: &Cluster, origins: &[&Node]) {
    for origin in origins {
        let SessionState::Held(lease) = *origin.session().state().borrow() else { panic!("no lease") };
        cluster.directory.end_lease(lease).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_owner_and_a_mirror_whose_leases_are_gone_at_once_put_their_keys_back() {
    let cluster = Cluster::in_memory();
    let owner = cluster.origin("origin-1").await;
    let room = cluster.create("demo", true).await;
    cluster.owner_from(&room, 1).await;
    let mirror = cluster.origin("origin-2").await;
    until("the other mirrors it", || mirror.host().mirrors(&room)).await;
    let heard = cluster.listen("relay-1", &room).await;
    heard.heard_of(1, 50).await;
    for (lost, whose) in [(vec![&owner], "owner"), (vec![&mirror], "mirror"), (vec![&owner, &mirror], "both")]
    {
        let at = heard.highest();
        end_leases(&cluster, &lost).await;
        let back = |view: &View| {
            let room = &view.rooms[&room];
            room.owner.as_ref().is_some_and(|key| key.node == owner.id && key.epoch == Epoch(1))
                && room.mirror.as_ref().is_some_and(|key| key.node == mirror.id)
        };
        cluster.shows(&format!("a key is gone ({whose})"), |view| !back(view)).await;
        cluster.shows(&format!("the keys are back ({whose})"), back).await;
        until("it goes on", || heard.highest() > at.plus(100)).await;
    }
    let audio = heard.audio();
    assert_eq!((audio.missing, audio.twice), (vec![], 0));
    owner.command(&room, Command::End(Empty {})).await.expect("it commits again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_directory_a_mute_acts_at_once_and_is_committed_when_it_is_back() {
    let mut etcd = Etcd::start().unwrap();
    let cluster = Cluster::on(&etcd).await;
    let origin = cluster.origin("origin-1").await;
    let room = cluster.create("demo", true).await;
    cluster.owner_from(&room, 1).await;
    let edge = cluster.uplinks("edge-1");
    let heard = cluster.listen("relay-1", &room).await;
    let _ann = speak(&edge, &room, "ann", false).await;
    heard.heard_of(1, 20).await;

    etcd.kill().unwrap();
    let asked = origin.host().owns(&room).unwrap().1;
    let muted = origin.command(&room, mute());
    let told = async {
        until("the mute is told", || !heard.events().is_empty()).await;
        origin.host().owns(&room).unwrap().1
    };
    let (muted, told) = tokio::join!(muted, told);
    assert!(told.since(asked) < AT_ONCE, "told in slot {told}, asked for in {asked}");
    assert!(muted.unwrap().room.unwrap().stage[0].muted);
    let refused = origin.command(&room, Command::End(Empty {})).await.unwrap_err();
    assert_eq!(refused.code, Code::DirectoryUnavailable);
    assert!(refused.retry_after.is_some());

    etcd.run().unwrap();
    let committed = async || !cluster.record(&room).await.may_speak(&who("ann"));
    until_async("the mute is committed", committed).await;
    assert_eq!(cluster.owner_from(&room, 1).await.epoch, Epoch(1));
    assert_eq!(heard.audio().missing, [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_was_pre_empted_goes_on_to_the_claims_first_slot_and_steps_down() {
    let cluster = Cluster::in_memory();
    let origin = cluster.origin("origin-1").await;
    let room = cluster.create("demo", true).await;
    let owner = cluster.owner_from(&room, 1).await;
    let heard = cluster.listen("relay-1", &room).await;
    heard.heard_of(1, 20).await;

    let ghost = NodeRecord::new(NodeId::new("ghost").unwrap(), NodeRole::Admin);
    let ghost = cluster.directory.register(ghost, Duration::from_secs(1)).await.unwrap();
    let from = heard.highest().plus(100);
    let claim = cluster.directory.claim(&ghost, &room, Epoch(6), Some(owner.revision), from);
    let stolen = claim.await.unwrap();
    assert_eq!(stolen.epoch(), Epoch(7));
    let refused = origin.command(&room, Command::End(Empty {})).await.unwrap_err();
    assert_eq!(refused.code, Code::NotOwner);
    until("it has stepped down", || origin.host().rooms() == 0).await;
    let get = origin.command(&room, Command::Get(Empty {})).await.unwrap_err();
    assert!(get.detail.contains("ghost"), "{get}");
    assert_eq!(heard.audio().missing, [0; 0]);
    assert!(heard.highest() < from && heard.highest() >= Slot(from.0 - 2), "up to {from}");
}
