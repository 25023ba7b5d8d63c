//! The parts of pushed entries that a receiver checks. Skipping the rest keeps the generator cheaper than the node.

/// A [`sparrow_protocol::v1::Push`], as far as it is checked.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PushHead {
    /// The conversation.
    #[prost(int64, tag = "1")]
    pub(crate) conversation_id: i64,
    /// The entries.
    #[prost(message, repeated, tag = "2")]
    pub(crate) entries: Vec<EntryHead>,
}

/// A [`sparrow_protocol::v1::PullPage`], as far as it is checked.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PageHead {
    /// The entries.
    #[prost(message, repeated, tag = "2")]
    pub(crate) entries: Vec<EntryHead>,
    /// The last seq that the page answers for.
    #[prost(int64, tag = "5")]
    pub(crate) covered_to: i64,
    /// The last entry's seq.
    #[prost(int64, tag = "7")]
    pub(crate) head: i64,
}

/// A [`sparrow_protocol::v1::Entry`], as far as it is checked.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct EntryHead {
    /// The entry's number.
    #[prost(int64, tag = "2")]
    pub(crate) seq: i64,
    /// The id that its sender gave it.
    #[prost(string, tag = "6")]
    pub(crate) client_msg_id: String,
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use sparrow_protocol::v1;

    use super::*;

    #[test]
    fn a_head_is_read_from_what_a_server_writes() {
        let entry = v1::Entry {
            conversation_id: 5,
            seq: 9,
            kind: "message".to_owned(),
            client_msg_id: "some id".to_owned(),
            content: Some(v1::Content { text: "words".to_owned(), ..Default::default() }),
            ..Default::default()
        };
        let push = v1::Push { conversation_id: 5, entries: vec![entry] };
        let head = PushHead::decode(&push.encode_to_vec()[..]).unwrap();
        let entries = vec![EntryHead { seq: 9, client_msg_id: "some id".to_owned() }];
        assert_eq!(head, PushHead { conversation_id: 5, entries });
    }
}
