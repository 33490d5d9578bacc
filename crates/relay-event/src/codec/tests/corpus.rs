use crate::codec::{Codec, DecodeError, Elements, Json, Lines};
use crate::{Event, Priority};

const HEAD: &str = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t""#;

fn decode(bytes: &[u8]) -> Result<Event, DecodeError> {
    Json::new()
        .decode(bytes)
        .map(|builder| builder.build().unwrap())
}

/// The mistake in a document that begins with the four required attributes.
fn mistake(rest: &str) -> (Option<String>, usize, String) {
    let error = decode(format!("{HEAD}{rest}").as_bytes()).unwrap_err();
    (
        error.field.as_deref().map(str::to_owned),
        error.offset.saturating_sub(HEAD.len()),
        error.message.into(),
    )
}

#[test]
fn optional_attributes_are_read() {
    let text = format!(
        r#"{HEAD},"time":"2026-11-21T04:15:00.5Z","relaypriority":"low","correlationid":"c","causationid":null,
        "count":-7,"flag":true,"datacontenttype":"text/plain","data":"a\u00e9\ud83d\ude00"}}"#
    );
    let event = decode(text.as_bytes()).unwrap();
    assert_eq!(event.priority(), Priority::Low);
    assert_eq!(
        (event.correlation_id(), event.causation_id()),
        (Some("c"), None)
    );
    assert_eq!(
        (event.headers().get("count"), event.headers().get("flag")),
        (Some("-7"), Some("true"))
    );
    assert_eq!(event.payload(), "aé😀");
}

