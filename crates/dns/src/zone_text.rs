//! Zone text, as RFC 1035 § 5 and RFC 2308 § 4 ($TTL) define it, with RFC 3597's unknown types.
//!
//! `$INCLUDE` is refused: text comes from objects, and the engine opens no files. What cannot be
//! read is an error with its line.

use crate::error::Error;
use crate::name::Name;
use crate::rdata_text;
use crate::record::{Record, RecordType};

/// The greatest TTL (RFC 2181 § 8).
const TTL_SECS_MAX: u32 = i32::MAX as u32;
/// The most records in one text.
const RECORDS_MAX: usize = 1_000_000;

/// Reads records. Relative names are below `origin` until `$ORIGIN` says otherwise; records
/// without a TTL have `default_ttl_secs` until `$TTL` says otherwise.
///
/// # Errors
/// `Error::Text` with the line and what is wrong there.
pub fn read_records(
    text: &str,
    origin: &Name,
    default_ttl_secs: u32,
) -> Result<Vec<Record>, Error> {
    let mut reader = Reader::new(origin, default_ttl_secs);
    let mut lexer = Lexer::new(text);
    while let Some(entry) = lexer.entry()? {
        reader.take(entry)?;
    }
    Ok(reader.records)
}

/// A record and the line on which it begins.
#[derive(Debug)]
pub(crate) struct Located {
    pub(crate) line: usize,
    pub(crate) record: Record,
}

/// Reads all records that can be read, and tells all that cannot.
pub(crate) fn read_all(
    text: &str,
    origin: &Name,
    default_ttl_secs: u32,
) -> (Vec<Located>, Vec<Error>) {
    let mut reader = Reader::new(origin, default_ttl_secs);
    let mut lexer = Lexer::new(text);
    let mut lines = Vec::new();
    let mut errors = Vec::new();
    loop {
        match lexer.entry() {
            Ok(Some(entry)) => {
                let line = entry.line;
                errors.extend(reader.take(entry).err());
                lines.resize(reader.records.len(), line);
            }
            Ok(None) => break,
            // What parentheses or quotes hold together is not known any more.
            Err(error) => {
                errors.push(error);
                break;
            }
        }
    }
    let records = lines.into_iter().zip(reader.records);
    let located = records.map(|(line, record)| Located { line, record });
    (located.collect(), errors)
}

/// Seconds, or numbers with units as in `1h30m` (as BIND and all others read them).
pub(crate) fn read_secs(text: &str) -> Option<u32> {
    let mut total: u32 = 0;
    let mut number: Option<u32> = None;
    for byte in text.bytes() {
        if byte.is_ascii_digit() {
            let so_far = number.unwrap_or(0).checked_mul(10)?;
            number = Some(so_far.checked_add(u32::from(byte - b'0'))?);
            continue;
        }
        let unit = match byte.to_ascii_lowercase() {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.take()?.checked_mul(unit)?)?;
    }
    match number {
        Some(number) => total.checked_add(number),
        None => Some(total).filter(|_| !text.is_empty()),
    }
}

/// One word of an entry, as it stands in the text: quotes and escapes included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word<'t>(pub(crate) &'t str);

/// The words of one logical line.
struct Entry<'t> {
    line: usize,
    /// Whether it begins with a blank, and so has the owner of the entry before.
    continues_owner: bool,
    words: Vec<Word<'t>>,
}

struct Reader {
    origin: Name,
    owner: Option<Name>,
    ttl_secs: u32,
    records: Vec<Record>,
}

impl Reader {
    fn new(origin: &Name, default_ttl_secs: u32) -> Self {
        Self {
            origin: origin.clone(),
            owner: None,
            ttl_secs: default_ttl_secs,
            records: Vec::new(),
        }
    }

    fn take(&mut self, entry: Entry<'_>) -> Result<(), Error> {
        let line = entry.line;
        self.entry(entry)
            .map_err(|problem| Error::Text { line, problem })
    }

    fn entry(&mut self, entry: Entry<'_>) -> Result<(), String> {
        let mut words = entry.words.as_slice();
        if let [Word(first), rest @ ..] = words
            && first.starts_with('$')
        {
            return self.directive(first, rest);
        }
        if !entry.continues_owner
            && let [Word(first), rest @ ..] = words
        {
            self.owner = Some(self.name(first)?);
            words = rest;
        }
        let owner = self
            .owner
            .clone()
            .ok_or("the first record has no owner name")?;
        let mut ttl_secs = None;
        let mut class = None;
        // The TTL and the class stand in either order.
        while let [Word(word), rest @ ..] = words {
            if ttl_secs.is_none() && word.starts_with(|c: char| c.is_ascii_digit()) {
                ttl_secs = Some(read_ttl(word)?);
            } else if class.is_none() && is_class(word) {
                class = Some(*word);
            } else {
                break;
            }
            words = rest;
        }
        if let Some(class) = class.filter(|class| !class.eq_ignore_ascii_case("IN")) {
            return Err(format!("class {class}: only IN is served"));
        }
        let [Word(word), data @ ..] = words else {
            return Err("a record type is missing".to_owned());
        };
        let record_type: RecordType = word.parse().map_err(|error| format!("{error}"))?;
        if !record_type.is_data() {
            return Err(format!("{record_type} is not a type of data"));
        }
        let data = rdata_text::read(record_type, data, &self.origin)
            .map_err(|problem| format!("{owner} {record_type}: {problem}"))?;
        if self.records.len() == RECORDS_MAX {
            return Err(format!("more than {RECORDS_MAX} records"));
        }
        let ttl_secs = ttl_secs.unwrap_or(self.ttl_secs);
        self.records
            .push(Record::new(owner, ttl_secs, record_type, data));
        Ok(())
    }

