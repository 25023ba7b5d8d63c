//! Accounts: register, log in, tokens, devices. Knows no sockets.

mod devices;
mod password;
mod token;

use std::sync::Arc;

use sparrow_protocol::{Code, DeviceId, Timestamp, UserId, Username};
use sparrow_store::Store;
use sparrow_store::directory::{
    Authenticated, DeviceLoggedIn, DeviceLogin, DeviceRefused, NameTaken, NewUser, Refreshed, User, Visibility,
};

use crate::clock::Clock;
use crate::config::Config;
use crate::failure::Failure;
use crate::limits::{ClientAddress, RateLimits};
use crate::messaging::{EndReason, Messaging};
use crate::metrics::Metrics;
use crate::text;
pub(crate) use password::Password;
use password::Passwords;

/// Who a request or a session speaks for.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// The account.
    pub(crate) user: UserId,
    /// Its name.
    pub(crate) name: String,
    /// Who may know that the user is online.
    pub(crate) visibility: Visibility,
    /// The device that the token belongs to.
    pub(crate) device: DeviceId,
    /// The session generation last given out for the device.
    pub(crate) generation: i64,
    /// When the access token stops working.
    pub(crate) expires: Timestamp,
}

/// An account to be made.
pub(crate) struct Registration {
    /// The name one logs in with.
    pub(crate) name: Username,
    /// The password.
    pub(crate) password: Password,
    /// Where the request comes from.
    pub(crate) address: ClientAddress,
    /// What others see.
    pub(crate) display_name: String,
    /// The installation that registers.
    pub(crate) installation: Installation,
}

/// What a log-in presents.
pub(crate) struct LogIn {
    /// The name; `None` if it cannot be anybody's.
    pub(crate) name: Option<Username>,
    /// The password.
    pub(crate) password: Password,
    /// Where the request comes from.
    pub(crate) address: ClientAddress,
    /// The device that logs in again; `None` for a new one.
    pub(crate) device: Option<DeviceId>,
    /// The installation that logs in.
    pub(crate) installation: Installation,
}

/// What an installation says of itself.
pub(crate) struct Installation {
    name: String,
    platform: String,
}

impl Installation {
    /// Reads what an installation says of itself.
    pub(crate) fn parse(name: &str, platform: &str) -> Result<Self, Failure> {
        Ok(Self { name: text::DEVICE_NAME.parse(name)?, platform: text::PLATFORM.parse(platform)? })
    }
}

/// A device that is logged in, and its tokens, which nobody can read again.
pub(crate) struct LoggedIn {
    /// The account.
    pub(crate) user: User,
    /// The device.
    pub(crate) device: DeviceId,
    /// The access token.
    pub(crate) access: String,
    /// When it stops working.
    pub(crate) access_expires: Timestamp,
    /// The refresh token.
    pub(crate) refresh: String,
    /// When it stops working.
    pub(crate) refresh_expires: Timestamp,
}

impl LoggedIn {
    fn new(user: User, device: DeviceId, tokens: token::Pair) -> Self {
        Self {
            user,
            device,
            access: tokens.access,
            access_expires: tokens.stored.access_expires,
            refresh: tokens.refresh,
            refresh_expires: tokens.stored.refresh_expires,
        }
    }
}

/// The accounts feature.
pub(crate) struct Accounts {
    config: Arc<Config>,
    clock: Clock,
    limits: Arc<RateLimits>,
    store: Arc<dyn Store>,
    messaging: Messaging,
    passwords: Passwords,
}

impl Accounts {
    /// The feature over a store; `messaging` is told which sessions end with a log-out or a revocation.
    pub(crate) fn new(
        config: Arc<Config>,
        clock: Clock,
        metrics: Arc<Metrics>,
        limits: Arc<RateLimits>,
        store: Arc<dyn Store>,
        messaging: Messaging,
    ) -> Self {
        let passwords = Passwords::new(&config.password_hashing, metrics);
        Self { config, clock, limits, store, messaging, passwords }
    }

    /// Password hashes that wait or are being computed.
    pub(crate) fn hashes_waiting(&self) -> usize {
        self.passwords.waiting()
    }

    /// Who an access token speaks for. Every reason for a refusal gets the same `unauthenticated` answer.
    pub(crate) async fn authenticate(&self, token: &str) -> Result<Identity, Failure> {
        let hash = token::hash(token).ok_or_else(unauthenticated)?;
        let known = self.store.authenticate(hash, self.clock.now()).await?.ok_or_else(unauthenticated)?;
        let User { user, name, visibility, .. } = known.user;
        let Authenticated { device, generation, expires, .. } = known;
        Ok(Identity { user, name, visibility, device, generation, expires })
    }

