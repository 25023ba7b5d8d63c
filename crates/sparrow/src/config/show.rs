//! The configuration as text: the effective one as a commented file, and the reference page of the documentation.

use std::fmt::Write as _;

use super::{Loaded, SETTINGS, Setting, Settings};

/// The effective configuration, as a file that gives the same one.
pub(crate) fn effective(loaded: &Loaded) -> String {
    let mut text = String::from("# The effective configuration of `sparrow serve`.\n");
    let defaults = Settings::default();
    let mut section = None;
    for setting in SETTINGS {
        let (here, name) = split(setting);
        if here != section {
            section = here;
            write!(text, "\n[{}]\n", here.unwrap_or_default()).expect("writing to a string");
        }
        let default = (setting.show)(&defaults);
        let origin = loaded.origins.get(setting.key).map_or(String::new(), |origin| format!(" Set by {origin}."));
        text.push('\n');
        for line in setting.doc {
            writeln!(text, "#{line}").expect("writing to a string");
        }
        writeln!(text, "# Give {}.", (setting.accepts)()).expect("writing to a string");
        writeln!(text, "# Default: {default}.{origin}").expect("writing to a string");
        writeln!(text, "{name} = {}", (setting.show)(&loaded.settings)).expect("writing to a string");
    }
    text
}

/// docs/configuration.md.
pub(crate) fn reference() -> String {
    let mut text = String::from(HEAD);
    let defaults = Settings::default();
    let mut section = None;
    for setting in SETTINGS {
        let (here, name) = split(setting);
        if here != section {
            section = here;
            write!(text, "\n## `[{}]`\n", here.unwrap_or_default()).expect("writing to a string");
            text.push_str(TABLE);
        }
        let doc: String = setting.doc.concat();
        let default = (setting.show)(&defaults);
        let row = format!(
            "| `{name}` | `{}` | `{default}` |{doc} Give {}. |\n",
            setting.variable(),
            (setting.accepts)().replace('|', "\\|")
        );
        text.push_str(&row);
    }
    text
}

fn split(setting: &Setting) -> (Option<&'static str>, &'static str) {
    match setting.key.split_once('.') {
        Some((section, name)) => (Some(section), name),
        None => (None, setting.key),
    }
}

const TABLE: &str = "\n| key | variable | default | what it is |\n|---|---|---|---|\n";

const HEAD: &str = "\
# Configuration

<!-- Written by `cargo xtask gen` from crates/sparrow/src/config/settings.rs; do not edit. -->

`sparrow serve` needs none. What is set is taken from, the later over the earlier:

1. the defaults below;
2. a file in TOML, named by `--config FILE` or `SPARROW_CONFIG`;
3. the environment, by the variables below;
4. the flags `--listen`, `--tcp-listen`, `--admin-listen`, `--data` and `--log-format`.

An unknown key, a value out of range or two values that contradict each other are refused before a port is bound, all
at once. `sparrow config check` only checks; `sparrow config print` writes the effective configuration as a file with
these explanations, so `sparrow config print > sparrow.toml` is how to begin one.

A time is a whole number with its unit, such as `\"25 s\"`; a size is a number of bytes or has a unit, such as
`\"64 KiB\"` (1,024 bytes to the KiB).

## At the top of the file

| key | variable | default | what it is |
|---|---|---|---|
";
