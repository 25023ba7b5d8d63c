//! The faults that need nothing but files and processes; those that need root are tried on a real node.

use std::process::Command;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;
use crate::Evidence;

#[test]
fn bits_are_turned_over_and_ends_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, [0; 1_000]).unwrap();
    let mut random = StdRng::seed_from_u64(1);
    assert_eq!(flip_bits(&path, 900, 16, &mut random).unwrap(), Evidence::of("flipped_bits", 16));
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes.iter().map(|byte| byte.count_ones()).sum::<u32>(), 16);
    assert!(bytes[..900].iter().all(|byte| *byte == 0));
    assert!(flip_bits(&path, 1_000, 16, &mut random).unwrap().is_none(), "nothing there, nothing done");

    assert_eq!(truncate(&path, 300).unwrap(), Evidence::of("truncated_bytes", 300));
    assert_eq!(truncate(&path, 5_000).unwrap(), Evidence::of("truncated_bytes", 700));
    assert!(truncate(&path, 1).unwrap().is_none());
}

#[test]
fn an_older_copy_replaces_what_came_later_but_not_what_a_back_up_leaves_out() {
    let data = tempfile::tempdir().unwrap();
    let file = |name: &str| data.path().join(name);
    std::fs::create_dir(file("files")).unwrap();
    for name in ["sparrow.db", "files/a", "commits", "lock"] {
        std::fs::write(file(name), "old").unwrap();
    }
    let snapshot = Snapshot::take(data.path()).unwrap();
    assert!(snapshot.restore(data.path()).unwrap().is_none(), "nothing had changed");
    for name in ["sparrow.db", "sparrow.db-wal", "commits"] {
        std::fs::write(file(name), "new").unwrap();
    }
    assert_eq!(snapshot.restore(data.path()).unwrap(), Evidence::of("restored_files", 2));
    let read = |name: &str| std::fs::read_to_string(file(name)).ok();
    assert_eq!(read("sparrow.db").as_deref(), Some("old"));
    assert_eq!(read("commits").as_deref(), Some("new"));
    assert_eq!(read("sparrow.db-wal"), None);
}

#[test]
fn a_process_is_frozen_thawed_and_killed() {
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    assert_eq!(freeze(child.id()).unwrap(), Evidence::of("freezes", 1));
    assert_eq!(thaw(child.id()).unwrap(), Evidence::of("thaws", 1));
    assert_eq!(kill(child.id()).unwrap(), Evidence::of("kills", 1));
    assert!(!child.wait().unwrap().success());
    assert!(matches!(kill(child.id()), Err(FaultError::Failed { .. })), "nobody is there any more");
}
