//! How long and how deep an expression may be. The parser and all that walks what it made call
//! themselves, so too deep an expression would take the whole process with it.

/// The most characters of an expression (`expressionSizeCodePointLimit` of cel-go's parser).
const CHARACTERS_MAX: usize = 100_000;

/// The deepest that an expression may be (`maxRecursionDepth` there).
const DEPTH_MAX: usize = 250;

/// Refuses an expression that is too long or too deep to be parsed, in the server's words.
pub(super) fn check(text: &str) -> Result<(), String> {
    let count = text.chars().count();
    if count > CHARACTERS_MAX {
        return Err(told(&format!(
            "expression code point size exceeds limit: size: {count}, limit {CHARACTERS_MAX}"
        )));
    }
    if depth(text.as_bytes()) > DEPTH_MAX {
        return Err(told("max recursion depth exceeded"));
    }
    Ok(())
}

/// A fault that has no place.
fn told(why: &str) -> String {
    format!("ERROR: <input>:-1:0: {why}")
}

/// A chain of operators grows to the left: one deeper with each of them. `&&`, `||`, `?`, `:` and
/// commas stand beside each other. Inside brackets all is as deep as what is around them, and more.
#[derive(Default)]
struct Scan {
    /// How deep each open bracket is, and the chain it stands in.
    open: Vec<(usize, Chain)>,
    chain: Chain,
    /// Whether an operand ends here. Where none does, an operator is a sign, or a mistake that
    /// the parser steps over: that ends no chain.
    after_operand: bool,
    deepest: usize,
}

#[derive(Default, Clone, Copy)]
struct Chain {
    relations: usize,
    sums: usize,
    members: usize,
}

/// At least the depth of the tree that the parser would make.
fn depth(text: &[u8]) -> usize {
    let mut scan = Scan::default();
    let mut at = 0;
    while at < text.len() {
        at += scan.step(&text[at..], at.checked_sub(1).map(|before| text[before]));
        scan.deepest = scan.deepest.max(scan.depth());
    }
    scan.deepest
}

impl Scan {
    /// Takes one token, and tells how many bytes it has.
    fn step(&mut self, rest: &[u8], before: Option<u8>) -> usize {
        let next = rest.get(1);
        match rest[0] {
            byte if byte.is_ascii_whitespace() => return 1,
            b'/' if next == Some(&b'/') => {
                return rest.iter().take_while(|byte| **byte != b'\n').count();
            }
            b'"' | b'\'' => return self.quoted(rest, false),
            byte if is_of_word(byte) => return self.word(rest),
            b'(' | b'[' | b'{' => {
                self.chain.members += 1;
                self.open.push((self.depth(), self.chain));
                (self.chain, self.after_operand) = (Chain::default(), false);
            }
            b')' | b']' | b'}' => {
                self.chain = self.open.pop().map_or(self.chain, |(_, chain)| chain);
                self.after_operand = true;
            }
            b'.' => self.chain.members += 1,
            // An optional field or index.
            b'?' if matches!(before, Some(b'.' | b'[')) => {}
            b'=' | b'!' | b'<' | b'>' if next == Some(&b'=') => {
                self.relation();
                return 2;
            }
            b'<' | b'>' => self.relation(),
            b'+' | b'-' | b'*' | b'/' | b'%' if self.after_operand => {
                self.chain.sums += 1;
                self.chain.members = 0;
                self.after_operand = false;
            }
            b'&' | b'|' | b'?' | b':' | b',' if self.after_operand => {
                (self.chain, self.after_operand) = (Chain::default(), false);
            }
            _ => {}
        }
        1
    }

    fn depth(&self) -> usize {
        let around = self.open.last().map_or(0, |(depth, _)| *depth);
        around + self.chain.relations + self.chain.sums + self.chain.members
    }

    fn relation(&mut self) {
        self.chain.relations += 1;
        (self.chain.sums, self.chain.members) = (0, 0);
        self.after_operand = false;
    }

