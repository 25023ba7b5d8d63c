//! Users as others find them: by id or name, by prefix, online. Knows no sockets.

use sparrow_protocol::name::fold_prefix;
use sparrow_protocol::{Code, UserId, Username};
use sparrow_store::directory::{Listed, ProfileChange, User, Visibility};

use crate::failure::Failure;
use crate::node::Node;
use crate::paging::Paging;
use crate::text;

/// How a request addresses a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UserRef {
    /// `me`: the caller.
    Me,
    /// A number.
    Id(UserId),
    /// `@name`.
    Name(Username),
}

impl UserRef {
    /// Reads an id, `@name` or `me`.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let parsed = match text.strip_prefix('@') {
            Some(name) => Username::parse(name).ok().map(Self::Name),
            None if text == "me" => Some(Self::Me),
            None => text.parse().ok().map(Self::Id),
        };
        parsed.ok_or_else(|| Failure::invalid("Address a user by id or as @name."))
    }
}

/// The account that is meant.
pub(crate) async fn find(node: &Node, caller: UserId, user: &UserRef) -> Result<User, Failure> {
    let found = match user {
        UserRef::Me => by_id(node, caller).await?,
        UserRef::Id(id) => by_id(node, *id).await?,
        UserRef::Name(name) => {
            node.limits.look_up(caller)?;
            node.store.user_by_name(name).await?
        }
    };
    found.ok_or_else(|| Failure::not_found("user"))
}

/// The id of the account that is meant. Whether an id exists is left to whoever uses it.
pub(crate) async fn resolve(node: &Node, caller: UserId, user: &UserRef) -> Result<UserId, Failure> {
    match user {
        UserRef::Me => Ok(caller),
        UserRef::Id(id) => Ok(*id),
        UserRef::Name(name) => {
            node.limits.look_up(caller)?;
            let found = node.store.user_by_name(name).await?;
            found.map(|user| user.user).ok_or_else(|| Failure::not_found("user"))
        }
    }
}

async fn by_id(node: &Node, id: UserId) -> Result<Option<User>, Failure> {
    Ok(node.store.users(&[id]).await?.pop())
}

/// The beginning of a name, in the form under which names are unique.
pub(crate) struct NamePrefix(String);

impl NamePrefix {
    /// Reads what a person entered, with or without the `@`.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let folded = fold_prefix(text.strip_prefix('@').unwrap_or(text));
        folded.map(Self).ok_or_else(|| Failure::invalid("Give the beginning of a name: 1 to 32 characters."))
    }

    fn begins(&self, user: &User) -> bool {
        Username::parse(&user.name).is_ok_and(|name| name.key().starts_with(&self.0))
    }
}

/// Users whose name begins with a prefix, by name.
pub(crate) async fn by_prefix(
    node: &Node,
    caller: UserId,
    prefix: &NamePrefix,
    page: Paging<String>,
) -> Result<Listed<User, String>, Failure> {
    node.limits.look_up(caller)?;
    Ok(node.store.users_by_prefix(&prefix.0, page.after, page.limit).await?)
}

/// Users with a session whom the caller may know to have one, by id. A page may hold fewer than its limit before the last
/// one.
pub(crate) async fn online(
    node: &Node,
    caller: UserId,
    prefix: Option<&NamePrefix>,
    page: Paging<UserId>,
) -> Result<Listed<User, UserId>, Failure> {
    node.limits.look_up(caller)?;
    let ids = node.messaging.online_users(page.after, page.limit);
    let next = if ids.len() == page.limit { ids.last().copied() } else { None };
    let mut items = node.store.users(&ids).await?;
    items.retain(|user| user.user == caller || user.visibility == Visibility::All);
    items.retain(|user| prefix.is_none_or(|prefix| prefix.begins(user)));
    items.sort_unstable_by_key(|user| user.user);
    Ok(Listed { items, next })
}

/// Reads the changes to a profile that a person entered.
pub(crate) fn parse_change(
    display_name: Option<&str>,
    bio: Option<&str>,
    presence: Option<&str>,
) -> Result<ProfileChange, Failure> {
    let visibility = |word| {
        Visibility::from_word(word).ok_or_else(|| Failure::invalid("presence is `all`, `contacts` or `nobody`."))
    };
    Ok(ProfileChange {
        display_name: display_name.map(|name| text::DISPLAY_NAME.parse(name)).transpose()?,
        bio: bio.map(|bio| text::BIO.parse(bio)).transpose()?,
        visibility: presence.map(visibility).transpose()?,
    })
}

/// Changes the caller's profile. Whoever watches the caller learns of it.
pub(crate) async fn change_profile(node: &Node, caller: UserId, change: ProfileChange) -> Result<User, Failure> {
    let visibility = change.visibility;
    let changed = node.store.update_profile(caller, change).await?;
    if let Some(visibility) = visibility {
        node.messaging.set_visibility(caller, visibility);
    }
    changed.ok_or_else(|| Failure::new(Code::Unauthenticated, "This account no longer exists."))
}
