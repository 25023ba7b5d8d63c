//! Roles in a group: nobody promotes themselves, and every group keeps an owner. (H19)

use serde_json::Value;
use sparrow_protocol::{Format, v1};
use sparrow_testkit::{ApiError, TestNode, User};

use crate::support::{node, send, text};

struct Group {
    node: TestNode,
    owner: User,
    admin: User,
    member: User,
    id: i64,
}

impl Group {
    async fn new() -> Self {
        let node = node().await;
        let owner = User::register(&node, "owner").await;
        let admin = User::register(&node, "admin").await;
        let member = User::register(&node, "member").await;
        let id = owner.group("three", &[&admin, &member]).await;
        let group = Self { node, owner, admin, member, id };
        group.change_role(&group.owner, &group.admin, "admin").await.unwrap();
        group
    }

    fn path(&self, user: &User) -> String {
        format!("/v1/conversations/{}/members/{}", self.id, user.id)
    }

    async fn change_role(&self, by: &User, of: &User, role: &str) -> Result<Value, ApiError> {
        let request = v1::ChangeRoleRequest { role: role.to_owned(), ..Default::default() };
        by.api.put(&format!("{}/role", self.path(of)), &request).await
    }

    async fn remove(&self, by: &User, whom: &User) -> Result<Value, ApiError> {
        by.api.delete(&self.path(whom)).await
    }

    /// Everybody's role as the owner of the database sees it: name and role, by name.
    async fn roles(&self, reader: &User) -> Vec<(String, String)> {
        let list: v1::MemberList = reader.api.get(&format!("/v1/conversations/{}/members", self.id)).await.unwrap();
        let mut roles: Vec<_> = list.items.into_iter().map(|member| (member.user.unwrap().name, member.role)).collect();
        roles.sort();
        roles
    }
}

fn assert_refused(answer: &Result<Value, ApiError>, status: u16) {
    assert_eq!(answer.as_ref().err().and_then(ApiError::status), Some(status), "{answer:?}");
}

#[tokio::test]
async fn nobody_promotes_themselves_or_removes_those_above() {
    let group = Group::new().await;
    let before = group.roles(&group.owner).await;
    let (owner, admin, member) = (&group.owner, &group.admin, &group.member);
    for (by, of, role) in [(member, member, "admin"), (member, member, "owner"), (admin, admin, "owner")] {
        assert_refused(&group.change_role(by, of, role).await, 403);
    }
    assert_refused(&group.change_role(admin, member, "admin").await, 403);
    assert_refused(&group.change_role(admin, owner, "member").await, 403);
    for (by, whom) in [(member, admin), (member, owner), (admin, owner)] {
        assert_refused(&group.remove(by, whom).await, 403);
    }
    assert_eq!(group.roles(owner).await, before);
}

#[tokio::test]
async fn the_last_owner_leaves_only_after_giving_the_group_away() {
    let group = Group::new().await;
    let (owner, admin) = (&group.owner, &group.admin);
    assert_refused(&group.remove(owner, owner).await, 403);
    assert_refused(&group.change_role(owner, owner, "member").await, 403);
    group.change_role(owner, admin, "owner").await.unwrap();
    let role = |name: &str, role: &str| (name.to_owned(), role.to_owned());
    let after = [role("admin", "owner"), role("member", "member"), role("owner", "admin")];
    assert_eq!(group.roles(admin).await, after);
    group.remove(owner, owner).await.unwrap();
    assert_refused(&group.remove(admin, admin).await, 403);
    assert_eq!(group.roles(admin).await, after[..2]);

    let mut left = owner.connect(&group.node, Format::ALL[0]).await;
    let refused = left.call::<v1::SendAck>(&text(group.id, "I have left")).await.unwrap_err();
    assert_eq!(refused.code(), Some("not_found"));
    send(&mut admin.connect(&group.node, Format::ALL[0]).await, group.id, "the group goes on").await;
}
