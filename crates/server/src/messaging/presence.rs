//! Who is online, told to the sessions that asked. Never stored; when a user was last seen is the store's.
//!
//! Changes are collected for a moment and told together: a client that reconnects at once is no news, and a node whose
//! clients all come back writes one frame a watcher, not one a change.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sparrow_protocol::limits::PRESENCE_USERS;
use sparrow_protocol::{UserId, v1};
use sparrow_store::directory::{User, Visibility};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::push::Shared;
use super::sessions::{Session, SessionId, Sessions};
use crate::clock::Clock;
use crate::failure::Failure;
use crate::metrics::Metrics;

/// How long changes are collected.
const COLLECT: Duration = Duration::from_millis(250);
const MINUTE_MS: i64 = 60_000;

/// Who watches whom, and who has come or gone since the watchers were last told.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    watchers: HashMap<UserId, Vec<Arc<Session>>>,
    watched: HashMap<SessionId, BTreeSet<UserId>>,
    /// Of the users who are online.
    visibility: HashMap<UserId, Visibility>,
    changed: HashMap<UserId, Visibility>,
}

/// Whom a session is to be told about.
struct News {
    watcher: Arc<Session>,
    users: Vec<(UserId, Visibility)>,
}

/// Reads whom a session wants to be told about.
pub(crate) fn parse(request: &v1::PresenceSubscribe) -> Result<BTreeSet<UserId>, Failure> {
    if request.user_ids.len() > PRESENCE_USERS {
        return Err(Failure::invalid(format!("One session is told about at most {PRESENCE_USERS} users.")));
    }
    let ids = request.user_ids.iter().map(|id| UserId::new(*id));
    ids.collect::<Option<_>>().ok_or_else(|| Failure::invalid("A user's id is a number above 0."))
}

/// What a viewer may know of a user.
pub(crate) fn of_user(sessions: &Sessions, viewer: UserId, user: &User) -> v1::UserPresence {
    let last_seen = user.last_seen.map_or(0, |time| time.millis());
    state(sessions, viewer, user.user, user.visibility, last_seen)
}

fn state(
    sessions: &Sessions,
    viewer: UserId,
    user: UserId,
    visibility: Visibility,
    last_seen: i64,
) -> v1::UserPresence {
    let visible = visibility == Visibility::All || viewer == user;
    let online = visible && sessions.is_online(user);
    let last_seen = if visible && !online { last_seen } else { 0 };
    v1::UserPresence { user_id: user.get(), online, last_seen }
}

impl Watches {
    /// Lets a session watch these users instead of those it watched before.
    pub(crate) fn watch(&self, session: &Arc<Session>, users: BTreeSet<UserId>) {
        let mut state = self.lock();
        state.forget(session.id);
        for user in &users {
            state.watchers.entry(*user).or_default().push(session.clone());
        }
        if !users.is_empty() {
            state.watched.insert(session.id, users);
        }
    }

    /// A user's first session began.
    pub(crate) fn came(&self, user: UserId, visibility: Visibility) {
        let mut state = self.lock();
        state.visibility.insert(user, visibility);
        self.note(&mut state, user, visibility);
    }

    /// A session ended; `last` if its user has no other.
    pub(crate) fn left(&self, session: &Session, last: bool) {
        let mut state = self.lock();
        state.forget(session.id);
        if last && let Some(visibility) = state.visibility.remove(&session.user) {
            self.note(&mut state, session.user, visibility);
        }
    }

    /// A user changed who may know.
    pub(crate) fn set_visibility(&self, user: UserId, visibility: Visibility) {
        let mut state = self.lock();
        if let Some(known) = state.visibility.get_mut(&user) {
            *known = visibility;
        }
        self.note(&mut state, user, visibility);
    }

