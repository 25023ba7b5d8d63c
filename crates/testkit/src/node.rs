//! The real binary as a child process, for any program: nothing here panics.

use std::io::{self, BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sparrow_loadgen::Addresses;

use crate::Evidence;
use crate::faults::{FaultError, freeze, thaw};

/// How long a node may take to start or to end; reached only by one that fails.
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
    data: Option<PathBuf>,
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
        Self { binary: binary.into(), variables: Vec::new(), expected_errors: Vec::new(), data: None }
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

    /// Adds variables to the process's environment, as they are: those of a [`FakeClock`](crate::FakeClock), say.
    #[must_use]
    pub fn variables(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.variables.extend(variables);
        self
    }

    /// Keeps the data there instead of in a directory of the node's own, which goes with it.
    #[must_use]
    pub fn data(mut self, data: impl Into<PathBuf>) -> Self {
        self.data = Some(data.into());
        self
    }

    /// True if a log line at ERROR was announced by [`NodeOptions::expect_error`].
    pub(crate) fn expects(&self, line: &str) -> bool {
        self.expected_errors.iter().any(|part| line.contains(part))
    }
}

/// A node in a process of its own, which may be killed, frozen and started again. Dropping it kills the process.
///
/// Its methods block for as long as the process takes, up to 30 s.
pub struct Node {
    running: Option<Running>,
    log: Arc<Mutex<Vec<String>>>,
    addresses: Addresses,
    options: NodeOptions,
    data: PathBuf,
    _own_data: Option<tempfile::TempDir>,
}

struct Running {
    child: Child,
    readers: Vec<JoinHandle<()>>,
}

impl Node {
    /// A node that is not yet started, on free ports of 127.0.0.1.
    ///
    /// # Errors
    /// If no directory can be made for its data.
    pub fn new(options: NodeOptions) -> io::Result<Self> {
        let own_data = if options.data.is_some() { None } else { Some(tempfile::tempdir()?) };
        let data = own_data.as_ref().map(|own| own.path().to_owned()).or_else(|| options.data.clone());
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Ok(Self {
            running: None,
            log: Arc::default(),
            addresses: Addresses { http: any, tcp: any, admin: any },
            options,
            data: data.unwrap_or_default(),
            _own_data: own_data,
        })
    }

    /// Where it listens; the ports stay the same over all its lives.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// How it was to be started.
    pub fn options(&self) -> &NodeOptions {
        &self.options
    }

    /// The process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.child.id())
    }

    /// What the node has logged so far, over all its lives.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts the node, on its ports and its data if it ran before, killing it first if it runs.
    ///
    /// # Errors
    /// If it does not listen within 30 s; its log is part of the message.
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill()?;
        let mut command = Command::new(&self.options.binary);
        command
            .arg("serve")
            .env_remove("SPARROW_CONFIG")
            .env("SPARROW_LISTEN", self.addresses.http.to_string())
            .env("SPARROW_TCP_LISTEN", self.addresses.tcp.to_string())
            .env("SPARROW_ADMIN_LISTEN", self.addresses.admin.to_string())
            .env("SPARROW_DATA", &self.data)
            .envs(self.options.variables.iter().cloned());
        let (running, addresses) = start(command, &self.log)?;
        self.running = Some(running);
        self.addresses = addresses;
        Ok(())
    }

    /// Ends the process as `kill -9` does: nothing in it gets a say. Evidence: it ran, and the signal ended it; none if
    /// it had ended before.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn kill(&mut self) -> io::Result<Evidence> {
        use std::os::unix::process::ExitStatusExt as _;
        let Some(mut running) = self.running.take() else { return Ok(Evidence::none()) };
        running.child.kill()?;
        let status = running.child.wait()?;
        running.join();
        Ok(Evidence::of("kills", u64::from(status.signal() == Some(Signal::KILL.as_raw()))))
    }

    /// Asks the process to end, as an operator does, and waits until it has.
    ///
    /// # Errors
    /// If it does not run, or does not end within 30 s.
    pub fn terminate(&mut self) -> io::Result<ExitStatus> {
        kill_process(Pid::from_child(self.child()?), Signal::TERM)?;
        self.wait()
    }

    /// Waits until the process ends by itself.
    ///
    /// # Errors
    /// If it does not run, or does not end within 30 s.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child()?;
        let Some(mut running) = self.running.take() else { return Err(io::ErrorKind::NotFound.into()) };
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = running.child.try_wait()? {
                running.join();
                return Ok(status);
            }
            if Instant::now() > end {
                self.running = Some(running);
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops the process where it stands; its sockets stay open.
    ///
    /// # Errors
    /// If it does not run.
    pub fn freeze(&self) -> Result<Evidence, FaultError> {
        freeze(self.pid().unwrap_or_default())
    }

    /// Lets a frozen process go on.
    ///
    /// # Errors
    /// If it does not run.
    pub fn thaw(&self) -> Result<Evidence, FaultError> {
        thaw(self.pid().unwrap_or_default())
    }

    fn child(&self) -> io::Result<&Child> {
        match &self.running {
            Some(running) => Ok(&running.child),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "the node does not run")),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.kill());
    }
}

impl Running {
    fn join(self) {
        for reader in self.readers {
            drop(reader.join());
        }
    }
}

fn start(mut command: Command, log: &Arc<Mutex<Vec<String>>>) -> io::Result<(Running, Addresses)> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (said, hears) = channel();
    let lines = Arc::clone(log);
    let mut readers = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        // Once the addresses are known nobody listens any more.
        readers.push(std::thread::spawn(move || each_line(stdout, |line| drop(said.send(line)))));
    }
    if let Some(stderr) = child.stderr.take() {
        let take = move |line| lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        readers.push(std::thread::spawn(move || each_line(stderr, take)));
    }
    let mut running = Running { child, readers };
    let end = Instant::now() + DEADLINE;
    let next = || hears.recv_timeout(end.saturating_duration_since(Instant::now())).ok();
    match Addresses::read(next) {
        Some(addresses) => Ok((running, addresses)),
        None => {
            drop(running.child.kill());
            let status = running.child.wait()?;
            running.join();
            let log = log.lock().unwrap_or_else(PoisonError::into_inner).join("\n");
            Err(io::Error::other(format!("the node does not listen ({status}); its log:\n{log}")))
        }
    }
}

fn each_line(from: impl Read, mut take: impl FnMut(String)) {
    for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
        take(String::from_utf8_lossy(&line).into_owned());
    }
}
