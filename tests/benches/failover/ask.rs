//! One question over UDP, as a resolver asks it.

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(1);

/// A socket to one server.
pub(crate) struct Asking {
    socket: UdpSocket,
    next: u16,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// These addresses, in order.
    Addresses(Vec<IpAddr>),
    /// Another code than NOERROR.
    Refused(ResponseCode),
}

impl Asking {
    pub(crate) async fn of(server: SocketAddr) -> std::io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        socket.connect(server).await?;
        Ok(Self { socket, next: 0 })
    }

    /// The answer; nothing when there is none in time.
    pub(crate) async fn ask(&mut self, name: &str) -> Option<Answer> {
        self.next = self.next.wrapping_add(1);
        let asked = tokio::time::timeout(TIMEOUT, self.exchange(name));
        asked.await.ok()?
    }

    async fn exchange(&self, name: &str) -> Option<Answer> {
        let mut question = Message::query();
        question.metadata.id = self.next;
        question.metadata.recursion_desired = true;
        question.add_query(Query::query(Name::from_ascii(name).ok()?, RecordType::A));
        self.socket.send(&question.to_vec().ok()?).await.ok()?;
        let mut reply = [0_u8; 1232];
        loop {
            let length = self.socket.recv(&mut reply).await.ok()?;
            let Ok(message) = Message::from_vec(&reply[..length]) else {
                continue;
            };
            // A late answer to an earlier question is not this one's.
            if message.metadata.id == self.next {
                return Some(answer(&message));
            }
        }
    }
}

fn answer(message: &Message) -> Answer {
    match message.metadata.response_code {
        ResponseCode::NoError => {}
        other => return Answer::Refused(other),
    }
    let addresses = message.answers.iter().filter_map(|it| match it.data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        _ => None,
    });
    let mut addresses: Vec<IpAddr> = addresses.collect();
    addresses.sort();
    Answer::Addresses(addresses)
}
