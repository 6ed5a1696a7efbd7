//! The events of a watch: in protobuf each stands behind its length, in JSON each is a line.

use axum::BoxError;
use futures::stream::{self, Stream, StreamExt};
use hyper::body::{Bytes, Frame};

use super::fields::{self, Malformed};
use super::json;

/// The length of an event, in four bytes, the highest first.
const LENGTH: usize = 4;
/// An API server keeps no object of more than 3 MiB.
const LONGEST: usize = 16 << 20;
/// How much memory is kept for the next events.
const KEPT: usize = 64 << 10;

/// Each event as a line of JSON. The lines end where the watch does; an event that is cut off is none.
pub(super) fn lines<E: Into<BoxError>>(
    bytes: impl Stream<Item = Result<Bytes, E>> + Unpin,
) -> impl Stream<Item = Result<Frame<Bytes>, BoxError>> {
    stream::try_unfold((bytes, Vec::new()), async |(mut bytes, mut left)| {
        loop {
            if let Some(line) = next_line(&mut left)? {
                return Ok(Some((Frame::data(line.into()), (bytes, left))));
            }
            match bytes.next().await {
                Some(more) => left.extend_from_slice(&more.map_err(Into::into)?),
                None => return Ok(None),
            }
        }
    })
}

/// Takes the next event from what has arrived, if it is there as a whole.
fn next_line(left: &mut Vec<u8>) -> Result<Option<Vec<u8>>, Malformed> {
    let Some((length, rest)) = left.split_first_chunk::<LENGTH>() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    if length > LONGEST {
        return Err(Malformed("an event of a watch is longer than any object"));
    }
    let Some(event) = rest.get(..length) else { return Ok(None) };
    let line = line(event)?;
    left.drain(..LENGTH + length);
    if left.is_empty() {
        left.shrink_to(KEPT);
    }
    Ok(Some(line))
}

/// A `WatchEvent` as a line.
fn line(event: &[u8]) -> Result<Vec<u8>, Malformed> {
    let object = fields::bytes(fields::bytes(event, 2)?, 1)?;
    let mut line = b"{\"type\":".to_vec();
    json::text(&mut line, fields::bytes(event, 1)?);
    line.extend(b",\"object\":");
    line.extend(json::object_of_kind(object)?);
    line.extend(b"}\n");
    Ok(line)
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, TryStreamExt};

    use super::*;

    /// `ADDED` with the pod `a`.
    const EVENT: &[u8] =
        b"\x0a\x05ADDED\x12\x1c\x0a\x1ak8s\0\x0a\x09\x0a\x02v1\x12\x03Pod\x12\x05\x0a\x03\x0a\x01a\x1a\0\x22\0";

    fn framed(event: &[u8]) -> Vec<u8> {
        [&u32::try_from(event.len()).unwrap().to_be_bytes(), event].concat()
    }

    /// The lines of a watch whose bytes arrive in these pieces, and whether it ended with an error.
    fn watched(pieces: Vec<Vec<u8>>) -> (String, bool) {
        let mut text = String::new();
        let pieces = pieces.into_iter().map(|it| Ok::<_, BoxError>(Bytes::from(it)));
        let ended = lines(stream::iter(pieces)).try_for_each(|line| {
            text.push_str(str::from_utf8(&line.into_data().unwrap()).unwrap());
            std::future::ready(Ok(()))
        });
        let ended = ended.now_or_never().unwrap();
        (text, ended.is_err())
    }

    #[test]
    fn events_become_lines_however_their_bytes_arrive() {
        let line =
            r#"{"type":"ADDED","object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}}"#;
        let both = [framed(EVENT), framed(EVENT)].concat();
        for size in 1..=both.len() {
            let pieces = both.chunks(size).map(<[u8]>::to_vec).collect();
            assert_eq!(watched(pieces), (format!("{line}\n{line}\n"), false), "pieces of {size}");
        }
    }

    #[test]
    fn an_event_that_is_cut_off_is_none_and_a_malformed_one_is_an_error() {
        let whole = framed(EVENT);
        for end in 0..whole.len() {
            assert_eq!(watched(vec![whole[..end].to_vec()]), (String::new(), false), "{end}");
        }
        assert_eq!(watched(vec![framed(&EVENT[..9])]), (String::new(), true));
        assert_eq!(watched(vec![u32::MAX.to_be_bytes().to_vec()]), (String::new(), true));
    }
}
