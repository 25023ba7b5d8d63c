//! Configuration: defaults, then the file, then the environment, then flags; parsed whole, every error told at once.
//!
//! [`settings`] is the table that everything here is made from; [`kinds`] reads single values; [`show`] prints.
//! What a setting does is the server's affair.

mod kinds;
mod settings;
mod show;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

pub(crate) use settings::{LogFormat, Settings};
use settings::{SETTINGS, Setting, contradictions};
pub(crate) use show::{effective, reference};

/// The flags of every command that reads the configuration.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ConfigArgs {
    /// A configuration file; `sparrow config print` writes one
    #[arg(long, value_name = "FILE", env = "SPARROW_CONFIG")]
    config: Option<PathBuf>,
    /// Where HTTP and WebSocket are served [default: 127.0.0.1:7700]
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<String>,
    /// Where the TCP protocol is served [default: 127.0.0.1:7701]
    #[arg(long, value_name = "IP:PORT")]
    tcp_listen: Option<String>,
    /// Where health, metrics and administration are served [default: 127.0.0.1:7702]
    #[arg(long, value_name = "IP:PORT")]
    admin_listen: Option<String>,
    /// The directory of the database and the node's secrets [default: sparrow-data]
    #[arg(long, value_name = "DIRECTORY")]
    data: Option<String>,
    /// The form of log lines [default: text]
    #[arg(long, value_name = "text|json")]
    log_format: Option<String>,
}

impl ConfigArgs {
    fn flags(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let flags = [
            ("listen", &self.listen),
            ("tcp_listen", &self.tcp_listen),
            ("admin_listen", &self.admin_listen),
            ("data", &self.data),
            ("log_format", &self.log_format),
        ];
        flags.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?)))
    }
}

/// A configuration without errors, and where its values came from.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The values.
    pub(crate) settings: Settings,
    /// For each key that was set: by what, for a person.
    origins: BTreeMap<&'static str, String>,
}

/// Everything that is wrong with a configuration, a sentence each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub(crate) struct Errors(Vec<String>);

/// Reads the configuration of this process.
pub(crate) fn load(args: &ConfigArgs) -> Result<Loaded, Errors> {
    load_from(args, std::env::vars_os())
}

fn load_from(args: &ConfigArgs, environment: impl Iterator<Item = (OsString, OsString)>) -> Result<Loaded, Errors> {
    let mut loader = Loader::default();
    if let Some(path) = &args.config {
        loader.file(path);
    }
    loader.environment(environment);
    for (key, value) in args.flags() {
        loader.set(key, value, &format!("--{}", key.replace('_', "-")));
    }
    loader.finish()
}

#[derive(Default)]
struct Loader {
    settings: Settings,
    origins: BTreeMap<&'static str, String>,
    errors: Vec<String>,
}

impl Loader {
    fn file(&mut self, path: &Path) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return self.errors.push(format!("cannot read {}: {error}", path.display())),
        };
        match DeTable::parse(&text) {
            Ok(table) => self.table(table.get_ref(), "", &File { path, text: &text }),
            Err(error) => self.errors.push(format!("{}: {error}", path.display())),
        }
    }

    fn table(&mut self, table: &DeTable<'_>, section: &str, file: &File<'_>) {
        for (name, value) in table {
            let key = format!("{section}{}", name.get_ref());
            let origin = file.line(name.span().start);
            match value.get_ref() {
                DeValue::Table(inner) if section.is_empty() && is_section(&key) => {
                    self.table(inner, &format!("{key}."), file);
                }
                DeValue::String(text) => self.set(&key, text, &origin),
                DeValue::Integer(number) => self.set(&key, &number.to_string(), &origin),
                DeValue::Boolean(yes) => self.set(&key, &yes.to_string(), &origin),
                _ => self.set(&key, "a list, table, date or fraction", &origin),
            }
        }
    }

    fn environment(&mut self, variables: impl Iterator<Item = (OsString, OsString)>) {
        let mut ours: BTreeMap<String, OsString> = variables
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| name.starts_with("SPARROW_"))
            .collect();
        for setting in SETTINGS {
            let name = setting.variable();
            match ours.remove(&name).map(OsString::into_string) {
                Some(Ok(value)) => self.set(setting.key, &value, &name),
                Some(Err(_)) => self.errors.push(format!("{name} is not UTF-8: give {}", (setting.accepts)())),
                None => {}
            }
        }
        // Outside a section a foreign name is none of ours: a container platform with a service of the name `sparrow`
        // sets SPARROW_PORT, SPARROW_SERVICE_HOST and others.
        for name in ours.keys().filter(|name| is_section_variable(name)) {
            self.errors.push(format!("{name} is not a setting: `sparrow config print` lists them all"));
        }
    }

    fn set(&mut self, key: &str, value: &str, origin: &str) {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
            let message = format!("{origin}: {key} is not a setting: `sparrow config print` lists them all");
            return self.errors.push(message);
        };
        if (setting.set)(&mut self.settings, value) {
            self.origins.insert(setting.key, origin.to_owned());
        } else {
            self.errors.push(format!("{origin}: {key} cannot be `{value}`: give {}", (setting.accepts)()));
        }
    }

    fn finish(mut self) -> Result<Loaded, Errors> {
        self.errors.extend(contradictions(&self.settings));
        if self.errors.is_empty() {
            Ok(Loaded { settings: self.settings, origins: self.origins })
        } else {
            Err(Errors(self.errors))
        }
    }
}

/// The variables that raise every rate to its most, for a node that is measured.
pub(crate) fn highest_rates() -> impl Iterator<Item = (String, String)> {
    let rates = SETTINGS.iter().filter(|setting| setting.key.starts_with("rates."));
    rates.map(|setting| (setting.variable(), settings::RATE.to_string()))
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    /// Where a byte of the file is, for a person.
    fn line(&self, at: usize) -> String {
        let before = self.text.as_bytes().iter().take(at);
        format!("{}:{}", self.path.display(), 1 + before.filter(|byte| **byte == b'\n').count())
    }
}

fn sections() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().filter_map(|setting| Some(setting.key.split_once('.')?.0))
}

fn is_section(key: &str) -> bool {
    sections().any(|section| section == key)
}

fn is_section_variable(name: &str) -> bool {
    sections().any(|section| name.starts_with(&format!("SPARROW_{}_", section.to_uppercase())))
}

#[cfg(test)]
mod tests;
