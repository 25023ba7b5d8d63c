//! Members of a group: adding, removing, leaving, roles.

use reqwest::Method;
use serde_json::json;

use super::{Ask, Person, Site, column};

#[tokio::test]
async fn members_are_listed_in_pages() {
    let site = Site::start().await;
    let (alice, bob, carol) = (site.register("alice").await, site.register("bob").await, site.register("carol").await);
    let group = site.group(&alice, &[&bob, &carol]).await;
    let path = format!("/v1/conversations/{group}/members");
    let first = site.get(&format!("{path}?limit=2")).by(&bob).answer(200).await;
    let next = first["next"].as_str().unwrap();
    let second = site.get(&format!("{path}?limit=2&cursor={next}")).by(&bob).answer(200).await;
    let mut ids = [column(&first, "/user/userId"), column(&second, "/user/userId")].concat();
    let mut roles = [column(&first, "/role"), column(&second, "/role")].concat();
    let mut all = vec![alice.id.clone(), bob.id.clone(), carol.id.clone()];
    ids.sort();
    all.sort();
    roles.sort();
    assert_eq!(ids, all);
    assert_eq!(roles, ["member", "member", "owner"]);
}

#[tokio::test]
async fn members_are_added_by_those_who_may() {
    let site = Site::start().await;
    let (alice, bob, carol) = (site.register("alice").await, site.register("bob").await, site.register("carol").await);
    let group = site.group(&alice, &[&bob]).await;
    let add = |users: &[&str]| site.post(&format!("/v1/conversations/{group}/members"), &json!({"users": users}));
    add(&["@carol"]).by(&bob).refused(403, "forbidden").await;
    add(&["@carol", "@bob"]).by(&alice).answer(200).await;
    add(&["@carol"]).by(&alice).refused(409, "conflict").await;
    add(&["@nobody"]).by(&alice).refused(404, "not_found").await;
    add(&["77"]).by(&alice).refused(404, "not_found").await;
    add(&[]).by(&alice).refused(400, "invalid_request").await;
    add(&["carol"]).by(&alice).refused(400, "invalid_request").await;
    site.say(&carol, &group, "here I am").await;
}

#[tokio::test]
async fn adding_twice_under_one_id_makes_one_entry() {
    let site = Site::start().await;
    let (alice, _bob, _carol) =
        (site.register("alice").await, site.register("bob").await, site.register("carol").await);
    let group = site.group(&alice, &[]).await;
    let id = "01936d7e-92a7-7bbb-8c5e-0d7a6c1f2b3a";
    let add = |user: &str| {
        site.post(&format!("/v1/conversations/{group}/members"), &json!({"clientMsgId": id, "users": [user]}))
    };
    let first = add("@bob").by(&alice).answer(200).await;
    let again = add("@bob").by(&alice).answer(200).await;
    assert_eq!((&again["seq"], &again["clientMsgId"]), (&first["seq"], &json!(id)));
    add("@carol").by(&alice).refused(409, "idempotency_mismatch").await;
}

#[tokio::test]
async fn a_member_leaves_or_is_removed_and_writes_no_more() {
    let site = Site::start().await;
    let (alice, bob, carol) = (site.register("alice").await, site.register("bob").await, site.register("carol").await);
    let group = site.group(&alice, &[&bob, &carol]).await;
    remove(&site, &group, "@carol").by(&bob).refused(403, "forbidden").await;
    remove(&site, &group, "me").by(&bob).answer(200).await;
    remove(&site, &group, &carol.id).by(&alice).answer(200).await;
    remove(&site, &group, &carol.id).by(&alice).refused(404, "not_found").await;
    for gone in [&bob, &carol] {
        let body = json!({"content": {"text": "still here?"}});
        let send = site.post(&format!("/v1/conversations/{group}/messages"), &body);
        send.by(gone).refused(404, "not_found").await;
        site.get(&format!("/v1/conversations/{group}/members")).by(gone).refused(404, "not_found").await;
    }
}

/// H19
#[tokio::test]
async fn nobody_promotes_themselves_and_a_group_keeps_an_owner() {
    let site = Site::start().await;
    let (alice, bob, carol) = (site.register("alice").await, site.register("bob").await, site.register("carol").await);
    let group = site.group(&alice, &[&bob, &carol]).await;
    for promoted in ["admin", "owner"] {
        role(&site, &group, "@bob", promoted).by(&bob).refused(403, "forbidden").await;
    }
    role(&site, &group, "@bob", "admin").by(&alice).answer(200).await;
    role(&site, &group, "me", "owner").by(&bob).refused(403, "forbidden").await;
    role(&site, &group, "@carol", "admin").by(&bob).refused(403, "forbidden").await;
    remove(&site, &group, "@alice").by(&bob).refused(403, "forbidden").await;
    remove(&site, &group, "me").by(&alice).refused(403, "forbidden").await;
    assert_eq!(owners(&site, &group, &alice).await, std::slice::from_ref(&alice.id));

    role(&site, &group, "@bob", "owner").by(&alice).answer(200).await;
    assert_eq!(owners(&site, &group, &alice).await, std::slice::from_ref(&bob.id));
    remove(&site, &group, "me").by(&alice).answer(200).await;
}

#[tokio::test]
async fn a_role_is_one_of_three_and_goes_to_a_member() {
    let site = Site::start().await;
    let (alice, bob, _carol) = (site.register("alice").await, site.register("bob").await, site.register("carol").await);
    let group = site.group(&alice, &[&bob]).await;
    for word in ["", "subscriber", "Admin", "root"] {
        role(&site, &group, "@bob", word).by(&alice).refused(400, "invalid_request").await;
    }
    role(&site, &group, "@carol", "admin").by(&alice).refused(404, "not_found").await;
    role(&site, &group, "@nobody", "admin").by(&alice).refused(404, "not_found").await;
    role(&site, &group, "@bob", "member").by(&alice).refused(409, "conflict").await;
}

#[tokio::test]
async fn a_direct_has_no_members_to_manage() {
    let site = Site::start().await;
    let (alice, bob, _carol) = (site.register("alice").await, site.register("bob").await, site.register("carol").await);
    let direct = site.direct(&alice, &bob).await;
    let add = site.post(&format!("/v1/conversations/{direct}/members"), &json!({"users": ["@carol"]}));
    add.by(&alice).refused(403, "forbidden").await;
    remove(&site, &direct, "@bob").by(&alice).refused(403, "forbidden").await;
    remove(&site, &direct, "me").by(&alice).refused(403, "forbidden").await;
}

fn remove(site: &Site, group: &str, user: &str) -> Ask {
    site.ask(Method::DELETE, &format!("/v1/conversations/{group}/members/{user}"))
}

fn role(site: &Site, group: &str, user: &str, role: &str) -> Ask {
    site.ask(Method::PUT, &format!("/v1/conversations/{group}/members/{user}/role")).json(&json!({"role": role}))
}

async fn owners(site: &Site, group: &str, reader: &Person) -> Vec<String> {
    let list = site.get(&format!("/v1/conversations/{group}/members")).by(reader).answer(200).await;
    let items = list["items"].as_array().unwrap();
    items.iter().filter(|item| item["role"] == "owner").map(|item| super::text(item, "/user/userId")).collect()
}
