//! Addresses, as far as it must be known where a request goes.

use std::net::IpAddr;

/// The parts of an address that decide who is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// `https` or `http`.
    pub(crate) scheme: String,
    /// Host and port, lower case.
    pub(crate) host: String,
    /// From the first slash on.
    pub(crate) path: String,
}

impl Address {
    /// Nothing for other schemes, for a name or password before the host, and for characters that no address has.
    pub(crate) fn parse(text: &str) -> Option<Address> {
        let (scheme, rest) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(end);
        let printable = text.bytes().all(|b| b.is_ascii_graphic());
        if !matches!(scheme.as_str(), "https" | "http") || host.is_empty() || host.contains('@') || !printable
        {
            return None;
        }
        let path = path.split('#').next().unwrap_or_default();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Some(Address { scheme, host: host.to_ascii_lowercase(), path })
    }

    /// Where a `Location` leads from here.
    pub(crate) fn join(&self, location: &str) -> Option<Address> {
        let Address { scheme, host, path } = self;
        if location.contains("://") && !location.starts_with('/') {
            Address::parse(location)
        } else if let Some(rest) = location.strip_prefix("//") {
            Address::parse(&format!("{scheme}://{rest}"))
        } else if location.starts_with('/') {
            Address::parse(&format!("{scheme}://{host}{location}"))
        } else {
            let base = path.split('?').next().unwrap_or_default();
            let folder = base.rfind('/').map_or("/", |at| &base[..=at]);
            Address::parse(&format!("{scheme}://{host}{folder}{location}"))
        }
    }

    pub(crate) fn text(&self) -> String {
        format!("{}://{}{}", self.scheme, self.host, self.path)
    }

    /// Whether both are the same server, so that what is secret for one may go to the other.
    pub(crate) fn same_server(&self, other: &Address) -> bool {
        self.scheme == other.scheme && self.host == other.host
    }

    /// Whether the host is written as this machine or as an address of a private network.
    pub(crate) fn is_private(&self) -> bool {
        let name = match self.host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => self.host.split(':').next().unwrap_or_default(),
        };
        if name == "localhost" || name.ends_with(".localhost") || name.ends_with(".internal") {
            return true;
        }
        let v4 = |ip: std::net::Ipv4Addr| {
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified()
        };
        match name.parse::<IpAddr>() {
            Ok(IpAddr::V4(ip)) => v4(ip),
            Ok(IpAddr::V6(ip)) => {
                let first = ip.segments()[0];
                ip.is_loopback()
                    || ip.is_unspecified()
                    || first & 0xfe00 == 0xfc00
                    || first & 0xffc0 == 0xfe80
                    || ip.to_ipv4_mapped().is_some_and(v4)
            }
            Err(_) => false,
        }
    }
}

/// A path of a repository inside an address; slashes stay.
pub(crate) fn encode(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_followed_as_written() {
        let from = Address::parse("https://Hub.example/a/b?x=1").unwrap();
        let to = |location: &str| from.join(location).map(|a| a.text());
        assert_eq!(to("/c"), Some("https://hub.example/c".to_owned()));
        assert_eq!(to("c?y"), Some("https://hub.example/a/c?y".to_owned()));
        assert_eq!(to("//cdn.example/c"), Some("https://cdn.example/c".to_owned()));
        assert_eq!(to("http://cdn.example"), Some("http://cdn.example/".to_owned()));
        assert_eq!(to("file:///etc/passwd"), None);
        assert_eq!(to("https://user@cdn.example/"), None);
        assert_eq!(to("/a b"), None);
    }

    #[test]
    fn private_hosts_are_known_by_their_names() {
        let private = |host: &str| Address::parse(&format!("http://{host}/x")).unwrap().is_private();
        for host in [
            "localhost:80",
            "127.0.0.1",
            "10.1.2.3:8080",
            "169.254.169.254",
            "[::1]:1",
            "[fd00::1]",
            "0.0.0.0",
            "[::ffff:10.0.0.1]",
        ] {
            assert!(private(host), "{host}");
        }
        for host in ["huggingface.co", "8.8.8.8", "[2001:db8::1]:443"] {
            assert!(!private(host), "{host}");
        }
    }

    #[test]
    fn paths_are_encoded() {
        assert_eq!(encode("a b/ü+?.gguf"), "a%20b/%C3%BC%2B%3F.gguf");
    }
}
