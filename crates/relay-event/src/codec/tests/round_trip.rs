use crate::codec::{Codec, DecodeError, Elements, Json, Lines, Raw};
use crate::{Event, Priority, Topic};
use proptest::prelude::*;
use std::time::{Duration, UNIX_EPOCH};

fn encode(event: &Event) -> Vec<u8> {
    let mut out = Vec::new();
    Json::new().encode(event, &mut out);
    out
}

fn round_trip(event: &Event) -> Event {
    Json::new().decode(&encode(event)).unwrap().build().unwrap()
}

fn assert_same(left: &Event, right: &Event) {
    assert_eq!(left.id().to_string(), right.id().to_string());
    assert_eq!(left.topic(), right.topic());
    assert_eq!(left.source(), right.source());
    assert_eq!(left.time(), right.time());
    assert_eq!(left.priority().min(Priority::High), right.priority());
    assert_eq!(left.correlation_id(), right.correlation_id());
    assert_eq!(left.causation_id(), right.causation_id());
    assert_eq!(left.headers(), right.headers());
    assert_eq!(left.payload(), right.payload());
}

prop_compose! {
    fn headers()(
        content_type in prop::option::of(prop_oneof![Just("text/plain"), Just("application/json"), Just("a/b+json; x=y"), Just("")]),
        others in prop::collection::vec((any::<String>(), any::<String>()), 0..6),
        reserved in prop::option::of(prop::sample::select(vec!["id", "data", "time", "relayx", "relayx6", "relayx6162", "data_base64", "Subject", ""])),
    ) -> Vec<(String, String)> {
        let content_type = content_type.map(|value| ("datacontenttype".to_owned(), value.to_owned()));
        let reserved = reserved.map(|name| (name.to_owned(), "kept".to_owned()));
        content_type.into_iter().chain(others).chain(reserved).collect()
    }
}

prop_compose! {
    fn events()(
        topic in "[^\\pC]{1,40}",
        source in "[^\\pC]{1,60}",
        id in "[^\\pC]{1,40}",
        time in (0_u64..253_402_300_799, 0_u32..1_000_000_000),
        rank in 0_u8..4,
        ids in (prop::option::of(any::<String>()), prop::option::of(any::<String>())),
        headers in headers(),
        payload in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..64),
            any::<String>().prop_map(String::into_bytes),
            prop::sample::select(vec!["{\"a\":[1, 2]}", "\"\\\"text\\\"\"", "null", "1e999", "[[]]", "NaN", "{"]).prop_map(|text| text.as_bytes().to_vec()),
        ],
    ) -> Event {
        let mut builder = Event::builder(topic.as_str())
            .id(id.parse().unwrap())
            .source(source)
            .time(UNIX_EPOCH + Duration::new(time.0, time.1))
            .priority(Priority::from_rank(rank))
            .payload(payload);
        if let Some(id) = ids.0 {
            builder = builder.correlation_id(id);
        }
        if let Some(id) = ids.1 {
            builder = builder.causation_id(id);
        }
        headers.into_iter().fold(builder, |builder, (name, value)| builder.header(name, value)).build().unwrap()
    }
}

/// The one liberty of the format: white space around a JSON value, and within it when it has line breaks.
fn is_verbatim(event: &Event) -> bool {
    let payload = event.payload();
    payload.trim_ascii().len() == payload.len()
        && !payload.contains(&b'\n')
        && !payload.contains(&b'\r')
}

