//! Record data from text to wire form: the common types here, the others through hickory-proto,
//! unknown ones as RFC 3597 § 5 writes them.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::{RData, RecordType as ProtoType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};

use crate::name::{Name, unescape};
use crate::record::RecordType;
use crate::zone_text::{Word, read_secs};

/// Reads the data of one record; relative names are below `origin`.
pub(crate) fn read(
    record_type: RecordType,
    words: &[Word<'_>],
    origin: &Name,
) -> Result<Vec<u8>, String> {
    if let [Word(r"\#"), rest @ ..] = words {
        return read_unknown(rest);
    }
    let data = match record_type {
        RecordType::A | RecordType::AAAA => read_address(record_type, words),
        RecordType::NS | RecordType::CNAME | RecordType::PTR | RecordType::DNAME => {
            read_numbers_and_name(0, words, origin)
        }
        RecordType::MX => read_numbers_and_name(1, words, origin),
        RecordType::SRV => read_numbers_and_name(3, words, origin),
        RecordType::SOA => read_soa(words, origin),
        RecordType::TXT => read_strings(words),
        RecordType::CAA => read_caa(words),
        RecordType::DS => read_ds(words),
        _ => return read_through_hickory(record_type, words, origin),
    };
    data.unwrap_or_else(|| {
        Err(format!(
            "{} words are not what this type takes",
            words.len()
        ))
    })
}

/// What a reader gives: nothing when the number of words is wrong.
type Data = Option<Result<Vec<u8>, String>>;

fn read_address(record_type: RecordType, words: &[Word<'_>]) -> Data {
    let [Word(address)] = words else { return None };
    Some(if record_type == RecordType::A {
        let parsed = address.parse::<Ipv4Addr>();
        parsed
            .map(|v4| v4.octets().to_vec())
            .map_err(|_| wrong(address, "an IPv4 address"))
    } else {
        let parsed = address.parse::<Ipv6Addr>();
        parsed
            .map(|v6| v6.octets().to_vec())
            .map_err(|_| wrong(address, "an IPv6 address"))
    })
}

/// Numbers of 16 bits, then a name.
fn read_numbers_and_name(numbers: usize, words: &[Word<'_>], origin: &Name) -> Data {
    let (before, [Word(target)]) = words.split_at_checked(numbers)? else {
        return None;
    };
    let read = || {
        let mut data = Vec::new();
        for word in before {
            data.extend(number::<u16>(word)?.to_be_bytes());
        }
        data.extend(name(target, origin)?);
        Ok(data)
    };
    Some(read())
}

fn read_soa(words: &[Word<'_>], origin: &Name) -> Data {
    let ([Word(primary), Word(mailbox), serial], times) = words.split_first_chunk::<3>()?;
    if times.len() != 4 {
        return None;
    }
    let read = || {
        let mut data = [name(primary, origin)?, name(mailbox, origin)?].concat();
        data.extend(number::<u32>(serial)?.to_be_bytes());
        for Word(time) in times {
            let secs = read_secs(time).ok_or_else(|| wrong(time, "a time in seconds"))?;
            data.extend(secs.to_be_bytes());
        }
        Ok(data)
    };
    Some(read())
}

fn read_strings(words: &[Word<'_>]) -> Data {
    if words.is_empty() {
        return None;
    }
    let strings: Result<Vec<_>, _> = words.iter().map(character_string).collect();
    Some(strings.map(|strings| strings.concat()))
}

fn read_caa(words: &[Word<'_>]) -> Data {
    let [flags, Word(tag), value] = words else {
        return None;
    };
    let read = || {
        let is_tag = !tag.is_empty() && tag.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let length = u8::try_from(tag.len()).ok().filter(|_| is_tag);
        let length = length.ok_or_else(|| wrong(tag, "a property tag"))?;
        let head = [number::<u8>(flags)?, length];
        Ok([&head[..], tag.as_bytes(), &text(value)?].concat())
    };
    Some(read())
}

fn read_ds(words: &[Word<'_>]) -> Data {
    let [tag, algorithm, digest_type, digest @ ..] = words else {
        return None;
    };
    let read = || {
        let mut data = number::<u16>(tag)?.to_be_bytes().to_vec();
        data.extend([number::<u8>(algorithm)?, number::<u8>(digest_type)?]);
        data.extend(hex(digest)?);
        Ok(data)
    };
    Some(read())
}

fn name(text: &str, origin: &Name) -> Result<Vec<u8>, String> {
    let name = Name::parse_relative(text, origin).map_err(|error| error.to_string())?;
    Ok(name.wire().to_vec())
}

fn wrong(word: &str, expected: &str) -> String {
    format!("{word:?} is not {expected}")
}

fn number<T: std::str::FromStr>(word: &Word<'_>) -> Result<T, String> {
    word.0
        .parse()
        .map_err(|_| wrong(word.0, "a number of the right size"))
}

/// A word without its quotes and escapes.
fn text(word: &Word<'_>) -> Result<Vec<u8>, String> {
    let mut bytes = word.0.bytes();
    let mut text = Vec::new();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {}
            b'\\' => text.push(unescape(&mut bytes).ok_or_else(|| wrong(word.0, "well escaped"))?),
            _ => text.push(byte),
        }
    }
    Ok(text)
}

/// A word with its length in front (RFC 1035 § 3.3).
fn character_string(word: &Word<'_>) -> Result<Vec<u8>, String> {
    let text = text(word)?;
    let length = u8::try_from(text.len())
        .map_err(|_| format!("a string of {} bytes: at most 255 fit", text.len()))?;
    Ok([&[length], text.as_slice()].concat())
}

fn hex(words: &[Word<'_>]) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u8>> = words
        .iter()
        .flat_map(|Word(word)| word.chars())
        .map(|digit| {
            digit
                .to_digit(16)
                .and_then(|value| u8::try_from(value).ok())
        })
        .collect();
    let digits = digits.ok_or("hexadecimal digits are expected")?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err("an odd number of hexadecimal digits".to_owned());
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// `\# length hexadecimal…`
fn read_unknown(words: &[Word<'_>]) -> Result<Vec<u8>, String> {
    let [length, digits @ ..] = words else {
        return Err(r"\# is followed by a length".to_owned());
    };
    let data = hex(digits)?;
    if data.len() != usize::from(number::<u16>(length)?) {
        return Err(format!(
            "{} bytes where {} were announced",
            data.len(),
            length.0
        ));
    }
    Ok(data)
}

/// Where names stand in the data of types whose reader in hickory-proto knows no origin.
fn name_word(record_type: RecordType) -> Option<usize> {
    match record_type {
        RecordType::SVCB | RecordType::HTTPS => Some(1),
        RecordType(35) => Some(5),
        _ => None,
    }
}

fn read_through_hickory(
    record_type: RecordType,
    words: &[Word<'_>],
    origin: &Name,
) -> Result<Vec<u8>, String> {
    let mut words: Vec<String> = words.iter().map(|Word(word)| (*word).to_owned()).collect();
    if let Some(word) = name_word(record_type).and_then(|index| words.get_mut(index)) {
        let absolute = Name::parse_relative(word, origin).map_err(|error| error.to_string())?;
        *word = absolute.to_string();
    }
    let known = ProtoType::from(record_type.0);
    let data = RData::try_from_str(known, &words.join(" ")).map_err(|error| {
        format!(r"{error}; any type can be written as \# with its length in hexadecimal")
    })?;
    let mut wire = Vec::new();
    let mut encoder = BinEncoder::new(&mut wire);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    data.emit(&mut encoder).map_err(|error| error.to_string())?;
    Ok(wire)
}
