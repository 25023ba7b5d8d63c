//! What a typed line means: the one parser of all chat clients. What a command then does is the client's business.
//!
//! A line that begins with `:` and a lowercase letter is a command, unless it begins with an emoji (`:smile:`).
//! `::text` sends text that begins with a colon. Everything else is text.

use std::fmt;

use sparrow_protocol::Username;

use crate::emoji;

/// A user, as somebody typed: a well-formed name or an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRef(String);

impl UserRef {
    /// Reads `ann`, `@ann` or `12345`.
    ///
    /// # Errors
    /// [`CommandError::BadName`] if nobody can have this name.
    pub fn parse(text: &str) -> Result<Self, CommandError> {
        let bare = text.strip_prefix('@').unwrap_or(text);
        let is_id = !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_digit());
        if is_id {
            return Ok(Self(bare.to_owned()));
        }
        let name = Username::parse(bare).map_err(|_| CommandError::BadName(text.to_owned()))?;
        Ok(Self(format!("@{name}")))
    }

    /// As the SDK takes it: an id, or `@` and a name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As people read it: without the `@`.
    pub fn name(&self) -> &str {
        self.0.strip_prefix('@').unwrap_or(&self.0)
    }
}

impl fmt::Display for UserRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Send a text to the open conversation.
    Say(String),
    /// Open the conversation with a user, and perhaps say something there.
    To {
        /// Who.
        user: UserRef,
        /// What to send at once.
        text: Option<String>,
    },
    /// Open the group with this name.
    Group(String),
    /// List one's conversations.
    Groups,
    /// Make a group.
    Create {
        /// Its name.
        name: String,
        /// Its first members besides oneself.
        users: Vec<UserRef>,
    },
    /// Add members to the open group.
    Invite(Vec<UserRef>),
    /// Remove members from the open group.
    Kick(Vec<UserRef>),
    /// Leave the open group.
    Leave,
    /// List who is online.
    Online,
    /// List users whose names begin so.
    Users(String),
    /// Search the history.
    Search(String),
    /// Show earlier messages: so many, or the client's choice.
    History(Option<u32>),
    /// Show a page of emoji, counted from 1.
    Emoji(u32),
    /// Send once more what was refused.
    Retry,
    /// Give up what was refused.
    Discard,
    /// Say who and where one is.
    Info,
    /// Show all commands.
    Help,
    /// Leave the program.
    Quit,
}

/// Why a line is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no such command.
    #[error("there is no command :{word}; :all lists them all")]
    Unknown {
        /// What was typed, without the colon.
        word: String,
    },
    /// Something has to follow the command.
    #[error("write it like this: {}", .0.usage())]
    Incomplete(Verb),
    /// Nobody can have this name.
    #[error("'{0}' is no user name: 2 to 32 letters and digits, with single '_', '.' or '-' between them")]
    BadName(String),
    /// A number was expected.
    #[error("'{0}' is not a number of at least 1")]
    BadNumber(String),
}

macro_rules! verbs {
    ($($(#[$doc:meta])* $verb:ident = $word:literal $arguments:literal;)+) => {
        /// A command's name. The order is that of the help page.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Verb { $($(#[$doc])* $verb),+ }

        impl Verb {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$verb),+];

            /// What is typed after the colon.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$verb => $word),+ }
            }

            /// How it is written, with its arguments.
            pub const fn usage(self) -> &'static str {
                match self { $(Self::$verb => concat!(":", $word, $arguments)),+ }
            }
        }
    };
}

verbs! {
    /// Open or send to a user.
    To = "to" " NAME [TEXT]";
    /// Open a group.
    Group = "group" " NAME";
    /// List conversations.
    Groups = "groups" "";
    /// Make a group.
    Create = "create" " NAME USER...";
    /// Add members.
    Invite = "invite" " USER...";
    /// Remove members.
    Kick = "kick" " USER...";
    /// Leave a group.
    Leave = "leave" "";
    /// Who is online.
    Online = "olu" "";
    /// Users by prefix.
    Users = "pu" " PREFIX";
    /// Search; alone: quit.
    Search = "q" " WORD";
    /// Earlier messages.
    History = "history" " [N]";
    /// Emoji by name.
    Emoji = "emoji" " [PAGE]";
    /// Send again what was refused.
    Retry = "retry" "";
    /// Give up what was refused.
    Discard = "discard" "";
    /// Who and where one is.
    Info = "info" "";
    /// All commands.
    Help = "all" "";
    /// Leave the program.
    Quit = "q!" "";
}

