//! URLs, IP addresses and CIDR blocks: Kubernetes' `pkg/cel/library/{urls,ip,cidr}.go`.

use super::super::declarations::{FunctionLibrary, function, global, member};
use super::super::types::{
    CIDR, IP,
    Type::{self, Bool, Int, Opaque, String},
    URL,
};

fn url() -> Type {
    Type::object(URL)
}

pub(super) fn urls() -> FunctionLibrary {
    let functions = vec![
        function("url", [global("string_to_url", [String], url())]),
        function("getScheme", [member("url_get_scheme", [url()], String)]),
        function("getHost", [member("url_get_host", [url()], String)]),
        function("getHostname", [member("url_get_hostname", [url()], String)]),
        function("getPort", [member("url_get_port", [url()], String)]),
        function("getEscapedPath", [member("url_get_escaped_path", [url()], String)]),
        function(
            "getQuery",
            [member("url_get_query", [url()], Type::map(String, Type::list(String)))],
        ),
        function("isURL", [global("is_url_string", [String], Bool)]),
    ];
    FunctionLibrary { name: "URLs", functions }
}

pub(super) fn addresses() -> FunctionLibrary {
    let functions = vec![
        function("ip", [global("string_to_ip", [String], Opaque(IP))]),
        function("family", [member("ip_family", [Opaque(IP)], Int)]),
        function("ip.isCanonical", [global("ip_is_canonical", [String], Bool)]),
        function("isUnspecified", [member("ip_is_unspecified", [Opaque(IP)], Bool)]),
        function("isLoopback", [member("ip_is_loopback", [Opaque(IP)], Bool)]),
        function(
            "isLinkLocalMulticast",
            [member("ip_is_link_local_multicast", [Opaque(IP)], Bool)],
        ),
        function("isLinkLocalUnicast", [member("ip_is_link_local_unicast", [Opaque(IP)], Bool)]),
        function("isGlobalUnicast", [member("ip_is_global_unicast", [Opaque(IP)], Bool)]),
        function("isIP", [global("is_ip", [String], Bool)]),
        function("string", [global("ip_to_string", [Opaque(IP)], String)]),
    ];
    FunctionLibrary { name: "IP addresses", functions }
}

pub(super) fn blocks() -> FunctionLibrary {
    let functions = vec![
        function("cidr", [global("string_to_cidr", [String], Opaque(CIDR))]),
        function(
            "containsIP",
            [
                member("cidr_contains_ip_string", [Opaque(CIDR), String], Bool),
                member("cidr_contains_ip_ip", [Opaque(CIDR), Opaque(IP)], Bool),
            ],
        ),
        function(
            "containsCIDR",
            [
                member("cidr_contains_cidr_string", [Opaque(CIDR), String], Bool),
                member("cidr_contains_cidr", [Opaque(CIDR), Opaque(CIDR)], Bool),
            ],
        ),
        function("ip", [member("cidr_ip", [Opaque(CIDR)], Opaque(IP))]),
        function("prefixLength", [member("cidr_prefix_length", [Opaque(CIDR)], Int)]),
        function("masked", [member("cidr_masked", [Opaque(CIDR)], Opaque(CIDR))]),
        function("isCIDR", [global("is_cidr", [String], Bool)]),
        function("string", [global("cidr_to_string", [Opaque(CIDR)], String)]),
    ];
    FunctionLibrary { name: "CIDR blocks", functions }
}
