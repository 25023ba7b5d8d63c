//! The real binary as a child process.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sparrow_loadgen::Addresses;

/// How long a node may take to start or to end; reached only by a test that fails.
const DEADLINE: Duration = Duration::from_secs(30);

/// The settings of the section `rates`.
const RATES: [&str; 12] = [
    "user_sends_per_second",
    "user_sends_burst",
    "conversation_sends_per_second",
    "signals_per_second",
    "signals_burst",
    "look_ups_per_minute",
    "sessions_per_minute",
    "registrations_per_hour",
    "account_logins_per_minute",
    "address_logins_per_minute",
    "frames_per_second",
    "frames_burst",
];

/// How a node is to be started.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    binary: PathBuf,
    variables: Vec<(String, String)>,
    expected_errors: Vec<String>,
}

impl NodeOptions {
    /// A node of this binary (`env!("CARGO_BIN_EXE_sparrow")`), with passwords that cost little to hash, and with rates
    /// that no test reaches.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        let options = Self::with_default_rates(binary);
        RATES.iter().fold(options, |options, rate| options.set(&format!("rates.{rate}"), "1000000"))
    }

    /// The same with the default rates: for tests of the rates.
    pub fn with_default_rates(binary: impl Into<PathBuf>) -> Self {
        Self { binary: binary.into(), variables: Vec::new(), expected_errors: Vec::new() }
            .set("password_hashing.memory_kib", "8")
            .set("password_hashing.passes", "1")
    }

    /// The binary.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Sets one setting of docs/configuration.md.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        let name = format!("SPARROW_{}", key.replace('.', "_").to_uppercase());
        self.variables.push((name, value.to_owned()));
        self
    }

    /// Lets a log line at ERROR pass if it contains this. Any other one fails the test.
    #[must_use]
    pub fn expect_error(mut self, part: &str) -> Self {
        self.expected_errors.push(part.to_owned());
        self
    }

    /// Starts the node on free ports and an empty data directory, and waits until it listens.
    ///
    /// # Panics
    /// If it does not listen.
    pub async fn start(self) -> TestNode {
        let data = tempfile::tempdir().expect("a directory for the node's data");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut node = TestNode {
            running: None,
            log: Arc::default(),
            addresses: Addresses { http: any, tcp: any, admin: any },
            options: self,
            data,
        };
        node.restart().await;
        node
    }
}

struct Running {
    child: Child,
    readers: Vec<JoinHandle<()>>,
}

/// A node in a process of its own. Dropping it kills the process and fails the test if the node logged an ERROR that
/// was not expected.
pub struct TestNode {
    running: Option<Running>,
    log: Arc<Mutex<Vec<String>>>,
    addresses: Addresses,
    options: NodeOptions,
    data: tempfile::TempDir,
}

impl TestNode {
    /// Where HTTP and WebSocket are served.
    pub fn http(&self) -> SocketAddr {
        self.addresses.http
    }

    /// Where the TCP protocol is served.
    pub fn tcp(&self) -> SocketAddr {
        self.addresses.tcp
    }

    /// Where health and metrics are served.
    pub fn admin(&self) -> SocketAddr {
        self.addresses.admin
    }

    /// The node's URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.addresses.http)
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// The process id while it runs.
    ///
    /// # Panics
    /// If it does not run.
    pub fn pid(&self) -> u32 {
        self.child().id()
    }

    /// What the node has logged so far, over all its lives.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the process as `kill -9` does: nothing in it gets a say.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.child.kill().expect("killing the node");
            running.child.wait().expect("the end of the node");
            running.join();
        }
    }

    /// Asks the process to end, as an operator does, and waits until it has.
    ///
    /// # Panics
    /// If it does not end within 30 s.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let mut running = self.running.take().expect("a running node");
        tokio::task::spawn_blocking(move || {
            let status = wait(&mut running.child);
            running.join();
            status
        })
        .await
        .expect("waiting for the node")
    }

    /// Stops the process where it stands; its sockets stay open.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a frozen process go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Starts the node again on its ports and its data, killing it first if it runs.
    ///
    /// # Panics
    /// If it does not listen within 30 s.
    pub async fn restart(&mut self) {
        self.kill();
        let mut command = Command::new(&self.options.binary);
        command
            .arg("serve")
            .env_remove("SPARROW_CONFIG")
            .env("SPARROW_LISTEN", self.addresses.http.to_string())
            .env("SPARROW_TCP_LISTEN", self.addresses.tcp.to_string())
            .env("SPARROW_ADMIN_LISTEN", self.addresses.admin.to_string())
            .env("SPARROW_DATA", self.data.path())
            .envs(self.options.variables.iter().cloned());
        let log = Arc::clone(&self.log);
        let started = tokio::task::spawn_blocking(move || start(command, &log)).await.expect("starting the node");
        self.running = Some(started.0);
        self.addresses = started.1;
    }

    fn child(&self) -> &Child {
        &self.running.as_ref().expect("a running node").child
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child()), signal).expect("a signal to the node");
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            println!("the node's log:\n{}", self.log().join("\n"));
            return;
        }
        let expected = |line: &String| self.options.expected_errors.iter().any(|part| line.contains(part));
        let unexpected = |line: &String| is_error(line) && !expected(line);
        let errors: Vec<_> = self.log().into_iter().filter(unexpected).collect();
        assert!(errors.is_empty(), "the node logged errors:\n{}", errors.join("\n"));
    }
}

impl Running {
    fn join(self) {
        for reader in self.readers {
            reader.join().expect("reading the node's output");
        }
    }
}

fn is_error(line: &str) -> bool {
    line.split_whitespace().take(2).any(|word| word == "ERROR") || line.contains("panicked at")
}

fn start(mut command: Command, log: &Arc<Mutex<Vec<String>>>) -> (Running, Addresses) {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let (said, hears) = channel();
    let stdout = child.stdout.take().expect("a pipe");
    let stderr = child.stderr.take().expect("a pipe");
    let lines = Arc::clone(log);
    let readers = vec![
        std::thread::spawn(move || {
            each_line(stdout, |line| {
                // Once the addresses are known nobody listens any more.
                drop(said.send(line));
            });
        }),
        std::thread::spawn(move || {
            each_line(stderr, |line| lines.lock().unwrap_or_else(PoisonError::into_inner).push(line));
        }),
    ];
    let mut running = Running { child, readers };
    let end = Instant::now() + DEADLINE;
    let next = || hears.recv_timeout(end.saturating_duration_since(Instant::now())).ok();
    match Addresses::read(next) {
        Some(addresses) => (running, addresses),
        None => {
            running.child.kill().expect("killing the node");
            running.child.wait().expect("the end of the node");
            running.join();
            let log = log.lock().unwrap_or_else(PoisonError::into_inner);
            panic!("the node does not listen; its log:\n{}", log.join("\n"));
        }
    }
}

fn each_line(from: impl Read, mut take: impl FnMut(String)) {
    for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
        take(String::from_utf8_lossy(&line).into_owned());
    }
}

fn wait(child: &mut Child) -> ExitStatus {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(status) = child.try_wait().expect("the state of the node") {
            return status;
        }
        assert!(Instant::now() < end, "the node did not end within {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
