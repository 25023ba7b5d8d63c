//! The life of a node's process: what it says when it cannot start, and how it ends.

use std::process::{Command, Output, Stdio};

use sparrow_protocol::{Format, v1};
use sparrow_testkit::User;

use crate::support::{history, node, push, send, texts};

/// Runs a node that is expected not to start.
fn serve(variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sparrow"))
        .arg("serve")
        .env_clear()
        .envs(["SPARROW_LISTEN", "SPARROW_TCP_LISTEN", "SPARROW_ADMIN_LISTEN"].map(|name| (name, "127.0.0.1:0")))
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// One sentence, exit code 1, no panic.
fn assert_clear(output: &Output) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    let sentences: Vec<_> = said.lines().filter(|line| line.starts_with("sparrow: ")).collect();
    assert!(sentences.len() == 1 && !said.contains("panicked"), "{said}");
}

#[tokio::test]
async fn a_port_in_use_is_told_in_one_sentence() {
    let node = node().await;
    let data = tempfile::tempdir().unwrap();
    let data = data.path().to_str().unwrap();
    for (name, address) in [("LISTEN", node.http()), ("TCP_LISTEN", node.tcp()), ("ADMIN_LISTEN", node.admin())] {
        let name = format!("SPARROW_{name}");
        assert_clear(&serve(&[("SPARROW_DATA", data), (&name, &address.to_string())]));
    }
}

#[tokio::test]
async fn a_second_process_on_the_same_data_is_refused() {
    let node = node().await;
    assert_clear(&serve(&[("SPARROW_DATA", node.data().to_str().unwrap())]));
    User::register(&node, "ann").await;
}

#[test]
fn data_that_is_no_directory_is_told_in_one_sentence() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert_clear(&serve(&[("SPARROW_DATA", file.path().to_str().unwrap())]));
}

#[tokio::test]
async fn the_data_directory_and_its_files_are_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let node = node().await;
    for file in std::fs::read_dir(node.data()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} has mode {mode:o}", file.path());
    }
}

#[tokio::test]
async fn a_terminated_node_says_goodbye_and_keeps_everything() {
    let mut node = node().await;
    let (ann, bob) = (User::register(&node, "ann").await, User::register(&node, "bob").await);
    let conversation = ann.direct(&bob).await;
    let mut connection = ann.connect(&node, Format::ALL[0]).await;
    send(&mut connection, conversation, "kept").await;

    let (status, goodbye) = tokio::join!(node.terminate(), push::<v1::Goodbye>(&mut connection));
    assert_eq!(status.code(), Some(0));
    assert!(goodbye.reconnect, "{goodbye:?}");
    assert!(!node.data().join("sparrow.db-wal").exists(), "an orderly end leaves no write-ahead log");
    node.restart().await;
    assert_eq!(texts(&history(&mut bob.connect(&node, Format::ALL[0]).await, conversation).await), ["kept"]);
}
