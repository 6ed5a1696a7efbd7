//! The fields of a protobuf message, as they stand on the wire (<https://protobuf.dev/programming-guides/encoding>).

/// A field's value: a number, or the bytes of a string or message.
#[derive(Clone, Copy, Debug)]
pub(super) enum Raw<'m> {
    Number(u64),
    Bytes(&'m [u8]),
}

/// The bytes are no protobuf message, or not the expected one.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the API server's protobuf cannot be read: {0}")]
pub(super) struct Malformed(pub &'static str);

const CUT_OFF: Malformed = Malformed("a message is cut off");

/// Calls `each` with the number and value of every field. Fixed-width numbers, which no field that podgate reads has,
/// are passed over.
pub(super) fn each<'m>(
    mut message: &'m [u8],
    mut each: impl FnMut(u32, Raw<'m>),
) -> Result<(), Malformed> {
    while !message.is_empty() {
        let key = varint(&mut message)?;
        let tag =
            u32::try_from(key >> 3).map_err(|_| Malformed("a field's number is too large"))?;
        match key & 7 {
            0 => each(tag, Raw::Number(varint(&mut message)?)),
            1 => drop(take(&mut message, 8)?),
            2 => {
                let length = varint(&mut message)?;
                each(tag, Raw::Bytes(take(&mut message, length)?));
            }
            5 => drop(take(&mut message, 4)?),
            _ => return Err(Malformed("a field has an unknown wire type")),
        }
    }
    Ok(())
}

/// The bytes of the last field with this tag; empty without one.
pub(super) fn bytes(message: &[u8], tag: u32) -> Result<&[u8], Malformed> {
    last(message, tag, |value| if let Raw::Bytes(bytes) = value { Some(bytes) } else { None })
}

/// The number in the last field with this tag; 0 without one.
pub(super) fn number(message: &[u8], tag: u32) -> Result<u64, Malformed> {
    last(message, tag, |value| if let Raw::Number(number) = value { Some(number) } else { None })
}

/// What `read` reads in the last field with this tag that it can read.
fn last<'m, T: Default>(
    message: &'m [u8],
    tag: u32,
    read: impl Fn(Raw<'m>) -> Option<T>,
) -> Result<T, Malformed> {
    let mut found = T::default();
    each(message, |it, value| {
        if let Some(value) = Some(value).filter(|_| it == tag).and_then(&read) {
            found = value;
        }
    })?;
    Ok(found)
}

fn varint(message: &mut &[u8]) -> Result<u64, Malformed> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first().ok_or(CUT_OFF)?;
        *message = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Malformed("a number has more than 64 bits"))
}

fn take<'m>(message: &mut &'m [u8], length: u64) -> Result<&'m [u8], Malformed> {
    let length = usize::try_from(length).map_err(|_| CUT_OFF)?;
    let (taken, rest) = message.split_at_checked(length).ok_or(CUT_OFF)?;
    *message = rest;
    Ok(taken)
}
