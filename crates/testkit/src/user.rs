//! A registered user with a logged-in device.

use sparrow_loadgen::{Api, Connection, ConnectionError};
use sparrow_protocol::{Carrier, Format, v1};

use crate::TestNode;

/// The password of every user in a test.
pub const PASSWORD: &str = "correct horse";

/// A user, by one device.
#[derive(Debug, Clone)]
pub struct User {
    /// The name.
    pub name: String,
    /// The account's id.
    pub id: i64,
    /// The device's access token.
    pub token: String,
    /// The HTTP API with this token.
    pub api: Api,
}

impl User {
    /// Registers an account.
    ///
    /// # Panics
    /// If the node refuses.
    pub async fn register(node: &TestNode, name: &str) -> Self {
        let api = Api::new(node.http()).expect("an HTTP client");
        let session = api.register(name, PASSWORD).await.expect("registering");
        Self::of(name, &api, session)
    }

    /// Another device of the same user.
    ///
    /// # Panics
    /// If the node refuses.
    pub async fn another_device(&self) -> Self {
        let session = self.api.log_in(&self.name, PASSWORD).await.expect("logging in");
        Self::of(&self.name, &self.api, session)
    }

    fn of(name: &str, api: &Api, session: v1::Session) -> Self {
        Self {
            name: name.to_owned(),
            id: session.user.expect("a session names its user").user_id,
            api: api.with_token(&session.access_token),
            token: session.access_token,
        }
    }

    /// The id of the direct with somebody.
    ///
    /// # Panics
    /// If the node refuses.
    pub async fn direct(&self, other: &User) -> i64 {
        let conversation = self.api.direct(&other.id.to_string()).await.expect("opening a direct");
        conversation.state.expect("a conversation has a state").conversation_id
    }

    /// The id of a new group with these members; newcomers do not see what was said before.
    ///
    /// # Panics
    /// If the node refuses.
    pub async fn group(&self, name: &str, members: &[&User]) -> i64 {
        let request = v1::CreateConversationRequest {
            kind: "group".to_owned(),
            name: name.to_owned(),
            members: members.iter().map(|member| member.id.to_string()).collect(),
            ..Default::default()
        };
        let conversation: v1::Conversation = self.api.post("/v1/conversations", &request).await.expect("a group");
        conversation.state.expect("a conversation has a state").conversation_id
    }

    /// A connection that has said `Hello`.
    ///
    /// # Panics
    /// If the node refuses.
    pub async fn connect(&self, node: &TestNode, format: Format) -> Connection {
        let address = match format.carrier {
            Carrier::WebSocket => node.http(),
            Carrier::Tcp => node.tcp(),
        };
        self.try_connect(address, format).await.expect("connecting")
    }

    /// The same, to any address, such as a proxy's.
    pub async fn try_connect(
        &self,
        address: std::net::SocketAddr,
        format: Format,
    ) -> Result<Connection, ConnectionError> {
        let mut connection = Connection::open(address, format).await?;
        connection.hello(&self.token).await?;
        Ok(connection)
    }
}
