//! Who may depend on whom: crates by their manifests, the parts of the server by what their files name.

use std::path::Path;

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, MetadataCommand};

use super::Tree;

/// Which of our crates each of them may use outside its tests.
const CRATES: &[(&str, &[&str])] = &[
    ("sparrow-protocol", &[]),
    ("sparrow-store", &["sparrow-protocol"]),
    ("sparrow-server", &["sparrow-protocol", "sparrow-store"]),
    ("sparrow-client", &["sparrow-protocol"]),
    ("sparrow-loadgen", &["sparrow-client", "sparrow-protocol"]),
    ("sparrow-testkit", &["sparrow-loadgen", "sparrow-protocol"]),
    ("sparrow-tui", &["sparrow-client", "sparrow-protocol"]),
    (
        "sparrow",
        &["sparrow-client", "sparrow-loadgen", "sparrow-protocol", "sparrow-server", "sparrow-testkit", "sparrow-tui"],
    ),
    ("xtask", &[]),
];

/// Who alone may name a library outside its tests. The client has a database of its own: its cache and outbox. The load
/// generator measures bare inserts, which no store can beat.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("rusqlite", &["sparrow-store", "sparrow-client", "sparrow-loadgen"]),
    ("refinery", &["sparrow-store"]),
    ("axum", &["sparrow-server"]),
    ("crossterm", &["sparrow-tui"]),
    ("ratatui", &["sparrow-tui"]),
    ("reqwest", &["sparrow-client", "sparrow-loadgen", "sparrow-testkit"]),
];

/// Words that must not occur in a part of the server, with the reason.
const PARTS: &[(&str, &str, &str)] = &[
    ("crates/server/src/gateway/", "crate::api", "gateway and api never call each other"),
    ("crates/server/src/api/", "crate::gateway", "gateway and api never call each other"),
    ("crates/server/src/messaging/", "axum", "features know no sockets"),
    ("crates/server/src/messaging/", "crate::gateway", "features know no sockets"),
    ("crates/server/src/messaging/", "crate::api", "features know no sockets"),
    ("crates/server/src/accounts/", "axum", "features know no sockets"),
    ("crates/server/src/conversations/", "axum", "features know no sockets"),
    ("crates/server/src/users/", "axum", "features know no sockets"),
    ("crates/server/src/", "rusqlite", "only the store names a database driver"),
    ("crates/protocol/src/", "tokio", "the protocol does no I/O"),
    ("crates/protocol/src/", "SystemTime", "the protocol reads no clock"),
];

pub(super) fn check(root: &Path, tree: &Tree) -> Result<Vec<String>> {
    let mut broken = manifests(root)?;
    for (part, word, reason) in PARTS {
        for file in tree.rust().filter(|file| file.path.starts_with(part)) {
            let named = file.text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(word));
            if named {
                broken.push(format!("{}: names `{word}`, but {reason}", file.path));
            }
        }
    }
    Ok(broken)
}

fn manifests(root: &Path) -> Result<Vec<String>> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("`cargo metadata` failed")?;
    let mut broken = Vec::new();
    for package in &metadata.packages {
        let Some((_, allowed)) = CRATES.iter().find(|(name, _)| *name == package.name.as_str()) else {
            broken.push(format!("{}: not in the list of crates in xtask/src/tidy/edges.rs", package.name));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal) {
            let name = dependency.name.as_str();
            let ours = CRATES.iter().any(|(ours, _)| *ours == name);
            if ours && !allowed.contains(&name) {
                broken.push(format!("{}: must not depend on {name} (design section 3)", package.name));
            }
            let reserved = LIBRARIES.iter().find(|(library, _)| *library == name);
            if reserved.is_some_and(|(_, users)| !users.contains(&package.name.as_str())) {
                broken.push(format!("{}: must not name the library {name}", package.name));
            }
        }
    }
    Ok(broken)
}
