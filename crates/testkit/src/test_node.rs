//! A [`Node`] for tests: what goes wrong is a panic, and so is an ERROR in its log that was not expected.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitStatus;

use crate::{Node, NodeOptions};

impl NodeOptions {
    /// Starts the node on free ports and an empty data directory, and waits until it listens.
    ///
    /// # Panics
    /// If it does not listen.
    pub async fn start(self) -> TestNode {
        let mut node = TestNode { node: Some(Node::new(self).expect("a directory for the node's data")) };
        node.restart().await;
        node
    }
}

/// Why there is a node.
const PRESENT: &str = "no other call is under way";

/// A node in a process of its own. Dropping it kills the process and fails the test if the node logged an ERROR that
/// was not expected.
pub struct TestNode {
    /// `None` only while a thread waits for it.
    node: Option<Node>,
}

impl TestNode {
    /// Where HTTP and WebSocket are served.
    pub fn http(&self) -> SocketAddr {
        self.node().addresses().http
    }

    /// Where the TCP protocol is served.
    pub fn tcp(&self) -> SocketAddr {
        self.node().addresses().tcp
    }

    /// Where health and metrics are served.
    pub fn admin(&self) -> SocketAddr {
        self.node().addresses().admin
    }

    /// The node's URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.http())
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        self.node().data()
    }

    /// The process id while it runs.
    ///
    /// # Panics
    /// If it does not run.
    pub fn pid(&self) -> u32 {
        self.node().pid().expect("a running node")
    }

    /// What the node has logged so far, over all its lives.
    pub fn log(&self) -> Vec<String> {
        self.node().log()
    }

    /// Ends the process as `kill -9` does: nothing in it gets a say.
    pub fn kill(&mut self) {
        self.node.as_mut().expect(PRESENT).kill().expect("killing the node");
    }

    /// Asks the process to end, as an operator does, and waits until it has.
    ///
    /// # Panics
    /// If it does not end within 30 s.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.blocking(Node::terminate).await.expect("the end of the node")
    }

    /// Waits until the process ends by itself.
    ///
    /// # Panics
    /// If it does not end within 30 s.
    pub async fn ended(&mut self) -> ExitStatus {
        self.blocking(Node::wait).await.expect("the end of the node")
    }

    /// Stops the process where it stands; its sockets stay open.
    pub fn freeze(&self) {
        self.node().freeze().expect("freezing the node");
    }

    /// Lets a frozen process go on.
    pub fn thaw(&self) {
        self.node().thaw().expect("thawing the node");
    }

    /// Starts the node again on its ports and its data, killing it first if it runs.
    ///
    /// # Panics
    /// If it does not listen within 30 s.
    pub async fn restart(&mut self) {
        if let Err(error) = self.try_restart().await {
            panic!("cannot start the node: {error}");
        }
    }

    /// The same where the node may refuse to start.
    ///
    /// # Errors
    /// If it does not listen within 30 s.
    pub async fn try_restart(&mut self) -> std::io::Result<()> {
        self.blocking(Node::restart).await
    }

    fn node(&self) -> &Node {
        self.node.as_ref().expect(PRESENT)
    }

    /// Does what blocks in a thread of its own, so that clients in this one go on.
    async fn blocking<T: Send + 'static>(&mut self, act: fn(&mut Node) -> T) -> T {
        let mut node = self.node.take().expect(PRESENT);
        let done = tokio::task::spawn_blocking(move || (act(&mut node), node));
        let (value, node) = done.await.expect("a thread for the node");
        self.node = Some(node);
        value
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        let Some(mut node) = self.node.take() else { return };
        // Dead first, so that its log is whole.
        drop(node.kill());
        if std::thread::panicking() {
            println!("the node's log:\n{}", node.log().join("\n"));
            return;
        }
        let unexpected = |line: &String| is_error(line) && !node.options().expects(line);
        let errors: Vec<_> = node.log().into_iter().filter(unexpected).collect();
        assert!(errors.is_empty(), "the node logged errors:\n{}", errors.join("\n"));
    }
}

fn is_error(line: &str) -> bool {
    line.split_whitespace().take(2).any(|word| word == "ERROR") || line.contains("panicked at")
}
