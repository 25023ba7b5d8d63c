//! What happens to chosen frames.

use std::sync::Mutex;

use super::framing::Frame;
use super::{Direction, lock};

/// What a rule does to a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is not passed on; the others are.
    Dropped,
    /// It is passed on twice.
    Doubled,
    /// The connection is reset before it, so that the receiver never sees it.
    CutBefore,
    /// The connection is reset after it, so that no answer comes back.
    CutAfter,
}

/// Chooses frames, and says what happens to them. The proxy has to know the protocol; see
/// [`Proxy::speaking`](super::Proxy::speaking).
#[derive(Debug, Clone)]
pub struct Rule {
    /// Which way.
    pub direction: Direction,
    /// The frame's name, as [`Framing`](super::Framing) has it; `None` for any.
    pub name: Option<String>,
    /// Bytes that are somewhere in it, such as `COMMIT`; empty for any.
    pub contains: Vec<u8>,
    /// How many that are like this pass first.
    pub after: u64,
    /// To how many it happens then; `u64::MAX` for all.
    pub times: u64,
    /// What happens.
    pub fate: Fate,
}

impl Rule {
    /// To the next frame of this name.
    pub fn next(direction: Direction, name: &str, fate: Fate) -> Self {
        Self { direction, name: Some(name.to_owned()), contains: Vec::new(), after: 0, times: 1, fate }
    }

    fn is_for(&self, direction: Direction, frame: &Frame) -> bool {
        self.direction == direction
            && self.name.as_ref().is_none_or(|name| *name == frame.name)
            && (self.contains.is_empty() || frame.bytes.windows(self.contains.len()).any(|part| part == self.contains))
    }
}

/// The rules of one proxy.
#[derive(Debug, Default)]
pub(super) struct Rules(Mutex<Vec<Rule>>);

impl Rules {
    pub(super) fn add(&self, rule: Rule) {
        lock(&self.0).push(rule);
    }

    pub(super) fn clear(&self) {
        lock(&self.0).clear();
    }

    /// What the first rule for it says; it is used up by that.
    pub(super) fn fate(&self, direction: Direction, frame: &Frame) -> Option<Fate> {
        let mut rules = lock(&self.0);
        let index = rules.iter().position(|rule| rule.is_for(direction, frame))?;
        let rule = &mut rules[index];
        if rule.after > 0 {
            rule.after -= 1;
            return None;
        }
        let fate = rule.fate;
        rule.times -= 1;
        if rule.times == 0 {
            rules.remove(index);
        }
        Some(fate)
    }
}
