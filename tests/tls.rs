//! TLS of the public listeners, through the socket: whom it lets in, what a bad key file does, and how a certificate is
//! replaced while people talk.

use std::io::BufRead as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sparrow_client::{Carrier, Client, Codec, Credentials, Error, Event, Events, Options};
use sparrow_testkit::{NodeOptions, PASSWORD, TestNode, eventually, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{labelled, metric, options};

/// An authority, and the files that a node of it has.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        let authority = Self { issuer, directory };
        authority.certify();
        authority
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a new certificate for this machine, and its key; answers the certificate.
    fn certify(&self) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        private(&self.file("new"), &key.serialize_pem());
        std::fs::rename(self.file("new"), self.file("key.pem")).unwrap();
        std::fs::write(self.file("new"), certificate.pem()).unwrap();
        std::fs::rename(self.file("new"), self.file("cert.pem")).unwrap();
        certificate.der().clone()
    }

    /// A node with the certificate of this authority.
    fn node(&self) -> NodeOptions {
        let path = |name| self.file(name).to_str().unwrap().to_owned();
        options().set("tls.certificate", &path("cert.pem")).set("tls.key", &path("key.pem"))
    }

    fn trust(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        Arc::new(config.with_root_certificates(roots).with_no_client_auth())
    }

    /// A connection after its handshake.
    async fn shake_hands(&self, address: std::net::SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(self.trust()).connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await
    }

    async fn certificate_shown(&self, node: &TestNode) -> CertificateDer<'static> {
        let stream = self.shake_hands(node.tcp()).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    }
}

fn private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn url(node: &TestNode) -> String {
    format!("https://{}", node.http())
}

async fn client(node: &TestNode, name: &str, options: Options) -> Result<Client, Error> {
    let credentials = Credentials { name: name.to_owned(), password: PASSWORD.to_owned() };
    Client::register(&url(node), credentials, options).await
}

async fn text_of(events: &mut Events, wanted: &str) {
    within("the message", async {
        loop {
            if let Some(Event::Entry(entry)) = events.next().await
                && entry.content.is_some_and(|content| content.text == wanted)
            {
                return;
            }
        }
    })
    .await;
}

/// Waits until the other side has closed.
async fn closed(mut stream: TcpStream) {
    let mut rest = [0; 1024];
    while matches!(stream.read(&mut rest).await, Ok(1..)) {}
}

#[tokio::test]
async fn the_sdk_talks_over_every_carrier_and_codec_to_a_server_whose_authority_it_trusts() {
    let authority = Authority::new();
    let node = authority.node().start().await;
    let trusting = Options { authorities: Some(authority.file("ca.pem")), ..Options::default() };
    let reader = client(&node, "reader", trusting.clone()).await.unwrap();
    let mut events = reader.events();
    let carriers = [Carrier::WebSocket, Carrier::Tcp(node.tcp().to_string())];
    let ways = carriers.iter().flat_map(|carrier| [Codec::Protobuf, Codec::Json].map(|codec| (carrier, codec)));
    for (number, (carrier, codec)) in ways.enumerate() {
        let options = Options { carrier: carrier.clone(), codec, ..trusting.clone() };
        let writer = client(&node, &format!("writer{number}"), options).await.unwrap();
        let direct = writer.open_direct("@reader").await.unwrap().state.unwrap();
        // Larger than a TLS record, so that it travels in several.
        let text = format!("{number}{}", "x".repeat(40_000));
        writer.send_text(direct.conversation_id, &text).await.unwrap();
        text_of(&mut events, &text).await;
        writer.close().await;
    }
    reader.close().await;
}

#[tokio::test]
async fn a_server_of_another_authority_is_not_trusted() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let node = theirs.node().start().await;
    let options = Options { authorities: Some(ours.file("ca.pem")), ..Options::default() };
    assert!(matches!(client(&node, "ann", options).await, Err(Error::Untrusted(_))));
    let options = Options { authorities: Some(ours.file("key.pem")), ..Options::default() };
    assert!(matches!(client(&node, "ann", options).await, Err(Error::Invalid(_))), "a key is no authority");
}

