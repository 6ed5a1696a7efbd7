//! Functions of strings: `ext/strings.go` of cel-go, version 2. Positions are counted in code points.

use super::super::error::{Error, ErrorKind};
use super::super::function::{Call, Cost, Overload, mismatch, size_of_value, traversals};
use super::super::list::List;
use super::super::text::Str;
use super::super::value::Value;
use super::code_points::{byte_of, find_last, point_of};
use super::cost::{TRAVERSAL, TRAVERSAL_AND_COPY, TRAVERSAL_OF_HELD, TREE};
use super::quoted;
use super::string_format::format;
use super::support::{charge_item, charge_work, int, string};

pub(super) const OVERLOADS: &[Overload] = &[
    Overload::new("string_char_at_int", char_at),
    Overload::new("string_index_of_string", index_of).costs(TREE),
    Overload::new("string_index_of_string_int", index_of).costs(TREE),
    Overload::new("string_last_index_of_string", last_index_of).costs(TREE),
    Overload::new("string_last_index_of_string_int", last_index_of).costs(TREE),
    Overload::new("list_join", join).costs(OF_RESULT),
    Overload::new("list_join_string", join).costs(OF_RESULT),
    Overload::new("string_lower_ascii", lower_ascii).costs(TRAVERSAL),
    Overload::new("string_upper_ascii", upper_ascii).costs(TRAVERSAL),
    Overload::new("string_replace_string_string", replace).costs(TRAVERSAL_AND_COPY),
    Overload::new("string_replace_string_string_int", replace).costs(TRAVERSAL_AND_COPY),
    Overload::new("string_split_string", split).costs(TRAVERSAL_AND_COPY),
    Overload::new("string_split_string_int", split).costs(TRAVERSAL_AND_COPY),
    Overload::new("string_substring_int", substring).costs(TRAVERSAL),
    Overload::new("string_substring_int_int", substring).costs(TRAVERSAL),
    Overload::new("string_trim", trim).costs(TRAVERSAL),
    Overload::new("string_format", format).costs(TRAVERSAL_OF_HELD),
    Overload::new("strings_quote", quote).costs(TRAVERSAL_OF_HELD),
];

/// The cost of making the result and traversing it.
const OF_RESULT: Cost = Cost::Of(|_, result| traversals(result.map_or(1, size_of_value), 2.0));

fn out_of_range(index: i64) -> Error {
    Error::new(ErrorKind::OutOfBounds, format!("the index {index} is outside the string"))
}

/// A part of a string, by byte offsets at character boundaries.
fn part<'v>(
    call: &mut Call<'_>,
    whole: &Str<'v>,
    range: std::ops::Range<usize>,
) -> Result<Value<'v>, Error> {
    call.meter.allocate(whole.copied(range.len()))?;
    Ok(Value::String(whole.slice(range).unwrap_or(Str::Borrowed(""))))
}

fn char_at<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let [Value::String(whole), Value::Int(at)] = args else { return mismatch("charAt()", args) };
    charge_work(call, whole.len())?;
    let start = byte_of(whole, *at).ok_or_else(|| out_of_range(*at))?;
    let rest = whole.get(start..).unwrap_or_default();
    let length = rest.chars().next().map_or(0, char::len_utf8);
    part(call, whole, start..start + length)
}

fn index_of<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let (whole, part, offset) = match args {
        [Value::String(whole), Value::String(part)] => (whole, part, 0),
        [Value::String(whole), Value::String(part), Value::Int(offset)] => (whole, part, *offset),
        _ => return mismatch("indexOf()", args),
    };
    if part.is_empty() {
        return Ok(Value::Int(offset));
    }
    if offset < 0 {
        return Err(out_of_range(offset));
    }
    let found = byte_of(whole, offset).and_then(|start| {
        let rest = whole.get(start..)?;
        rest.find(part.as_str()).map(|at| start + at)
    });
    Ok(found.map_or(Value::Int(-1), |at| int(point_of(whole, at))))
}

fn last_index_of<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let (whole, part, offset) = match args {
        [Value::String(whole), Value::String(part)] => (whole, part, None),
        [Value::String(whole), Value::String(part), Value::Int(offset)] => {
            (whole, part, Some(*offset))
        }
        _ => return mismatch("lastIndexOf()", args),
    };
    let found = match offset {
        Some(offset) if part.is_empty() => return Ok(Value::Int(offset)),
        None if part.is_empty() => return Ok(int(whole.chars().count())),
        Some(offset) if offset < 0 => return Err(out_of_range(offset)),
        Some(offset) => byte_of(whole, offset)
            .filter(|from| *from < whole.len())
            .and_then(|from| find_last(whole, part, from)),
        None => whole.rfind(part.as_str()),
    };
    Ok(found.map_or(Value::Int(-1), |at| int(point_of(whole, at))))
}

