//! JSON as an adversary writes it: the same value in other bytes.

use arbitrary::{Result, Unstructured};

#[derive(Clone, Debug)]
pub enum Json {
    /// Written as it is: `true`, `null`, `5`.
    Raw(&'static str),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

pub fn text(text: &str) -> Json {
    Json::Text(text.to_owned())
}

pub fn object<const N: usize>(fields: [(&str, Json); N]) -> Json {
    Json::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

impl Json {
    /// Sets a field of an object, or replaces it.
    pub fn set(&mut self, key: &str, value: Json) {
        let Json::Object(fields) = self else { panic!("{key}: no object: {self:?}") };
        fields.retain(|(name, _)| name != key);
        fields.push((key.to_owned(), value));
    }

    pub fn remove(&mut self, key: &str) {
        if let Json::Object(fields) = self {
            fields.retain(|(name, _)| name != key);
        }
    }

    /// Adds a field that is not there yet.
    pub fn decoy(&mut self, key: &str, value: Json) {
        if let Json::Object(fields) = self
            && fields.iter().all(|(name, _)| name != key)
        {
            fields.push((key.to_owned(), value));
        }
    }

    pub fn write(&self, u: &mut Unstructured<'_>, out: &mut String) -> Result<()> {
        space(u, out)?;
        match self {
            Json::Raw(raw) => out.push_str(raw),
            Json::Text(text) => string(text, u, out)?,
            Json::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(u, out)?;
                }
                out.push(']');
            }
            Json::Object(fields) => {
                out.push('{');
                // The fuzz input decides the order of the fields.
                let mut left: Vec<_> = fields.iter().collect();
                while !left.is_empty() {
                    let (key, value) = left.remove(u.choose_index(left.len())?);
                    string(key, u, out)?;
                    space(u, out)?;
                    out.push(':');
                    value.write(u, out)?;
                    if !left.is_empty() {
                        out.push(',');
                        space(u, out)?;
                    }
                }
                out.push('}');
            }
        }
        space(u, out)
    }
}

/// A string with some of its characters as escapes.
fn string(text: &str, u: &mut Unstructured<'_>, out: &mut String) -> Result<()> {
    out.push('"');
    let escapes = u.ratio(1, 4)?;
    for character in text.chars() {
        if (escapes && u.ratio(1, 3)?) || matches!(character, '"' | '\\') || character < ' ' {
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.push_str(&if u.arbitrary()? {
                    format!("\\u{unit:04x}")
                } else {
                    format!("\\u{unit:04X}")
                });
            }
        } else if character == '/' && escapes {
            out.push_str("\\/");
        } else {
            out.push(character);
        }
    }
    out.push('"');
    Ok(())
}

fn space(u: &mut Unstructured<'_>, out: &mut String) -> Result<()> {
    while !u.is_empty() && u.ratio(1, 8)? {
        out.push(*u.choose(&[' ', '\n', '\t', '\r'])?);
    }
    Ok(())
}