proptest! {
    #[test]
    fn what_is_written_is_read_and_is_one_line(event in events()) {
        let line = encode(&event);
        prop_assert!(!line.contains(&b'\n'));
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&line).is_ok() || event.payload().starts_with(b"1e999"));
        if is_verbatim(&event) {
            assert_same(&event, &round_trip(&event));
        }
    }

    #[test]
    fn attribute_names_are_lower_case_letters_and_digits(event in events()) {
        let object: serde_json::Map<String, serde_json::Value> = match serde_json::from_slice(&encode(&event)) {
            Ok(object) => object,
            Err(_) => return Ok(()),
        };
        for name in object.keys().filter(|name| *name != "data_base64") {
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()), "{name:?}");
        }
    }

    #[test]
    fn lines_and_arrays_give_every_event_back(events in prop::collection::vec(events(), 0..5)) {
        let lines = events.iter().map(encode).collect::<Vec<_>>();
        let array = [b"[".to_vec(), lines.join(&b" ,\n"[..]), b"]".to_vec()].concat();
        let count = |results: Vec<Result<_, DecodeError>>| results.into_iter().flatten().count();
        prop_assert_eq!(count(Elements::new(&array, Json::new()).collect()), events.len());
        prop_assert_eq!(count(Lines::new(&lines.join(&b"\n"[..]), Json::new()).collect()), events.len());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Json::new().decode(&bytes);
        Lines::new(&bytes, Json::new()).for_each(drop);
        Elements::new(&bytes, Json::new()).for_each(drop);
    }

    #[test]
    fn no_damage_makes_it_panic_and_places_are_within(event in events(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut text = encode(&event);
        let at = at.index(text.len());
        text[at] = byte;
        let batch = [b"[", text.as_slice()].concat();
        let mut errors = vec![Json::new().decode(&text).err(), Json::new().decode(&text[..at]).err()];
        errors.extend(Elements::new(&batch, Json::new()).map(Result::err));
        for error in errors.into_iter().flatten() {
            prop_assert!(error.offset <= batch.len() && error.line >= 1 && error.column >= 1, "{error}");
        }
    }

    #[test]
    fn raw_is_the_payload(payload in prop::collection::vec(any::<u8>(), 0..64)) {
        let raw = Raw::new(Topic::new("t").unwrap());
        let event = Event::builder("other").payload(payload.clone()).build().unwrap();
        let mut out = Vec::new();
        raw.encode(&event, &mut out);
        prop_assert_eq!(&out, &payload);
        let again = raw.decode(&out).unwrap().build().unwrap();
        prop_assert_eq!(again.payload(), &payload);
    }
}

#[test]
fn json_payloads_are_kept_and_put_on_one_line() {
    let write = |payload: &'static str| {
        let event = Event::builder("t")
            .header("datacontenttype", "application/json")
            .payload(payload)
            .build()
            .unwrap();
        String::from_utf8(encode(&event)).unwrap()
    };
    assert!(write(r#"{"a": 1.50,  "a": 1e400}"#).ends_with(r#""data":{"a": 1.50,  "a": 1e400}}"#));
    let lines = "{\r\n  \"a \\\" b\": [1,\n 2],\n \"c\\\\\": \" \"\n}\n";
    assert!(
        write(lines).ends_with(r#""data":{"a \" b":[1,2],"c\\":" "}}"#),
        "{}",
        write(lines)
    );
    assert!(write("[1").contains("data_base64"));
}

#[test]
fn text_is_a_string_and_bytes_are_base64() {
    let write = |payload: &'static [u8]| {
        let event = Event::builder("t")
            .header("datacontenttype", "text/plain")
            .payload(payload)
            .build()
            .unwrap();
        String::from_utf8(encode(&event)).unwrap()
    };
    assert!(write(b"caf\xC3\xA9\n").ends_with("\"data\":\"caf\u{e9}\\n\"}"));
    assert!(write(b"caf\xE9").ends_with(r#""data_base64":"Y2Fm6Q=="}"#));
}

#[test]
fn times_that_cannot_be_written_are_left_out() {
    let event = Event::builder("t")
        .time(UNIX_EPOCH + Duration::from_hours(90_000_000))
        .build()
        .unwrap();
    assert!(
        !String::from_utf8(encode(&event))
            .unwrap()
            .contains("\"time\"")
    );
}
