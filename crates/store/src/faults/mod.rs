//! Ways to break a node on purpose, for the tests of its promises: steps at which it can be stopped ([`Step`], feature
//! `failpoints`), and rules that it can be told to break ([`Rule`], feature `sabotage`).
//!
//! Without the features, which is the default and what is released, every hook is an empty inline function. They live
//! in this crate because the store is the lowest part of a node that has any.

mod sabotage;
mod step;

#[cfg(feature = "sabotage")]
pub use sabotage::{Broken, adopt, break_rule, current};
pub use sabotage::{Rule, broken};
pub use step::{Step, failpoint};

/// Takes from the environment which steps fail (`FAILPOINTS`, as the crate `fail` reads it) and which rule is broken
/// (`SPARROW_SABOTAGE`), once, when the process starts.
///
/// # Errors
/// A sentence that names the variable, if a name in it is unknown or the build lacks the feature.
pub fn arm() -> Result<(), String> {
    step::arm()?;
    sabotage::arm()
}

/// Refuses a variable that this build cannot obey: a test that believes in a fault that is not there shows nothing.
#[cfg(not(all(feature = "failpoints", feature = "sabotage")))]
fn refuse(variable: &str, feature: &str) -> Result<(), String> {
    match std::env::var_os(variable) {
        None => Ok(()),
        Some(_) => Err(format!("{variable} is set, but this build has no feature `{feature}`")),
    }
}
