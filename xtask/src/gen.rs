//! `cargo xtask gen`: everything in the tree that is derived from something else in the tree.
//!
//! From `proto/sparrow/v1/*.proto` it writes `crates/protocol/src/gen/`:
//! - `v1.rs`, `v1.serde.rs`: the messages as a client sees them, with their JSON form;
//! - `raw.rs`: the same messages with bodies left as bytes, which is what a server handles (the wire form is the same);
//! - `schemas.json`: the messages as OpenAPI schemas.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use prost::Message;
use prost_types::field_descriptor_proto::Type;
use prost_types::{FieldDescriptorProto, FileDescriptorSet};

/// The messages that a server passes on without looking inside.
const BODIES: [&str; 3] = [".sparrow.v1.Content", ".sparrow.v1.MembershipChange", ".sparrow.v1.SettingsChange"];

/// Where the generated messages are kept.
const MESSAGES: &str = "crates/protocol/src/gen";

/// Writes everything that is derived.
pub(crate) fn write_all(root: &Path) -> Result<()> {
    generate(root, &root.join(MESSAGES))
}

/// Derived files that do not say what they would say if written now.
pub(crate) fn stale(root: &Path) -> Result<Vec<String>> {
    let fresh = tempdir()?;
    generate(root, &fresh)?;
    let mut stale = Vec::new();
    for entry in std::fs::read_dir(&fresh)? {
        let name = entry?.file_name();
        let kept = root.join(MESSAGES).join(&name);
        if std::fs::read(&kept).ok() != Some(std::fs::read(fresh.join(&name))?) {
            stale.push(format!("{MESSAGES}/{}: run `cargo xtask gen`", name.display()));
        }
    }
    std::fs::remove_dir_all(fresh)?;
    Ok(stale)
}

/// Writes all generated files into `out`, which stands for `crates/protocol/src/gen`.
pub(crate) fn generate(root: &Path, out: &Path) -> Result<()> {
    std::fs::create_dir_all(out)?;
    let descriptors = compile(root)?;
    typed(&descriptors, out)?;
    raw(&descriptors, out)?;
    Ok(())
}

fn compile(root: &Path) -> Result<FileDescriptorSet> {
    let dir = root.join("proto/sparrow/v1");
    let mut files: Vec<_> = std::fs::read_dir(&dir)
        .with_context(|| format!("cannot read {}", dir.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.sort();
    let mut compiler = protox::Compiler::new([root.join("proto")])?;
    compiler.include_source_info(true).include_imports(true);
    compiler.open_files(files)?;
    Ok(compiler.file_descriptor_set())
}

fn typed(descriptors: &FileDescriptorSet, out: &Path) -> Result<()> {
    let dir = tempdir()?;
    prost_build::Config::new().out_dir(&dir).bytes(["."]).btree_map(["."]).compile_fds(descriptors.clone())?;
    std::fs::copy(dir.join("sparrow.v1.rs"), out.join("v1.rs"))?;
    pbjson_build::Builder::new()
        .register_descriptors(&descriptors.encode_to_vec())?
        .ignore_unknown_fields()
        .ignore_unknown_enum_variants()
        .btree_map([".sparrow.v1"])
        .out_dir(&dir)
        .build(&[".sparrow.v1"])?;
    std::fs::copy(dir.join("sparrow.v1.serde.rs"), out.join("v1.serde.rs"))?;
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

fn raw(descriptors: &FileDescriptorSet, out: &Path) -> Result<()> {
    let mut descriptors = descriptors.clone();
    for field in
        descriptors.file.iter_mut().flat_map(|file| &mut file.message_type).flat_map(|message| &mut message.field)
    {
        body_as_bytes(field);
    }
    let dir = tempdir()?;
    prost_build::Config::new().out_dir(&dir).bytes(["."]).btree_map(["."]).compile_fds(descriptors)?;
    std::fs::copy(dir.join("sparrow.v1.rs"), out.join("raw.rs"))?;
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

/// On the wire a nested message and a byte string are the same, so a body can be carried without being decoded.
fn body_as_bytes(field: &mut FieldDescriptorProto) {
    if BODIES.contains(&field.type_name()) {
        field.set_type(Type::Bytes);
        field.type_name = None;
    }
}

fn tempdir() -> Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let dir = std::env::temp_dir().join(format!(
        "sparrow-gen-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    ));
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}