#[tokio::test]
async fn chat_talks_over_tls() {
    let authority = Authority::new();
    let node = authority.node().start().await;
    let data = tempfile::tempdir().unwrap();
    let chat = |transport: &str, trust: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sparrow"));
        command
            .args(["chat", "--plain", "--lang", "en", "--register", "--user", "ann", "--transport", transport])
            .args(["--server", &url(&node), "--tcp", &node.tcp().to_string(), "--data"])
            .arg(data.path())
            .env("SPARROW_PASSWORD", PASSWORD)
            .stdin(Stdio::piped());
        if trust {
            command.arg("--ca").arg(authority.file("ca.pem"));
        }
        command
    };
    let said = |transport, trust| {
        let mut child = chat(transport, trust).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"good morning\n").unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let untrusted = said("ws", false);
    assert!(untrusted.0 == Some(1) && !untrusted.1.contains("panicked"), "{untrusted:?}");
    for transport in ["ws", "tcp"] {
        let (code, text) = said(transport, true);
        assert!(code == Some(0) && text.contains("good morning"), "{text}");
    }
}

#[tokio::test]
async fn a_certificate_is_replaced_by_file_or_by_signal_and_connections_go_on() {
    let authority = Authority::new();
    let first = authority.certify();
    let node = authority.node().set("tls.check_every", "100 ms").start().await;
    let trusting = Options { authorities: Some(authority.file("ca.pem")), ..Options::default() };
    let (ann, bob) =
        (client(&node, "ann", trusting.clone()).await.unwrap(), client(&node, "bob", trusting).await.unwrap());
    let direct = ann.open_direct("@bob").await.unwrap().state.unwrap().conversation_id;
    let mut events = bob.events();
    ann.send_text(direct, "before").await.unwrap();
    text_of(&mut events, "before").await;
    let connections = metric(&node, "sparrow_connections").await;
    assert_eq!(authority.certificate_shown(&node).await, first);

    let second = authority.certify();
    eventually("the new certificate", async || (authority.certificate_shown(&node).await == second).then_some(()))
        .await;
    let loaded = labelled(&node, "sparrow_certificate_reloads_total", "outcome", "loaded").await;
    assert!(loaded >= 1);

    // What cannot be used changes nothing, and is told once.
    std::fs::write(authority.file("cert.pem"), "no certificate at all").unwrap();
    eventually("the refusal", async || {
        (labelled(&node, "sparrow_certificate_reloads_total", "outcome", "refused").await == 1).then_some(())
    })
    .await;
    assert_eq!(authority.certificate_shown(&node).await, second);

    ann.send_text(direct, "after").await.unwrap();
    text_of(&mut events, "after").await;
    let sessions = metric(&node, "sparrow_connections").await;
    assert!(sessions >= connections && node.log().iter().all(|line| !line.contains("no certificate at all")));
    ann.close().await;
    bob.close().await;
}

#[tokio::test]
async fn a_signal_reads_the_certificate_at_once_and_never_ends_a_node() {
    let authority = Authority::new();
    let node = authority.node().set("tls.check_every", "1 d").start().await;
    let hang_up = |node: &TestNode| {
        let pid = Pid::from_raw(i32::try_from(node.pid()).unwrap()).unwrap();
        kill_process(pid, Signal::HUP).unwrap();
    };
    let next = authority.certify();
    hang_up(&node);
    eventually("the new certificate", async || (authority.certificate_shown(&node).await == next).then_some(())).await;

    let plain = crate::support::node().await;
    hang_up(&plain);
    eventually("the signal to be seen", async || plain.log().iter().any(|line| line.contains("tls.key")).then_some(()))
        .await;
    sparrow_testkit::User::register(&plain, "ann").await;
}

