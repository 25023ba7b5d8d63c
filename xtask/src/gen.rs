//! `cargo xtask gen`: everything in the tree that is derived from something else in the tree.
//!
//! From `proto/sparrow/v1/*.proto` it writes `crates/protocol/src/generated/`:
//! - `v1.rs`, `v1.serde.rs`: the messages as a client sees them, with their JSON form;
//! - `raw.rs`: the same messages with bodies left as bytes, which is what a server handles (the wire form is the same);
//! - `schemas.json`: the messages as OpenAPI schemas.
//!
//! From what the binary says of itself it writes `docs/openapi.json` and `docs/configuration.md`; tests of the crates
//! that say it compare.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};
use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};
use serde_json::{Value, json};

/// The messages that a server passes on without looking inside.
const BODIES: [&str; 3] = [".sparrow.v1.Content", ".sparrow.v1.MembershipChange", ".sparrow.v1.SettingsChange"];

/// Where the generated messages are kept.
const MESSAGES: &str = "crates/protocol/src/generated";

/// Pages under docs/ that the binary writes about itself, with the arguments that make it do so.
const PAGES: [(&str, &[&str]); 2] =
    [("docs/openapi.json", &["openapi"]), ("docs/configuration.md", &["config", "reference"])];

/// Writes everything that is derived.
pub(crate) fn write_all(root: &Path) -> Result<()> {
    generate(root, &root.join(MESSAGES))?;
    PAGES.iter().try_for_each(|(page, arguments)| write_page(root, page, arguments))
}

fn write_page(root: &Path, page: &str, arguments: &[&str]) -> Result<()> {
    let written = Command::new("cargo")
        .args(["run", "--quiet", "--package", "sparrow", "--"])
        .args(arguments)
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()?;
    if !written.status.success() {
        bail!("`sparrow {}` failed; mend it and run `cargo xtask gen` again", arguments.join(" "));
    }
    Ok(std::fs::write(root.join(page), written.stdout)?)
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

/// The messages that hold a password or a token: their `Debug` is written by hand, in `crates/protocol/src/redact.rs`.
const SECRET: [&str; 6] = [
    ".sparrow.v1.RegisterRequest",
    ".sparrow.v1.LoginRequest",
    ".sparrow.v1.ChangePasswordRequest",
    ".sparrow.v1.RefreshRequest",
    ".sparrow.v1.Session",
    ".sparrow.v1.Hello",
];

/// Writes all generated files into `out`, which stands for `crates/protocol/src/generated`.
pub(crate) fn generate(root: &Path, out: &Path) -> Result<()> {
    std::fs::create_dir_all(out)?;
    let descriptors = compile(root)?;
    typed(&descriptors, out)?;
    raw(&descriptors, out)?;
    schemas(&descriptors, out)
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

fn rust_messages(dir: &Path) -> prost_build::Config {
    let mut config = prost_build::Config::new();
    config.out_dir(dir).bytes(["."]).btree_map(["."]).skip_debug(SECRET);
    config
}

fn typed(descriptors: &FileDescriptorSet, out: &Path) -> Result<()> {
    let dir = tempdir()?;
    rust_messages(&dir).compile_fds(descriptors.clone())?;
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
    rust_messages(&dir).compile_fds(descriptors)?;
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

/// Numbers of the parts of a descriptor, by which the compiler says where a comment stands.
const MESSAGES_OF_FILE: i32 = 4;
const FIELDS_OF_MESSAGE: i32 = 2;

fn schemas(descriptors: &FileDescriptorSet, out: &Path) -> Result<()> {
    let mut schemas = BTreeMap::new();
    for file in &descriptors.file {
        let comments = comments(file);
        for (index, message) in (0..).zip(&file.message_type) {
            schemas.insert(message.name(), schema(message, &[MESSAGES_OF_FILE, index], &comments)?);
        }
    }
    std::fs::write(out.join("schemas.json"), serde_json::to_string_pretty(&schemas)? + "\n")?;
    Ok(())
}

/// The comments above messages and fields, by where they stand.
fn comments(file: &FileDescriptorProto) -> BTreeMap<&[i32], String> {
    let locations = file.source_code_info.iter().flat_map(|info| &info.location);
    locations
        .map(|location| (location.path.as_slice(), location.leading_comments().lines().map(str::trim)))
        .map(|(path, lines)| (path, lines.collect::<Vec<_>>().join(" ").trim().to_owned()))
        .filter(|(_, text)| !text.is_empty())
        .collect()
}

/// One message as a schema. Nothing is required: a field that is absent has its default.
fn schema(message: &DescriptorProto, path: &[i32], comments: &BTreeMap<&[i32], String>) -> Result<Value> {
    let mut properties = BTreeMap::new();
    for (index, field) in (0..).zip(&message.field) {
        let mut property = field_schema(message, field)?;
        let field_path = [path, &[FIELDS_OF_MESSAGE, index]].concat();
        describe(&mut property, comments.get(field_path.as_slice()));
        properties.insert(field.json_name(), property);
    }
    let mut schema = json!({ "properties": properties, "type": "object" });
    describe(&mut schema, comments.get(path));
    Ok(schema)
}

fn describe(schema: &mut Value, comment: Option<&String>) {
    if let Some(text) = comment {
        schema["description"] = json!(text);
    }
}

fn field_schema(message: &DescriptorProto, field: &FieldDescriptorProto) -> Result<Value> {
    let entry = message.nested_type.iter().find(|nested| field.type_name().ends_with(&format!(".{}", nested.name())));
    if let Some(entry) = entry {
        let Some(value) = entry.field.iter().find(|part| part.name() == "value") else {
            bail!("{}.{}: only maps may be nested", message.name(), field.name());
        };
        return Ok(json!({ "additionalProperties": one_schema(value)?, "type": "object" }));
    }
    let one = one_schema(field)?;
    Ok(if field.label() == Label::Repeated { json!({ "items": one, "type": "array" }) } else { one })
}

/// The JSON form of one value, as pbjson writes it.
fn one_schema(field: &FieldDescriptorProto) -> Result<Value> {
    Ok(match field.r#type() {
        Type::String => json!({ "type": "string" }),
        Type::Bytes => json!({ "contentEncoding": "base64", "type": "string" }),
        Type::Bool => json!({ "type": "boolean" }),
        Type::Int64 => json!({ "format": "int64", "type": "string" }),
        Type::Uint32 => json!({ "maximum": u32::MAX, "minimum": 0, "type": "integer" }),
        Type::Message => {
            let name = field.type_name().rsplit('.').next().unwrap_or_default();
            json!({ "$ref": format!("#/components/schemas/{name}") })
        }
        other => bail!("{}: give {other:?} a schema here before using it", field.name()),
    })
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
