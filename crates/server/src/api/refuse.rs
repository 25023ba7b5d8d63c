//! From a [`Failure`] to an HTTP answer. The body is written later, by [`super::respond`], which knows the request id.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sparrow_protocol::Code;

use crate::failure::Failure;

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = status(self.code).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

fn status(code: Code) -> StatusCode {
    StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// What a refusal means that some layer made with a bare status: the router, a time limit, the panic guard.
pub(super) fn from_status(status: StatusCode) -> Failure {
    match status {
        StatusCode::NOT_FOUND => Failure::new(Code::NotFound, "There is no such path; see /docs for those there are."),
        StatusCode::UNAUTHORIZED => crate::accounts::unauthenticated(),
        StatusCode::FORBIDDEN => Failure::new(Code::Forbidden, "That is not allowed from here."),
        StatusCode::METHOD_NOT_ALLOWED => {
            Failure::new(Code::MethodNotAllowed, "This path has no such method; see /docs for those it has.")
        }
        StatusCode::PAYLOAD_TOO_LARGE => Failure::new(Code::TooLarge, "The body is larger than allowed."),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT => {
            Failure::new(Code::Unavailable, "The server could not answer in time; try again in a moment.")
        }
        status if status.is_client_error() => Failure::invalid("The request is malformed; see /docs."),
        _ => Failure::new(Code::Internal, "The server made a mistake; its log says more."),
    }
}
