//! Any body of any command survives every format, and its JSON is exactly what the OpenAPI schemas say: bodies are made
//! at random from the schemas, so a field that is added to the proto is covered when it is generated.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use sparrow_protocol::frame::LENGTH_BYTES;
use sparrow_protocol::{Carrier, Codec, Command, Format, OPENAPI_SCHEMAS};

const WEB_SOCKET_JSON: Format = Format { carrier: Carrier::WebSocket, codec: Codec::Json };

/// The name of the message that is the command's body.
fn message_name(command: Command) -> String {
    let word = command.as_str();
    word[..1].to_uppercase() + &word[1..]
}

/// Values of a message in canonical JSON: a field is absent or differs from its default.
fn message(schemas: &Value, name: &str) -> BoxedStrategy<Value> {
    let properties = schemas[name]["properties"].as_object().unwrap_or_else(|| panic!("{name} has no schema"));
    let mut fields: BoxedStrategy<Map<String, Value>> = Just(Map::new()).boxed();
    for (key, schema) in properties {
        let key = key.clone();
        let value = proptest::option::of(value(schemas, schema));
        fields = (fields, value)
            .prop_map(move |(mut fields, value)| {
                fields.extend(value.map(|value| (key.clone(), value)));
                fields
            })
            .boxed();
    }
    fields.prop_map(Value::Object).boxed()
}

fn value(schemas: &Value, schema: &Value) -> BoxedStrategy<Value> {
    if let Some(name) = schema["$ref"].as_str() {
        return message(schemas, name.rsplit('/').next().unwrap());
    }
    match (schema["type"].as_str().unwrap(), schema["format"].as_str()) {
        ("string", Some("int64")) => any::<i64>()
            .prop_filter("the default is omitted", |it| *it != 0)
            .prop_map(|it| json!(it.to_string()))
            .boxed(),
        ("string", None) => text().prop_map(Value::String).boxed(),
        ("boolean", None) => Just(json!(true)).boxed(),
        ("integer", None) => (1..=u32::MAX).prop_map(|it| json!(it)).boxed(),
        ("array", None) => {
            proptest::collection::vec(value(schemas, &schema["items"]), 1..4).prop_map(Value::Array).boxed()
        }
        ("object", None) => {
            let entries = (text(), value(schemas, &schema["additionalProperties"]));
            proptest::collection::vec(entries, 1..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect()))
                .boxed()
        }
        other => panic!("a schema of a new sort: {other:?}"),
    }
}

/// Any characters, control characters among them.
fn text() -> BoxedStrategy<String> {
    "(?s).{1,8}".boxed()
}

fn frame() -> impl Strategy<Value = (Command, u32, Value)> {
    let schemas: Value = serde_json::from_str(OPENAPI_SCHEMAS).unwrap();
    let commands = Command::ALL.iter().map(|command| {
        let body = message(&schemas, &message_name(*command));
        (Just(*command), any::<u32>(), body).boxed()
    });
    proptest::strategy::Union::new(commands)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_frame_survives_every_format((command, id, body) in frame()) {
        let text = json!({ "cmd": command.as_str(), "id": id, "body": body }).to_string();
        let read = WEB_SOCKET_JSON.decode(Bytes::from(text)).unwrap();
        prop_assert_eq!((read.command, read.id), (Some(command), id));
        for format in Format::ALL {
            let written = format.encode(command, id, &read.body).unwrap();
            let message = match format.carrier {
                Carrier::WebSocket => written,
                Carrier::Tcp => {
                    let length = u32::from_be_bytes(*written.first_chunk().unwrap());
                    prop_assert_eq!(length as usize, written.len() - LENGTH_BYTES);
                    written.slice(LENGTH_BYTES..)
                }
            };
            prop_assert_eq!(&format.decode(message).unwrap(), &read);
        }
        let written: Value = serde_json::from_slice(&WEB_SOCKET_JSON.encode(command, id, &read.body).unwrap()).unwrap();
        prop_assert_eq!(&written["body"], &body);
        prop_assert_eq!(written.get("id").is_none(), id == 0);
    }
}
