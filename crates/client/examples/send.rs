//! Sends one message and waits until it is durable: `send URL NAME PASSWORD TO TEXT`.

use std::time::Duration;

use sparrow_client::{Client, Credentials, Error, Options};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, url, name, password, to, text] = arguments.as_slice() else {
        return Err(Error::Invalid("usage: send URL NAME PASSWORD TO TEXT".to_owned()));
    };
    let credentials = Credentials { name: name.clone(), password: password.clone() };
    let client = Client::log_in(url, credentials, Options { receive: false, ..Options::default() }).await?;
    let direct = client.open_direct(&format!("@{to}")).await?;
    let conversation = direct.state.map_or(0, |state| state.conversation_id);
    client.send_text(conversation, text).await?;
    let sent = client.wait_until_sent(Duration::from_secs(10)).await?;
    client.close().await;
    if sent { Ok(()) } else { Err(Error::NotConnected) }
}