    fn directive(&mut self, directive: &str, words: &[Word<'_>]) -> Result<(), String> {
        match (directive.to_ascii_uppercase().as_str(), words) {
            ("$ORIGIN", [Word(name)]) => self.origin = self.name(name)?,
            ("$TTL", [Word(ttl)]) => self.ttl_secs = read_ttl(ttl)?,
            ("$INCLUDE", _) => {
                return Err("$INCLUDE is refused: no files are opened; put the text here".into());
            }
            ("$ORIGIN" | "$TTL", _) => return Err(format!("{directive} takes one word")),
            _ => return Err(format!("{directive} is no directive: $ORIGIN and $TTL are")),
        }
        Ok(())
    }

    fn name(&self, text: &str) -> Result<Name, String> {
        Name::parse_relative(text, &self.origin).map_err(|error| error.to_string())
    }
}

fn read_ttl(text: &str) -> Result<u32, String> {
    read_secs(text)
        .filter(|secs| *secs <= TTL_SECS_MAX)
        .ok_or_else(|| format!("{text:?} is no TTL: seconds up to 2³¹-1, or as in 1h30m"))
}

fn is_class(word: &str) -> bool {
    let upper = word.to_ascii_uppercase();
    let numbered = upper
        .strip_prefix("CLASS")
        .is_some_and(|rest| rest.parse::<u16>().is_ok());
    matches!(upper.as_str(), "IN" | "CH" | "HS" | "CS") || numbered
}

struct Lexer<'t> {
    rest: &'t str,
    line: usize,
}

impl<'t> Lexer<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            rest: text,
            line: 1,
        }
    }

    /// The next logical line that has words: parentheses join lines, `;` begins a comment.
    fn entry(&mut self) -> Result<Option<Entry<'t>>, Error> {
        let mut entry = Entry {
            line: self.line,
            continues_owner: false,
            words: Vec::new(),
        };
        let mut opened_at = None;
        let mut at_start = true;
        while let Some(next) = self.rest.chars().next() {
            match next {
                '\n' => {
                    self.advance(1);
                    self.line += 1;
                    if opened_at.is_none() && !entry.words.is_empty() {
                        return Ok(Some(entry));
                    }
                    if opened_at.is_none() {
                        entry = Entry {
                            line: self.line,
                            ..entry
                        };
                        entry.continues_owner = false;
                        at_start = true;
                        continue;
                    }
                }
                ' ' | '\t' | '\r' => {
                    entry.continues_owner |= at_start;
                    self.advance(1);
                }
                ';' => self.advance(self.rest.find('\n').unwrap_or(self.rest.len())),
                '(' if opened_at.is_some() => return Err(self.error("( inside parentheses")),
                '(' => {
                    opened_at = Some(self.line);
                    self.advance(1);
                }
                ')' if opened_at.take().is_none() => return Err(self.error(") without (")),
                ')' => self.advance(1),
                _ => entry.words.push(self.word()?),
            }
            at_start = false;
        }
        if let Some(line) = opened_at {
            return Err(Error::Text {
                line,
                problem: "( is never closed".to_owned(),
            });
        }
        Ok(Some(entry).filter(|entry| !entry.words.is_empty()))
    }

    /// One word; quotes may begin inside it, as in `alpn="h2,h3"`.
    fn word(&mut self) -> Result<Word<'t>, Error> {
        let mut quoted = false;
        let mut escaped = false;
        let mut end = self.rest.len();
        for (at, character) in self.rest.char_indices() {
            match character {
                '\n' if quoted => return Err(self.error("a quote is not closed on its line")),
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => quoted = !quoted,
                ' ' | '\t' | '\r' | '\n' | ';' | '(' | ')' if !quoted => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        if quoted {
            return Err(self.error("a quote is never closed"));
        }
        let word = Word(&self.rest[..end]);
        self.advance(end);
        Ok(word)
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    fn error(&self, problem: &str) -> Error {
        Error::Text {
            line: self.line,
            problem: problem.to_owned(),
        }
    }
}

#[cfg(test)]
#[path = "zone_text_tests.rs"]
mod tests;
