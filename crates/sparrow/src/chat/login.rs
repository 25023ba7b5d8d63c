//! From arguments to a client: where data is kept, whose password is asked for, when an account is made.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use sparrow_client::{Carrier, Client, Codec, Credentials, Error, Options, Start, Store, StoredSession};
use sparrow_protocol::{Code, Username};
use sparrow_tui::locale::{Texts, fill};

use super::{ChatArgs, FrameCodec, Quit, Transport};

const TCP_PORT: u16 = 7701;

/// A client of the user that the arguments name: with the tokens of the last time, or else with a password.
pub(super) async fn client(args: &ChatArgs, texts: &'static Texts) -> Result<Client, Quit> {
    let name = Username::parse(&args.user).map_err(|e| Quit::usage(format!("--user: {e}")))?;
    let directory = directory(args, &name)?;
    let options = options(args, directory.clone())?;
    if let Some(stored) = StoredSession::load(&directory)? {
        return Ok(Client::resume(stored, options).await?);
    }
    let credentials = Credentials { name: args.user.clone(), password: password(args, texts)? };
    if args.register {
        match Client::register(&args.server, credentials.clone(), options.clone()).await {
            Err(error) if error.code() == Some(Code::NameTaken.as_str()) => {}
            registered => return registered.map_err(refused),
        }
    }
    Client::log_in(&args.server, credentials, options).await.map_err(refused)
}

/// At this point, a refusal concerns the login.
fn refused(error: Error) -> Quit {
    match error {
        Error::Refused(refusal) => Quit::refused(refusal.message),
        error => error.into(),
    }
}

fn options(args: &ChatArgs, directory: PathBuf) -> Result<Options, Quit> {
    let carrier = match args.transport {
        Transport::Ws => Carrier::WebSocket,
        Transport::Tcp => Carrier::Tcp(match &args.tcp {
            Some(address) => address.clone(),
            None => format!("{}:{TCP_PORT}", host(&args.server)?),
        }),
    };
    let codec = match args.codec {
        FrameCodec::Proto => Codec::Protobuf,
        FrameCodec::Json => Codec::Json,
    };
    Ok(Options {
        carrier,
        codec,
        authorities: args.ca.clone(),
        store: Store::Directory(directory),
        start: Start::Unread,
        device_name: "sparrow chat".to_owned(),
        platform: "terminal".to_owned(),
        client_name: "sparrow-chat".to_owned(),
        ..Options::default()
    })
}

/// The part of a URL between `//` and the port or path.
fn host(url: &str) -> Result<&str, Quit> {
    let authority = authority(url)?;
    // The colons of an IPv6 address stand between brackets.
    let end = authority.rfind(':').filter(|colon| !authority[*colon..].contains(']')).unwrap_or(authority.len());
    Ok(&authority[..end])
}

fn authority(url: &str) -> Result<&str, Quit> {
    let rest = url.split_once("://").map(|(_, rest)| rest);
    let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).filter(|authority| !authority.is_empty());
    authority
        .ok_or_else(|| Quit::usage(format!("--server: '{url}' is no address; write it like http://127.0.0.1:7700")))
}

/// One directory per server and account.
fn directory(args: &ChatArgs, name: &Username) -> Result<PathBuf, Quit> {
    let base = match &args.data {
        Some(directory) => directory.clone(),
        None => data_directory().ok_or_else(|| Quit::usage("there is no home directory; give --data DIR"))?,
    };
    Ok(base.join(as_file_name(authority(&args.server)?)).join(as_file_name(name.key())))
}

fn data_directory() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share")))?;
    Some(base.join("sparrow"))
}

/// Keeps what every file system takes; everything else becomes `_` and its code, so that two names stay two.
fn as_file_name(text: &str) -> String {
    let mut name = String::new();
    for (index, character) in text.chars().enumerate() {
        let plain = character.is_alphanumeric() || character == '-' || (character == '.' && index > 0);
        if plain {
            name.push(character);
        } else {
            name.push_str(&format!("_{:x}", u32::from(character)));
        }
    }
    name
}

fn password(args: &ChatArgs, texts: &'static Texts) -> Result<String, Quit> {
    if let Some(path) = &args.password_file {
        return read_password(path);
    }
    if let Ok(password) = std::env::var("SPARROW_PASSWORD") {
        return Ok(password);
    }
    if !std::io::stdin().is_terminal() {
        return Err(Quit::usage(texts.no_password));
    }
    Ok(rpassword::prompt_password(fill(texts.password, &[&args.user]))?)
}

fn read_password(path: &Path) -> Result<String, Quit> {
    let text = std::fs::read_to_string(path).map_err(|e| Quit::usage(format!("{}: {e}", path.display())))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_what_stands_before_the_port() {
        for (url, expected) in [
            ("http://127.0.0.1:7700", "127.0.0.1"),
            ("https://example.org/im", "example.org"),
            ("http://[::1]:7700/", "[::1]"),
            ("http://[::1]", "[::1]"),
        ] {
            assert_eq!(host(url).unwrap(), expected);
        }
        assert!(host("localhost").is_err());
    }

    #[test]
    fn directories_of_different_accounts_differ_and_stay_inside() {
        assert_eq!(as_file_name("127.0.0.1:7700"), "127.0.0.1_3a7700");
        assert_eq!(as_file_name("../x"), "_2e._2fx");
        assert_ne!(as_file_name("a_b"), as_file_name("a:b"));
    }
}
