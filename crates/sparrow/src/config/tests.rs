//! The rules of the configuration, on values.

use std::io::Write as _;

use super::*;

fn environment(variables: &[(&str, &str)]) -> impl Iterator<Item = (OsString, OsString)> {
    variables.iter().map(|(name, value)| (name.into(), value.into())).collect::<Vec<_>>().into_iter()
}

fn file(text: &str) -> (tempfile::NamedTempFile, ConfigArgs) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let args = ConfigArgs { config: Some(file.path().to_owned()), ..ConfigArgs::default() };
    (file, args)
}

#[test]
fn nothing_set_is_the_default_node() {
    let loaded = load_from(&ConfigArgs::default(), environment(&[])).unwrap();
    assert_eq!(loaded.settings.node.listen.to_string(), "127.0.0.1:7700");
    assert!(loaded.origins.is_empty());
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let (_file, mut args) =
        file("listen = '127.0.0.1:1'\ntcp_listen = '127.0.0.1:2'\nadmin_listen = '127.0.0.1:3'\n[limits]\ndevices = 7");
    args.listen = Some("127.0.0.1:21".to_owned());
    let variables = [("SPARROW_LISTEN", "127.0.0.1:11"), ("SPARROW_TCP_LISTEN", "127.0.0.1:12")];
    let node = load_from(&args, environment(&variables)).unwrap().settings.node;
    let ports = [node.listen, node.tcp_listen, node.admin_listen].map(|address| address.port());
    assert_eq!((ports, node.limits.devices), ([21, 12, 3], 7));
}

#[test]
fn every_error_is_told_at_once() {
    let (_file, mut args) = file(
        "listen = 'nowhere'\nlistenn = '127.0.0.1:1'\n[limits]\ndevices = 0\ndevice = 5\nping_after = '80 s'\n[limit]\na = 1",
    );
    args.data = Some(String::new());
    let variables = [("SPARROW_LIMITS_BATCH_BYTES", "much"), ("SPARROW_LIMITS_BATCHES", "1")];
    let Errors(errors) = load_from(&args, environment(&variables)).unwrap_err();
    let told = |word: &str| errors.iter().any(|error| error.contains(word));
    for word in ["listen ", "listenn", "devices", "device ", "limit ", "data", "BATCH_BYTES", "BATCHES", "idle_timeout"]
    {
        assert!(told(word), "{word} is not among {errors:#?}");
    }
    assert_eq!(errors.len(), 9, "{errors:#?}");
}

#[test]
fn an_error_in_a_file_names_its_line() {
    let (file, args) = file("# first\n\nlisten = 5\n");
    let Errors(errors) = load_from(&args, environment(&[])).unwrap_err();
    assert!(errors[0].starts_with(&format!("{}:3:", file.path().display())), "{errors:?}");
}

#[test]
fn names_of_a_container_platform_are_left_alone() {
    load_from(&ConfigArgs::default(), environment(&[("SPARROW_PORT", "tcp://10.0.0.1:7700")])).unwrap();
}

#[test]
fn what_is_printed_is_read_back() {
    let variables = [("SPARROW_LIMITS_WRITE_TIMEOUT", "1500 ms"), ("SPARROW_LOG", "debug")];
    let printed = effective(&load_from(&ConfigArgs::default(), environment(&variables)).unwrap());
    let (_file, args) = file(&printed);
    let again = load_from(&args, environment(&[])).unwrap();
    assert_eq!(again.settings.node.limits.write_timeout.as_millis(), 1500);
    assert_eq!(again.settings.log, "debug");
    assert_eq!(again.origins.len(), SETTINGS.len());
}

#[test]
fn every_default_is_in_its_own_range() {
    for setting in SETTINGS {
        let shown = (setting.show)(&Settings::default());
        let text = shown.as_str().map_or_else(|| shown.to_string(), str::to_owned);
        assert!((setting.set)(&mut Settings::default(), &text), "{} = {text}", setting.key);
    }
}

/// A field of the node's configuration that has no line in the table could not be set by anybody.
#[test]
fn every_field_has_a_setting() {
    let config = format!("{:#?}", sparrow_server::Config::default());
    let fields = config.lines().filter_map(|line| line.trim().split_once(": "));
    for (field, _) in fields.filter(|(field, value)| !(value.ends_with('{') && is_section(field))) {
        let is_set = |setting: &&Setting| setting.key.rsplit('.').next() == Some(field);
        assert!(SETTINGS.iter().any(|setting| is_set(&setting)), "{field} has no setting");
    }
}
