//! `sparrow chat --plain` as a child process: what a person types, and what they get to see.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use sparrow_protocol::{Carrier, Codec, Format};
use tokio::sync::watch;

use crate::user::PASSWORD;
use crate::wait::within;
use crate::{NodeOptions, TestNode};

/// A person at a terminal, logged in as a user of the node; the account is made if need be. Dropping it kills the process.
pub struct Chat {
    name: String,
    child: Child,
    keyboard: ChildStdin,
    lines: watch::Receiver<Vec<String>>,
    readers: Vec<JoinHandle<()>>,
    _password: tempfile::NamedTempFile,
}

/// What to start for a person.
#[derive(Debug, Clone)]
pub struct ChatOptions {
    binary: PathBuf,
    format: Format,
}

impl ChatOptions {
    /// The binary of the node, over this carrier in this codec.
    pub fn new(node: &NodeOptions, format: Format) -> Self {
        Self { binary: node.binary().to_owned(), format }
    }

    /// Starts it; `data` is where this installation keeps its tokens, cache and unsent messages.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(&self, node: &TestNode, name: &str, data: &Path) -> Chat {
        let mut password = tempfile::NamedTempFile::new().expect("a file for the password");
        password.write_all(PASSWORD.as_bytes()).expect("writing the password");
        let mut child = Command::new(&self.binary)
            .args(["chat", "--plain", "--register", "--lang", "en", "--user", name, "--server", &node.url()])
            .args(["--tcp", &node.tcp().to_string()])
            .args(self.format_arguments())
            .arg("--password-file")
            .arg(password.path())
            .arg("--data")
            .arg(data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starting a chat");
        let keyboard = child.stdin.take().expect("a pipe");
        let (seen, lines) = watch::channel(Vec::new());
        let readers = vec![
            copy(child.stdout.take().expect("a pipe"), seen.clone()),
            copy(child.stderr.take().expect("a pipe"), seen),
        ];
        Chat { name: name.to_owned(), child, keyboard, lines, readers, _password: password }
    }

    fn format_arguments(&self) -> [&'static str; 4] {
        let transport = match self.format.carrier {
            Carrier::WebSocket => "ws",
            Carrier::Tcp => "tcp",
        };
        let codec = match self.format.codec {
            Codec::Protobuf => "proto",
            Codec::Json => "json",
        };
        ["--transport", transport, "--codec", codec]
    }
}

impl Chat {
    /// Types a line.
    ///
    /// # Panics
    /// If the program has ended.
    pub fn say(&mut self, line: &str) {
        writeln!(self.keyboard, "{line}").expect("typing");
    }

    /// Waits until a line with all these parts is to be seen, also one from before.
    ///
    /// # Panics
    /// After 30 s, or when the program has ended without one.
    pub async fn sees(&mut self, parts: &[&str]) {
        let found = |lines: &Vec<String>| lines.iter().any(|line| parts.iter().all(|part| line.contains(part)));
        let what = format!("{} to see {parts:?}", self.name);
        if within(&what, self.lines.wait_for(found)).await.is_err() {
            panic!("{} ended without showing {parts:?}:\n{}", self.name, self.lines().join("\n"));
        }
    }

    /// All lines so far, those about the connection included.
    pub fn lines(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }

    /// The texts of the messages shown so far, in the order shown.
    pub fn messages(&self) -> Vec<String> {
        let text = |line: &String| Some(line.strip_prefix("[#")?.split_once("] ")?.1.to_owned());
        self.lines().iter().filter_map(text).collect()
    }

    /// Quits as a person does, and waits for the end; answers all lines.
    ///
    /// # Panics
    /// If it does not end within 30 s.
    pub async fn quit(mut self) -> (ExitStatus, Vec<String>) {
        self.say(":q");
        let ended = async { while self.lines.changed().await.is_ok() {} };
        within("a chat to end", ended).await;
        (self.child.wait().expect("the end of a chat"), self.lines())
    }
}

impl Drop for Chat {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill().and_then(|()| self.child.wait()));
        for reader in self.readers.drain(..) {
            drop(reader.join());
        }
        if std::thread::panicking() {
            println!("{} saw:\n{}", self.name, self.lines().join("\n"));
        }
    }
}

fn copy(from: impl Read + Send + 'static, seen: watch::Sender<Vec<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            seen.send_modify(|lines| lines.push(line));
        }
    })
}
