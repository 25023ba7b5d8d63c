//! The HTTP half: one function per endpoint, JSON bodies as `proto/` defines them. No state but the tokens.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, StatusCode, Url};
use rustls::ClientConfig;
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use sparrow_protocol::v1;

use crate::connection::Dialer;
use crate::error::{Error, Refusal};
use crate::options::{Credentials, Options};
use crate::session::Session;
use crate::tls;

const TIMEOUT: Duration = Duration::from_secs(30);
/// How often a repeatable request is sent, and the wait after the first time.
const ATTEMPTS: u32 = 3;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(250);
/// Answers are pages of at most 200 items; nothing legitimate comes near this.
const LARGEST_ANSWER: usize = 16 * 1024 * 1024;

/// One request, before it is known with what token it goes.
struct Call<'a> {
    method: Method,
    path: &'a [&'a str],
    query: &'a [(&'a str, &'a str)],
    body: Option<Vec<u8>>,
    idempotency_key: Option<String>,
    /// True if sending it twice does no more than sending it once.
    repeatable: bool,
}

impl<'a> Call<'a> {
    fn new(method: Method, path: &'a [&'a str]) -> Self {
        let method_is_safe = method == Method::GET;
        Self { method, path, query: &[], body: None, idempotency_key: None, repeatable: method_is_safe }
    }

    fn get(path: &'a [&'a str]) -> Self {
        Self::new(Method::GET, path)
    }

    fn query(self, query: &'a [(&'a str, &'a str)]) -> Self {
        Self { query, ..self }
    }

    fn repeatable(self) -> Self {
        Self { repeatable: true, ..self }
    }

    fn body<T: Serialize>(self, body: &T) -> Result<Self, Error> {
        let body = serde_json::to_vec(body).map_err(|e| Error::Invalid(e.to_string()))?;
        Ok(Self { body: Some(body), ..self })
    }
}

/// A server's address and the means to talk to it, without an identity.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    http: reqwest::Client,
    base: Url,
    tls: Arc<ClientConfig>,
}

impl Transport {
    pub(crate) fn new(server_url: &str, options: &Options) -> Result<Self, Error> {
        let base = parse_url(server_url)?;
        let tls = tls::config(options.authorities.as_deref(), base.scheme() == "https")?;
        let http = reqwest::Client::builder().timeout(TIMEOUT).tls_backend_preconfigured(tls.clone()).build();
        Ok(Self { http: http.map_err(|e| Error::Invalid(e.to_string()))?, base, tls: Arc::new(tls) })
    }

