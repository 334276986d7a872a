//! Lines between observers of this machine, and who is kept off them.

use super::*;
use steering::{Contact, Observer};
use tokio::io::AsyncReadExt;

/// An observer of this machine, with its lines.
struct Station {
    name: &'static str,
    contact: Contact,
    peers: watch::Sender<Option<Peers>>,
    report: watch::Sender<Option<ProbeReportValue>>,
    events: mpsc::Receiver<Event>,
    _running: AbortOnDropHandle<()>,
    _state: tempfile::TempDir,
}

impl Station {
    async fn open(name: &'static str) -> Self {
        let state = tempfile::tempdir().expect("a folder");
        let identity = Identity::in_folder(state.path()).expect("a new one");
        let again = Identity::in_folder(state.path()).expect("the same");
        assert_eq!(identity.fingerprint(), again.fingerprint());
        let flags = PeersListen {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            address: None,
        };
        let listen = Lines::listen(&flags, Start::Fresh).await;
        let Ok(Listen::On(listener)) = listen else {
            panic!("{listen:?}");
        };
        let contact = Contact {
            address: Some(listener.local_addr().expect("bound").to_string()),
            certificate: identity.fingerprint(),
        };
        let (peers, told) = watch::channel(None);
        let (report, reports) = watch::channel(Some(said(name, 1)));
        let (events, received) = mpsc::channel(16);
        let lines = Lines::new(identity, told, reports, events, &mut Registry::default());
        Self {
            name,
            contact,
            peers,
            report,
            events: received,
            _running: AbortOnDropHandle::new(tokio::spawn(lines.run(Listen::On(listener)))),
            _state: state,
        }
    }

    /// As the host has it on a Lease.
    fn registered(&self) -> Observer {
        Observer {
            name: self.name.into(),
            domain: self.name.into(),
            contact: Some(self.contact.clone()),
        }
    }

    fn knows(&self, known: &[Observer], host: HostContact) {
        let known = known.to_vec();
        self.peers.send_replace(Some(Peers { known, host }));
    }

    async fn hears(&mut self) -> (String, u64) {
        let heard = self.events.recv().await.expect("lines are open");
        match heard {
            Event::Reported(report) => (report.observer.to_string(), report.at_millis),
            other => panic!("{other:?}"),
        }
    }
}

fn said(name: &str, at_millis: u64) -> ProbeReportValue {
    ProbeReportValue {
        observer: name.into(),
        domain: name.into(),
        at_millis,
        abstains: false,
        verdicts: Vec::new(),
        generations: BTreeMap::new(),
        named: Vec::new(),
        challenges: 0,
        unresolved: BTreeMap::new(),
    }
}

#[tokio::test]
async fn who_lost_the_host_hears_who_did_not_and_is_heard() {
    let (mut cut_off, mut linked) = (
        Station::open("cut-off").await,
        Station::open("linked").await,
    );
    linked.knows(&[cut_off.registered()], HostContact::Reached);
    cut_off.knows(&[linked.registered()], HostContact::Lost);
    assert_eq!(cut_off.hears().await, ("linked".to_owned(), 1));
    assert_eq!(linked.hears().await, ("cut-off".to_owned(), 1));
    linked.report.send_replace(Some(said("linked", 2)));
    cut_off.report.send_replace(Some(said("cut-off", 3)));
    assert_eq!(cut_off.hears().await, ("linked".to_owned(), 2));
    assert_eq!(linked.hears().await, ("cut-off".to_owned(), 3));
}

#[tokio::test]
async fn a_line_is_closed_when_the_host_is_back_and_dialled_again_when_the_other_end_is() {
    let (mut cut_off, mut linked) = (
        Station::open("cut-off").await,
        Station::open("linked").await,
    );
    linked.knows(&[cut_off.registered()], HostContact::Reached);
    cut_off.knows(&[linked.registered()], HostContact::Lost);
    linked.hears().await;
    cut_off.hears().await;
    cut_off.knows(&[linked.registered()], HostContact::Reached);
    // Nothing is dialled now: the next that is heard comes over a new line.
    cut_off.report.send_replace(Some(said("cut-off", 2)));
    cut_off.knows(&[linked.registered()], HostContact::Lost);
    while linked.hears().await != ("cut-off".to_owned(), 2) {}
    while cut_off.hears().await != ("linked".to_owned(), 1) {}
}

#[tokio::test]
async fn a_stranger_is_neither_heard_nor_told() {
    let (mut linked, stranger) = (
        Station::open("linked").await,
        Station::open("stranger").await,
    );
    let mut friend = Station::open("friend").await;
    linked.knows(&[friend.registered()], HostContact::Reached);
    // It calls itself as somebody who is known.
    let mut pretended = Station::open("friend").await;
    stranger.knows(&[linked.registered()], HostContact::Lost);
    pretended.knows(&[linked.registered()], HostContact::Lost);
    friend.report.send_replace(Some(said("friend", 9)));
    friend.knows(&[linked.registered()], HostContact::Lost);
    assert_eq!(linked.hears().await, ("friend".to_owned(), 9));
    assert_eq!(friend.hears().await.0, "linked");
    assert!(linked.events.try_recv().is_err() && pretended.events.try_recv().is_err());
    // Without a certificate nothing is said at all.
    let address = linked.contact.address.clone().expect("it listens");
    let mut plain = TcpStream::connect(address).await.expect("it listens");
    let mut word = Vec::new();
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"GET / HTTP/1.1\r\n\r\n")
        .await
        .expect("it is sent");
    let _ = plain.read_to_end(&mut word).await;
    assert!(
        !String::from_utf8_lossy(&word).contains("linked"),
        "{word:?}"
    );
}

#[tokio::test]
async fn who_speaks_for_somebody_else_or_too_long_is_cut_off() {
    let lie = serde_json::to_vec(&said("friend", 5)).expect("JSON");
    let length = u32::try_from(lie.len()).expect("it is short").to_be_bytes();
    for (bytes, why) in [
        ([&length[..], &lie].concat(), "it speaks for friend"),
        (vec![0xff; 4], "its report is too long"),
        (b"\0\0\0\x02{]".to_vec(), "key must be a string"),
    ] {
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        let (_report, reports) = watch::channel(None);
        let (events, mut heard) = mpsc::channel(1);
        let told = Counter::default();
        let end = End {
            reports,
            events,
            told: told.clone(),
        };
        let sent = tokio::io::AsyncWriteExt::write_all(&mut far, &bytes).await;
        sent.expect("the line is open");
        let ended = Line::new(near, "liar".into()).talk(end).await;
        assert!(ended.contains(why), "{ended}");
        assert_eq!(heard.try_recv().is_err(), told.get() == 0);
        assert_eq!(told.get(), 0);
    }
}

#[test]
fn who_listens_everywhere_has_to_say_where_it_is_reached() {
    let flags = |listen: &str, address: Option<&str>| PeersListen {
        listen: Some(listen.parse().expect("an address")),
        address: address.map(str::to_owned),
    };
    let wrong = flags("0.0.0.0:8530", None).advertised();
    let why = wrong.expect_err("nobody can dial that").to_string();
    assert!(why.contains("--observers-address"), "{why}");
    let right = flags("0.0.0.0:8530", Some("witness.example.org:8530")).advertised();
    assert_eq!(
        right.expect("one").as_deref(),
        Some("witness.example.org:8530")
    );
    let own = flags("192.0.2.7:8530", None).advertised();
    assert_eq!(own.expect("one").as_deref(), Some("192.0.2.7:8530"));
    let none = PeersListen::default().advertised();
    assert_eq!(none.expect("none"), None);
}
