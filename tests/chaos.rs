//! All promises at once: connections are cut at random, the server is killed again and again, and nothing is lost, doubled
//! or out of order.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use sparrow_protocol::{Carrier, Command, Format, v1};
use sparrow_testkit::{Connection, ConnectionError, Proxy, Seed, TestNode, User};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::{history, options, text, words};

const CLIENTS: usize = 8;
const GROUPS: usize = 4;
const MESSAGES: usize = 20_000;
const KILLS: usize = 5;
/// Requests that a client leaves unanswered at a time.
const WINDOW: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn eight_clients_in_four_groups_with_cuts_and_kills_lose_double_and_reorder_nothing() {
    let seed = Seed::of("chaos");
    let mut node = options().start().await;
    let mut users = Vec::new();
    for number in 0..CLIENTS {
        users.push(User::register(&node, &format!("client{number}")).await);
    }
    let groups = groups(&users).await;
    let proxies = Proxies::start(&node, seed).await;

    let (progress, acked) = watch::channel(0);
    let progress = Arc::new(progress);
    let (up, is_up) = watch::channel(true);
    let mut writing = JoinSet::new();
    for (number, user) in users.iter().enumerate() {
        let writer = Writer::new(user.clone(), number, &groups, Arc::clone(&progress));
        let address = proxies.address(writer.format);
        writing.spawn(writer.run(address, is_up.clone()));
    }
    kill_again_and_again(&mut node, acked, &up).await;
    let writers = writing.join_all().await;
    assert!(writers.iter().map(|writer| writer.lives).sum::<usize>() > CLIENTS * (KILLS + 1), "no cut came through");

    let truth = one_history_for_all(&node, &users, &groups).await;
    for writer in &writers {
        writer.check_against(&truth);
    }
    for writer in writers {
        writer.check_retries(&node).await;
    }
}

/// Each client is in two groups, each group has four members.
async fn groups(users: &[User]) -> Vec<i64> {
    let mut groups = Vec::new();
    for group in 0..GROUPS {
        let members: Vec<_> =
            (0..CLIENTS).filter(|client| is_in(*client, group)).map(|client| &users[client]).collect();
        groups.push(members[0].group(&format!("group {group}"), &members[1..]).await);
    }
    groups
}

fn is_in(client: usize, group: usize) -> bool {
    client % GROUPS == group || (client + 1) % GROUPS == group
}

struct Proxies {
    http: Proxy,
    tcp: Proxy,
}

impl Proxies {
    async fn start(node: &TestNode, seed: Seed) -> Self {
        let proxies = Self { http: Proxy::start(node.http()).await, tcp: Proxy::start(node.tcp()).await };
        proxies.http.cut_at_random(seed.part(1), 200_000);
        proxies.tcp.cut_at_random(seed.part(2), 200_000);
        proxies
    }

    fn address(&self, format: Format) -> SocketAddr {
        match format.carrier {
            Carrier::WebSocket => self.http.address(),
            Carrier::Tcp => self.tcp.address(),
        }
    }
}

/// Kills the node each time another sixth of all messages is acked.
async fn kill_again_and_again(node: &mut TestNode, mut acked: watch::Receiver<usize>, up: &watch::Sender<bool>) {
    for kill in 1..=KILLS {
        let enough = kill * MESSAGES / (KILLS + 1);
        acked.wait_for(|acked| *acked >= enough).await.unwrap();
        up.send_replace(false);
        node.kill();
        node.restart().await;
        up.send_replace(true);
    }
}

/// One client: what it has to send, and what it was told.
struct Writer {
    user: User,
    format: Format,
    sends: Vec<v1::Send>,
    acks: HashMap<String, i64>,
    pushes: HashMap<(i64, i64), String>,
    lives: usize,
    progress: Arc<watch::Sender<usize>>,
}

impl Writer {
    fn new(user: User, number: usize, groups: &[i64], progress: Arc<watch::Sender<usize>>) -> Self {
        let mine: Vec<_> = (0..GROUPS).filter(|group| is_in(number, *group)).map(|group| groups[group]).collect();
        let sends = (0..MESSAGES / CLIENTS).map(|send| text(mine[send % mine.len()], &format!("{send}"))).collect();
        let format = Format::ALL[number % Format::ALL.len()];
        Self { user, format, sends, acks: HashMap::new(), pushes: HashMap::new(), lives: 0, progress }
    }

    /// Connects and sends what is not acked, in order, until all is.
    async fn run(mut self, address: SocketAddr, mut is_up: watch::Receiver<bool>) -> Self {
        while self.acks.len() < self.sends.len() {
            self.lives += 1;
            match self.live(address).await {
                Ok(()) => {}
                Err(ConnectionError::Refused(error)) => assert!(error.retryable, "refused for good: {error:?}"),
                // A cut connection, or a node that is away.
                Err(_) => drop(is_up.wait_for(|up| *up).await.unwrap()),
            }
        }
        self
    }

