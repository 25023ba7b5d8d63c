//! The HTTP API, as far as a load or a test needs it before it connects.

use std::net::SocketAddr;

use reqwest::{Method, RequestBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sparrow_protocol::v1;

/// The HTTP API of one node, as nobody or as the owner of a token.
#[derive(Debug, Clone)]
pub struct Api {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// Why a call gave no answer of its own.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The node refused it.
    #[error("the node answered {status}, {}: {}", error.code, error.message)]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The refusal; empty if the body was none.
        error: v1::Error,
    },
    /// The node was not reached, or did not answer in HTTP.
    #[error("no answer over HTTP: {0}")]
    Http(#[from] reqwest::Error),
    /// The answer is not what was asked for.
    #[error("the answer cannot be read: {0}")]
    Json(serde_json::Error),
}

impl ApiError {
    /// The HTTP status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Http(_) | Self::Json(_) => None,
        }
    }
}

impl Api {
    /// The API at this address, without a token.
    pub fn new(address: SocketAddr) -> Result<Self, ApiError> {
        // An error says that a provider is installed already, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { http, base: format!("http://{address}"), token: None })
    }

    /// The same API for the owner of a token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Registers an account, which also logs a device in.
    pub async fn register(&self, name: &str, password: &str) -> Result<v1::Session, ApiError> {
        let request =
            v1::RegisterRequest { name: name.to_owned(), password: password.to_owned(), ..Default::default() };
        self.post("/v1/accounts", &request).await
    }

    /// Logs a new device in.
    pub async fn log_in(&self, name: &str, password: &str) -> Result<v1::Session, ApiError> {
        let request = v1::LoginRequest { name: name.to_owned(), password: password.to_owned(), ..Default::default() };
        self.post("/v1/sessions", &request).await
    }

    /// Opens the direct with another user, given as an id or `@name`.
    pub async fn direct(&self, user: &str) -> Result<v1::Conversation, ApiError> {
        let request =
            v1::CreateConversationRequest { kind: "direct".to_owned(), user: user.to_owned(), ..Default::default() };
        self.post("/v1/conversations", &request).await
    }

    /// `GET` of a path.
    pub async fn get<A: DeserializeOwned>(&self, path: &str) -> Result<A, ApiError> {
        answer(self.request(Method::GET, path)).await
    }

    /// `POST` of a message to a path.
    pub async fn post<A: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<A, ApiError> {
        answer(self.request(Method::POST, path).json(body)).await
    }

    /// `PUT` of a message to a path.
    pub async fn put<A: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<A, ApiError> {
        answer(self.request(Method::PUT, path).json(body)).await
    }

    /// `PATCH` of a path by a message.
    pub async fn patch<A: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<A, ApiError> {
        answer(self.request(Method::PATCH, path).json(body)).await
    }

    /// `DELETE` of a path.
    pub async fn delete<A: DeserializeOwned>(&self, path: &str) -> Result<A, ApiError> {
        answer(self.request(Method::DELETE, path)).await
    }

    /// The text at a path, such as `/metrics`.
    pub async fn text(&self, path: &str) -> Result<String, ApiError> {
        let response = self.request(Method::GET, path).send().await?;
        Ok(response.error_for_status()?.text().await?)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}

async fn answer<A: DeserializeOwned>(request: RequestBuilder) -> Result<A, ApiError> {
    let response = request.send().await?;
    let status = response.status();
    let body = response.bytes().await?;
    if status.is_success() {
        // 204 has no body, which is `()` or `null` to the caller.
        let body = if body.is_empty() { b"null" } else { &body[..] };
        return serde_json::from_slice(body).map_err(ApiError::Json);
    }
    let error = serde_json::from_slice(&body).unwrap_or_default();
    Err(ApiError::Refused { status: status.as_u16(), error })
}
