//! Values that must not be printed: credentials in URLs and in header values.

use std::fmt;

/// What stands in place of a secret.
pub(crate) const MASK: &str = "***";

/// Words in a field's name that make its value a secret.
const SECRET_NAMES: &[&str] = &[
    "header",
    "authorization",
    "token",
    "password",
    "passwd",
    "secret",
    "credential",
    "cookie",
];

/// The URL of an HTTP emitter. Printing it, with `Display` or `Debug`, masks the user information.
///
/// ```
/// use relay_node::config::TargetUrl;
///
/// let url: TargetUrl = "http://user:pass@127.0.0.1:9000/in".parse().unwrap();
/// assert_eq!(url.to_string(), "http://***@127.0.0.1:9000/in");
/// assert_eq!(url.uri().path(), "/in");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TargetUrl(hyper::Uri);

impl TargetUrl {
    /// The address to send to, with all that was configured.
    pub const fn uri(&self) -> &hyper::Uri {
        &self.0
    }
}

impl std::str::FromStr for TargetUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: hyper::Uri = text.parse().map_err(|_| "not a URL")?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err("https is not available yet; put a TLS proxy on this machine in front");
            }
            _ => return Err("not an http:// URL"),
        }
        match uri.host() {
            Some(host) if !host.is_empty() => Ok(Self(uri)),
            _ => Err("the URL names no host"),
        }
    }
}

impl fmt::Display for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let has_userinfo = self.0.authority().is_some_and(|a| a.as_str().contains('@'));
        f.pad(&if has_userinfo {
            mask_userinfo(&text)
        } else {
            text
        })
    }
}

impl fmt::Debug for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TargetUrl({self})")
    }
}

/// Masks what stands between `//` and `@`, in valid URLs and in mistyped ones.
pub(crate) fn mask_userinfo(text: &str) -> String {
    let authority = text.find("//").map_or(0, |i| i + 2);
    let authority_end = text[authority..]
        .find(['/', '?', '#'])
        .map_or(text.len(), |i| authority + i);
    match text[..authority_end].rfind('@').or_else(|| text.rfind('@')) {
        Some(at) if at >= authority => format!("{}{MASK}{}", &text[..authority], &text[at..]),
        _ => text.to_owned(),
    }
}

/// What may be shown of a text at `path` of which nothing is known but the name.
pub(crate) fn mask_text(path: &str, text: &str) -> String {
    let path = path.to_ascii_lowercase();
    if SECRET_NAMES.iter().any(|name| path.contains(name)) {
        MASK.to_owned()
    } else {
        mask_userinfo(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_never_survive() {
        for url in [
            "http://user:hunter2@host/",
            "http://hunter2@host",
            "user:hunter2@host",
            "http://user:hun/hunter2@host/x",
            "https://user:hunter2@[::1]:1/?q=a@b",
        ] {
            let shown = mask_userinfo(url);
            assert!(!shown.contains("hunter2"), "{shown}");
            assert!(shown.contains(MASK), "{shown}");
        }
        assert_eq!(mask_userinfo("http://host/a"), "http://host/a");
        assert_eq!(mask_text("emitters.x.auth_token", "hunter2"), MASK);
    }

    #[test]
    fn only_http_urls_with_a_host_are_targets() {
        assert!("http://127.0.0.1:80/x".parse::<TargetUrl>().is_ok());
        for text in [
            "",
            "/x",
            "127.0.0.1:80",
            "ftp://h/",
            "https://h/",
            "http:///x",
        ] {
            assert!(text.parse::<TargetUrl>().is_err(), "{text}");
        }
        let url: TargetUrl = "http://u:hunter2@h/".parse().unwrap();
        assert!(!format!("{url:?}").contains("hunter2"));
    }
}
