//! Functions of URLs: Kubernetes' `pkg/cel/library/urls.go`.

use std::any::Any;

use super::super::error::Error;
use super::super::function::{Call, Overload, mismatch};
use super::super::list::List;
use super::super::map::Map;
use super::super::types::URL;
use super::super::value::{Opaque, Value, opaque_equals};
use super::cost::TRAVERSAL;
use super::support::string;
use super::url::Url;

pub(super) const OVERLOADS: &[Overload] = &[
    Overload::new("string_to_url", url).costs(TRAVERSAL),
    Overload::new("url_get_scheme", scheme),
    Overload::new("url_get_host", host),
    Overload::new("url_get_hostname", hostname),
    Overload::new("url_get_port", port),
    Overload::new("url_get_escaped_path", escaped_path),
    Overload::new("url_get_query", query),
    Overload::new("is_url_string", is_url),
];

/// The most bytes of memory for one byte of a URL's text.
const BYTES_OF_A_BYTE: usize = 8;
const BYTES_OF_A_PARAMETER: usize = 4 * size_of::<Value<'_>>() + 128;

impl Opaque for Url {
    fn type_name(&self) -> &'static str {
        URL
    }

    fn equals(&self, other: &dyn Opaque) -> Result<bool, Error> {
        opaque_equals(self, other)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn argument<'a>(
    call: &mut Call<'_>,
    function: &str,
    args: &'a [Value<'_>],
) -> Result<&'a str, Error> {
    let [Value::String(text)] = args else { return mismatch(function, args) };
    call.meter.allocate(text.len().saturating_mul(BYTES_OF_A_BYTE) + size_of::<Url>())?;
    Ok(text)
}

fn url<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let text = argument(call, "url()", args)?;
    Url::parse(text).map(Value::opaque_of).map_err(|error| {
        let message =
            format!("this is not a URL such as https://example.org/path or /path: {error}");
        Error::invalid(message)
    })
}

fn is_url<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let text = argument(call, "isURL()", args)?;
    Ok(Value::Bool(Url::check(text).is_ok()))
}

/// Calls `part` on the URL that a method is called on.
fn part<'v>(
    call: &mut Call<'_>,
    function: &str,
    args: &[Value<'v>],
    part: fn(&Url) -> String,
) -> Result<Value<'v>, Error> {
    let Some(url) = args.first().and_then(Value::opaque::<Url>) else {
        return mismatch(function, args);
    };
    call.meter.allocate(url.len().saturating_mul(3))?;
    string(call, &part(url))
}

fn scheme<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    part(call, "getScheme()", args, |url| url.scheme().to_owned())
}

fn host<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    part(call, "getHost()", args, Url::host)
}

fn hostname<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    part(call, "getHostname()", args, Url::hostname)
}

fn port<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    part(call, "getPort()", args, Url::port)
}

fn escaped_path<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    part(call, "getEscapedPath()", args, Url::escaped_path)
}

fn query<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let Some(url) = args.first().and_then(Value::opaque::<Url>) else {
        return mismatch("getQuery()", args);
    };
    let parameters = url.most_parameters();
    call.meter.allocate(url.len().saturating_mul(3))?;
    call.meter.allocate(parameters.saturating_mul(BYTES_OF_A_PARAMETER))?;
    let mut entries = Vec::new();
    for (key, values) in url.query() {
        let values = values.into_iter().map(Value::string).collect();
        entries.push((Value::string(key), List::new(values).map(Value::List)?));
    }
    Map::new(entries).map(Value::Map)
}
