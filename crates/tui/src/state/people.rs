//! Users as far as this program has heard of them: names, and who is online.

use std::collections::{BTreeMap, BTreeSet};

use sparrow_client::User;
use sparrow_protocol::Username;

use crate::text::clean_line;

/// Names kept at once. A busy channel has more authors than a screen has lines.
const MOST: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Person {
    /// The name one addresses.
    name: String,
    /// The form under which it is unique; empty if it is no name by today's rules.
    key: String,
    shown: String,
}

impl Person {
    fn new(name: String, shown: String) -> Self {
        Self { key: key(&name), name, shown }
    }
}

/// Everybody heard of.
#[derive(Debug, Default)]
pub(crate) struct People {
    known: BTreeMap<i64, Person>,
    online: BTreeSet<i64>,
    /// Asked for, not answered yet.
    asked: BTreeSet<i64>,
}

impl People {
    /// Takes in a user as the server describes them.
    pub(crate) fn learn(&mut self, user: &User) {
        let name = clean_line(&user.name);
        let shown = clean_line(&user.display_name);
        let shown = if shown.is_empty() { name.clone() } else { shown };
        self.insert(user.user_id, Person::new(name, shown));
        self.set_online(user.user_id, user.online);
    }

    /// Takes in a name without the rest; what is known stays.
    pub(crate) fn learn_name(&mut self, id: i64, name: &str) {
        let name = clean_line(name);
        if id > 0 && !name.is_empty() && !self.known.contains_key(&id) {
            self.insert(id, Person::new(name.clone(), name));
        }
    }

    fn insert(&mut self, id: i64, person: Person) {
        self.asked.remove(&id);
        if self.known.len() >= MOST {
            self.known.pop_first();
        }
        self.known.insert(id, person);
    }

    /// Somebody came online or left.
    pub(crate) fn set_online(&mut self, id: i64, online: bool) {
        if online {
            self.online.insert(id);
        } else {
            self.online.remove(&id);
        }
    }

    /// These are online; nobody else, if these are all.
    pub(crate) fn are_online(&mut self, users: &[User], all: bool) {
        if all {
            self.online.clear();
        }
        for user in users {
            self.learn(user);
        }
    }

    pub(crate) fn is_online(&self, id: i64) -> bool {
        self.online.contains(&id)
    }

    /// The name to show.
    pub(crate) fn shown(&self, id: i64) -> Option<&str> {
        self.known.get(&id).map(|person| person.shown.as_str())
    }

    /// The name one addresses.
    pub(crate) fn name(&self, id: i64) -> Option<&str> {
        self.known.get(&id).map(|person| person.name.as_str())
    }

    /// The user of this name, whatever its upper and lower case.
    pub(crate) fn by_name(&self, name: &str) -> Option<i64> {
        let wanted = key(name);
        let named = self.known.iter().find(|(_, person)| !wanted.is_empty() && person.key == wanted);
        named.map(|(id, _)| *id)
    }

    /// Addressable names that begin so, in order.
    pub(crate) fn names_from(&self, prefix: &str) -> Vec<String> {
        let prefix = prefix.to_lowercase();
        let known = self.known.values().map(|person| &person.name);
        let mut names: Vec<_> =
            known.filter(|name| !name.is_empty() && name.to_lowercase().starts_with(&prefix)).cloned().collect();
        names.sort();
        names.dedup();
        names
    }

    /// True, once, if somebody has to be asked for this user's name.
    pub(crate) fn must_ask(&mut self, id: i64) -> bool {
        id > 0 && !self.known.contains_key(&id) && self.asked.len() < MOST && self.asked.insert(id)
    }

    /// The question could not be answered; it may be asked again.
    pub(crate) fn not_answered(&mut self, id: i64) {
        self.asked.remove(&id);
    }
}

/// The form under which a name is unique; empty if nobody can have it.
pub(crate) fn key(name: &str) -> String {
    Username::parse(name).map(|name| name.key().to_owned()).unwrap_or_default()
}
