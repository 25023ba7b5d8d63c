//! Finding other people.

use super::{Site, column, connect};

#[tokio::test]
async fn users_are_found_by_the_beginning_of_their_name_page_by_page() {
    let site = Site::start().await;
    let me = site.register("zoe").await;
    for name in ["anna", "Anton", "ANDY", "bob"] {
        site.register(name).await;
    }
    let first = site.get("/v1/users?prefix=AN&limit=2").by(&me).answer(200).await;
    assert_eq!(column(&first, "/name"), ["ANDY", "anna"]);
    let next = first["next"].as_str().unwrap();
    let second = site.get(&format!("/v1/users?prefix=AN&limit=2&cursor={next}")).by(&me).answer(200).await;
    assert_eq!(column(&second, "/name"), ["Anton"]);
    assert!(second["next"].is_null());

    // A cursor belongs to one search.
    let other = format!("/v1/users?prefix=b&cursor={next}");
    site.get(&other).by(&me).refused(400, "invalid_request").await;
    site.get("/v1/users").by(&me).refused(400, "invalid_request").await;
}

#[tokio::test]
async fn what_means_something_to_a_database_is_just_text() {
    let site = Site::start().await;
    let me = site.register("zoe").await;
    for prefix in ["%25", "_", "*", "'", "a%25", "%5C", "%22;--", "%00", "%3E", "."] {
        let found = site.get(&format!("/v1/users?prefix={prefix}")).by(&me).answer(200).await;
        assert!(column(&found, "/name").is_empty(), "{prefix}");
    }
}

#[tokio::test]
async fn a_user_is_addressed_by_id_by_name_or_as_oneself() {
    let site = Site::start().await;
    let (alice, bob) = (site.register("alice").await, site.register("Боб").await);
    for (address, who) in [(bob.id.as_str(), &bob), ("@Боб", &bob), ("@%D0%B1ОБ", &bob), ("me", &alice)] {
        let user = site.get(&format!("/v1/users/{address}")).by(&alice).answer(200).await;
        assert_eq!(user["userId"], who.id, "{address}");
    }
    for address in ["12345", "@nobody"] {
        site.get(&format!("/v1/users/{address}")).by(&alice).refused(404, "not_found").await;
    }
    for address in ["bob", "@", "-1", "0", "@a%20b", "99999999999999999999", "%FF"] {
        site.get(&format!("/v1/users/{address}")).by(&alice).refused(400, "invalid_request").await;
    }
}

#[tokio::test]
async fn who_has_a_session_is_online() {
    let site = Site::start().await;
    let me = site.register("zoe").await;
    let (anna, anton, bob) = (site.register("anna").await, site.register("anton").await, site.register("bob").await);
    let sessions = [&anna, &anton, &bob].map(|person| connect(&site, person));
    let mut online = vec![anna.id.clone(), anton.id, bob.id];
    online.sort();
    let first = site.get("/v1/users?online=true&limit=2").by(&me).answer(200).await;
    let next = first["next"].as_str().unwrap();
    let second = site.get(&format!("/v1/users?online=true&limit=2&cursor={next}")).by(&me).answer(200).await;
    assert_eq!([column(&first, "/userId"), column(&second, "/userId")].concat(), online);
    let named = site.get("/v1/users?online=true&prefix=AN").by(&me).answer(200).await;
    assert_eq!(column(&named, "/userId").len(), 2);

    assert_eq!(site.get("/v1/users/@anna").by(&me).answer(200).await["online"], true);
    drop(sessions);
    assert!(site.get("/v1/users/@anna").by(&me).answer(200).await["online"].is_null());
    let nobody = site.get("/v1/users?online=true").by(&me).answer(200).await;
    assert!(nobody["items"].is_null());
}