fn join<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let (list, separator) = match args {
        [Value::List(list)] => (list, ""),
        [Value::List(list), Value::String(separator)] => (list, separator.as_str()),
        _ => return mismatch("join()", args),
    };
    charge_work(call, list.len().saturating_mul(size_of::<Value<'_>>()))?;
    let mut length: usize = 0;
    for item in list.iter() {
        let Value::String(item) = item else {
            return mismatch("join()", std::slice::from_ref(item));
        };
        length = length.saturating_add(item.len()).saturating_add(separator.len());
    }
    // Once for the joined text, once for the value.
    call.meter.allocate(length.saturating_mul(2))?;
    let parts: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
    Ok(Value::string(parts.join(separator)))
}

fn lower_ascii<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let [Value::String(whole)] = args else { return mismatch("lowerAscii()", args) };
    call.meter.allocate(whole.len().saturating_mul(2))?;
    Ok(Value::string(whole.to_ascii_lowercase()))
}

fn upper_ascii<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let [Value::String(whole)] = args else { return mismatch("upperAscii()", args) };
    call.meter.allocate(whole.len().saturating_mul(2))?;
    Ok(Value::string(whole.to_ascii_uppercase()))
}

/// As Go's `strings.Replace`: an empty `from` matches before every code point and at the end.
fn replace<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let (whole, from, to, most) = match args {
        [Value::String(whole), Value::String(from), Value::String(to)] => (whole, from, to, -1),
        [Value::String(whole), Value::String(from), Value::String(to), Value::Int(most)] => {
            (whole, from, to, *most)
        }
        _ => return mismatch("replace()", args),
    };
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let times = whole.matches(from.as_str()).take(most).count();
    if times == 0 || from == to {
        return Ok(args.first().cloned().unwrap_or(Value::Null));
    }
    let length = whole.len() - times * from.len();
    let length = length.saturating_add(times.saturating_mul(to.len()));
    call.meter.allocate(length.saturating_mul(2))?;
    Ok(Value::string(whole.replacen(from.as_str(), to, times)))
}

/// As Go's `strings.SplitN`: an empty separator splits into code points.
fn split<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let (whole, separator, most) = match args {
        [Value::String(whole), Value::String(separator)] => (whole, separator, -1),
        [Value::String(whole), Value::String(separator), Value::Int(most)] => {
            (whole, separator, *most)
        }
        _ => return mismatch("split()", args),
    };
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let separators: Box<dyn Iterator<Item = usize>> = if separator.is_empty() {
        Box::new(whole.char_indices().map(|(at, _)| at).skip(1))
    } else {
        Box::new(whole.match_indices(separator.as_str()).map(|(at, _)| at))
    };
    if most == 0 || (whole.is_empty() && separator.is_empty()) {
        return List::new(Vec::new()).map(Value::List);
    }
    let mut parts = Vec::new();
    let mut start = 0;
    for at in separators.take(most - 1) {
        charge_item(call)?;
        parts.push(part(call, whole, start..at)?);
        start = at + separator.len();
    }
    charge_item(call)?;
    parts.push(part(call, whole, start..whole.len())?);
    List::new(parts).map(Value::List)
}

fn substring<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let (whole, start, end) = match args {
        [Value::String(whole), Value::Int(start)] => (whole, *start, None),
        [Value::String(whole), Value::Int(start), Value::Int(end)] => (whole, *start, Some(*end)),
        _ => return mismatch("substring()", args),
    };
    if end.is_some_and(|end| start > end) {
        return Err(Error::new(ErrorKind::OutOfBounds, "a substring ends before it starts"));
    }
    let from = byte_of(whole, start).ok_or_else(|| out_of_range(start))?;
    let to = match end {
        Some(end) => byte_of(whole, end).ok_or_else(|| out_of_range(end))?,
        None => whole.len(),
    };
    part(call, whole, from..to)
}

fn trim<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let [Value::String(whole)] = args else { return mismatch("trim()", args) };
    let start = whole.len() - whole.trim_start().len();
    let end = start + whole.trim().len();
    part(call, whole, start..end)
}

fn quote<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let [Value::String(whole)] = args else { return mismatch("strings.quote()", args) };
    call.meter.allocate(whole.len().saturating_mul(2))?;
    string(call, &quoted::cel(whole))
}
