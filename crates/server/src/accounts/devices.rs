//! A user's devices: the list, and who is logged out.

use sparrow_protocol::{DeviceId, UserId};
use sparrow_store::directory::{Device, Listed};

use super::Accounts;
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

    /// Logs out the device that was away longest, so that a new one can log in: who has the password is never locked
    /// out by forgotten installations.
    pub(super) async fn make_room(&self, user: UserId) -> Result<(), Failure> {
        let devices = self.store.devices(user).await?;
        let oldest = devices
            .iter()
            .min_by_key(|device| (self.messaging.is_device_online(device.device), device.last_seen, device.device));
        match oldest {
            Some(oldest) => self.revoke(user, oldest.device).await,
            None => Ok(()),
        }
    }
}
