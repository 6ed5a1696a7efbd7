//! IP addresses and CIDR blocks, read and printed as by Go's `net/netip`. As in Kubernetes, addresses with zones and
//! IPv4 addresses written as IPv6 are refused (`k8s.io/apiserver/pkg/cel/library/ip.go`, `cidr.go`).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fmt;

/// Why a text is not an address or a CIDR block.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AddressError {
    #[error("this is not an IP address; write 192.0.2.1 or 2001:db8::1")]
    Address,
    #[error("this IP address has a zone (%…), which Kubernetes refuses")]
    Zone,
    #[error("this is an IPv4 address written as IPv6 (::ffff:…), which Kubernetes refuses")]
    Mapped,
    #[error("this is not a CIDR block; write 192.0.2.0/24 or 2001:db8::/32")]
    Prefix,
}

/// An IP address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ip(IpAddr);

impl Ip {
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let address = match text.find(['.', ':', '%']).and_then(|at| text.as_bytes().get(at)) {
            Some(b'.') => IpAddr::V4(parse_v4(text)?),
            Some(b':') => match text.split_once('%') {
                Some((address, zone)) if !zone.is_empty() => {
                    parse_v6(address)?;
                    return Err(AddressError::Zone);
                }
                Some(_) => return Err(AddressError::Address),
                None => IpAddr::V6(parse_v6(text)?),
            },
            _ => return Err(AddressError::Address),
        };
        if let IpAddr::V6(address) = address
            && address.to_ipv4_mapped().is_some()
        {
            return Err(AddressError::Mapped);
        }
        Ok(Self(address))
    }

    /// 4 or 6.
    pub fn family(self) -> i64 {
        if self.0.is_ipv4() { 4 } else { 6 }
    }

    /// The address's length in bytes.
    pub fn bytes(self) -> u64 {
        if self.0.is_ipv4() { 4 } else { 16 }
    }

    pub fn is_unspecified(self) -> bool {
        self.0.is_unspecified()
    }

    pub fn is_loopback(self) -> bool {
        self.0.is_loopback()
    }

    pub fn is_link_local_multicast(self) -> bool {
        match self.0 {
            IpAddr::V4(address) => matches!(address.octets(), [224, 0, 0, _]),
            IpAddr::V6(address) => {
                address.segments().first().is_some_and(|it| it & 0xff0f == 0xff02)
            }
        }
    }

    pub fn is_link_local_unicast(self) -> bool {
        match self.0 {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        }
    }

    pub fn is_global_unicast(self) -> bool {
        let broadcast = matches!(self.0, IpAddr::V4(address) if address.is_broadcast());
        let none = broadcast || self.0.is_unspecified() || self.0.is_loopback();
        !none && !self.0.is_multicast() && !self.is_link_local_unicast()
    }

    /// The address with all bits after the first `bits` cleared.
    fn masked(self, bits: u32) -> Self {
        Self(match self.0 {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - bits.min(128)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        })
    }
}

/// The canonical form.
impl fmt::Display for Ip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let IpAddr::V6(address) = self.0 else {
            return self.0.fmt(f);
        };
        // Go shortens the longest run of zeros, and never prints the last bytes as IPv4.
        let segments = address.segments();
        let (mut start, mut length) = (0, 1);
        for from in 0..segments.len() {
            let zeros = segments.iter().skip(from).take_while(|segment| **segment == 0).count();
            if zeros > length {
                (start, length) = (from, zeros);
            }
        }
        for (at, segment) in segments.iter().enumerate() {
            if length > 1 && (start..start + length).contains(&at) {
                if at == start {
                    f.write_str("::")?;
                }
                continue;
            }
            let after_zeros = length > 1 && at == start + length;
            if at > 0 && !after_zeros {
                f.write_str(":")?;
            }
            write!(f, "{segment:x}")?;
        }
        Ok(())
    }
}

/// A CIDR block: an address and the length of the prefix in bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cidr {
    address: Ip,
    bits: u32,
}

