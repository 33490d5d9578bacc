//! Takes secrets out of a text before it is kept: what is in a black box is mailed around.
//!
//! **Rules.** Hidden is what follows a key that sounds secret (`password=…`, `"token": "…"`,
//! `Authorization: …`), what follows `Bearer` or `Basic`, the user part of a URL, and any run of 32
//! and more characters that could be a key: letters and digits mixed, without separators of words.
//! Better one harmless identifier hidden than one secret kept: a secret of fewer characters without
//! a key in front of it cannot be told from a word, so do not put payloads into texts.
//!
//! It neither allocates nor panics, because it runs in panic hooks. Control characters become
//! spaces, so a text is one line in every output.

/// What stands in place of a secret.
pub const HIDDEN: &str = "[hidden]";

/// A run of characters that could be a key is one from this length on.
const KEY_BYTES_MIN: usize = 32;

/// A key sounds secret when its end is one of these, whatever the case.
const SECRET_KEYS: [&str; 18] = [
    "password",
    "passwd",
    "pwd",
    "pass",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "access_key",
    "access-key",
    "private_key",
    "private-key",
    "credential",
    "credentials",
    "signature",
    "sig",
];

/// Headers whose whole value is secret: it has several parts.
const SECRET_HEADERS: [&str; 2] = ["authorization", "cookie"];

/// What is to be hidden next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Armed {
    No,
    /// The next value, up to a space, a quote or a separator.
    Value,
    /// All up to a quote or the end of the line.
    Line,
}

/// Copies `text` into `into` without secrets, as much as fits, and answers how many bytes that is.
/// What is copied is UTF-8.
pub fn scrub(text: &str, into: &mut [u8]) -> usize {
    let mut out = Out { into, len: 0 };
    let mut rest = text;
    let mut armed = Armed::No;
    while !rest.is_empty() && !out.is_full() {
        let word = rest.len() - rest.trim_start_matches(is_word).len();
        if word == 0 {
            rest = separator(rest, &mut armed, &mut out);
            continue;
        }
        let (head, tail) = rest.split_at(word);
        let scheme = tail.starts_with([' ', '\t']) && is_scheme(head);
        if armed == Armed::Line || armed == Armed::Value && !scheme {
            rest = hide(rest, armed, &mut out);
            armed = Armed::No;
        } else if let Some(url) = tail.strip_prefix("://") {
            out.push(head);
            out.push("://");
            rest = without_user(url, &mut out);
        } else if looks_random(head) {
            out.push(HIDDEN);
            rest = tail;
        } else {
            out.push(head);
            armed = if scheme { Armed::Value } else { arms(head, tail) };
            rest = tail;
        }
    }
    out.len
}

/// `scrub` into a string of at most `max` bytes.
pub fn scrubbed(text: &str, max: usize) -> String {
    let mut bytes = vec![0; max];
    let len = scrub(text, &mut bytes);
    bytes.truncate(len);
    String::from_utf8(bytes).unwrap_or_default()
}

struct Out<'a> {
    into: &'a mut [u8],
    len: usize,
}

impl Out<'_> {
    fn is_full(&self) -> bool {
        self.len == self.into.len()
    }

    /// Ends at a whole character, and then takes nothing more.
    fn push(&mut self, text: &str) {
        let room = self.into.len() - self.len;
        let fits = text.floor_char_boundary(room.min(text.len()));
        self.into[self.len..self.len + fits].copy_from_slice(&text.as_bytes()[..fits]);
        self.len += fits;
        if fits < text.len() {
            // The rest of the room stays unused: a later, shorter piece must not follow a cut one.
            let into = std::mem::take(&mut self.into);
            self.into = &mut into[..self.len];
        }
    }
}

/// Passes one character that is no part of a word.
fn separator<'a>(rest: &'a str, armed: &mut Armed, out: &mut Out<'_>) -> &'a str {
    let mut characters = rest.chars();
    if let Some(c) = characters.next() {
        let before_value = matches!(c, ' ' | '\t' | '=' | ':' | '"' | '\'' | '>' | '\\');
        if *armed != Armed::No && !before_value {
            // A secret may begin with any sign, such as `$` or `{`.
            let rest = hide(rest, *armed, out);
            *armed = Armed::No;
            return rest;
        }
        if c.is_control() {
            out.push(" ");
        } else {
            out.push(&rest[..c.len_utf8()]);
        }
    }
    characters.as_str()
}

/// Passes a value without keeping it.
fn hide<'a>(rest: &'a str, armed: Armed, out: &mut Out<'_>) -> &'a str {
    out.push(HIDDEN);
    rest.trim_start_matches(|c: char| match c {
        '"' | '\'' | '\n' | '\r' => false,
        _ if armed == Armed::Line => true,
        ',' | '&' => false,
        c => !c.is_whitespace(),
    })
}

/// Passes the user part of a URL, if it has one.
fn without_user<'a>(url: &'a str, out: &mut Out<'_>) -> &'a str {
    let end = url
        .find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>'))
        .unwrap_or(url.len());
    // A password may contain anything, so look for the last `@` up to the next space as well.
    let space = url.find(char::is_whitespace).unwrap_or(url.len());
    let at = url[..end].rfind('@').or_else(|| {
        let at = url[..space].rfind('@')?;
        url[..at].contains(':').then_some(at)
    });
    match at {
        Some(at) => {
            out.push(HIDDEN);
            &url[at..]
        }
        None => url,
    }
}

