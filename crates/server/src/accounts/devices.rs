//! A user's devices: the list, and who is logged out.

use sparrow_protocol::{DeviceId, UserId};
use sparrow_store::directory::{Device, DeviceRule, Listed};

use super::Accounts;
use crate::config::{Config, DevicePolicy};
use crate::failure::Failure;
use crate::messaging::EndReason;
use crate::paging::Paging;

impl Accounts {
    /// A page of the user's devices, by id.
    pub(crate) async fn devices(
        &self,
        user: UserId,
        page: Paging<DeviceId>,
    ) -> Result<Listed<Device, DeviceId>, Failure> {
        let mut items = self.store.devices(user).await?;
        items.retain(|device| page.after.is_none_or(|after| device.device > after));
        let more = items.len() > page.limit;
        items.truncate(page.limit);
        let next = if more { items.last().map(|device| device.device) } else { None };
        Ok(Listed { items, next })
    }

    /// Logs a device of the user out: its tokens stop working, then its sessions end.
    pub(crate) async fn revoke(&self, user: UserId, device: DeviceId) -> Result<(), Failure> {
        if !self.store.revoke_device(user, device, self.clock.now()).await? {
            return Err(Failure::not_found("device"));
        }
        self.messaging.end_sessions(device, EndReason::Revoked);
        Ok(())
    }
}

/// How many devices may be logged in together, as the store counts them.
pub(super) fn rules(config: &Config) -> Vec<DeviceRule> {
    let all = |most| DeviceRule { of_platform: false, most };
    match config.login.policy {
        DevicePolicy::Many => vec![all(config.limits.devices)],
        DevicePolicy::OnePerPlatform => vec![DeviceRule { of_platform: true, most: 1 }, all(config.limits.devices)],
        DevicePolicy::Single => vec![all(1)],
    }
}
