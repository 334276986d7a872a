//! The wire format of protocol buffers: fields with a number and one of four payloads.

use super::Broken;

/// The fields of one message, in their order.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

/// One field.
#[derive(Debug)]
pub(super) struct Field<'a> {
    /// Its number.
    pub(super) number: u32,
    /// What it holds.
    pub(super) payload: Payload<'a>,
}

/// What a field holds.
#[derive(Debug)]
pub(super) enum Payload<'a> {
    /// A variable-length integer.
    Varint(u64),
    /// Eight bytes.
    Fixed64(u64),
    /// Bytes, a string or a message.
    Bytes(&'a [u8]),
    /// Four bytes.
    Fixed32(u32),
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(CUT)?;
        self.rest = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<Field<'a>, Broken> {
        let tag = varint(&mut self.rest)?;
        let number =
            u32::try_from(tag >> 3).map_err(|_| Broken("a field's number is too large"))?;
        let payload = match tag & 7 {
            0 => Payload::Varint(varint(&mut self.rest)?),
            1 => Payload::Fixed64(u64::from_le_bytes(array(self.take(8)?))),
            2 => {
                let length = usize::try_from(varint(&mut self.rest)?).map_err(|_| CUT)?;
                Payload::Bytes(self.take(length)?)
            }
            5 => Payload::Fixed32(u32::from_le_bytes(array(self.take(4)?))),
            _ => return Err(Broken("a field has a type that is not in use")),
        };
        Ok(Field { number, payload })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

impl<'a> Field<'a> {
    /// Bytes, a string or a message.
    pub(super) fn bytes(&self) -> Result<&'a [u8], Broken> {
        match self.payload {
            Payload::Bytes(bytes) => Ok(bytes),
            _ => Err(Broken("a field that should hold bytes holds a number")),
        }
    }

    /// A string.
    pub(super) fn text(&self) -> Result<String, Broken> {
        let text = std::str::from_utf8(self.bytes()?);
        text.map(str::to_owned)
            .map_err(|_| Broken("a string is not UTF-8"))
    }

    /// An integer; negative ones are in two's complement.
    pub(super) fn integer(&self) -> Result<i64, Broken> {
        match self.payload {
            Payload::Varint(number) | Payload::Fixed64(number) => Ok(number.cast_signed()),
            Payload::Fixed32(number) => Ok(i64::from(number)),
            Payload::Bytes(_) => Err(Broken("a field that should hold a number holds bytes")),
        }
    }

    /// A floating-point number.
    pub(super) fn floating(&self) -> Result<f64, Broken> {
        match self.payload {
            Payload::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => Err(Broken("a field should hold a floating-point number")),
        }
    }
}

/// Integers one after the other.
pub(super) fn packed(mut bytes: &[u8]) -> Result<Vec<i64>, Broken> {
    let mut numbers = Vec::new();
    while !bytes.is_empty() {
        numbers.push(varint(&mut bytes)?.cast_signed());
    }
    Ok(numbers)
}

const CUT: Broken = Broken("it is cut short");

fn varint(rest: &mut &[u8]) -> Result<u64, Broken> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first().ok_or(CUT)?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Broken("a number is too long"))
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("as many bytes were taken")
}
