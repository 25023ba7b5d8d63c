//! A bot that repeats what it is told: `echo_bot URL NAME PASSWORD`. Registers the account if it does not exist.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use sparrow_client::{Client, Credentials, Entry, Error, Flow, Listener, Options, Store};

struct Echo;

#[async_trait]
impl Listener for Echo {
    async fn on_entry(&self, client: &Client, entry: Entry) -> Flow {
        if entry.sender_id == client.user_id() {
            return Flow::Continue;
        }
        let Some(content) = entry.content else { return Flow::Continue };
        // If the answer cannot be kept, stop before the entry counts as handled: it comes again with the next start.
        match client.send_text(entry.conversation_id, &content.text).await {
            Ok(_) => Flow::Continue,
            Err(_) => Flow::Stop,
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, url, name, password] = arguments.as_slice() else {
        return Err(Error::Invalid("usage: echo_bot URL NAME PASSWORD".to_owned()));
    };
    let credentials = Credentials { name: name.clone(), password: password.clone() };
    let options = Options { store: Store::Directory(PathBuf::from(format!("echo-{name}"))), ..Options::default() };
    let client = match Client::register(url, credentials.clone(), options.clone()).await {
        Err(error) if error.code() == Some("name_taken") => Client::log_in(url, credentials, options).await?,
        registered => registered?,
    };
    client.run(Arc::new(Echo)).await
}
