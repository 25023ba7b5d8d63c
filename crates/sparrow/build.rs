//! Puts the version that `sparrow --version` shows together: that of the package and, in a git checkout, the revision.

use std::process::Command;

fn main() {
    let package = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let revision = git(&["rev-parse", "--short=12", "HEAD"]);
    let version = revision.map_or(package.clone(), |revision| format!("{package} ({revision})"));
    println!("cargo::rustc-env=SPARROW_VERSION={version}");
    println!("cargo::rerun-if-changed=build.rs");
    // Every commit and checkout appends to this log.
    if let Some(log) = git(&["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