impl Cidr {
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (address, bits) = text.rsplit_once('/').ok_or(AddressError::Prefix)?;
        let address = Ip::parse(address)?;
        let digits = bits.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || (bits.len() > 1 && bits.starts_with('0')) {
            return Err(AddressError::Prefix);
        }
        let bits = bits.parse().map_err(|_| AddressError::Prefix)?;
        if bits > if address.family() == 4 { 32 } else { 128 } {
            return Err(AddressError::Prefix);
        }
        Ok(Self { address, bits })
    }

    pub fn address(self) -> Ip {
        self.address
    }

    pub fn prefix_length(self) -> u32 {
        self.bits
    }

    /// The prefix's length in bytes, rounded up.
    pub fn bytes(self) -> u64 {
        u64::from(self.bits.div_ceil(8))
    }

    #[must_use]
    pub fn masked(self) -> Self {
        Self { address: self.address.masked(self.bits), bits: self.bits }
    }

    pub fn contains(self, address: Ip) -> bool {
        self.address.family() == address.family()
            && self.address.masked(self.bits) == address.masked(self.bits)
    }

    pub fn contains_cidr(self, other: Self) -> bool {
        self.bits <= other.bits && self.contains(other.address)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// Whether bytes are an IPv6 address with or without a zone, the form between brackets in a URL.
pub fn is_ipv6(bytes: &[u8]) -> bool {
    let end = bytes.iter().position(|byte| *byte == b'%').unwrap_or(bytes.len());
    let (address, zone) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
    zone.len() != 1 && std::str::from_utf8(address).is_ok_and(|address| parse_v6(address).is_ok())
}

fn parse_v4(text: &str) -> Result<Ipv4Addr, AddressError> {
    // The standard library accepts the same texts as Go: four decimal numbers without leading zeros.
    text.parse().map_err(|_| AddressError::Address)
}

fn parse_v6(text: &str) -> Result<Ipv6Addr, AddressError> {
    text.parse().map_err(|_| AddressError::Address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_printed_as_go_does() {
        for (text, canonical) in [
            ("1.2.3.4", "1.2.3.4"),
            ("::", "::"),
            ("0:0:0:0:0:0:0:1", "::1"),
            ("2001:DB8:0:0:1::", "2001:db8:0:0:1::"),
            ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
            ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"),
            ("::1.2.3.4", "::102:304"),
            ("64:ff9b::1.2.3.4", "64:ff9b::102:304"),
        ] {
            assert_eq!(Ip::parse(text).unwrap().to_string(), canonical, "{text}");
        }
        for text in [
            "",
            "1",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "256.1.1.1",
            "1:2",
            "::g",
            "1::2::3",
            "%eth0",
            "fe80::%",
        ] {
            assert_eq!(Ip::parse(text), Err(AddressError::Address), "{text}");
        }
        assert_eq!(Ip::parse("fe80::1%eth0"), Err(AddressError::Zone));
        assert_eq!(Ip::parse("::ffff:1.2.3.4"), Err(AddressError::Mapped));
    }

    #[test]
    fn blocks_contain_addresses_and_blocks_of_their_family() {
        let block = |text| Cidr::parse(text).unwrap();
        assert!(block("10.1.2.3/8").contains(Ip::parse("10.200.0.1").unwrap()));
        assert!(!block("10.0.0.0/8").contains(Ip::parse("11.0.0.1").unwrap()));
        assert!(!block("0.0.0.0/0").contains(Ip::parse("::1").unwrap()));
        assert!(block("::/0").contains_cidr(block("2001:db8::/32")));
        assert!(!block("10.0.0.0/16").contains_cidr(block("10.0.0.0/8")));
        assert_eq!(block("10.1.2.3/8").masked().to_string(), "10.0.0.0/8");
        assert_eq!(block("2001:db8:1::/32").masked().to_string(), "2001:db8::/32");
        for text in
            ["10.0.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/08", "10.0.0.0/+8", "10.0.0.0/", "/8"]
        {
            assert!(Cidr::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_are_classified_by_their_use() {
        let of = |text| Ip::parse(text).unwrap();
        assert!(of("0.0.0.0").is_unspecified() && of("::").is_unspecified());
        assert!(of("127.1.2.3").is_loopback() && of("::1").is_loopback());
        assert!(
            of("224.0.0.1").is_link_local_multicast() && of("ff02::1").is_link_local_multicast()
        );
        assert!(
            !of("224.0.1.1").is_link_local_multicast() && of("ff12::1").is_link_local_multicast()
        );
        assert!(of("169.254.0.1").is_link_local_unicast() && of("fe80::1").is_link_local_unicast());
        assert!(of("10.0.0.1").is_global_unicast() && of("fc00::1").is_global_unicast());
        for text in
            ["0.0.0.0", "255.255.255.255", "127.0.0.1", "224.1.1.1", "169.254.0.1", "ff00::", "::1"]
        {
            assert!(!of(text).is_global_unicast(), "{text}");
        }
    }
}
