//! The listener: user code that is called with every received entry. A thin loop over the event stream.

use async_trait::async_trait;
use sparrow_protocol::v1::Entry;

use crate::events::Event;
use crate::{Client, Error};

/// What a listener wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// The entry is dealt with; go on.
    Continue,
    /// Stop. The entry is *not* dealt with and comes again when the program runs next.
    Stop,
}

/// Code that is called with every entry and event; see [`Client::run`].
#[async_trait]
pub trait Listener: Send + Sync {
    /// An entry arrived; calls are made one after another. Own messages, of this device too, are entries like others:
    /// an answering program skips those whose `sender_id` is [`Client::user_id`].
    ///
    /// The entry counts as handled when this returns [`Flow::Continue`]. If the program dies before, the entry comes
    /// again, so what must not happen twice is stored together with the entry's `conversation_id` and `seq`.
    async fn on_entry(&self, client: &Client, entry: Entry) -> Flow;

    /// Anything else happened.
    async fn on_event(&self, _client: &Client, _event: Event) -> Flow {
        Flow::Continue
    }
}

/// Feeds a listener until it stops, the client is closed or logged out.
pub(crate) async fn run(client: &Client, listener: &dyn Listener) -> Result<(), Error> {
    let mut events = client.events();
    while let Some(event) = events.next().await {
        match event {
            Event::Entry(entry) => {
                if listener.on_entry(client, entry).await == Flow::Stop {
                    return Ok(());
                }
                events.handled().await?;
            }
            event => {
                let logged_out = matches!(event, Event::LoggedOut { .. });
                if listener.on_event(client, event).await == Flow::Stop {
                    return Ok(());
                }
                if logged_out {
                    return Err(Error::LoggedOut);
                }
            }
        }
    }
    Ok(())
}
