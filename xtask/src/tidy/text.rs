//! Rules about single files: sizes, module docs, left-overs, links, SQL parameters.

use super::{File, Tree};

/// A file over this many lines hides more than one thing.
const MOST_LINES: usize = 800;

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for file in tree.rust() {
        rust(file, &mut broken);
    }
    for file in tree.files.iter().filter(|file| file.path.starts_with("crates/store/")) {
        for statement in literals(&file.text).filter(|text| is_statement(text) && !parameters_in_order(text)) {
            let start: String = statement.chars().take(60).collect();
            broken.push(format!("{}: use $1, $2, ... first in this order in {start:?}", file.path));
        }
    }
    for file in tree.ending(".md") {
        links(file, tree, &mut broken);
    }
    twins(tree, &mut broken);
    broken
}

fn rust(file: &File, broken: &mut Vec<String>) {
    let lines = file.text.lines().count();
    if lines > MOST_LINES {
        broken.push(format!("{}: {lines} lines; {MOST_LINES} is the cap", file.path));
    }
    if !file.text.starts_with("//!") {
        broken.push(format!("{}: begins without a module doc", file.path));
    }
    // Put together here, so that this file does not break its own rule.
    let leftovers = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("todo", "!("), concat!("unimpl", "emented!(")];
    for word in leftovers {
        if file.text.contains(word) {
            broken.push(format!("{}: `{word}` is left over", file.path));
        }
    }
    let suppressed = concat!("#[al", "low(");
    if file.text.contains(suppressed) && file.path != "crates/protocol/src/lib.rs" {
        broken.push(format!("{}: `{suppressed}` hides a lint for good; use #[expect(.., reason = \"..\")]", file.path));
    }
    let is_test = file.path.starts_with("tests/") || file.path.contains("/tests/");
    if is_test && file.text.contains(concat!("sle", "ep(")) {
        broken.push(format!("{}: a test waits for an event, not for time to pass", file.path));
    }
    if is_test && file.text.contains(concat!("#[ig", "nore")) {
        broken.push(format!("{}: an ignored test shows nothing", file.path));
    }
}

/// The string literals of a Rust file, roughly; the whole text of any other file gives its parts between quotes too,
/// which is harmless.
fn literals(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2)
}

/// A part that is put together with others has its parameters counted on by what stands before it.
fn is_statement(text: &str) -> bool {
    ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].iter().any(|verb| text.trim_start().starts_with(verb))
}

/// Both databases accept `$1, $2, ...` if they are first used in this order (SQLite numbers them by first use).
fn parameters_in_order(statement: &str) -> bool {
    let mut highest = 0;
    for part in statement.split('$').skip(1) {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        let Ok(number) = digits.parse::<u32>() else { continue };
        if number > highest + 1 {
            return false;
        }
        highest = highest.max(number);
    }
    true
}

fn links(file: &File, tree: &Tree, broken: &mut Vec<String>) {
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    for part in file.text.split("](").skip(1) {
        let Some((target, _)) = part.split_once(')') else { continue };
        let target = target.split('#').next().unwrap_or_default();
        if target.is_empty() || target.contains(':') || target.contains(' ') {
            continue;
        }
        let path = resolve(folder, target);
        let known = tree.files.iter().any(|other| other.path == path || other.path.starts_with(&format!("{path}/")));
        let plain = !path.contains('.') || path.ends_with(".json") || path.ends_with(".svg") || path.ends_with(".png");
        if !known && !plain {
            broken.push(format!("{}: the link to {target} leads nowhere", file.path));
        }
    }
}

fn resolve(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// The two README files say the same: as many headings, and the same commands.
fn twins(tree: &Tree, broken: &mut Vec<String>) {
    let shape = |path: &str| {
        let file = tree.files.iter().find(|file| file.path == path)?;
        let headings = file.text.lines().filter(|line| line.starts_with('#')).count();
        let commands: Vec<&str> = file.text.lines().filter(|line| line.starts_with("cargo ")).collect();
        Some((headings, commands))
    };
    if shape("README.md").is_none() || shape("README.md") != shape("README.zh-CN.md") {
        broken.push("README.md and README.zh-CN.md differ in headings or commands".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::{parameters_in_order, resolve};

    #[test]
    fn parameters_are_numbered_by_first_use() {
        assert!(parameters_in_order("SELECT $1, $2, $1, $3"));
        assert!(!parameters_in_order("SELECT $2, $1"));
        assert!(parameters_in_order("no parameters, but $ and $x"));
    }

    #[test]
    fn links_are_relative_to_their_file() {
        assert_eq!(resolve("docs/design", "../protocol.md"), "docs/protocol.md");
        assert_eq!(resolve("", "./docs/protocol.md"), "docs/protocol.md");
    }
}
