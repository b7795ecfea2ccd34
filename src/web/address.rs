//! Which addresses belong to the open network, and which to this machine, its neighbours or nobody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is one that anybody may ask: not this machine, not a private network, not a link, not what clouds tell their
/// machines, and nothing that is kept for other ends.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => public_v4(address),
        IpAddr::V6(address) => public_v6(address),
    }
}

fn public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let kept = match (a, b, c) {
        // "This" network, and everything from multicast upwards.
        (0 | 224..=255, ..)
        // Carrier-grade translation.
        | (100, 64..=127, _)
        // Protocol assignments.
        | (192, 0, 0)
        // The old 6to4 relays.
        | (192, 88, 99)
        // Benchmarks.
        | (198, 18 | 19, _) => true,
        _ => false,
    };
    !(kept
        || address.is_private()
        || address.is_loopback()
        // With 169.254.169.254, where clouds answer.
        || address.is_link_local()
        || address.is_documentation())
}

fn public_v6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    // An address of the other family in these clothes is judged as what it is.
    if let Some(inner) = inner(address) {
        return public_v4(inner);
    }
    // Only 2000::/3 is given out.
    let given_out = parts[0] & 0xe000 == 0x2000;
    let kept = match (parts[0], parts[1]) {
        // Documentation, 6to4, and what is kept for protocols (Teredo among it).
        (0x2001, 0x0db8) | (0x2002, _) | (0x2001, 0x0000..=0x01ff) => true,
        (0x3fff, second) => second < 0x1000,
        _ => false,
    };
    given_out && !kept
}

/// The IPv4 address that an IPv6 address stands for: mapped, or through the well-known translation.
fn inner(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [.., high, low] = address.segments();
    let v4 = Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    let translated = address.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    address.to_ipv4_mapped().or(translated.then_some(v4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a3_20_addresses_that_are_nobodys_business_are_known() {
        let private = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.8.9.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ];
        for address in private {
            assert!(!is_public(address.parse().unwrap()), "{address} is taken for public");
        }
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.0.1",
            "100.128.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address} is not taken for public");
        }
    }
}
