//! Who is banned, over the lives of a room's owners.

use stentor_ids::Code;
use stentor_kit::{Cluster, Node, until, until_async, who};
use stentor_link::Carry;
use stentor_programs::Etcd;
use stentor_proto::v1::{TargetRequest, UnbanRequest, command_request::Command};

async fn ban(origin: &Node, room: &stentor_ids::RoomId, name: &str) -> Result<(), Code> {
    let target = TargetRequest { participant: name.into(), ..TargetRequest::default() };
    origin.command(room, Command::Ban(target)).await.map(drop).map_err(|fault| fault.code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_are_banned_than_a_record_holds_and_a_new_owner_and_its_listeners_know_all_of_them() {
    let cluster = Cluster::new();
    let first = cluster.origin("origin-1").await;
    let room = cluster.create("demo", true).await;
    cluster.owner_from(&room, 1).await;
    until("it runs", || first.host().owns(&room).is_some()).await;
    for i in 0..1_200 {
        ban(&first, &room, &format!("troll-{i}")).await.unwrap();
    }
    let unban = UnbanRequest { participant: "troll-7".into(), ..UnbanRequest::default() };
    first.command(&room, Command::Unban(unban)).await.unwrap();
    assert!(
        cluster.directory.get(&room).await.unwrap().unwrap().record.len() < 1_000,
        "the record stays small"
    );

    let second = cluster.origin("origin-2").await;
    until("it is mirrored", || second.host().mirrored() == 1).await;
    first.kill().await;
    cluster.owner_from(&room, 2).await;
    until("it goes on", || second.host().owns(&room).is_some()).await;
    let feed = second.host().feed(&room).await.unwrap();
    until("everyone is told", || feed.is_banned(&who("troll-1199"))).await;
    let told = (0..1_200).filter(|i| feed.is_banned(&who(&format!("troll-{i}")))).count();
    assert_eq!((told, feed.is_banned(&who("troll-7"))), (1_199, false));
    assert_eq!(cluster.record(&room).await.bans().len(), 1_199);
    ban(&second, &room, "troll-7").await.unwrap();
    assert_eq!(cluster.record(&room).await.bans().len(), 1_200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_forgot_the_bans_has_them_again_from_the_owner() {
    let mut etcd = Etcd::start().unwrap();
    let cluster = Cluster::on(&etcd).await;
    let origin = cluster.origin("origin-1").await;
    let room = cluster.create("demo", true).await;
    cluster.owner_from(&room, 1).await;
    until("it runs", || origin.host().owns(&room).is_some()).await;
    for name in ["eve", "mallory"] {
        ban(&origin, &room, name).await.unwrap();
    }
    etcd.wipe().unwrap();
    etcd.run().unwrap();
    let written = async || cluster.directory.bans(&room).await.is_ok_and(|parts| parts.len() == 2);
    until_async("they are written again", written).await;
    let record = cluster.record(&room).await;
    assert!(["eve", "mallory"].iter().all(|name| record.bans().contains(&who(name))));
}