    /// How message connections are made.
    pub(crate) fn dialer(&self) -> Dialer {
        let mut websocket = self.url(&["ws"], &[]);
        let secure = self.base.scheme() == "https";
        // Between these schemes a URL can always be changed.
        let changed = websocket.set_scheme(if secure { "wss" } else { "ws" });
        debug_assert!(changed.is_ok(), "{websocket}");
        Dialer { websocket, tls: secure.then(|| self.tls.clone()) }
    }

    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        let present: Vec<_> = query.iter().filter(|(_, value)| !value.is_empty()).collect();
        if !present.is_empty() {
            let mut pairs = url.query_pairs_mut();
            for (name, value) in present {
                pairs.append_pair(name, value);
            }
        }
        url
    }

    pub(crate) async fn register(&self, who: &Credentials, options: &Options) -> Result<v1::Session, Error> {
        let request = v1::RegisterRequest {
            name: who.name.clone(),
            password: who.password.clone(),
            display_name: String::new(),
            device_name: options.device_name.clone(),
            platform: options.platform.clone(),
        };
        self.call(&Call::new(Method::POST, &["accounts"]).body(&request)?, None).await
    }

    pub(crate) async fn log_in(
        &self,
        who: &Credentials,
        options: &Options,
        device_id: i64,
    ) -> Result<v1::Session, Error> {
        let request = v1::LoginRequest {
            name: who.name.clone(),
            password: who.password.clone(),
            device_name: options.device_name.clone(),
            platform: options.platform.clone(),
            device_id,
        };
        self.call(&Call::new(Method::POST, &["sessions"]).body(&request)?, None).await
    }

    pub(crate) async fn refresh(&self, refresh_token: &str) -> Result<v1::Session, Error> {
        let request = v1::RefreshRequest { refresh_token: refresh_token.to_owned() };
        self.call(&Call::new(Method::POST, &["sessions", "refresh"]).body(&request)?, None).await
    }

    async fn call<R: DeserializeOwned>(&self, call: &Call<'_>, token: Option<&str>) -> Result<R, Error> {
        let mut request = self.http.request(call.method.clone(), self.url(call.path, call.query));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = &call.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = &call.body {
            request = request.header("content-type", "application/json").body(body.clone());
        }
        let response = request.send().await.map_err(|e| self.unreachable(&e))?;
        let status = response.status();
        let body = self.read_bounded(response).await?;
        if status.is_success() {
            let body: &[u8] = if body.is_empty() { b"null" } else { &body };
            return serde_json::from_slice(body).map_err(|error| {
                tracing::debug!(%error, "an answer that cannot be understood");
                Error::NotSparrow(self.base.to_string())
            });
        }
        match refusal(status, &body) {
            Some(refusal) => Err(Error::Refused(refusal)),
            None => Err(Error::NotSparrow(self.base.to_string())),
        }
    }

    async fn read_bounded(&self, mut response: reqwest::Response) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.unreachable(&e))? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(Error::Protocol("the answer is too large".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// The details are for whoever debugs; people are told the address.
    fn unreachable(&self, error: &reqwest::Error) -> Error {
        tracing::debug!(?error, "no answer");
        if tls::is_untrusted(error) {
            return Error::Untrusted(self.base.to_string());
        }
        Error::Unreachable(self.base.to_string())
    }
}

fn parse_url(server_url: &str) -> Result<Url, Error> {
    let invalid =
        || Error::Invalid(format!("'{server_url}' is no server address; write it like http://127.0.0.1:7700"));
    let url = Url::parse(server_url).map_err(|_| invalid())?;
    if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() || url.host_str().is_none() {
        return Err(invalid());
    }
    Ok(url)
}

/// The server's own words or, from something between us and it, the status. `None` if no server of ours says that.
fn refusal(status: StatusCode, body: &[u8]) -> Option<Refusal> {
    if let Ok(error) = serde_json::from_slice::<v1::Error>(body)
        && !error.code.is_empty()
    {
        return Some(error.into());
    }
    // A proxy in front of a server that is away says so in its own way.
    let for_now = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    for_now.then(|| Refusal {
        code: format!("http_{}", status.as_u16()),
        message: format!("the server answered {status}; try again later"),
        retryable: true,
        retry_after: Duration::ZERO,
        request_id: String::new(),
    })
}

/// The HTTP API as one device sees it.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    transport: Transport,
    session: Session,
}

impl Http {
    pub(crate) fn new(transport: Transport, session: Session) -> Self {
        Self { transport, session }
    }

    /// Sends with the present token and, if that is refused, once more with a new one.
    async fn call<R: DeserializeOwned>(&self, call: Call<'_>) -> Result<R, Error> {
        let token = self.session.access_token(None).await?;
        match self.attempts(&call, &token).await {
            Err(e) if e.is_unauthenticated() => {
                let token = self.session.access_token(Some(&token)).await?;
                self.attempts(&call, &token).await
            }
            answer => answer,
        }
    }

    /// Repeats what may be repeated while the server cannot be reached.
    async fn attempts<R: DeserializeOwned>(&self, call: &Call<'_>, token: &str) -> Result<R, Error> {
        let mut attempt = 1;
        loop {
            match self.transport.call(call, Some(token)).await {
                Err(Error::Unreachable(_)) if call.repeatable && attempt < ATTEMPTS => {
                    tokio::time::sleep(BETWEEN_ATTEMPTS * attempt).await;
                    attempt += 1;
                }
                answer => return answer,
            }
        }
    }

    /// For endpoints whose answer says nothing that the caller does not know.
    async fn act(&self, call: Call<'_>) -> Result<(), Error> {
        self.call::<IgnoredAny>(call).await.map(drop)
    }

    pub(crate) async fn log_out(&self) -> Result<(), Error> {
        self.act(Call::new(Method::DELETE, &["sessions", "current"])).await
    }

    pub(crate) async fn me(&self) -> Result<v1::User, Error> {
        self.call(Call::get(&["me"])).await
    }