    /// Makes an account and logs its first device in.
    pub(crate) async fn register(&self, registration: Registration) -> Result<LoggedIn, Failure> {
        let Registration { name, password, address, display_name, installation } = registration;
        self.limits.register(address)?;
        let password_hash = Some(self.passwords.hash(password).await?);
        let user = NewUser { name, display_name, password_hash };
        match self.store.create_user(user, self.clock.now()).await? {
            Ok(user) => self.log_in_device(user, None, installation).await,
            Err(NameTaken) => Err(Failure::new(Code::NameTaken, "This name belongs to another account; take another.")),
        }
    }

    /// Logs a device in. An unknown name and a wrong password get the same answer after the same work. A log-in beyond
    /// the allowance of the account or the address is refused before its password is looked at, right or wrong.
    pub(crate) async fn log_in(&self, log_in: LogIn) -> Result<LoggedIn, Failure> {
        self.allow_password(log_in.name.as_ref(), Some(log_in.address)).await?;
        let known = match &log_in.name {
            Some(name) => self.store.credentials(name).await?,
            None => None,
        };
        let (user, hash) = match known {
            Some(known) => (Some(known.user), known.password_hash),
            None => (None, None),
        };
        let right = self.passwords.verify(log_in.password, hash).await?;
        match user {
            Some(user) if right => self.log_in_device(user, log_in.device, log_in.installation).await,
            _ => Err(Failure::new(Code::Unauthenticated, "The name or the password is wrong; check both.")),
        }
    }

    /// Changes the caller's password, which it has to know; all other devices are logged out. The old password is a guess
    /// like that of a log-in, and limited with them.
    pub(crate) async fn change_password(&self, me: &Identity, old: Password, new: Password) -> Result<(), Failure> {
        let name = Username::parse(&me.name).map_err(|_| unauthenticated())?;
        self.allow_password(Some(&name), None).await?;
        let known = self.store.credentials(&name).await?.and_then(|known| known.password_hash);
        if !self.passwords.verify(old, known).await? {
            return Err(Failure::new(Code::Forbidden, "The old password is wrong; enter it again."));
        }
        let hash = self.passwords.hash(new).await?;
        let changed = self.store.change_password(me.user, hash, me.device, self.clock.now()).await?;
        for device in changed.ok_or_else(unauthenticated)? {
            self.messaging.end_sessions(device, EndReason::Revoked);
        }
        Ok(())
    }

    /// Exchanges a refresh token. One that was exchanged long ago is in wrong hands: its device is logged out.
    pub(crate) async fn refresh(&self, refresh_token: &str) -> Result<LoggedIn, Failure> {
        let refused = || Failure::new(Code::Unauthenticated, "Log in again: the refresh token no longer works.");
        let hash = token::hash(refresh_token).ok_or_else(refused)?;
        let now = self.clock.now();
        let tokens = token::Pair::draw(&self.config.limits, now);
        match self.store.refresh(hash, tokens.stored, self.config.limits.refresh_grace, now).await? {
            Refreshed::Rotated { user, device } => Ok(LoggedIn::new(user, device, tokens)),
            Refreshed::Reused { user, device } => {
                tracing::warn!(%user, %device, "a refresh token was used twice; its device is revoked");
                self.messaging.end_sessions(device, EndReason::Revoked);
                Err(refused())
            }
            Refreshed::Unknown => Err(refused()),
        }
    }

    /// Takes one guess at a password from the allowances in the database.
    async fn allow_password(&self, name: Option<&Username>, address: Option<ClientAddress>) -> Result<(), Failure> {
        let allowances = self.limits.log_in(name, address);
        let taken = self.store.take_allowances(allowances, self.clock.now()).await?;
        taken.map_err(|used_up| self.limits.log_in_refused(&used_up.key, used_up.wait))
    }

    async fn log_in_device(
        &self,
        user: User,
        device: Option<DeviceId>,
        installation: Installation,
    ) -> Result<LoggedIn, Failure> {
        let now = self.clock.now();
        let tokens = token::Pair::draw(&self.config.limits, now);
        let login = DeviceLogin {
            user: user.user,
            device,
            name: installation.name,
            platform: installation.platform,
            tokens: tokens.stored,
            rules: devices::rules(&self.config),
            when_full: self.config.login.when_full,
            online: self.messaging.online_devices(user.user),
        };
        match self.store.log_in_device(login, now).await? {
            Ok(DeviceLoggedIn { device, revoked }) => {
                revoked.into_iter().for_each(|device| self.messaging.end_sessions(device, EndReason::Replaced));
                Ok(LoggedIn::new(user, device.device, tokens))
            }
            Err(DeviceRefused::TooMany) => Err(Failure::new(
                Code::TooManyDevices,
                "This account is logged in on as many devices as allowed; log out on another one first.",
            )),
            Err(DeviceRefused::Unknown) => Err(Failure::not_found("device")),
        }
    }
}

/// The one answer to a token that does not work.
pub(crate) fn unauthenticated() -> Failure {
    Failure::new(Code::Unauthenticated, "Log in: the access token is missing, wrong or no longer valid.")
}
