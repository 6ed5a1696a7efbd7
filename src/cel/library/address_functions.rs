//! Functions of IP addresses and CIDR blocks: Kubernetes' `pkg/cel/library/ip.go` and `cidr.go`.

use std::any::Any;

use super::super::error::Error;
use super::super::function::{Call, Cost, Overload, mismatch, traversals};
use super::super::types::{CIDR, IP};
use super::super::value::{Opaque, Value, opaque_equals};
use super::address::{AddressError, Cidr, Ip};
use super::cost::{TRAVERSAL, TRAVERSAL_AND_COPY, size};

pub(super) const OVERLOADS: &[Overload] = &[
    Overload::new("string_to_ip", ip).costs(TRAVERSAL),
    Overload::new("ip_family", family),
    Overload::new("ip_is_canonical", is_canonical).costs(TRAVERSAL_AND_COPY),
    Overload::new("ip_is_unspecified", is_unspecified),
    Overload::new("ip_is_loopback", is_loopback),
    Overload::new("ip_is_link_local_multicast", is_link_local_multicast),
    Overload::new("ip_is_link_local_unicast", is_link_local_unicast),
    Overload::new("ip_is_global_unicast", is_global_unicast),
    Overload::new("is_ip", is_ip).costs(TRAVERSAL),
    Overload::new("string_to_cidr", cidr).costs(TRAVERSAL),
    Overload::new("cidr_contains_ip_string", contains_ip).costs(Cost::Of(|args, _| {
        of_addresses(args).saturating_add(traversals(size(args, 1), 1.0))
    })),
    Overload::new("cidr_contains_ip_ip", contains_ip).costs(Cost::Of(|args, _| of_addresses(args))),
    Overload::new("cidr_contains_cidr_string", contains_cidr)
        .costs(Cost::Of(|args, _| of_blocks(args).saturating_add(traversals(size(args, 1), 1.0)))),
    Overload::new("cidr_contains_cidr", contains_cidr).costs(Cost::Of(|args, _| of_blocks(args))),
    Overload::new("cidr_ip", ip_of_cidr),
    Overload::new("cidr_prefix_length", prefix_length),
    Overload::new("cidr_masked", masked),
    Overload::new("is_cidr", is_cidr).costs(TRAVERSAL),
];

/// The cost of comparing an address with a block's prefix.
fn of_addresses(args: &[Value<'_>]) -> u64 {
    traversals(size(args, 0), 2.0)
}

/// The cost of comparing two blocks, and their lengths.
fn of_blocks(args: &[Value<'_>]) -> u64 {
    of_addresses(args) + traversals(size(args, 0), 1.0) + 1
}

impl Opaque for Ip {
    fn type_name(&self) -> &'static str {
        IP
    }

    fn equals(&self, other: &dyn Opaque) -> Result<bool, Error> {
        opaque_equals(self, other)
    }

    fn size(&self) -> Option<u64> {
        Some(self.bytes())
    }

    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Opaque for Cidr {
    fn type_name(&self) -> &'static str {
        CIDR
    }

    fn equals(&self, other: &dyn Opaque) -> Result<bool, Error> {
        opaque_equals(self, other)
    }

    fn size(&self) -> Option<u64> {
        Some(self.bytes())
    }

    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Memory of an address or a block.
const BYTES: usize = size_of::<Cidr>() + 32;

fn opaque<'v>(call: &mut Call<'_>, value: impl Opaque) -> Result<Value<'v>, Error> {
    call.meter.allocate(BYTES)?;
    Ok(Value::opaque_of(value))
}

fn argument<'a>(function: &str, args: &'a [Value<'_>]) -> Result<&'a str, Error> {
    match args {
        [Value::String(text)] => Ok(text),
        _ => mismatch(function, args),
    }
}

fn error(error: AddressError) -> Error {
    Error::invalid(error.to_string())
}

/// The address that a method is called on.
fn address(function: &str, args: &[Value<'_>]) -> Result<Ip, Error> {
    match args.first().and_then(Value::opaque::<Ip>) {
        Some(address) => Ok(*address),
        None => mismatch(function, args),
    }
}

/// The block that a method is called on.
fn block(function: &str, args: &[Value<'_>]) -> Result<Cidr, Error> {
    match args.first().and_then(Value::opaque::<Cidr>) {
        Some(block) => Ok(*block),
        None => mismatch(function, args),
    }
}

fn ip<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let address = Ip::parse(argument("ip()", args)?).map_err(error)?;
    opaque(call, address)
}

fn is_ip<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    Ok(Value::Bool(Ip::parse(argument("isIP()", args)?).is_ok()))
}

fn is_canonical<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let text = argument("ip.isCanonical()", args)?;
    let address = Ip::parse(text).map_err(error)?;
    Ok(Value::Bool(address.to_string() == text))
}

fn family<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    address("family()", args).map(|it| Value::Int(it.family()))
}

fn is_unspecified<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    address("isUnspecified()", args).map(|it| Value::Bool(it.is_unspecified()))
}

fn is_loopback<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    address("isLoopback()", args).map(|it| Value::Bool(it.is_loopback()))
}

fn is_link_local_multicast<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    address("isLinkLocalMulticast()", args).map(|it| Value::Bool(it.is_link_local_multicast()))
}

fn is_link_local_unicast<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    address("isLinkLocalUnicast()", args).map(|it| Value::Bool(it.is_link_local_unicast()))
}

fn is_global_unicast<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    address("isGlobalUnicast()", args).map(|it| Value::Bool(it.is_global_unicast()))
}

fn cidr<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let block = Cidr::parse(argument("cidr()", args)?).map_err(error)?;
    opaque(call, block)
}

fn is_cidr<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    Ok(Value::Bool(Cidr::parse(argument("isCIDR()", args)?).is_ok()))
}

fn contains_ip<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let block = block("containsIP()", args)?;
    let other = match args {
        [_, Value::String(text)] => Ip::parse(text).map_err(error)?,
        [_, other] => address("containsIP()", std::slice::from_ref(other))?,
        _ => return mismatch("containsIP()", args),
    };
    Ok(Value::Bool(block.contains(other)))
}

fn contains_cidr<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let outer = block("containsCIDR()", args)?;
    let other = match args {
        [_, Value::String(text)] => Cidr::parse(text).map_err(error)?,
        [_, other] => block("containsCIDR()", std::slice::from_ref(other))?,
        _ => return mismatch("containsCIDR()", args),
    };
    Ok(Value::Bool(outer.contains_cidr(other)))
}

fn ip_of_cidr<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let block = block("ip()", args)?;
    opaque(call, block.address())
}

fn prefix_length<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    block("prefixLength()", args).map(|it| Value::Int(it.prefix_length().into()))
}

fn masked<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let block = block("masked()", args)?;
    opaque(call, block.masked())
}