/// Reads a line, or several lines that are sent together (which are always text).
///
/// # Errors
/// [`CommandError`], whose text names the cure.
pub fn parse(line: &str) -> Result<Command, CommandError> {
    if line.trim_end().contains('\n') {
        return Ok(Command::Say(line.to_owned()));
    }
    let line = line.trim_end();
    if let Some(text) = line.strip_prefix("::") {
        return Ok(Command::Say(format!(":{text}")));
    }
    match typed_word(line) {
        Some((word, rest)) => command(word, rest.trim()),
        None => Ok(addressed(line).unwrap_or_else(|| Command::Say(line.to_owned()))),
    }
}

/// The word after the colon and what follows it, if the line is a command.
pub fn typed_word(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix(':')?;
    if !rest.starts_with(|c: char| c.is_ascii_lowercase()) || emoji::leads(line) {
        return None;
    }
    Some(rest.split_once(char::is_whitespace).unwrap_or((rest, "")))
}

fn command(word: &str, rest: &str) -> Result<Command, CommandError> {
    let Some(verb) = Verb::ALL.iter().copied().find(|verb| verb.word() == word) else {
        return Err(CommandError::Unknown { word: word.to_owned() });
    };
    let needed = || if rest.is_empty() { Err(CommandError::Incomplete(verb)) } else { Ok(rest.to_owned()) };
    match verb {
        Verb::To => to(&needed()?),
        Verb::Group => needed().map(Command::Group),
        Verb::Groups => Ok(Command::Groups),
        Verb::Create => create(&needed()?),
        Verb::Invite => users(&needed()?).map(Command::Invite),
        Verb::Kick => users(&needed()?).map(Command::Kick),
        Verb::Leave => Ok(Command::Leave),
        Verb::Online => Ok(Command::Online),
        Verb::Users => needed().map(Command::Users),
        Verb::Search if rest.is_empty() => Ok(Command::Quit),
        Verb::Search => Ok(Command::Search(rest.to_owned())),
        Verb::History => Ok(Command::History(number(rest)?)),
        Verb::Emoji => Ok(Command::Emoji(number(rest)?.unwrap_or(1))),
        Verb::Retry => Ok(Command::Retry),
        Verb::Discard => Ok(Command::Discard),
        Verb::Info => Ok(Command::Info),
        Verb::Help => Ok(Command::Help),
        Verb::Quit => Ok(Command::Quit),
    }
}

fn to(rest: &str) -> Result<Command, CommandError> {
    let (user, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let text = text.trim_start();
    Ok(Command::To { user: UserRef::parse(user)?, text: (!text.is_empty()).then(|| text.to_owned()) })
}

/// `NAME;;text`. Without a name that somebody can have before it, `;;` is text.
fn addressed(line: &str) -> Option<Command> {
    let (name, text) = line.split_once(";;")?;
    let text = text.trim_start();
    Some(Command::To { user: UserRef::parse(name).ok()?, text: (!text.is_empty()).then(|| text.to_owned()) })
}

/// The group's name may stand between quotes, so that it can hold spaces.
fn create(rest: &str) -> Result<Command, CommandError> {
    let (name, others) = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').ok_or(CommandError::Incomplete(Verb::Create))?,
        None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
    };
    if name.trim().is_empty() {
        return Err(CommandError::Incomplete(Verb::Create));
    }
    Ok(Command::Create { name: name.trim().to_owned(), users: users(others)? })
}

fn users(text: &str) -> Result<Vec<UserRef>, CommandError> {
    text.split_whitespace().map(UserRef::parse).collect()
}

