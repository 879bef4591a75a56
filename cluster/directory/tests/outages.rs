//! What the directory's clients make of an etcd that dies, comes back, forgets, or cannot be reached.

#![allow(unreachable_pub, clippy::unwrap_used, reason = "these are tests and what they share")]

mod support;

use etcd_client::Client;
use stentor_directory::{Directory, Error, EtcdConfig, NodeRole, SessionState, View};
use stentor_ids::{Code, Epoch, Fault, Slot};
use stentor_programs::Etcd;
use support::{
    PATIENCE, TTL, config, get, node,
    proxy::{Mode, Proxy},
    room, soon, until,
};
use tokio::time::Instant;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_that_is_not_there_at_start_is_named_within_the_connect_time_out() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    for endpoint in ["http://127.0.0.1:9", silent.as_str()] {
        let (begin, config) = (Instant::now(), EtcdConfig { connect_timeout_ms: 500, ..config(endpoint) });
        let Err(error) = Directory::etcd(config).await else { panic!("nobody is there") };
        assert!(begin.elapsed() < PATIENCE / 4, "{:?}", begin.elapsed());
        assert!(error.to_string().contains(endpoint), "{error}");
        let fault = Fault::from(error);
        assert_eq!(fault.code, Code::DirectoryUnavailable);
        assert!(fault.retry_after.is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kill_and_restart_the_view_is_right_and_the_owner_goes_on() {
    let mut server = Etcd::start().unwrap();
    let directory = Directory::etcd(config(server.endpoint())).await.unwrap();
    let id = room("a");
    directory.create(&id, &b"1"[..]).await.unwrap();
    let session = directory.register(node("n"), TTL).await.unwrap();
    let ownership = directory.claim(&session, &id, Epoch(0), None, Slot(0)).await.unwrap();
    until(&directory, "the owner", |view| view.owner(&id).is_some()).await;

    server.kill().unwrap();
    until(&directory, "the view to notice", |view| !view.current).await;
    let kept = directory.view().snapshot();
    assert!(kept.owner(&id).is_some() && kept.nodes.len() == 1, "it shows what was last known");
    let error = directory.commit(&ownership, &b"2"[..]).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");

    server.run().unwrap();
    until(&directory, "the view to come back", |view| view.current).await;
    // etcd gives every lease its full time anew when it starts, so the session keeps the one it has.
    directory.commit(&ownership, &b"3"[..]).await.unwrap();
    until(&directory, "the commit", |view| view.rooms[&id].record == "3").await;
    let mut state = session.state();
    soon("the session", state.wait_for(|state| matches!(state, SessionState::Held(_)))).await.unwrap();
    assert_eq!(directory.view().snapshot().nodes.len(), 1);
    directory.create(&room("b"), &b"new"[..]).await.unwrap();
    until(&directory, "what is new", |view| view.rooms.len() == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_all_data_is_lost_nodes_and_owners_come_back_and_epochs_only_rise() {
    let mut server = Etcd::start().unwrap();
    let directory = Directory::etcd(config(server.endpoint())).await.unwrap();
    until(&directory, "the first listing", |view| view.current).await;
    let (id, forgotten) = (room("a"), room("b"));
    for room in [&id, &forgotten] {
        directory.create(room, &b"1"[..]).await.unwrap();
    }
    let session = directory.register(node("n"), TTL).await.unwrap();
    let ownership = directory.claim(&session, &id, Epoch(6), None, Slot(40)).await.unwrap();
    let lease = session.lease().unwrap();
    until(&directory, "the owner", |view| view.owner(&id).is_some()).await;

    server.kill().unwrap();
    server.wipe().unwrap();
    server.run().unwrap();
    let mut state = session.state();
    let again = |state: &SessionState| matches!(state, SessionState::Held(other) if *other != lease);
    soon("the node to register again", state.wait_for(again)).await.unwrap();
    until(&directory, "the new history", |view| {
        view.current && view.rooms.is_empty() && view.nodes.len() == 1
    })
    .await;

    let error = directory.commit(&ownership, &b"2"[..]).await.unwrap_err();
    assert!(matches!(error, Error::Fenced { owner: None, .. }), "{error}");
    let regained = directory.reassert(&session, &ownership, &b"as the owner has it"[..]).await.unwrap();
    assert_eq!((regained.epoch(), regained.from_slot()), (Epoch(7), Slot(40)));
    directory.commit(&regained, &b"and goes on"[..]).await.unwrap();
    directory.release(regained).await.unwrap();
    let next = directory.claim(&session, &id, Epoch(0), None, Slot(90)).await.unwrap();
    assert_eq!(next.epoch(), Epoch(8));
    assert_eq!(get(&directory, "a").await.record, "and goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_was_replaced_by_a_longer_one_is_not_taken_for_its_continuation() {
    let mut server = Etcd::start().unwrap();
    let proxy = Proxy::to(server.members()[0]).await;
    let here = Directory::etcd(config(proxy.endpoint())).await.unwrap();
    until(&here, "the first listing", |view| view.current).await;
    let seen = here.create(&room("lost"), &b"x"[..]).await.unwrap();
    until(&here, "the room", |view| view.rooms.len() == 1).await;

    proxy.set(Mode::Cut);
    server.kill().unwrap();
    server.wipe().unwrap();
    server.run().unwrap();
    let there = Directory::etcd(config(server.endpoint())).await.unwrap();
    let mut last = there.create(&room("new"), &b"x"[..]).await.unwrap();
    while last <= seen {
        last = there.update_unowned(&room("new"), last, &b"x"[..]).await.unwrap();
    }
    proxy.set(Mode::Pass);
    until(&here, "the other history", |view| view.current && view.rooms.keys().eq([&room("new")])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_sees_who_is_there_over_a_restart_a_compaction_a_wipe_and_a_longer_history() {
    let mut server = Etcd::start().unwrap();
    let proxy = Proxy::to(server.members()[0]).await;
    let edge = Directory::etcd(config(proxy.endpoint())).await.unwrap().viewed_by(NodeRole::Edge.into());
    let there = Directory::etcd(config(server.endpoint())).await.unwrap();
    until(&edge, "the first listing", |view| view.current).await;
    let session = there.register(node("stays"), TTL).await.unwrap();
    let only = |names: &[&str], view: &View| {
        view.current
            && view.rooms.is_empty()
            && view.nodes.keys().map(ToString::to_string).eq(names.iter().copied())
    };
    until(&edge, "the node", |view| only(&["stays"], view)).await;

    proxy.set(Mode::Cut);
    until(&edge, "the watch to break", |view| !view.current).await;
    let other = there.register(node("comes"), TTL).await.unwrap();
    let last = there.create(&room("a"), &b"x"[..]).await.unwrap();
    let mut raw = Client::connect([server.endpoint()], None).await.unwrap();
    raw.compact(last.0.cast_signed(), None).await.unwrap();
    proxy.set(Mode::Pass);
    until(&edge, "what it missed", |view| only(&["comes", "stays"], view)).await;
    other.close().await.unwrap();
    until(&edge, "the node to go", |view| only(&["stays"], view)).await;
    assert_eq!(edge.view().snapshot().history, 0);

    server.kill().unwrap();
    server.wipe().unwrap();
    server.run().unwrap();
    until(&edge, "the new history", |view| view.history == 1 && only(&["stays"], view)).await;

    proxy.set(Mode::Cut);
    let seen = edge.view().snapshot().revision;
    drop(session);
    server.kill().unwrap();
    server.wipe().unwrap();
    server.run().unwrap();
    let there = Directory::etcd(config(server.endpoint())).await.unwrap();
    let mut last = there.create(&room("a"), &b"x"[..]).await.unwrap();
    while last <= seen {
        last = there.update_unowned(&room("a"), last, &b"x"[..]).await.unwrap();
    }
    let _session = there.register(node("new"), TTL).await.unwrap();
    proxy.set(Mode::Pass);
    until(&edge, "the longer history", |view| only(&["new"], view)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_cut_off_past_its_lease_registers_again_and_finds_itself_fenced() {
    let server = Etcd::start().unwrap();
    let proxy = Proxy::to(server.members()[0]).await;
    let here = Directory::etcd(config(proxy.endpoint())).await.unwrap();
    let there = Directory::etcd(config(server.endpoint())).await.unwrap();
    let id = room("a");
    there.create(&id, &b"1"[..]).await.unwrap();
    let session = here.register(node("cut-off"), TTL).await.unwrap();
    let lease = session.lease().unwrap();
    let ownership = here.claim(&session, &id, Epoch(0), None, Slot(0)).await.unwrap();
    until(&there, "the owner", |view| view.owner(&id).is_some()).await;

    proxy.set(Mode::Cut);
    let mut state = session.state();
    soon("the node to know", state.wait_for(|state| *state == SessionState::Lost)).await.unwrap();
    assert!(matches!(here.claim(&session, &id, Epoch(0), None, Slot(0)).await, Err(Error::LeaseGone)));
    until(&there, "the lease to end", |view| view.nodes.is_empty() && view.owner(&id).is_none()).await;

    proxy.set(Mode::Pass);
    let again = |state: &SessionState| matches!(state, SessionState::Held(other) if *other != lease);
    soon("the node to register again", state.wait_for(again)).await.unwrap();
    until(&there, "the node", |view| view.nodes.len() == 1).await;
    assert!(matches!(here.commit(&ownership, &b"stale"[..]).await, Err(Error::Fenced { owner: None, .. })));
    let regained = here.reassert(&session, &ownership, &b"2"[..]).await.unwrap();
    assert_eq!(regained.epoch(), Epoch(1));
    until(&there, "the owner", |view| view.owner(&id) == Some(regained.owner())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_while_the_watch_was_broken_is_seen_with_and_without_the_history() {
    let server = Etcd::start().unwrap();
    let proxy = Proxy::to(server.members()[0]).await;
    let here = Directory::etcd(config(proxy.endpoint())).await.unwrap();
    let there = Directory::etcd(config(server.endpoint())).await.unwrap();
    until(&here, "the first listing", |view| view.current).await;
    there.create(&room("kept"), &b"x"[..]).await.unwrap();
    let mut doomed = there.create(&room("doomed-0"), &b"x"[..]).await.unwrap();
    until(&here, "the rooms", |view| view.rooms.len() == 2).await;

    for (round, compact) in [(1, false), (2, true)] {
        proxy.set(Mode::Cut);
        until(&here, "the watch to break", |view| !view.current).await;
        there.delete(&room(&format!("doomed-{}", round - 1)), doomed).await.unwrap();
        doomed = there.create(&room(&format!("doomed-{round}")), &b"x"[..]).await.unwrap();
        if compact {
            let last = there.create(&room("new"), &b"x"[..]).await.unwrap();
            let mut raw = Client::connect([server.endpoint()], None).await.unwrap();
            raw.compact(last.0.cast_signed(), None).await.unwrap();
        }
        proxy.set(Mode::Pass);
        let expected = there.list().await.unwrap();
        until(&here, "what was missed", |view| {
            view.current && view.rooms.values().map(|room| &**room).eq(&expected)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_falls_silent_is_noticed_and_begun_again() {
    let server = Etcd::start().unwrap();
    let proxy = Proxy::to(server.members()[0]).await;
    let here = Directory::etcd(EtcdConfig { watch_idle_ms: 300, ..config(proxy.endpoint()) }).await.unwrap();
    let there = Directory::etcd(config(server.endpoint())).await.unwrap();
    until(&here, "the first listing", |view| view.current).await;
    // A watch without news is not a silent one: etcd answers when it is asked.
    let idle = tokio::time::timeout(3 * TTL / 2, here.view().wait_for(|view| !view.current)).await;
    assert!(idle.is_err(), "an idle watch was taken for a broken one");

    proxy.set(Mode::BlackHole);
    until(&here, "the silence to be noticed", |view| !view.current).await;
    there.create(&room("a"), &b"x"[..]).await.unwrap();
    proxy.set(Mode::Pass);
    until(&here, "what was missed", |view| view.current && view.rooms.len() == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_found_to_have_happened() {
    let server = Etcd::start().unwrap();
    let proxy = Proxy::to(server.members()[0]).await;
    let here = Directory::etcd(config(proxy.endpoint())).await.unwrap();
    let there = Directory::etcd(config(server.endpoint())).await.unwrap();
    let id = room("a");
    here.create(&id, &b"1"[..]).await.unwrap();
    let session = there.register(node("n"), TTL).await.unwrap();
    let ownership = there.claim(&session, &id, Epoch(0), None, Slot(0)).await.unwrap();

    proxy.set(Mode::LoseAnswers);
    // Connections notice the mode in their own time; what is sent before they do is answered. So commit until one is not.
    let mut round = 0;
    let commit = loop {
        round += 1;
        let (here, ownership) = (here.clone(), ownership.clone());
        let mut commit = tokio::spawn(async move { here.commit(&ownership, round.to_string()).await });
        let record = round.to_string();
        until(&there, "the commit", |view| view.rooms.get(&id).is_some_and(|room| room.record == record))
            .await;
        if tokio::time::timeout(TTL / 10, &mut commit).await.is_err() {
            break commit;
        }
    };
    proxy.set(Mode::Pass);
    let committed = soon("the commit", commit).await.unwrap().unwrap();
    let read = get(&there, "a").await;
    assert_eq!((read.revision, read.record), (committed, round.to_string().into()), "it was written once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_that_was_cut_off_past_its_lease_has_lost_its_office_and_takes_none_from_the_next() {
    let server = Etcd::start().unwrap();
    let proxy = Proxy::to(server.members()[0]).await;
    let here = Directory::etcd(config(proxy.endpoint())).await.unwrap();
    let there = Directory::etcd(config(server.endpoint())).await.unwrap();
    let id = room("a");
    there.create(&id, &b"1"[..]).await.unwrap();
    let session = here.register(node("cut-off"), TTL).await.unwrap();
    let lease = session.lease().unwrap();
    let lost = here.mirror(&session, &id, None).await.unwrap();

    until(&there, "the office", |view| view.mirror(&id).is_some()).await;
    proxy.set(Mode::Cut);
    let error = here.mirror(&session, &id, Some(lost.mirror().revision)).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    until(&there, "the lease to end", |view| view.nodes.is_empty() && view.mirror(&id).is_none()).await;
    let other = there.register(node("other"), TTL).await.unwrap();
    let next = there.mirror(&other, &id, None).await.unwrap();

    proxy.set(Mode::Pass);
    let again = |state: &SessionState| matches!(state, SessionState::Held(other) if *other != lease);
    soon("the node to register again", session.state().wait_for(again)).await.unwrap();
    let error = here.mirror(&session, &id, Some(lost.mirror().revision)).await.unwrap_err();
    assert!(matches!(&error, Error::Mirrored { mirror, .. } if mirror == next.mirror()), "{error}");
    here.release_mirror(lost).await.unwrap();
    assert_eq!(get(&there, "a").await.mirror.as_ref(), Some(next.mirror()));
    there.release_mirror(next).await.unwrap();
    here.mirror(&session, &id, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_one_member_cannot_be_reached_the_next_is_used() {
    let server = Etcd::start().unwrap();
    let (first, second) = (Proxy::to(server.members()[0]).await, Proxy::to(server.members()[0]).await);
    let both = EtcdConfig { endpoints: vec![first.endpoint(), second.endpoint()], ..config("") };
    let directory = Directory::etcd(both).await.unwrap();
    let session = directory.register(node("n"), TTL).await.unwrap();
    let lease = session.lease().unwrap();
    until(&directory, "the first listing", |view| view.current).await;
    let turns =
        [(&first, &second, Mode::Cut), (&second, &first, Mode::BlackHole), (&first, &second, Mode::Cut)];
    for (round, (broken, other, how)) in turns.into_iter().enumerate() {
        other.set(Mode::Pass);
        broken.set(how);
        let id = room(&format!("r{round}"));
        let write = async {
            while matches!(directory.create(&id, &b"x"[..]).await, Err(Error::Unavailable { .. })) {}
        };
        soon("the write", write).await;
        until(&directory, "the write", |view| view.current && view.rooms.contains_key(&id)).await;
    }
    tokio::time::sleep(TTL).await;
    assert_eq!(session.lease().unwrap(), lease, "the lease was renewed all along");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_under_the_prefix_is_counted_and_left_out() {
    let server = Etcd::start().unwrap();
    let directory = Directory::etcd(config(server.endpoint())).await.unwrap();
    let mut raw = Client::connect([server.endpoint()], None).await.unwrap();
    raw.put("/stentor/v1/rooms/listed/record", "garbage", None).await.unwrap();
    until(&directory, "the listing", |view| view.current && view.unreadable == 1).await;
    directory.create(&room("good"), &b"x"[..]).await.unwrap();
    for (key, value) in [
        ("nodes/a", &b"\xff\xfe\x00"[..]),
        ("nodes/not a name", b"{}"),
        ("rooms/good/owner", br#"{"node":"n"}"#),
        ("rooms/good/a/key/of/a/newer/build", b"?"),
        ("rooms//record", b""),
        ("", b""),
        ("\u{0}", b""),
    ] {
        raw.put(format!("/stentor/v1/{key}"), value, None).await.unwrap();
    }
    let last = directory.create(&room("last"), &b"x"[..]).await.unwrap();
    until(&directory, "all of it", |view| view.revision >= last).await;
    let view = directory.view().snapshot();
    assert_eq!((view.unreadable, view.rooms.len(), view.nodes.len()), (3, 2, 0));
    assert_eq!(directory.list().await.unwrap().len(), 2);
    let error = directory.get(&room("listed")).await.unwrap_err();
    assert!(error.to_string().contains("rooms/listed/record"), "{error}");
    assert_eq!(Fault::from(error).code, Code::Internal);
    // A key of a node's own name that no living node wrote is not in that node's way.
    directory.register(node("a"), TTL).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clusters_with_different_prefixes_do_not_see_each_other() {
    let server = Etcd::start().unwrap();
    let of = |prefix: &str| EtcdConfig { prefix: prefix.to_owned(), ..config(server.endpoint()) };
    let blue = Directory::etcd(of("/blue")).await.unwrap();
    let bluer = Directory::etcd(of("/blue/er")).await.unwrap();
    blue.create(&room("a"), &b"x"[..]).await.unwrap();
    bluer.create(&room("a"), &b"y"[..]).await.unwrap();
    until(&blue, "its room", |view| view.rooms.len() == 1).await;
    assert_eq!(get(&blue, "a").await.record, "x");
    assert_eq!(bluer.list().await.unwrap().len(), 1);
    assert_eq!(blue.view().snapshot().unreadable, 0);
}
