//! What people and conversations are called, as far as it is known; the rest is asked for once.

use std::collections::HashMap;

use sparrow_client::{Client, ConversationState};
use sparrow_protocol::ConversationKind;
use sparrow_tui::text::clean_line;

use sparrow_tui::locale::Texts;

/// Names to show.
pub(super) struct Names {
    texts: &'static Texts,
    me: String,
    users: HashMap<i64, String>,
    conversations: HashMap<i64, ConversationState>,
}

impl Names {
    pub(super) fn new(client: &Client, texts: &'static Texts) -> Self {
        let users = HashMap::from([(client.user_id(), client.user_name())]);
        Self { texts, me: client.user_name(), users, conversations: HashMap::new() }
    }

    /// Learns of a conversation, or of its change.
    pub(super) fn learn(&mut self, state: ConversationState) {
        if state.peer_id != 0 && !state.peer_name.is_empty() {
            self.users.insert(state.peer_id, clean_line(&state.peer_name));
        }
        self.conversations.insert(state.conversation_id, state);
    }

    /// What is known of a conversation.
    pub(super) fn state(&self, conversation: i64) -> Option<&ConversationState> {
        self.conversations.get(&conversation)
    }

    /// What a conversation is called: the other user, the group, the notes.
    pub(super) fn conversation(&self, conversation: i64) -> String {
        let Some(state) = self.conversations.get(&conversation) else { return conversation.to_string() };
        match state.kind.parse() {
            Ok(ConversationKind::Direct) => clean_line(&state.peer_name),
            Ok(ConversationKind::SelfNotes) => self.texts.plain_notes.to_owned(),
            Ok(ConversationKind::System) => self.texts.plain_system.to_owned(),
            Ok(ConversationKind::Group | ConversationKind::Channel) | Err(_) => clean_line(&state.name),
        }
    }

    /// The conversation's name as a reader sees it in front of a message: for a direct, to whom it went.
    pub(super) fn destination(&self, conversation: i64, sender: i64) -> String {
        let from_peer = self.state(conversation).is_some_and(|state| state.peer_id == sender && sender != 0);
        if from_peer { self.me.clone() } else { self.conversation(conversation) }
    }

    /// The direct with a user, named as typed, if there is one; with oneself, the notes.
    pub(super) fn direct_with(&self, name: &str) -> Option<i64> {
        if name.to_lowercase() == self.me.to_lowercase() {
            let notes = |state: &&ConversationState| state.kind == ConversationKind::SelfNotes.as_str();
            return self.conversations.values().find(notes).map(|state| state.conversation_id);
        }
        let same = |state: &&ConversationState| {
            state.peer_name.to_lowercase() == name.to_lowercase() || state.peer_id.to_string() == name
        };
        let direct = |state: &&ConversationState| state.kind == ConversationKind::Direct.as_str();
        self.conversations.values().filter(direct).find(same).map(|state| state.conversation_id)
    }

    /// The group with this name that the user is in.
    pub(super) fn group(&self, name: &str) -> Option<i64> {
        let group = |state: &&ConversationState| {
            state.kind == ConversationKind::Group.as_str() && !state.role.is_empty() && state.name == name
        };
        self.conversations.values().filter(group).map(|state| state.conversation_id).min()
    }

    /// What a user is called. Asks the server for one that is not known; without it, the id must do.
    pub(super) async fn user(&mut self, client: &Client, user: i64) -> String {
        if let Some(name) = self.users.get(&user) {
            return name.clone();
        }
        match client.user(&user.to_string()).await {
            Ok(found) => {
                let name = clean_line(&found.name);
                self.users.insert(user, name.clone());
                name
            }
            Err(_) => user.to_string(),
        }
    }

    /// What several users are called.
    pub(super) async fn users(&mut self, client: &Client, users: impl IntoIterator<Item = i64>) -> String {
        let mut names = Vec::new();
        for user in users {
            names.push(self.user(client, user).await);
        }
        names.join(", ")
    }

    /// The names of all conversations that the user is in, in order.
    pub(super) fn list(&self) -> Vec<String> {
        let mine = self.conversations.values().filter(|state| !state.role.is_empty());
        let mut names: Vec<String> = mine.map(|state| self.conversation(state.conversation_id)).collect();
        names.sort();
        names
    }
}