fn number(text: &str) -> Result<Option<u32>, CommandError> {
    match text {
        "" => Ok(None),
        _ => match text.parse() {
            Ok(number) if number > 0 => Ok(Some(number)),
            _ => Err(CommandError::BadNumber(text.to_owned())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserRef {
        UserRef::parse(name).unwrap()
    }

    fn say(text: &str) -> Result<Command, CommandError> {
        Ok(Command::Say(text.to_owned()))
    }

    #[test]
    fn everything_without_a_command_is_text() {
        for text in ["hello", " :to ann", ":-)", ":D", ":", "a ;; b", ";;", "1:2", ":smile: hello", ":+1:"] {
            assert_eq!(parse(text), say(text), "{text}");
        }
        assert_eq!(parse("::q"), say(":q"));
    }

    #[test]
    fn every_command_is_documented() {
        let page = include_str!("../../../docs/terminal.md");
        for verb in Verb::ALL {
            assert!(page.contains(&format!("`{}`", verb.usage())), "{}", verb.usage());
        }
    }

    #[test]
    fn several_lines_are_text() {
        assert_eq!(parse(":q\nx"), say(":q\nx"));
        assert_eq!(parse(":q\n"), Ok(Command::Quit));
    }

    #[test]
    fn addresses_users_by_name_and_id() {
        assert_eq!(parse(":to ann"), Ok(Command::To { user: user("ann"), text: None }));
        assert_eq!(
            parse(":to @Ann  good  morning "),
            Ok(Command::To { user: user("Ann"), text: Some("good  morning".into()) })
        );
        assert_eq!(parse("小明;;你好"), Ok(Command::To { user: user("小明"), text: Some("你好".into()) }));
        assert_eq!(user("@ann").as_str(), "@ann");
        assert_eq!(user("17").as_str(), "17");
        assert_eq!(parse(":to ?"), Err(CommandError::BadName("?".into())));
    }

    #[test]
    fn makes_groups_with_names_of_one_word_or_more() {
        assert_eq!(
            parse(":create team ann bob"),
            Ok(Command::Create { name: "team".into(), users: vec![user("ann"), user("bob")] })
        );
        assert_eq!(
            parse(":create \"the team\" ann"),
            Ok(Command::Create { name: "the team".into(), users: vec![user("ann")] })
        );
        for line in [":create", ":create \"", ":create \" \" ann"] {
            assert_eq!(parse(line), Err(CommandError::Incomplete(Verb::Create)), "{line}");
        }
    }

    #[test]
    fn quits_alone_and_searches_with_a_word() {
        assert_eq!(parse(":q"), Ok(Command::Quit));
        assert_eq!(parse(":q!"), Ok(Command::Quit));
        assert_eq!(parse(":q 天气 today"), Ok(Command::Search("天气 today".into())));
    }

    #[test]
    fn numbers_begin_with_one() {
        assert_eq!(parse(":history"), Ok(Command::History(None)));
        assert_eq!(parse(":history 50"), Ok(Command::History(Some(50))));
        assert_eq!(parse(":emoji"), Ok(Command::Emoji(1)));
        for text in ["0", "-1", "x", "99999999999"] {
            assert_eq!(parse(&format!(":history {text}")), Err(CommandError::BadNumber(text.into())));
        }
    }

    #[test]
    fn every_command_is_known_and_says_what_it_lacks() {
        for verb in Verb::ALL {
            let alone = parse(&format!(":{}", verb.word()));
            let needs = verb.usage().trim_end_matches(']').ends_with(|c: char| c == '.' || c.is_uppercase())
                && !verb.usage().contains(" [N")
                && !verb.usage().contains(" [PAGE");
            match verb {
                Verb::Search => assert_eq!(alone, Ok(Command::Quit)),
                _ if needs => assert_eq!(alone, Err(CommandError::Incomplete(*verb))),
                _ => assert!(alone.is_ok(), "{verb:?}"),
            }
        }
        assert_eq!(parse(":nope x"), Err(CommandError::Unknown { word: "nope".into() }));
    }
}
