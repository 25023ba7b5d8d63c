//! What Tab offers: commands, users, groups, emoji, depending on where one is in the line.

use super::State;
use super::effect::Effect;
use crate::command::{self, Verb};
use crate::emoji;

/// Candidates offered at once.
const MOST: usize = 50;

/// The offer, until another key is pressed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Completion {
    /// Where in the text the completed word begins.
    from: usize,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) chosen: Option<usize>,
}

/// One offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// What is shown.
    pub(crate) label: String,
    /// What is put in.
    text: String,
}

/// What the word at the place can be.
enum Wanted {
    Command(String),
    Emoji(String),
    User { prefix: String, before: &'static str, members_only: bool },
    Group(String),
    Nothing,
}

impl State {
    /// Tab (`forward`) or Shift-Tab.
    pub(crate) fn complete(&mut self, forward: bool) -> Vec<Effect> {
        if let Some(completion) = self.completion.take() {
            self.completion = Some(self.next_candidate(completion, forward));
            return Vec::new();
        }
        let (from, wanted) = self.wanted();
        let candidates = self.candidates(&wanted);
        match candidates.as_slice() {
            [] => match wanted {
                Wanted::User { prefix, .. } if !prefix.is_empty() => return self.look_up(prefix),
                _ => self.say(self.texts.no_completion),
            },
            [only] => self.composer.replace_from(from, &only.text),
            several => {
                let common = common_prefix(several);
                if common.len() > self.composer.before().len() - from {
                    self.composer.replace_from(from, &common);
                }
                self.completion = Some(Completion { from, candidates, chosen: None });
            }
        }
        Vec::new()
    }

    /// Asks the server for names; the answer completes if nothing was typed meanwhile.
    fn look_up(&mut self, prefix: String) -> Vec<Effect> {
        self.completing = Some(self.composer.text().to_owned());
        vec![Effect::LookUp { prefix }]
    }

    /// The server has answered [`Effect::LookUp`].
    pub(crate) fn looked_up(&mut self) {
        let unchanged = self.completing.take().is_some_and(|text| text == self.composer.text());
        if !unchanged {
            return;
        }
        let (_, wanted) = self.wanted();
        if self.candidates(&wanted).is_empty() {
            self.say(self.texts.no_completion);
        } else {
            self.complete(true);
        }
    }

    fn next_candidate(&mut self, completion: Completion, forward: bool) -> Completion {
        let count = completion.candidates.len();
        let next = match (completion.chosen, forward) {
            (None, true) => 0,
            (Some(chosen), true) => (chosen + 1) % count,
            (None | Some(0), false) => count - 1,
            (Some(chosen), false) => chosen - 1,
        };
        self.composer.replace_from(completion.from, &completion.candidates[next].text);
        Completion { chosen: Some(next), ..completion }
    }

    fn wanted(&self) -> (usize, Wanted) {
        let before = self.composer.before();
        let from = before
            .rfind(char::is_whitespace)
            .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
        let word = &before[from..];
        let first = from == 0 && !self.composer.text().contains('\n');
        if let Some(prefix) = word.strip_prefix(':') {
            let wanted = if first { Wanted::Command(prefix.to_owned()) } else { Wanted::Emoji(prefix.to_owned()) };
            return (from, wanted);
        }
        if let Some(prefix) = word.strip_prefix('@') {
            return (from, Wanted::User { prefix: prefix.to_owned(), before: "@", members_only: false });
        }
        let user = |members_only| Wanted::User { prefix: word.to_owned(), before: "", members_only };
        let Some((typed, rest)) = command::typed_word(before) else {
            return (from, if word.is_empty() { Wanted::Nothing } else { user(false) });
        };
        let nth = rest.split_whitespace().count() - usize::from(!word.is_empty()).min(rest.split_whitespace().count());
        match Verb::ALL.iter().find(|verb| verb.word() == typed) {
            Some(Verb::Group) => {
                let from = before.len() - rest.trim_start().len();
                (from, Wanted::Group(rest.trim_start().to_owned()))
            }
            Some(Verb::To | Verb::Users) if nth == 0 => (from, user(false)),
            Some(Verb::Invite) => (from, user(false)),
            Some(Verb::Create) if nth > 0 => (from, user(false)),
            Some(Verb::Kick) => (from, user(true)),
            _ => (from, Wanted::Nothing),
        }
    }

    fn candidates(&self, wanted: &Wanted) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = match wanted {
            // At the beginning of a line an emoji is meant only if no command can be.
            Wanted::Command(prefix) if commands(prefix).next().is_none() => emojis(prefix).collect(),
            Wanted::Command(prefix) => commands(prefix).collect(),
            Wanted::Emoji(prefix) => emojis(prefix).collect(),
            Wanted::User { prefix, before, members_only } => self
                .names(prefix, *members_only)
                .into_iter()
                .map(|name| Candidate { text: format!("{before}{name} "), label: name })
                .collect(),
            Wanted::Group(prefix) => self.group_names(prefix),
            Wanted::Nothing => Vec::new(),
        };
        candidates.truncate(MOST);
        candidates
    }

    fn names(&self, prefix: &str, members_only: bool) -> Vec<String> {
        let mut names = self.people.names_from(prefix);
        if members_only {
            names.retain(|name| self.people.by_name(name).is_some_and(|id| self.members.contains(&id)));
        }
        names.retain(|name| *name != self.me.name);
        names
    }

    fn group_names(&self, prefix: &str) -> Vec<Candidate> {
        let prefix = prefix.to_lowercase();
        let groups = self.chats.in_order().into_iter().filter(|chat| chat.is_group() && chat.is_member());
        let names = groups.map(|chat| chat.name(&self.people).to_owned());
        let matching = names.filter(|name| name.to_lowercase().starts_with(&prefix));
        matching.map(|name| Candidate { text: name.clone(), label: name }).collect()
    }
}

fn commands(prefix: &str) -> impl Iterator<Item = Candidate> {
    let matching = Verb::ALL.iter().filter(move |verb| verb.word().starts_with(prefix));
    matching.map(|verb| {
        let more = if verb.usage().contains(' ') { " " } else { "" };
        let label = format!(":{}", verb.word());
        Candidate { text: format!("{label}{more}"), label }
    })
}

/// Emoji are offered from two letters on: one letter stands for hundreds.
fn emojis(prefix: &str) -> impl Iterator<Item = Candidate> {
    let names = if prefix.chars().count() >= 2 { emoji::names(prefix, MOST) } else { Vec::new() };
    names.into_iter().map(|name| {
        let text = format!(":{name}:");
        let label = format!("{} {text}", emoji::render(&text));
        Candidate { text, label }
    })
}

fn common_prefix(candidates: &[Candidate]) -> String {
    let mut common = candidates.first().map(|candidate| candidate.text.as_str()).unwrap_or_default();
    for candidate in candidates {
        let same = common.chars().zip(candidate.text.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8());
        common = &common[..same.sum()];
    }
    common.to_owned()
}
