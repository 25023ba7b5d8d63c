//! Prints every entry as it arrives: `tail URL NAME PASSWORD`. Each once, also over restarts.
#![expect(clippy::print_stdout, reason = "that is what it is for")]

use std::path::PathBuf;

use sparrow_client::{Client, Credentials, Error, Event, Options, Store};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, url, name, password] = arguments.as_slice() else {
        return Err(Error::Invalid("usage: tail URL NAME PASSWORD".to_owned()));
    };
    let credentials = Credentials { name: name.clone(), password: password.clone() };
    let options = Options { store: Store::Directory(PathBuf::from(format!("tail-{name}"))), ..Options::default() };
    let client = Client::log_in(url, credentials, options).await?;
    let mut events = client.events();
    while let Some(event) = events.next().await {
        match event {
            Event::Entry(entry) => {
                let text = entry.content.unwrap_or_default().text;
                println!("{} #{} {} {text:?}", entry.conversation_id, entry.seq, entry.kind);
            }
            Event::LoggedOut { .. } => return Err(Error::LoggedOut),
            _ => {}
        }
    }
    Ok(())
}
