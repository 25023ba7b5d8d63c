//! The project's own commands: `cargo xtask gen | tidy | ci`.
mod r#gen;
fn main() -> anyhow::Result<()> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in the workspace");
    r#gen::generate(root, &root.join("crates/protocol/src/gen"))
}
