//! Named formats, such as `format.dns1123Label()`: Kubernetes' `pkg/cel/library/format.go`, which checks texts with
//! `k8s.io/apimachinery/pkg/api/validate/content` and `k8s.io/kube-openapi/pkg/validation/strfmt`.

mod check;

use std::any::Any;
use std::borrow::Cow;

use super::super::error::Error;
use super::super::function::{Call, Cost, Overload, mismatch};
use super::super::list::List;
use super::super::types::NAMED_FORMAT;
use super::super::value::{Opaque, Optional, Value};
use super::cost::{search, size};

pub(super) const OVERLOADS: &[Overload] = &[
    Overload::new("format-validate", validate).costs(Cost::Of(|args, _| {
        let format = args.first().and_then(Value::opaque::<Format>);
        format.map_or(1, |format| search(size(args, 1), format.pattern_size))
    })),
    Overload::new("format-named", named),
    Overload::new("format.dns1123Label", |_, _| constant("dns1123Label")),
    Overload::new("format.dns1123Subdomain", |_, _| constant("dns1123Subdomain")),
    Overload::new("format.dns1035Label", |_, _| constant("dns1035Label")),
    Overload::new("format.qualifiedName", |_, _| constant("qualifiedName")),
    Overload::new("format.dns1123LabelPrefix", |_, _| constant("dns1123LabelPrefix")),
    Overload::new("format.dns1123SubdomainPrefix", |_, _| constant("dns1123SubdomainPrefix")),
    Overload::new("format.dns1035LabelPrefix", |_, _| constant("dns1035LabelPrefix")),
    Overload::new("format.labelValue", |_, _| constant("labelValue")),
    Overload::new("format.uri", |_, _| constant("uri")),
    Overload::new("format.uuid", |_, _| constant("uuid")),
    Overload::new("format.byte", |_, _| constant("byte")),
    Overload::new("format.date", |_, _| constant("date")),
    Overload::new("format.datetime", |_, _| constant("datetime")),
];

/// A format that texts are checked against.
#[derive(Clone, Copy, Debug)]
struct Format {
    name: &'static str,
    check: fn(&str) -> check::Wrong,
    /// The length of the format's pattern that Kubernetes charges for.
    pattern_size: u64,
}

const FORMATS: [Format; 13] = [
    format("dns1123Label", check::dns1123_label, 30),
    format("dns1123Subdomain", check::dns1123_subdomain, 60),
    format("dns1035Label", check::dns1035_label, 30),
    format("qualifiedName", check::qualified_name, 60),
    format("dns1123LabelPrefix", |text| check::dns1123_label(&check::prefix(text)), 30),
    format("dns1123SubdomainPrefix", |text| check::dns1123_subdomain(&check::prefix(text)), 60),
    format("dns1035LabelPrefix", |text| check::dns1035_label(&check::prefix(text)), 30),
    format("labelValue", check::label_value, 40),
    format("uri", check::uri, 1103),
    format("uuid", check::uuid, 70),
    format("byte", check::base64, 84),
    format("date", check::date, 71),
    format("datetime", check::date_time, 71),
];

const fn format(name: &'static str, check: fn(&str) -> check::Wrong, pattern_size: u64) -> Format {
    Format { name, check, pattern_size }
}

impl Opaque for Format {
    fn type_name(&self) -> &'static str {
        NAMED_FORMAT
    }

    fn equals(&self, other: &dyn Opaque) -> Result<bool, Error> {
        match other.as_any().downcast_ref::<Self>() {
            Some(other) => Ok(self.name == other.name),
            None => Err(Error::no_such_overload("==", &[NAMED_FORMAT, other.type_name()])),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn constant<'v>(name: &str) -> Result<Value<'v>, Error> {
    let format = FORMATS.into_iter().find(|format| format.name == name);
    format.map(Value::opaque_of).ok_or_else(|| Error::invalid("there is no such format"))
}

fn named<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let [Value::String(name)] = args else { return mismatch("format.named()", args) };
    call.meter.allocate(Optional::BYTES + size_of::<Format>())?;
    match constant(name) {
        Ok(format) => Optional::of(format).map(Value::Optional),
        Err(_) => Ok(Value::Optional(Optional::None)),
    }
}

/// The messages of a failed check as an optional list; an empty optional for a valid text.
fn validate<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let [format, Value::String(text)] = args else { return mismatch("validate()", args) };
    let Some(format) = format.opaque::<Format>() else { return mismatch("validate()", args) };
    // The message for a URL quotes the text.
    call.meter.allocate(text.len().saturating_mul(12))?;
    let wrong = (format.check)(text);
    if wrong.is_empty() {
        return Ok(Value::Optional(Optional::None));
    }
    List::charge(call.meter, wrong.len())?;
    let wrong = wrong.into_iter().map(|message| match message {
        Cow::Borrowed(message) => Value::borrowed(message),
        Cow::Owned(message) => Value::string(message),
    });
    let wrong = List::new(wrong.collect())?;
    call.meter.allocate(Optional::BYTES)?;
    Optional::of(Value::List(wrong)).map(Value::Optional)
}
