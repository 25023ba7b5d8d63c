//! What the binary says and how it exits, without a node.

use std::process::{Command, Output};

fn sparrow(arguments: &[&str]) -> Output {
    sparrow_with(arguments, &[])
}

fn sparrow_with(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sparrow"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn the_version_begins_with_that_of_the_package() {
    let output = sparrow(&["--version"]);
    assert!(output.status.success());
    assert!(stdout(&output).starts_with(concat!("sparrow ", env!("CARGO_PKG_VERSION"))), "{}", stdout(&output));
}

#[test]
fn a_sound_configuration_is_ok() {
    let output = sparrow_with(&["config", "check"], &[("SPARROW_LISTEN", "[::1]:0")]);
    assert!(output.status.success());
    assert_eq!(stdout(&output), "ok\n");
}

#[test]
fn every_error_of_a_configuration_gets_a_line_and_the_exit_code_is_1() {
    let output = sparrow_with(
        &["config", "check", "--listen", "here"],
        &[("SPARROW_TCP_LISTEN", "there"), ("SPARROW_LIMITS_DEVICES", "-1")],
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 3, "{output:?}");
}

#[test]
fn the_printed_configuration_can_be_used() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sparrow.toml");
    let printed = sparrow_with(&["config", "print", "--data", "/srv/sparrow"], &[]);
    std::fs::write(&file, &printed.stdout).unwrap();
    let again = sparrow(&["config", "print", "--config", file.to_str().unwrap()]);
    assert!(again.status.success(), "{again:?}");
    assert!(stdout(&again).contains("data = \"/srv/sparrow\""), "{}", stdout(&again));
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = sparrow(&["completions", shell]);
        assert!(output.status.success() && stdout(&output).contains("config"), "{shell}");
    }
}

/// `cargo xtask gen` writes the page anew.
#[test]
fn the_configuration_reference_is_fresh() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    assert!(std::fs::read(page).unwrap() == sparrow(&["config", "reference"]).stdout, "run `cargo xtask gen`");
}