    /// A name, a number, or what stands in front of a quoted text.
    fn word(&mut self, rest: &[u8]) -> usize {
        let length = rest.iter().take_while(|byte| is_of_word(**byte)).count();
        let (word, after) = rest.split_at(length);
        if word == b"in" {
            self.relation();
            return length;
        }
        let is_raw = matches!(word, b"r" | b"R" | b"br" | b"bR" | b"Br" | b"BR");
        if matches!(after.first(), Some(b'"' | b'\'')) && (is_raw || matches!(word, b"b" | b"B")) {
            return length + self.quoted(after, is_raw);
        }
        self.after_operand = true;
        // A quote behind another word is a mistake, and what follows is looked at.
        length + usize::from(matches!(after.first(), Some(b'"' | b'\'')))
    }

    /// A quoted text; of one that is none, only the first quote.
    fn quoted(&mut self, rest: &[u8], is_raw: bool) -> usize {
        self.after_operand = true;
        let quote = rest[0];
        let is_long = rest.starts_with(&[quote; 3]);
        let marks = if is_long { 3 } else { 1 };
        let mut at = marks;
        while at < rest.len() {
            match rest[at] {
                byte if byte == quote && (!is_long || rest[at..].starts_with(&[quote; 3])) => {
                    return at + marks;
                }
                b'\n' | b'\r' if !is_long => return 1,
                b'\\' if !is_raw => match escape(&rest[at + 1..]) {
                    Some(length) => at += length + 1,
                    None => return 1,
                },
                _ => at += 1,
            }
        }
        1
    }
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The bytes of an escape behind its backslash, if it is one.
fn escape(rest: &[u8]) -> Option<usize> {
    let digits = |from: usize, count: usize| {
        let digits = rest.get(from..from + count)?;
        (digits.iter().all(u8::is_ascii_hexdigit)).then_some(from + count)
    };
    match rest.first()? {
        b'x' | b'X' => digits(1, 2),
        b'u' => digits(1, 4),
        b'U' => digits(1, 8),
        b'0'..=b'3' => digits(0, 3),
        byte if b"abfnrtv\"'`?\\".contains(byte) => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{CHARACTERS_MAX, check, depth};

    #[track_caller]
    fn is_refused(text: &str) {
        let why = check(text).unwrap_err();
        assert_eq!(why, "ERROR: <input>:-1:0: max recursion depth exceeded");
        assert!(crate::cel::parse(text).is_err());
    }

    #[test]
    fn chains_of_operators_have_an_end() {
        for link in [
            "+1", "*1", "==1", " in 1", ".a", "[0]", ".?a", "+:1", "+,1", "+ -1", "+'\\q",
        ] {
            is_refused(&format!("1{}", link.repeat(50_000 / link.len())));
        }
        is_refused(&"(".repeat(50_000));
        is_refused(&format!("'\\q{}'", "+1".repeat(300)));
        is_refused(&format!("x r'\\'{}", "+1".repeat(300)));
    }

    #[test]
    fn what_stands_beside_each_other_is_not_deep() {
        for link in [
            "||self.a == 1",
            "&&1 + 1 > 0",
            "?a.b:c.d",
            ", [1 + 1]",
            "+a.b.c.d",
        ] {
            let text = format!("1{}", link.repeat(200));
            assert_eq!(check(&text), Ok(()), "{link}");
        }
        let quoted = format!(
            "'{0}' == \"\\\"{0}\" || r'{0}\\'.size() > 0",
            "+1.".repeat(300)
        );
        assert_eq!(check(&quoted), Ok(()));
        assert_eq!(depth(b"a.b // + + +\n== '''+'+\n'''"), 1);
    }

    #[test]
    fn what_is_just_not_too_deep_is_walked() {
        for link in ["+1", "==1", ".a"] {
            let text = format!("1{}", link.repeat(240));
            crate::cel::parse(&text).unwrap();
            let _ = crate::cel::check::kind_of(&text, &[]);
            let _ = crate::cel::Program::compile(&text)
                .unwrap()
                .run(&crate::cel::Scope::default());
        }
    }

    #[test]
    fn an_expression_has_an_end() {
        let text = " ".repeat(CHARACTERS_MAX + 1);
        let why = "ERROR: <input>:-1:0: expression code point size exceeds limit: size: 100001, \
                   limit 100000";
        assert_eq!(check(&text).unwrap_err(), why);
    }
}
