//! From what features answer to the messages of the wire: the one place where HTTP's answers take their form.

use prost::Message as _;
use sparrow_protocol::{DeviceId, Role, Seq, UserId, v1};
use sparrow_store::SYSTEM_USER;
use sparrow_store::directory::{Device, MemberCursor, User, Visibility};
use sparrow_store::log::StoredEntry;

use crate::accounts::LoggedIn;
use crate::conversations::Seen;
use crate::messaging::wire::Trust;
use crate::messaging::{self, Submitted};
use crate::node::Node;

/// An account, as others see it.
pub(super) fn user(node: &Node, user: User) -> v1::User {
    let presence = node.messaging.presence(SYSTEM_USER, &user);
    v1::User {
        user_id: user.user.get(),
        name: user.name,
        display_name: user.display_name,
        bio: user.bio,
        online: presence.online,
        last_seen: presence.last_seen,
        presence: String::new(),
    }
}

/// An account, as its owner sees it.
pub(super) fn own_user(node: &Node, own: User) -> v1::User {
    let visibility = own.visibility;
    let shown = user(node, User { visibility: Visibility::All, ..own });
    v1::User { presence: visibility.as_str().to_owned(), ..shown }
}

/// Tokens, for their owner.
pub(super) fn session(node: &Node, logged_in: LoggedIn) -> v1::Session {
    v1::Session {
        user: Some(own_user(node, logged_in.user)),
        device_id: logged_in.device.get(),
        access_token: logged_in.access,
        access_expires: logged_in.access_expires.millis(),
        refresh_token: logged_in.refresh,
        refresh_expires: logged_in.refresh_expires.millis(),
    }
}

/// A device of the caller's.
pub(super) fn device(node: &Node, current: DeviceId, device: Device) -> v1::Device {
    v1::Device {
        device_id: device.device.get(),
        name: device.name,
        platform: device.platform,
        created: device.created.millis(),
        last_seen: device.last_seen.millis(),
        current: device.device == current,
        online: node.messaging.is_device_online(device.device),
    }
}

/// A conversation of the caller's.
pub(super) fn conversation(node: &Node, seen: Seen) -> v1::Conversation {
    let Seen { listed, peer } = seen;
    v1::Conversation {
        state: Some(messaging::sync::conversation_state(&listed.view)),
        history_visible: listed.view.history_visible,
        description: listed.view.description,
        peer: peer.map(|peer| user(node, peer)),
        last_message: listed.last_message.as_ref().and_then(entry),
        unread: listed.unread,
        mentions: listed.mentions,
    }
}

/// The last message of a conversation. The messaging feature leaves out a body that cannot be read, so this reads.
fn entry(stored: &StoredEntry) -> Option<v1::Entry> {
    let entry = messaging::wire::entry(stored, true, Trust::Read);
    v1::Entry::decode(entry.encode_to_vec().as_slice()).ok()
}

/// A member.
pub(super) fn member(node: &Node, (who, role): (User, Role)) -> v1::Member {
    v1::Member { user: Some(user(node, who)), role: role.to_string() }
}

/// What became of a command.
pub(super) fn ack(submitted: &Submitted) -> v1::SendAck {
    let entry = &submitted.stored.entry;
    v1::SendAck {
        conversation_id: entry.conversation.get(),
        client_msg_id: entry.client_msg_id.to_string(),
        seq: entry.seq.get(),
        time: entry.time.millis(),
        duplicate: submitted.duplicate,
    }
}

/// How far a member is with a message.
pub(super) fn receipt(seq: Seq, member: MemberCursor) -> v1::ReceiptState {
    let MemberCursor { user, delivered, read } = member;
    v1::ReceiptState { user_id: UserId::get(user), delivered: delivered >= seq, read: read >= seq }
}