    fn note(&self, state: &mut State, user: UserId, visibility: Visibility) {
        if state.watchers.contains_key(&user) {
            state.changed.insert(user, visibility);
            self.news.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self, session: SessionId) {
        for user in self.watched.remove(&session).into_iter().flatten() {
            if let Some(watchers) = self.watchers.get_mut(&user) {
                watchers.retain(|watcher| watcher.id != session);
                if watchers.is_empty() {
                    self.watchers.remove(&user);
                }
            }
        }
    }

    /// Who is to be told about whom.
    fn take_news(&mut self) -> Vec<News> {
        let mut news: HashMap<SessionId, News> = HashMap::new();
        for (user, visibility) in std::mem::take(&mut self.changed) {
            for watcher in self.watchers.get(&user).into_iter().flatten() {
                let news = news.entry(watcher.id);
                let news = news.or_insert_with(|| News { watcher: watcher.clone(), users: Vec::new() });
                news.users.push((user, visibility));
            }
        }
        news.into_values().collect()
    }
}

/// Tells watchers what changed, until `stop`.
pub(crate) async fn run(sessions: Arc<Sessions>, clock: Clock, metrics: Arc<Metrics>, stop: CancellationToken) {
    let watches = sessions.watches();
    let work = async {
        loop {
            watches.news.notified().await;
            sleep(COLLECT).await;
            let news = watches.lock().take_news();
            let (now, now_ms) = (Instant::now(), clock.now().millis());
            let seen = now_ms - now_ms.rem_euclid(MINUTE_MS);
            for News { watcher, users } in news {
                let told = |(user, visibility)| state(&sessions, watcher.user, user, visibility, seen);
                let presence = v1::Presence { users: users.into_iter().map(told).collect() };
                if let Some(mut shared) = Shared::new(&presence) {
                    watcher.push(&mut shared, now, &metrics);
                }
            }
        }
    };
    stop.run_until_cancelled(work).await;
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use sparrow_protocol::Timestamp;

    use super::*;
    use crate::messaging::Outgoing;
    use crate::messaging::sessions::Registered;
    use crate::messaging::testing::{new_session, user};

    struct Place {
        sessions: Arc<Sessions>,
        stop: CancellationToken,
    }

    impl Drop for Place {
        fn drop(&mut self) {
            self.stop.cancel();
        }
    }

    fn place() -> Place {
        let (sessions, stop) = (Arc::new(Sessions::default()), CancellationToken::new());
        let clock = Clock::manual(Arc::new(std::sync::atomic::AtomicI64::new(90_000)));
        tokio::spawn(run(sessions.clone(), clock, Arc::new(Metrics::new()), stop.clone()));
        Place { sessions, stop }
    }

    fn join(place: &Place, user: i64, visibility: Visibility) -> Registered {
        let new = super::super::NewSession { visibility, ..new_session(user, user) };
        place.sessions.register(Session::new(new))
    }

    fn watch(place: &Place, watcher: &Registered, users: &[i64]) {
        place.sessions.watches().watch(watcher.session(), users.iter().map(|number| user(*number)).collect());
    }

    /// What a session was told, once what happened before is told.
    async fn told(session: &Registered) -> Vec<(i64, bool, i64)> {
        sleep(COLLECT * 2).await;
        let mut states = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(Outgoing::Frame(frame)) = session.session().outbound.poll_next(&mut cx, Instant::now()) {
            let frame = session.session().format.decode(frame).unwrap();
            let presence: v1::Presence = frame.parse().unwrap();
            states.extend(presence.users.iter().map(|user| (user.user_id, user.online, user.last_seen)));
        }
        states.sort_unstable();
        states
    }

    #[tokio::test(start_paused = true)]
    async fn watchers_are_told_who_comes_and_goes_and_nobody_else_is() {
        let place = place();
        let (ann, bob) = (join(&place, 1, Visibility::All), join(&place, 2, Visibility::All));
        watch(&place, &ann, &[3, 4]);
        let carol = join(&place, 3, Visibility::All);
        let dave = join(&place, 4, Visibility::All);
        assert_eq!(told(&ann).await, [(3, true, 0), (4, true, 0)]);
        drop(carol);
        assert_eq!(told(&ann).await, [(3, false, 60_000)], "seen to the minute");
        assert_eq!(told(&bob).await, []);
        watch(&place, &ann, &[]);
        drop(dave);
        assert_eq!(told(&ann).await, []);
    }

    #[tokio::test(start_paused = true)]
    async fn who_hides_is_never_online_to_others() {
        let place = place();
        let ann = join(&place, 1, Visibility::All);
        watch(&place, &ann, &[1, 2, 3]);
        let bob = join(&place, 2, Visibility::Nobody);
        let _carol = join(&place, 3, Visibility::Contacts);
        assert_eq!(told(&ann).await, [(2, false, 0), (3, false, 0)]);
        place.sessions.watches().set_visibility(user(2), Visibility::All);
        assert_eq!(told(&ann).await, [(2, true, 0)]);
        place.sessions.watches().set_visibility(user(2), Visibility::Nobody);
        drop(bob);
        assert_eq!(told(&ann).await, [(2, false, 0)]);
        place.sessions.watches().set_visibility(user(1), Visibility::Nobody);
        assert_eq!(told(&ann).await, [(1, true, 0)], "one knows of oneself");
    }

    #[tokio::test(start_paused = true)]
    async fn a_device_more_is_no_news_and_changes_come_together() {
        let place = place();
        let ann = join(&place, 1, Visibility::All);
        watch(&place, &ann, &[2]);
        let bob = join(&place, 2, Visibility::All);
        assert_eq!(told(&ann).await, [(2, true, 0)]);
        let phone =
            place.sessions.register(Session::new(super::super::NewSession { user: user(2), ..new_session(2, 9) }));
        drop(bob);
        assert_eq!(told(&ann).await, []);
        drop(phone);
        let _again = join(&place, 2, Visibility::All);
        assert_eq!(told(&ann).await, [(2, true, 0)], "gone and back is told once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_ends_watches_nobody() {
        let place = place();
        let ann = join(&place, 1, Visibility::All);
        watch(&place, &ann, &[2, 3]);
        drop(ann);
        let state = place.sessions.watches().lock();
        assert!(state.watchers.is_empty() && state.watched.is_empty());
    }

    #[test]
    fn a_subscription_is_bounded_and_names_users() {
        let many = v1::PresenceSubscribe { user_ids: (1..=501).collect() };
        assert!(parse(&many).is_err());
        assert!(parse(&v1::PresenceSubscribe { user_ids: vec![0] }).is_err());
        assert_eq!(parse(&v1::PresenceSubscribe { user_ids: vec![7, 7] }).unwrap().len(), 1);
        let seen = User {
            user: user(7),
            name: "g".to_owned(),
            display_name: String::new(),
            bio: String::new(),
            visibility: Visibility::Nobody,
            last_seen: Some(Timestamp::from_millis(60_000)),
        };
        assert_eq!(of_user(&Sessions::default(), user(1), &seen).last_seen, 0);
        assert_eq!(of_user(&Sessions::default(), user(7), &seen).last_seen, 60_000);
    }
}
