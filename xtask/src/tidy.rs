//! `cargo xtask tidy`: the rules of the house that a compiler does not know, checked on every test run.
//!
//! Each rule answers the places that break it. The rules about text live in [`text`], those about who may depend on
//! whom in [`edges`].

mod edges;
mod text;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Checks every rule and reports all places at once.
pub(crate) fn check(root: &Path) -> Result<()> {
    let tree = Tree::read(root)?;
    let mut broken = edges::check(root, &tree)?;
    broken.extend(text::check(&tree));
    broken.extend(crate::r#gen::stale(root)?);
    if broken.is_empty() {
        return Ok(());
    }
    bail!("{} rule(s) broken:\n  {}", broken.len(), broken.join("\n  "));
}

/// The text files of the project.
struct Tree {
    files: Vec<File>,
}

struct File {
    /// Relative to the root, with `/`.
    path: String,
    text: String,
}

const SKIPPED_FOLDERS: [&str; 5] = [".git", "target", "node_modules", "sparrow-data", "dist"];
const TEXT_ENDINGS: [&str; 7] = ["rs", "md", "toml", "proto", "sql", "ts", "tsx"];

impl Tree {
    fn read(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            let entries =
                std::fs::read_dir(root.join(&folder)).with_context(|| format!("cannot read {}", folder.display()))?;
            for entry in entries {
                let entry = entry?;
                let path = folder.join(entry.file_name());
                let name = entry.file_name().to_string_lossy().into_owned();
                if entry.file_type()?.is_dir() {
                    if !SKIPPED_FOLDERS.contains(&name.as_str()) {
                        folders.push(path);
                    }
                } else if path.extension().is_some_and(|e| TEXT_ENDINGS.iter().any(|t| e == *t)) {
                    let text = std::fs::read_to_string(root.join(&path))
                        .with_context(|| format!("{} is not UTF-8 text", path.display()))?;
                    files.push(File { path: path.to_string_lossy().replace('\\', "/"), text });
                }
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    fn ending(&self, ending: &str) -> impl Iterator<Item = &File> {
        self.files.iter().filter(move |file| file.path.ends_with(ending))
    }

    /// Rust files that people wrote.
    fn rust(&self) -> impl Iterator<Item = &File> {
        self.ending(".rs").filter(|file| !file.path.contains("/generated/"))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_tree_is_tidy() {
        super::check(&crate::workspace_root()).unwrap();
    }
}
