//! What a server checks of a body before it stores or passes it on. The bytes themselves stay as the sender wrote them.

use bytes::Bytes;
use prost::Message;
use sha2::{Digest, Sha256};

use crate::{ConversationId, EntryKind, RequestHash, Seq, UserId, json, limits, raw, v1};

/// A `Content` that keeps the rules.
#[derive(Clone, PartialEq, Eq)]
pub struct CheckedContent {
    bytes: Bytes,
    mentions: Vec<UserId>,
    mentions_all: bool,
    refs: Vec<CheckedRef>,
    files: Vec<i64>,
}

/// A reference to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckedRef {
    /// The conversation; `None` for that of the message itself.
    pub conversation: Option<ConversationId>,
    /// The entry.
    pub seq: Seq,
}

/// Which rule a body breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// It is larger than allowed.
    #[error("the content is larger than this server takes; send a file instead")]
    TooLarge,
    /// It is not protobuf of the right type.
    #[error("the content is not a valid message")]
    Undecodable,
    /// There is nothing to show.
    #[error("the content is empty: give it text, data or files")]
    Empty,
    /// A type name breaks the rule.
    #[error("a type name has 1 to 64 lowercase letters, digits, '.', '_' or '-'")]
    TypeName,
    /// Too many mentions, or one that names nobody or lies outside the text.
    #[error("mentions: at most 100, each with a user or `all`, inside the text as counted in code points")]
    Mentions,
    /// Too many references, or one without a seq or kind.
    #[error("refs: at most 100, each with a kind and a seq of at least 1")]
    Refs,
    /// Too many files, or one without an id, or with too long a name.
    #[error("files: at most 20, each with an id, a name of at most 255 bytes and a media type of at most 127")]
    Files,
    /// `data` is not JSON text, or too long.
    #[error("data must be JSON text without duplicate keys, at most 127 levels deep and within the size limit")]
    Data,
}

impl CheckedContent {
    /// Checks a `Content` as protobuf, of at most `limit` bytes ([`limits::CONTENT_BYTES`] unless the operator of the
    /// server says otherwise).
    pub fn parse(bytes: Bytes, limit: usize) -> Result<Self, ContentError> {
        if bytes.len() > limit {
            return Err(ContentError::TooLarge);
        }
        let content = v1::Content::decode(bytes.as_ref()).map_err(|_| ContentError::Undecodable)?;
        if !content.r#type.is_empty() {
            check_type_name(&content.r#type)?;
        }
        if content.text.is_empty() && content.data.is_empty() && content.files.is_empty() {
            return Err(ContentError::Empty);
        }
        if !content.data.is_empty() {
            json::check(content.data.as_bytes()).map_err(|_| ContentError::Data)?;
        }
        let (mentions, mentions_all) = mentions(&content)?;
        Ok(Self { mentions, mentions_all, refs: refs(&content.refs)?, files: files(&content.files)?, bytes })
    }

    /// The content as its sender wrote it.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The content as its sender wrote it.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// The users it names, each once, by id.
    pub fn mentions(&self) -> &[UserId] {
        &self.mentions
    }

    /// True if it names everybody.
    pub fn mentions_all(&self) -> bool {
        self.mentions_all
    }

    /// The entries it refers to.
    pub fn refs(&self) -> &[CheckedRef] {
        &self.refs
    }

    /// The ids of the files it carries.
    pub fn files(&self) -> &[i64] {
        &self.files
    }
}

/// Leaves out what somebody wrote.
impl std::fmt::Debug for CheckedContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CheckedContent").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

/// True if the stored body of an entry of this kind can be read. Only then may it go into a page: inside a message
/// that cannot be read, it would take the entries beside it along.
pub fn is_readable(kind: EntryKind, body: &[u8]) -> bool {
    match kind {
        EntryKind::Message | EntryKind::Edit => v1::Content::decode(body).is_ok(),
        EntryKind::Membership => v1::MembershipChange::decode(body).is_ok(),
        EntryKind::Settings => v1::SettingsChange::decode(body).is_ok(),
        EntryKind::Recall | EntryKind::Reaction | EntryKind::Pin => true,
    }
}

/// Checks what a client says of a signal: type name and data. The conversation is not looked at.
pub fn check_signal(signal: &raw::Signal) -> Result<(), ContentError> {
    check_type_name(&signal.r#type)?;
    if signal.data.len() > limits::SIGNAL_DATA_BYTES {
        return Err(ContentError::Data);
    }
    if signal.data.is_empty() { Ok(()) } else { json::check(signal.data.as_bytes()).map_err(|_| ContentError::Data) }
}

/// What a command asked for, in 32 bytes: SHA-256 over the word of the entry kind in ASCII, a zero byte, `ref_seq` as
/// eight bytes big-endian (0 for none), and the content as protobuf, byte for byte as the client sent it (for a JSON
/// client: as it was transcoded at the edge).
pub fn request_hash(kind: EntryKind, ref_seq: Option<Seq>, content: &[u8]) -> RequestHash {
    let hash = Sha256::new()
        .chain_update(kind.as_str())
        .chain_update([0])
        .chain_update(ref_seq.map_or(0, Seq::get).to_be_bytes())
        .chain_update(content);
    RequestHash(hash.finalize().into())
}

fn check_type_name(name: &str) -> Result<(), ContentError> {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    if name.is_empty() || name.len() > limits::TYPE_NAME_BYTES || !name.bytes().all(allowed) {
        return Err(ContentError::TypeName);
    }
    Ok(())
}

fn mentions(content: &v1::Content) -> Result<(Vec<UserId>, bool), ContentError> {
    if content.mentions.len() > limits::MENTIONS {
        return Err(ContentError::Mentions);
    }
    let text_chars = content.text.chars().count() as u64;
    let mut users = Vec::with_capacity(content.mentions.len());
    let mut all = false;
    for mention in &content.mentions {
        if u64::from(mention.offset) + u64::from(mention.length) > text_chars {
            return Err(ContentError::Mentions);
        }
        match (mention.all, mention.user_id) {
            (true, 0) => all = true,
            (false, user) => users.push(UserId::new(user).ok_or(ContentError::Mentions)?),
            (true, _) => return Err(ContentError::Mentions),
        }
    }
    users.sort_unstable();
    users.dedup();
    Ok((users, all))
}

fn refs(refs: &[v1::Reference]) -> Result<Vec<CheckedRef>, ContentError> {
    if refs.len() > limits::REFS {
        return Err(ContentError::Refs);
    }
    refs.iter().map(|reference| checked_ref(reference).ok_or(ContentError::Refs)).collect()
}

fn checked_ref(reference: &v1::Reference) -> Option<CheckedRef> {
    check_type_name(&reference.kind).ok()?;
    let conversation = match reference.conversation_id {
        0 => None,
        id => Some(ConversationId::new(id)?),
    };
    let seq = Seq::new(reference.seq).filter(|seq| *seq >= Seq::FIRST)?;
    Some(CheckedRef { conversation, seq })
}

fn files(files: &[v1::FileRef]) -> Result<Vec<i64>, ContentError> {
    let allowed = |file: &v1::FileRef| {
        file.file_id > 0
            && file.size >= 0
            && file.name.len() <= limits::FILE_NAME_BYTES
            && file.mime.len() <= limits::FILE_MIME_BYTES
    };
    if files.len() > limits::FILES || !files.iter().all(allowed) {
        return Err(ContentError::Files);
    }
    Ok(files.iter().map(|file| file.file_id).collect())
}
