//! `Debug` for the messages that hold a password or a token: it shows everything else, so that a message may be logged
//! or appear in a failed assertion.

use std::fmt;

use crate::{raw, v1};

struct Hidden;

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

macro_rules! redacted {
    ($($name:ident { shown: [$($shown:ident),* $(,)?], hidden: [$($hidden:ident),+ $(,)?] }),+ $(,)?) => {
        $(
            redacted!(@one v1::$name, $name, [$($shown),*], [$($hidden),+]);
            redacted!(@one raw::$name, $name, [$($shown),*], [$($hidden),+]);
        )+
    };
    (@one $type:path, $name:ident, [$($shown:ident),*], [$($hidden:ident),+]) => {
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // Named in full, so that a field added to the message has to be placed here too.
                let Self { $($shown,)* $($hidden: _,)+ } = self;
                f.debug_struct(stringify!($name))
                    $(.field(stringify!($shown), $shown))*
                    $(.field(stringify!($hidden), &Hidden))+
                    .finish()
            }
        }
    };
}

redacted! {
    RegisterRequest { shown: [name, display_name, device_name, platform], hidden: [password] },
    LoginRequest { shown: [name, device_name, platform, device_id], hidden: [password] },
    ChangePasswordRequest { shown: [], hidden: [old_password, new_password] },
    RefreshRequest { shown: [], hidden: [refresh_token] },
    Session { shown: [user, device_id, access_expires, refresh_expires], hidden: [access_token, refresh_token] },
    Hello { shown: [client, version, features, no_pushes], hidden: [token] },
}
