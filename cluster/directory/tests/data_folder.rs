//! The embedded directory's data folder: what survives a restart, and what is left alone.

#![allow(unreachable_pub, clippy::unwrap_used, reason = "these are tests and what they share")]

mod support;

use std::fs;

use stentor_directory::{Directory, Error};
use stentor_ids::{Epoch, Slot};
use support::{TTL, get, node, room};

#[tokio::test]
async fn records_and_epochs_survive_a_restart_and_leases_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let id = room("a");
    {
        let directory = Directory::embedded_at(folder.path().join("new/folder")).unwrap();
        directory.create(&id, &b"first\nrecord \xff"[..]).await.unwrap();
        let gone = directory.create(&room("gone"), &b"x"[..]).await.unwrap();
        directory.delete(&room("gone"), gone).await.unwrap();
        let session = directory.register(node("n"), TTL).await.unwrap();
        let ownership = directory.claim(&session, &id, Epoch(8), None, Slot(0)).await.unwrap();
        directory.commit(&ownership, &b"committed\nrecord \xff"[..]).await.unwrap();
    }
    let directory = Directory::embedded_at(folder.path().join("new/folder")).unwrap();
    let read = get(&directory, "a").await;
    assert_eq!(
        (&read.record[..], read.epoch, &read.owner),
        (&b"committed\nrecord \xff"[..], Epoch(9), &None)
    );
    assert_eq!(directory.list().await.unwrap().len(), 1);
    let session = directory.register(node("n"), TTL).await.unwrap();
    let ownership = directory.claim(&session, &id, Epoch(0), None, Slot(0)).await.unwrap();
    assert_eq!(ownership.epoch(), Epoch(10));
    assert!(ownership.owner().revision > read.revision, "revisions go on from where they were");
}

#[tokio::test]
async fn files_that_hold_no_record_are_left_out_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    {
        let directory = Directory::embedded_at(folder.path()).unwrap();
        directory.create(&room("good"), &b"x"[..]).await.unwrap();
        directory.create(&room("cut"), &b"x"[..]).await.unwrap();
    }
    let rooms = folder.path().join("rooms");
    fs::write(rooms.join("cut/record"), "stentor-directory 1 ").unwrap();
    fs::write(rooms.join("good/record.new"), "half of a wr").unwrap();
    fs::write(rooms.join("good/notes.txt"), "an operator's").unwrap();
    fs::write(rooms.join("stray"), "not a folder").unwrap();
    let directory = Directory::embedded_at(folder.path()).unwrap();
    let listed = directory.list().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].record, "x");
    assert_eq!(fs::read_to_string(rooms.join("cut/record")).unwrap(), "stentor-directory 1 ");
    assert!(rooms.join("good/notes.txt").exists() && !rooms.join("good/record.new").exists());
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let Err(error) = Directory::embedded_at(&file) else { panic!("a file is no folder") };
    assert!(matches!(error, Error::Disk { .. }) && error.to_string().contains("file"), "{error}");

    let directory = Directory::embedded_at(folder.path().join("data")).unwrap();
    let revision = directory.create(&room("a"), &b"1"[..]).await.unwrap();
    fs::remove_dir_all(folder.path().join("data")).unwrap();
    fs::write(folder.path().join("data"), "in the way").unwrap();
    let error = directory.update_unowned(&room("a"), revision, &b"2"[..]).await.unwrap_err();
    assert!(matches!(error, Error::Disk { .. }), "{error}");
    assert_eq!(get(&directory, "a").await.record, "1", "what could not be written did not happen");
}
