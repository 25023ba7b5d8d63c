//! The full-screen client in a terminal of its own: two people meet, a server that dies is waited for, and the terminal
//! is given back as it was.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::num::NonZero;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use sparrow_protocol::Format;
use sparrow_testkit::{TestNode, User, eventually, within};
use tokio::sync::watch;

use crate::support::{node, send};

const ROWS: NonZero<u16> = NonZero::new(20).unwrap();
const COLUMNS: NonZero<u16> = NonZero::new(80).unwrap();

/// What a terminal sends for these keys.
const PAGE_UP: &str = "\x1b[5~";
const END: &str = "\x1b[F";

/// A person in front of a terminal, with `sparrow chat` in it.
struct Person {
    child: Child,
    terminal: File,
    screen: Arc<Mutex<vt100::Parser>>,
    changed: watch::Receiver<()>,
    reader: Option<JoinHandle<()>>,
}

impl Person {
    fn start(node: &TestNode, name: &str, data: &Path) -> Self {
        let size = Winsize { ws_row: ROWS.get(), ws_col: COLUMNS.get(), ws_xpixel: 0, ws_ypixel: 0 };
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        tcsetwinsize(&terminal, size).unwrap();
        let path = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
        let side = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_sparrow"))
            .args(["chat", "--register", "--lang", "en", "--user", name, "--server", &node.url(), "--data"])
            .arg(data)
            .env("SPARROW_PASSWORD", "correct horse")
            .stdin(side.try_clone().unwrap())
            .stdout(side.try_clone().unwrap())
            .stderr(side)
            .spawn()
            .unwrap();
        let terminal = File::from(terminal);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(ROWS, COLUMNS, 0)));
        let (tell, changed) = watch::channel(());
        let reader = show(terminal.try_clone().unwrap(), Arc::clone(&screen), tell);
        Self { child, terminal, screen, changed, reader: Some(reader) }
    }

    fn types(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    fn screen(&self) -> vt100::Screen {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner).screen().clone()
    }

    /// Waits until the screen shows a line with all these parts.
    async fn sees(&mut self, parts: &[&str]) {
        let screen = Arc::clone(&self.screen);
        let shown = |(): &()| {
            let contents = screen.lock().unwrap_or_else(PoisonError::into_inner).screen().contents();
            contents.lines().any(|line| parts.iter().all(|part| line.contains(part)))
        };
        let found = within(&format!("a screen with {parts:?}"), self.changed.wait_for(shown)).await.is_ok();
        assert!(found, "the program ended without showing {parts:?}:\n{}", self.screen().contents());
    }

    async fn ends(&mut self) -> ExitStatus {
        eventually("the program to end", async || self.child.try_wait().unwrap()).await
    }

    /// Checks that the terminal is as a shell wants it.
    fn has_the_terminal_back(&mut self) {
        let modes = tcgetattr(&self.terminal).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ICANON | LocalModes::ECHO), "still in raw mode: {modes:?}");
        // Nobody else holds the other side, so the reader has seen all there was.
        self.reader.take().unwrap().join().unwrap();
        let screen = self.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste());
    }
}

#[expect(clippy::print_stdout, reason = "a failed test shows what was to be seen")]
impl Drop for Person {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill().and_then(|()| self.child.wait()));
        if std::thread::panicking() {
            println!("{}", self.screen().contents());
        }
    }
}

/// Feeds what the program writes to a terminal that is only imagined.
fn show(mut from: File, screen: Arc<Mutex<vt100::Parser>>, tell: watch::Sender<()>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        // Linux reports the end of the other side as an error.
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            screen.lock().unwrap_or_else(PoisonError::into_inner).process(&bytes[..count]);
            tell.send_replace(());
        }
    })
}

#[tokio::test]
async fn two_people_meet_in_the_lobby_and_outlive_the_server() {
    let mut node = node().await;
    let homes = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let mut ann = Person::start(&node, "ann", homes[0].path());
    let mut bob = Person::start(&node, "bob", homes[1].path());
    for person in [&mut ann, &mut bob] {
        person.sees(&["lobby", "members"]).await;
        person.sees(&["● connected"]).await;
    }
    ann.types("hello 你好 :smile:\r");
    bob.sees(&["ann", "hello 你好 😄"]).await;
    ann.sees(&["hello 你好 😄", "read by 1"]).await;

    node.kill();
    ann.sees(&["no connection"]).await;
    ann.types("are you still there?\r");
    ann.sees(&["are you still there?", "~ unsent"]).await;
    node.restart().await;
    bob.sees(&["are you still there?"]).await;
    ann.sees(&["are you still there?", "read by 1"]).await;

    ann.types(":q\r");
    assert!(ann.ends().await.success());
    ann.has_the_terminal_back();
}

#[tokio::test]
async fn a_new_device_scrolls_back_to_the_first_message_and_finds_any() {
    let node = node().await;
    let ann = User::register(&node, "ann").await;
    let bob = User::register(&node, "bob").await;
    let direct = bob.direct(&ann).await;
    let mut connection = bob.connect(&node, Format::ALL[0]).await;
    for number in 1..=250 {
        send(&mut connection, direct, &format!("line {number}.")).await;
    }

    let home = tempfile::tempdir().unwrap();
    let mut screen = Person::start(&node, "ann", home.path());
    screen.sees(&["bob", "250"]).await;
    screen.types(":to bob\r");
    screen.sees(&["line 250."]).await;
    eventually("the beginning", async || {
        screen.types(PAGE_UP);
        screen.screen().contents().contains("the beginning").then_some(())
    })
    .await;
    screen.sees(&["bob", "line 1."]).await;
    send(&mut connection, direct, "one more").await;
    screen.sees(&["1 new below"]).await;
    screen.types(END);
    screen.sees(&["one more"]).await;

    screen.types(":q LINE 77.\r");
    screen.sees(&["'LINE 77.': 1 found"]).await;
    screen.types("\r");
    screen.sees(&["line 76."]).await;
    screen.sees(&["line 78."]).await;
}

#[tokio::test]
async fn a_signal_gives_the_terminal_back() {
    let node = node().await;
    let home = tempfile::tempdir().unwrap();
    let mut ann = Person::start(&node, "ann", home.path());
    ann.sees(&["● connected"]).await;
    let pid = Pid::from_child(&ann.child);
    kill_process(pid, Signal::TERM).unwrap();
    ann.ends().await;
    ann.has_the_terminal_back();
}
