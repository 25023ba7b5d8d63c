//! `sparrow chat` in scripts: lines from a pipe, an exit code at the end, one sentence for what is wrong.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use sparrow_testkit::{PASSWORD, within};
use tokio::task::spawn_blocking;

use crate::support::node;

/// What a script gives to chat.
struct Script {
    server: String,
    password: &'static str,
    data: tempfile::TempDir,
}

impl Script {
    fn new(server: impl Into<String>, password: &'static str) -> Self {
        Self { server: server.into(), password, data: tempfile::tempdir().unwrap() }
    }

    /// Runs chat as `ann` with these lines until it ends by itself.
    async fn run(&self, lines: &str) -> Output {
        let mut chat = Command::new(env!("CARGO_BIN_EXE_sparrow"));
        chat.args(["chat", "--plain", "--register", "--lang", "en", "--user", "ann", "--server", &self.server])
            .arg("--data")
            .arg(self.data.path())
            .env("SPARROW_PASSWORD", self.password)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut chat = chat.spawn().unwrap();
        // It may have ended already, for want of a server.
        drop(chat.stdin.take().unwrap().write_all(lines.as_bytes()));
        let ended = spawn_blocking(move || chat.wait_with_output().unwrap());
        within("a script to end", ended).await.unwrap()
    }
}

fn lines(bytes: &[u8]) -> Vec<String> {
    std::str::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_script_that_is_all_sent_succeeds_and_text_to_oneself_is_a_note() {
    let node = node().await;
    let script = Script::new(node.url(), PASSWORD);
    let output = script.run("ann;;buy milk\nANN;;and bread\n").await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let shown = lines(&output.stdout);
    for words in ["buy milk", "and bread"] {
        let line = shown.iter().find(|line| line.ends_with(words)).unwrap();
        assert!(line.contains("ann→notes") && line.contains("sent]"), "{line}");
    }
}

#[tokio::test]
async fn a_script_with_a_wrong_line_fails_but_does_the_rest() {
    let node = node().await;
    let output = Script::new(node.url(), PASSWORD).run("nobody-of-this-name;;hello\nann;;hello\n").await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(lines(&output.stdout).iter().any(|line| line.ends_with("sent] hello")), "{output:?}");
}

#[tokio::test]
async fn a_wrong_password_is_exit_code_3_and_one_sentence() {
    let node = node().await;
    assert_eq!(Script::new(node.url(), PASSWORD).run(":q\n").await.status.code(), Some(0));
    let output = Script::new(node.url(), "another one").run(":q\n").await;
    assert_eq!((output.status.code(), lines(&output.stderr).len()), (Some(3), 1), "{output:?}");
}

#[tokio::test]
async fn a_wrong_address_is_one_sentence() {
    let node = node().await;
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = format!("http://{}", web.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = web.accept().unwrap();
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).unwrap() > 0);
        let page = "<h1>Not here</h1>";
        write!(stream, "HTTP/1.1 404 Not Found\r\ncontent-length: {}\r\n\r\n{page}", page.len()).unwrap();
    });
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let cases = [
        ("another web server", elsewhere, 1),
        ("the port for TCP", format!("http://{}", node.tcp()), 1),
        ("nobody", format!("http://{nobody}"), 1),
        ("no address", "localhost".to_owned(), 2),
    ];
    for (what, server, code) in cases {
        let output = Script::new(server, PASSWORD).run(":q\n").await;
        assert_eq!((output.status.code(), lines(&output.stderr).len()), (Some(code), 1), "{what}: {output:?}");
        assert!(output.stdout.is_empty(), "{what}: {output:?}");
    }
    server.join().unwrap();
}
