//! `/openapi.json`: the paths come from the handlers, the schemas from `proto/`, the errors from the table here.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sparrow_protocol::OPENAPI_SCHEMAS;
use utoipa::openapi::{Ref, RefOr, Response};
use utoipa::{IntoResponses, OpenApi};
use utoipa_axum::router::OpenApiRouter;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Sparrow",
        description = "The HTTP half of a Sparrow server. Bodies are the messages of `proto/sparrow/v1` as JSON: 64-bit \
            numbers are strings, absent fields have their default. Live delivery is by WebSocket at `/v1/ws` or TCP; see \
            the protocol's documentation. Every answer has an `x-request-id`; every refusal is an `Error`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "accounts", description = "Register, log in and out, one's profile."),
        (name = "devices", description = "Where one is logged in."),
        (name = "users", description = "Other people."),
        (name = "conversations", description = "Directs, groups and notes."),
        (name = "members", description = "Who is in a group."),
        (name = "messages", description = "What is said."),
        (name = "health", description = "For load balancers and supervisors."),
    ),
    security(("bearer" = [])),
)]
struct Document;

/// Declares the refusals: those that a handler names among its responses, as types, and those that are added to every
/// operation they can happen to.
macro_rules! refusals {
    (
        named { $($name:ident = $status:literal, $description:literal;)+ }
        common { $($common:ident = $common_status:literal, $common_description:literal;)+ }
    ) => {
        $(
            #[doc = $description]
            pub(super) struct $name;

            impl IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<Response>> {
                    let to = concat!("#/components/responses/", stringify!($name));
                    BTreeMap::from([($status.to_owned(), RefOr::Ref(Ref::new(to)))])
                }
            }
        )+

        /// Name, status and description of each.
        const REFUSALS: &[(&str, &str, &str)] = &[
            $((stringify!($name), $status, $description),)+
            $((stringify!($common), $common_status, $common_description),)+
        ];
    };
}

refusals! {
    named {
        Unauthenticated = "401", "`unauthenticated`: no valid token, or a wrong name or password.";
        Forbidden = "403", "`forbidden`, `not_permitted`: the caller may see it but not do this.";
        NotFound = "404", "`not_found`: it does not exist, or the caller may not see it; the answer is the same.";
        Conflict = "409", "`conflict`, `name_taken`, `idempotency_mismatch`: it contradicts what is there.";
        Unavailable = "503", "`unavailable`, `overloaded`: try again later.";
    }
    common {
        Invalid = "400", "`invalid_request`: malformed, or against a stated rule.";
        TooLarge = "413", "`too_large`: the body is larger than allowed.";
        Internal = "500", "`internal`: a fault of the server; its log says more, under `requestId`.";
        StorageFull = "507", "`storage_full`: the server's disk is full; reads still work.";
    }
}

/// A router whose routes go into the document.
pub(super) fn documented<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S> {
    OpenApiRouter::with_openapi(Document::openapi())
}

/// The whole document: what the routes say, with schemas and common refusals.
pub(super) fn complete(document: &utoipa::openapi::OpenApi) -> Value {
    let mut document = serde_json::to_value(document).unwrap_or_default();
    let schemas: Value = serde_json::from_str(OPENAPI_SCHEMAS).unwrap_or_default();
    let responses: Map<String, Value> =
        REFUSALS.iter().map(|(name, _, description)| ((*name).to_owned(), refusal(description))).collect();
    document["components"] = json!({
        "schemas": schemas,
        "responses": responses,
        "securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer", "description": "The `accessToken` of a `Session`."},
        },
    });
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    for (path, item) in paths.into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            add_common_refusals(path, method, operation);
        }
    }
    document
}

fn refusal(description: &str) -> Value {
    let schema = json!({"$ref": "#/components/schemas/Error"});
    json!({"description": description, "content": {"application/json": {"schema": schema}}})
}

fn add_common_refusals(path: &str, method: &str, operation: &mut Value) {
    let open = operation.get("security").is_some();
    let (has_body, has_params) = (operation.get("requestBody").is_some(), operation.get("parameters").is_some());
    let writes = method != "get";
    let versioned = path.starts_with("/v1/");
    let common = [
        ("Invalid", has_body || has_params),
        ("Unauthenticated", !open),
        ("TooLarge", has_body),
        ("Internal", versioned),
        ("Unavailable", versioned),
        ("StorageFull", writes),
    ];
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    for (name, status, _) in REFUSALS {
        if common.contains(&(*name, true)) {
            let reference = json!({"$ref": format!("#/components/responses/{name}")});
            responses.entry((*status).to_owned()).or_insert(reference);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use crate::api::{openapi, router};

    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Value::String(to) if name == "$ref" => found.push(to),
                        _ => references(value, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    fn operations(document: &Value) -> impl Iterator<Item = (&String, &String, &Value)> {
        let paths = document["paths"].as_object().unwrap();
        paths.iter().flat_map(|(path, item)| {
            item.as_object().unwrap().iter().map(move |(method, operation)| (path, method, operation))
        })
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = router::document();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 100, "the document lost its references");
        for to in found {
            let pointer = to.strip_prefix('#').expect("a reference inside the document");
            assert!(document.pointer(pointer).is_some(), "{to}");
        }
    }

    #[test]
    fn every_operation_says_what_it_does_needs_and_refuses() {
        let document = router::document();
        let mut ids = Vec::new();
        for (path, method, operation) in operations(&document) {
            let place = format!("{method} {path}");
            ids.push(operation["operationId"].as_str().expect(&place).to_owned());
            assert!(operation["summary"].is_string(), "{place}");
            assert!(operation["tags"][0].is_string(), "{place}");
            let responses = operation["responses"].as_object().expect(&place);
            assert!(responses.keys().any(|status| status.starts_with('2')), "{place}");
            if path.starts_with("/v1/") {
                assert!(responses.contains_key("500") && responses.contains_key("503"), "{place}");
                let open = operation["security"] == serde_json::json!([{}]);
                assert!(open || responses.contains_key("401"), "{place}");
            }
            if let Some(body) = operation.get("requestBody") {
                let json = &body["content"]["application/json"];
                assert!(json["example"].is_object() || json["examples"].is_object(), "{place}");
                assert!(responses.contains_key("400") && responses.contains_key("413"), "{place}");
            }
        }
        let count = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), count, "operation ids are unique");
    }

    #[test]
    fn the_committed_copy_is_current() {
        let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
        let committed = std::fs::read_to_string(committed).unwrap();
        assert!(committed == openapi(), "docs/openapi.json is stale; run `cargo xtask gen`");
    }
}