fn is_word(c: char) -> bool {
    let other = !c.is_ascii() && c.is_alphanumeric();
    c.is_ascii_alphanumeric() || other || matches!(c, '_' | '-' | '.' | '+' | '/' | '~')
}

fn is_scheme(word: &str) -> bool {
    ["bearer", "basic", "digest", "negotiate"]
        .iter()
        .any(|scheme| word.eq_ignore_ascii_case(scheme))
}

/// What a word and what follows it arm: `key=`, `key: `, `"key": "`, `key => `.
fn arms(word: &str, tail: &str) -> Armed {
    let tail = tail.trim_start_matches(['"', '\'', ' ', '\\']);
    if !tail.starts_with(['=', ':']) {
        Armed::No
    } else if SECRET_HEADERS.iter().any(|key| ends_with(word, key)) {
        Armed::Line
    } else if SECRET_KEYS.iter().any(|key| ends_with(word, key)) {
        Armed::Value
    } else {
        Armed::No
    }
}

/// Whatever the case.
fn ends_with(word: &str, key: &str) -> bool {
    let start = word.len().checked_sub(key.len());
    start.is_some_and(|start| {
        word.is_char_boundary(start) && word[start..].eq_ignore_ascii_case(key)
    })
}

/// Words are short, or made of letters, or have dots and dashes; keys are none of that.
fn looks_random(word: &str) -> bool {
    if word.len() < KEY_BYTES_MIN {
        return false;
    }
    word.split(['.', '/', '-', '_']).any(|part| {
        let digits = part.bytes().filter(u8::is_ascii_digit).count();
        let letters = part.bytes().filter(u8::is_ascii_alphabetic).count();
        part.len() >= KEY_BYTES_MIN && digits > 0 && letters > 0
    }) || word.starts_with("eyJ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CANARY: &str = "c4naRy";

    #[test]
    fn secrets_are_hidden_and_the_rest_is_kept() {
        for (text, expected) in [
            ("password=c4naRy", "password=[hidden]"),
            ("db_password = \"c4naRy\", port=1", "db_password = \"[hidden]\", port=1"),
            ("{\"token\":\"c4naRy\",\"a\":1}", "{\"token\":\"[hidden]\",\"a\":1}"),
            ("{\\\"token\\\":\\\"c4naRy\\\"}", "{\\\"token\\\":\\\"[hidden]\"}"),
            ("Authorization: Bearer c4naRy", "Authorization: [hidden]"),
            ("token: Bearer c4naRy x", "token: Bearer [hidden] x"),
            ("sent Bearer c4naRy.x_y to b", "sent Bearer [hidden] to b"),
            ("Cookie: c4naRy; b=c4naRy", "Cookie: [hidden]"),
            ("{\"cookie\": \"a=c4naRy; b=c4naRy\", \"x\": 1}", "{\"cookie\": \"[hidden]\", \"x\": 1}"),
            ("nats://user:c4naRy@host:4222/x", "nats://[hidden]@host:4222/x"),
            ("https://c4naRy@host", "https://[hidden]@host"),
            ("https://u:c4/na@Ry@host", "https://[hidden]@host"),
            ("https://host/a?api_key=c4naRy&b=2", "https://host/a?api_key=[hidden]&b=2"),
            ("api-key: $c4naRy!", "api-key: [hidden]"),
            ("secret=c4naRy;c4naRy x", "secret=[hidden] x"),
            ("key 0123456789abcdef0123456789abcdef.", "key [hidden]"),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c4naRy", "[hidden]"),
            ("two\nlines\tand\0more", "two lines and more"),
            ("passes: 3, token bucket empty", "passes: 3, token bucket empty"),
            (
                "emitter http: connection to 10.0.0.1:443 refused (os error 111)",
                "emitter http: connection to 10.0.0.1:443 refused (os error 111)",
            ),
        ] {
            let kept = scrubbed(text, 400);
            assert!(!kept.contains(CANARY), "{text} -> {kept}");
            assert_eq!(kept, expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_fits_is_one_line_and_utf8(text in "\\PC*|(?s).*", max in 0..200_usize) {
            let mut bytes = vec![0; max];
            let len = scrub(&text, &mut bytes);
            prop_assert!(len <= max);
            let kept = std::str::from_utf8(&bytes[..len]).unwrap();
            prop_assert!(!kept.contains(|c: char| c.is_control()));
        }

        #[test]
        fn a_canary_behind_a_secret_key_is_never_kept(
            before in "[a-z ]{0,20}", quote in "\"|'|", key in "password|API_KEY|x-token|Cookie|clientSecret",
            between in " ?[:=] ?", max in 0..200_usize,
        ) {
            let text = format!("{before} {quote}{key}{quote}{between}{quote}{CANARY}{quote} after");
            let kept = scrubbed(&text, max);
            prop_assert!(!kept.contains(CANARY), "{kept}");
        }
    }
}
