//! What a server says of itself in class CH (RFC 4892 and what BIND made customary).

use crate::client::{Identity, ReplyClass};
use crate::message::{Authority, Message};
use crate::query::Question;
use crate::record::RecordType;
use crate::road::{NOERROR, Outcome};

pub(crate) const CLASS_CHAOS: u16 = 3;

/// Answers a question of class CH, if it is one of the customary ones and there is something to
/// say.
#[cold]
pub(crate) fn answer(
    question: &Question<'_>,
    identity: &Identity,
    message: &mut Message<'_>,
) -> Option<Outcome> {
    let name = &question.bytes[..question.name_len];
    let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
    let text = if is(b"\x02id\x06server\0") || is(b"\x08hostname\x04bind\0") {
        identity.name()
    } else if is(b"\x07version\x06server\0") || is(b"\x07version\x04bind\0") {
        identity.version()
    } else {
        None
    }?;
    if !matches!(question.record_type, RecordType::TXT | RecordType::ANY) {
        return None;
    }
    message.append_chaos_text(text);
    Some(Outcome {
        authority: Authority::Ours,
        ..Outcome::error(NOERROR, ReplyClass::Identity, None)
    })
}