#[test]
fn nobody_outside_is_control() {
    let event = decode(format!(r#"{HEAD},"relaypriority":"control"}}"#).as_bytes()).unwrap();
    assert_eq!(event.priority(), Priority::High);
    let low = Json::new().default_priority(Priority::Low);
    assert_eq!(
        low.decode(format!("{HEAD}}}").as_bytes())
            .unwrap()
            .build()
            .unwrap()
            .priority(),
        Priority::Low
    );
}

#[test]
fn each_mistake_has_its_attribute_and_place() {
    for (rest, field, offset, message) in [
        (r#","id":"2"}"#, "id", 7, "given twice"),
        (r#","x":"2","x":"3"}"#, "x", 14, "given twice"),
        (r#","a\u0062":"1","ab":"1\n"  }"#, "ab", 16, "given twice"),
        (r#","data":1,"data":2}"#, "data", 17, "given twice"),
        (
            r#","data":1,"data_base64":""}"#,
            "data_base64",
            27,
            "only one",
        ),
        (r#","time":"today"}"#, "time", 9, "RFC 3339"),
        (
            r#","relaypriority":"urgent"}"#,
            "relaypriority",
            18,
            "low, normal",
        ),
        (r#","data_base64":"%"}"#, "data_base64", 16, "Invalid"),
        (r#","x":1.5}"#, "x", 7, "expected a string, a boolean"),
        (r#","x":{"y":1}}"#, "x", 5, "expected a string, a boolean"),
        (r#","data":NaN}"#, "data", 8, "expected value"),
        (r#","x":"\ud800"}"#, "x", 12, "hex escape"),
        (r#","data":["\ud800x"]}"#, "data", 10, "surrogate"),
        (r#","data":["\udc00"]}"#, "data", 10, "surrogate"),
        (r"} x", "", 2, "trailing characters"),
        (r#","data":{"#, "data", 8, "EOF"),
    ] {
        let (found_field, found_offset, found) = mistake(rest);
        assert_eq!(found_field.unwrap_or_default(), field, "{rest}: {found}");
        assert!(found.contains(message), "{rest}: {found}");
        assert_eq!(found_offset, offset, "{rest}: {found}");
    }
}

#[test]
fn required_attributes_are_required() {
    for name in ["specversion", "id", "source", "type"] {
        let text = format!("{HEAD}}}").replace(&format!("\"{name}\""), "\"other\"");
        let error = decode(text.as_bytes()).unwrap_err();
        assert_eq!(error.field.as_deref(), Some(name), "{error}");
    }
    let error = decode(format!("{HEAD}}}").replace("1.0", "0.3").as_bytes()).unwrap_err();
    assert!(error.to_string().contains("0.3"), "{error}");
    let long = format!("{HEAD}}}").replace("/s", &"s".repeat(2049));
    assert_eq!(
        decode(long.as_bytes()).unwrap_err().field.as_deref(),
        Some("source")
    );
}

#[test]
fn what_is_not_text_is_placed() {
    let bom = [b"\xEF\xBB\xBF", HEAD.as_bytes(), b"}"].concat();
    assert_eq!(decode(&bom).unwrap_err().offset, 0);
    let latin = [HEAD.as_bytes(), b",\"data\":\"caf\xE9\"}"].concat();
    let error = decode(&latin).unwrap_err();
    assert_eq!(
        (error.offset, &*error.message),
        (HEAD.len() + 12, "not UTF-8")
    );
    assert!(decode(b"").is_err());
    assert!(decode(b"[]").unwrap_err().message.contains("JSON object"));
}

#[test]
fn deep_nesting_is_refused_and_overflows_nothing() {
    let nested = |depth: usize| {
        format!(
            r#"{HEAD},"data":{}{}}}"#,
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    assert!(decode(nested(128).as_bytes()).is_ok());
    let error = decode(nested(129).as_bytes()).unwrap_err();
    assert_eq!(error.offset, HEAD.len() + 8 + 128, "{error}");
    assert!(decode(nested(100_000).as_bytes()).is_err());
    assert!(decode("[".repeat(100_000).as_bytes()).is_err());
    assert!(decode(format!("{HEAD},\"x\":{}", "[".repeat(100_000)).as_bytes()).is_err());
    let brackets = format!(r#"{HEAD},"data":"{}"}}"#, "[".repeat(1000));
    assert!(
        decode(brackets.as_bytes()).is_ok(),
        "in a string they nest nothing"
    );
    let deep = Event::builder("t")
        .payload("[".repeat(200) + &"]".repeat(200))
        .build()
        .unwrap();
    let mut out = Vec::new();
    Json::new().encode(&deep, &mut out);
    assert_eq!(
        decode(&out).unwrap().payload(),
        deep.payload(),
        "written so that it can be read"
    );
}

#[test]
fn many_attributes_are_refused_at_once() {
    let many: Vec<String> = (0..100_000).map(|n| format!(",\"x{n}\":1")).collect();
    let many = many.concat();
    let (field, _, message) = mistake(&format!("{many}}}"));
    assert_eq!(field.as_deref(), Some("x64"), "{message}");
}

#[test]
fn mistakes_in_many_are_placed_in_the_whole() {
    let good = format!("{HEAD}}}");
    let lines = format!("{good}\r\n\n{HEAD},\"time\":\"x\"}}\n{good}");
    let results: Vec<_> = Lines::new(lines.as_bytes(), Json::new()).collect();
    assert_eq!(results.len(), 2);
    let error = results[1].as_ref().unwrap_err();
    assert_eq!((error.line, error.column), (3, HEAD.len() + 10));
    assert_eq!(error.offset, good.len() + 3 + HEAD.len() + 9);

    let array = format!("[\n{good},\n{HEAD},\"time\":\"x\"}}]");
    let results: Vec<_> = Elements::new(array.as_bytes(), Json::new()).collect();
    let error = results[1].as_ref().unwrap_err();
    assert_eq!(
        (error.line, error.column, error.field.as_deref()),
        (3, HEAD.len() + 10, Some("time"))
    );

    for (text, at) in [
        ("", 0),
        ("{}", 0),
        ("[", 1),
        ("[,", 1),
        ("[1]", 1),
        ("[] x", 3),
    ] {
        let error = Elements::new(text.as_bytes(), Json::new())
            .last()
            .unwrap()
            .unwrap_err();
        assert_eq!(error.offset, at, "{text}: {error}");
    }
    for rest in ["", ",", ",]", " x]"] {
        let text = format!("[{good}{rest}");
        let results: Vec<_> = Elements::new(text.as_bytes(), Json::new()).collect();
        assert!(results.len() == 2 && results[1].is_err(), "{text}");
    }
    assert_eq!(Elements::new(b" [ ] ", Json::new()).count(), 0);
}

#[test]
fn a_long_wrong_value_is_not_repeated() {
    let text = format!("\"{}\"", "x".repeat(100_000));
    let error = decode(text.as_bytes()).unwrap_err();
    assert!(error.message.len() < 300, "{}", error.message.len());
}