    pub(crate) async fn update_profile(&self, change: &v1::UpdateProfileRequest) -> Result<v1::User, Error> {
        self.call(Call::new(Method::PATCH, &["me"]).body(change)?).await
    }

    pub(crate) async fn devices(&self, cursor: &str) -> Result<v1::DeviceList, Error> {
        self.call(Call::get(&["me", "devices"]).query(&[("cursor", cursor)])).await
    }

    pub(crate) async fn revoke_device(&self, device: i64) -> Result<(), Error> {
        self.act(Call::new(Method::DELETE, &["me", "devices", &device.to_string()])).await
    }

    pub(crate) async fn user(&self, user: &str) -> Result<v1::User, Error> {
        self.call(Call::get(&["users", user])).await
    }

    pub(crate) async fn users(&self, prefix: &str, online: bool, cursor: &str) -> Result<v1::UserList, Error> {
        let online = if online { "true" } else { "" };
        self.call(Call::get(&["users"]).query(&[("prefix", prefix), ("online", online), ("cursor", cursor)])).await
    }

    pub(crate) async fn create_conversation(
        &self,
        request: &v1::CreateConversationRequest,
        idempotency_key: String,
    ) -> Result<v1::Conversation, Error> {
        let call = Call::new(Method::POST, &["conversations"]).body(request)?.repeatable();
        self.call(Call { idempotency_key: Some(idempotency_key), ..call }).await
    }

    pub(crate) async fn conversations(&self, cursor: &str) -> Result<v1::ConversationList, Error> {
        self.call(Call::get(&["conversations"]).query(&[("cursor", cursor)])).await
    }

    pub(crate) async fn conversation(&self, id: i64) -> Result<v1::Conversation, Error> {
        self.call(Call::get(&["conversations", &id.to_string()])).await
    }

    pub(crate) async fn update_conversation(
        &self,
        id: i64,
        change: &v1::UpdateConversationRequest,
    ) -> Result<(), Error> {
        self.act(Call::new(Method::PATCH, &["conversations", &id.to_string()]).body(change)?.repeatable()).await
    }

    pub(crate) async fn members(&self, id: i64, cursor: &str) -> Result<v1::MemberList, Error> {
        self.call(Call::get(&["conversations", &id.to_string(), "members"]).query(&[("cursor", cursor)])).await
    }

    pub(crate) async fn add_members(&self, id: i64, request: &v1::AddMembersRequest) -> Result<(), Error> {
        self.act(Call::new(Method::POST, &["conversations", &id.to_string(), "members"]).body(request)?.repeatable())
            .await
    }

    pub(crate) async fn remove_member(&self, id: i64, user: &str) -> Result<(), Error> {
        self.act(Call::new(Method::DELETE, &["conversations", &id.to_string(), "members", user])).await
    }

    pub(crate) async fn change_role(&self, id: i64, user: &str, request: &v1::ChangeRoleRequest) -> Result<(), Error> {
        let id = id.to_string();
        self.act(Call::new(Method::PUT, &["conversations", &id, "members", user, "role"]).body(request)?.repeatable())
            .await
    }

    pub(crate) async fn receipts(&self, id: i64, seq: i64, cursor: &str) -> Result<v1::ReceiptList, Error> {
        let (id, seq) = (id.to_string(), seq.to_string());
        self.call(Call::get(&["conversations", &id, "messages", &seq, "receipts"]).query(&[("cursor", cursor)])).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_their_prefix_and_escape_what_users_type() {
        let transport = Transport::new("http://example.org/im/", &Options::default()).unwrap();
        let url = transport.url(&["users", "@a/b?c"], &[("prefix", "x&y"), ("cursor", "")]);
        assert_eq!(url.as_str(), "http://example.org/im/v1/users/@a%2Fb%3Fc?prefix=x%26y");
        let dialer = transport.dialer();
        assert_eq!((dialer.websocket.as_str(), dialer.tls.is_none()), ("ws://example.org/im/v1/ws", true));
    }

    #[test]
    fn refuses_what_is_no_address() {
        for text in ["", "localhost:7700", "ftp://example.org", "data:x"] {
            assert!(matches!(Transport::new(text, &Options::default()), Err(Error::Invalid(_))), "{text}");
        }
    }
}