    async fn live(&mut self, address: SocketAddr) -> Result<(), ConnectionError> {
        let mut connection = self.user.try_connect(address, self.format).await?;
        let mut left: VecDeque<_> =
            self.sends.iter().filter(|send| !self.acks.contains_key(&send.client_msg_id)).cloned().collect();
        let mut unanswered = 0;
        while unanswered > 0 || !left.is_empty() {
            if unanswered < WINDOW / 2 {
                while unanswered < WINDOW
                    && let Some(send) = left.pop_front()
                {
                    connection.feed(&send).await?;
                    unanswered += 1;
                }
                connection.flush().await?;
            }
            let frame = connection.next().await?;
            match frame.command {
                Some(Command::SendAck) => {
                    unanswered -= 1;
                    self.acked(&frame.parse().unwrap());
                }
                Some(Command::Error) => return Err(ConnectionError::Refused(frame.parse().unwrap())),
                Some(Command::Push) => self.pushed(frame.parse().unwrap()),
                _ => {}
            }
        }
        Ok(())
    }

    fn acked(&mut self, ack: &v1::SendAck) {
        let before = self.acks.insert(ack.client_msg_id.clone(), ack.seq);
        assert!(before.is_none_or(|seq| seq == ack.seq), "a retry returned another seq");
        if before.is_none() {
            self.progress.send_modify(|acked| *acked += 1);
        }
    }

    fn pushed(&mut self, push: v1::Push) {
        for entry in push.entries {
            let before = self.pushes.insert((entry.conversation_id, entry.seq), entry.client_msg_id.clone());
            assert!(before.is_none_or(|id| id == entry.client_msg_id), "one seq, two entries");
        }
    }

    /// Every ack and every push is in the log at its seq, once, and each group has this client's messages in order.
    fn check_against(&self, truth: &Truth) {
        for ((conversation, seq), id) in &self.pushes {
            assert_eq!(&truth.by_id[id], &(*conversation, *seq), "a push that the log does not hold");
        }
        for send in &self.sends {
            let stored = (send.conversation_id, self.acks[&send.client_msg_id]);
            assert_eq!(truth.by_id.get(&send.client_msg_id), Some(&stored), "an acked message is missing or elsewhere");
        }
        for entries in truth.logs.values() {
            let mine = entries.iter().filter(|entry| entry.kind == "message" && entry.sender_id == self.user.id);
            let numbers: Vec<usize> = mine.map(|entry| words(entry).parse().unwrap()).collect();
            assert!(numbers.is_sorted(), "{} was reordered", self.user.name);
        }
    }

    /// Sends everything once more: the first seqs come back.
    async fn check_retries(self, node: &TestNode) {
        let mut connection = self.user.connect(node, self.format).await;
        for sends in self.sends.chunks(WINDOW) {
            let mut ids = Vec::new();
            for send in sends {
                ids.push(connection.feed(send).await.unwrap());
            }
            connection.flush().await.unwrap();
            for (id, send) in ids.into_iter().zip(sends) {
                let ack: v1::SendAck = connection.answer(id).await.unwrap();
                assert_eq!((ack.seq, ack.duplicate), (self.acks[&send.client_msg_id], true));
            }
        }
    }
}

/// What every member sees.
struct Truth {
    logs: HashMap<i64, Vec<v1::Entry>>,
    by_id: HashMap<String, (i64, i64)>,
}

/// Reads each group as each of its members, and checks that they see the same, without holes and without doubles.
async fn one_history_for_all(node: &TestNode, users: &[User], groups: &[i64]) -> Truth {
    let mut logs: HashMap<i64, Vec<v1::Entry>> = HashMap::new();
    for (client, user) in users.iter().enumerate() {
        let mut connection: Connection = user.connect(node, Format::ALL[client % Format::ALL.len()]).await;
        for group in (0..GROUPS).filter(|group| is_in(client, *group)) {
            let entries = history(&mut connection, groups[group]).await;
            let seqs = entries.iter().map(|entry| entry.seq);
            assert!(seqs.eq(1..=entries.len() as i64), "a hole in what {} sees", user.name);
            let first = logs.entry(groups[group]).or_insert_with(|| entries.clone());
            assert!(*first == entries, "{} sees another history", user.name);
        }
    }
    let mut by_id = HashMap::new();
    for entry in logs.values().flatten() {
        let before = by_id.insert(entry.client_msg_id.clone(), (entry.conversation_id, entry.seq));
        assert!(before.is_none(), "{} is stored twice", entry.client_msg_id);
    }
    assert_eq!(by_id.len(), MESSAGES + GROUPS, "messages and the groups' first entries");
    Truth { logs, by_id }
}