#[test]
fn a_key_that_everybody_may_read_or_does_not_fit_is_refused_at_the_start() {
    let (authority, other) = (Authority::new(), Authority::new());
    let serve = |certificate: PathBuf, key: PathBuf| {
        let data = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_sparrow"))
            .arg("serve")
            .envs(["SPARROW_LISTEN", "SPARROW_TCP_LISTEN", "SPARROW_ADMIN_LISTEN"].map(|name| (name, "127.0.0.1:0")))
            .env("SPARROW_DATA", data.path())
            .env("SPARROW_TLS_CERTIFICATE", certificate)
            .env("SPARROW_TLS_KEY", key)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // One that starts says so; it must not be waited for.
        let mut said = String::new();
        std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        if !said.is_empty() {
            child.kill().unwrap();
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(said, "", "the node has started");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let sentences = said.lines().filter(|line| line.starts_with("sparrow: ")).count();
        assert!(output.status.code() == Some(1) && sentences == 1 && !said.contains("panicked"), "{said}");
        said
    };
    let key = authority.file("key.pem");
    assert!(serve(authority.file("cert.pem"), other.file("key.pem")).contains("tls.key"));
    assert!(serve(authority.file("none.pem"), key.clone()).contains("tls.certificate"));
    assert!(serve(authority.file("cert.pem"), authority.file("cert.pem")).contains("tls.key"));
    assert!(serve(authority.file("cert.pem"), PathBuf::new()).contains("tls.key"));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = serve(authority.file("cert.pem"), key);
    assert!(said.contains("tls.key") && said.contains("chmod"), "{said}");
}

/// H9: stalled handshakes and plain text are cut, and others connect meanwhile.
#[tokio::test]
async fn stalled_handshakes_and_plain_text_are_cut_and_others_connect() {
    let authority = Authority::new();
    let node =
        authority.node().set("limits.handshake_within", "2 s").set("limits.address_connections", "1000").start().await;
    let mut stalled = Vec::new();
    for number in 0..400 {
        let mut stream = TcpStream::connect([node.http(), node.tcp()][number % 2]).await.unwrap();
        if number % 4 > 1 {
            // The beginning of a handshake, and nothing after it.
            drop(stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await);
        }
        stalled.push(stream);
    }
    let plain: [&[u8]; 3] = [b"GET /livez HTTP/1.1\r\nHost: node\r\n\r\n", b"SPRW\x01\x01\x00\x00", &[0xff; 64]];
    for to in [node.http(), node.tcp()] {
        for bytes in plain {
            let mut stream = TcpStream::connect(to).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            within("plain text to be cut", closed(stream)).await;
        }
    }
    let cut = labelled(&node, "sparrow_entrance_refusals_total", "reason", "tls").await;
    assert!(cut >= 6, "{cut}");
    let trusting = Options { authorities: Some(authority.file("ca.pem")), ..Options::default() };
    within("another client to be served meanwhile", async {
        let ann = client(&node, "ann", trusting).await.unwrap();
        ann.me().await.unwrap();
        ann.close().await;
    })
    .await;
    within("the stalled ones to be cut", async {
        for stream in stalled {
            closed(stream).await;
        }
    })
    .await;
    assert_eq!(labelled(&node, "sparrow_entrance_refusals_total", "reason", "late").await, 400);
}

/// A balancer writes its header before the handshake that it passes on.
#[tokio::test]
async fn a_balancers_header_comes_before_the_handshake() {
    let authority = Authority::new();
    let node =
        authority.node().set("proxies.trusted", "127.0.0.0/8").set("limits.address_connections", "1").start().await;
    let dial = async |client: u8| {
        let mut stream = TcpStream::connect(node.tcp()).await.unwrap();
        let header = [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02".as_slice(), &[client], &[0; 8]].concat();
        stream.write_all(&header).await.unwrap();
        TlsConnector::from(authority.trust()).connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await
    };
    let first = dial(1).await.unwrap();
    assert!(dial(1).await.is_err(), "one more than the client may have");
    dial(2).await.unwrap();
    drop(first);
}

/// Slow headers inside TLS are cut like others.
#[tokio::test]
async fn slow_headers_behind_a_handshake_are_cut() {
    let authority = Authority::new();
    let node = authority.node().set("limits.header_within", "1 s").start().await;
    let mut stream = authority.shake_hands(node.http()).await.unwrap();
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: no").await.unwrap();
    let mut rest = Vec::new();
    within("the slow one to be cut", async {
        drop(tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await.expect("cut"));
    })
    .await;
    authority.shake_hands(node.tcp()).await.unwrap();
}
