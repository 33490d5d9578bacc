use super::*;
use proptest::prelude::*;

const PRIORITY: HeaderName = HeaderName::from_static("x-relay-priority");

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        })
        .collect()
}

fn event(
    pairs: &[(&'static str, &'static str)],
    query: Option<&str>,
) -> Result<Event, HeaderError> {
    event_after(pairs, query, &mut Recent::default())
}

fn event_after(
    pairs: &[(&'static str, &'static str)],
    query: Option<&str>,
    recent: &mut Recent,
) -> Result<Event, HeaderError> {
    let headers = headers(pairs);
    let defaults = Defaults {
        topic: Topic::new("default").unwrap(),
        source: "/here".into(),
    };
    let builder = Binding::read(&headers, &PRIORITY)?.event(query, &defaults, recent)?;
    Ok(builder.build().unwrap())
}

fn field(pairs: &[(&'static str, &'static str)]) -> String {
    match event(pairs, None).unwrap_err() {
        HeaderError::Invalid { field, .. } => field,
        HeaderError::Unsupported(message) => message,
    }
}

#[test]
fn binary_mode_carries_every_attribute() {
    let event = event(
        &[
            ("ce-specversion", "1.0"),
            ("ce-id", "7"),
            ("ce-type", "order.created"),
            ("ce-source", "/caf%C3%A9%20x"),
            ("ce-time", "1970-01-01T00:00:01Z"),
            ("ce-subject", "100%"),
            ("ce-relaypriority", "low"),
            ("ce-correlationid", "c"),
            ("content-type", "application/json"),
            ("authorization", "secret"),
        ],
        Some("topic=ignored"),
    )
    .unwrap();
    assert_eq!(
        (event.topic().as_str(), event.source()),
        ("order.created", "/café x")
    );
    assert_eq!(event.id().to_string(), "7");
    assert_eq!(
        event.time(),
        std::time::UNIX_EPOCH + std::time::Duration::from_secs(1)
    );
    assert_eq!(
        (event.priority(), event.correlation_id()),
        (Priority::Low, Some("c"))
    );
    let headers: Vec<_> = event.headers().iter().collect();
    assert_eq!(
        headers,
        [("subject", "100%"), ("datacontenttype", "application/json")],
        "and no other header"
    );
}

#[test]
fn plain_bodies_take_their_topic_from_the_query() {
    assert_eq!(
        event(&[], Some("a=1&topic=order%2Enew+x"))
            .unwrap()
            .topic()
            .as_str(),
        "order.new x"
    );
    assert_eq!(event(&[], None).unwrap().topic().as_str(), "default");
    assert_eq!(
        event(&[("ce-type", "t")], Some("topic=q"))
            .unwrap()
            .topic()
            .as_str(),
        "t"
    );
    assert!(event(&[], Some("topic=")).is_err());
}

#[test]
fn the_configured_header_is_stronger_and_nobody_is_control() {
    let both = event(
        &[("ce-relaypriority", "low"), ("x-relay-priority", "control")],
        None,
    )
    .unwrap();
    assert_eq!(both.priority(), Priority::High);
}

#[test]
fn mistakes_name_the_header() {
    let complete = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/"),
        ("ce-type", "t"),
    ];
    assert!(event(&complete, None).is_ok());
    for missing in 1..4 {
        let mut pairs = complete.to_vec();
        let (name, _) = pairs.remove(missing);
        assert_eq!(field(&pairs), name);
    }
    assert_eq!(field(&[("ce-specversion", "0.3")]), "ce-specversion");
    assert_eq!(field(&[("ce-time", "now")]), "ce-time");
    assert_eq!(field(&[("ce-id", "1"), ("ce-id", "2")]), "ce-id");
    assert_eq!(field(&[("ce-source", "%FF")]), "ce-source");
    assert_eq!(field(&[("x-relay-priority", "urgent")]), "x-relay-priority");
    assert!(field(&[("content-type", "application/cloudevents+xml")]).contains("xml"));
    assert!(field(&[("content-encoding", "gzip")]).contains("gzip"));
}

/// Whatever a connection has carried before, an event is what its own headers say.
#[test]
fn what_came_before_changes_nothing() {
    let long: &'static str = "x".repeat(300).leak();
    let values = ["a", "b", "%61", "%2561", "a%", "", long];
    let shown = |event: Result<Event, HeaderError>| {
        let event = event.ok()?;
        let texts = (event.topic().clone(), event.source().to_owned());
        Some((texts, event.headers().clone()))
    };
    for field in ["ce-type", "ce-source", "content-type"] {
        for (first, second) in values
            .iter()
            .flat_map(|a| values.iter().map(move |b| (*a, *b)))
        {
            for more in [&[][..], &[("ce-x", "1")]] {
                let mut recent = Recent::default();
                let _ = event_after(&[(field, first)], None, &mut recent);
                let pairs = [&[(field, second)], more].concat();
                let after = shown(event_after(&pairs, None, &mut recent));
                assert_eq!(after, shown(event(&pairs, None)), "{first} then {pairs:?}");
            }
        }
    }
}

#[test]
fn what_a_sender_repeats_is_kept_once() {
    let mut recent = Recent::default();
    let pairs = [
        ("ce-type", "t"),
        ("ce-source", "/s"),
        ("content-type", "text/plain"),
    ];
    let mut next = || event_after(&pairs, None, &mut recent).unwrap();
    let (first, second) = (next(), next());
    assert!(std::ptr::eq(
        first.topic().as_str(),
        second.topic().as_str()
    ));
    assert!(std::ptr::eq(first.source(), second.source()));
    let value = |event: &Event| event.headers().get("datacontenttype").unwrap().as_ptr();
    assert_eq!(value(&first), value(&second));
}

#[test]
fn forms_are_told_by_content_type() {
    for (content_type, form) in [
        (
            "application/cloudevents+json; charset=utf-8",
            Form::Structured,
        ),
        ("Application/CloudEvents-Batch+JSON", Form::Batch),
        ("application/x-ndjson", Form::Lines),
        ("application/json", Form::Payload),
    ] {
        let headers = headers(&[("content-type", content_type)]);
        assert_eq!(Binding::read(&headers, &PRIORITY).unwrap().form, form);
    }
}

#[test]
fn percent_signs_are_decoded_or_left() {
    for (text, decoded) in [
        ("a", "a"),
        ("%41%42", "AB"),
        ("%4", "%4"),
        ("%", "%"),
        ("%zz%41", "%zzA"),
        ("%%41", "%A"),
    ] {
        assert_eq!(
            percent_decoded(text.as_bytes()),
            decoded.as_bytes(),
            "{text}"
        );
    }
}

proptest! {
    #[test]
    fn no_headers_make_it_panic(
        names in prop::collection::vec("(ce-[a-z]{1,8}|content-type|ce-(id|type|time|source|specversion))", 0..6),
        values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 6),
        query in prop::option::of("(topic=)?[ -~]{0,20}"),
    ) {
        let pairs = names.iter().zip(&values).filter_map(|(name, value)| {
            Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_bytes(value).ok()?))
        });
        let headers: HeaderMap = pairs.collect();
        let defaults = Defaults { topic: Topic::new("default").unwrap(), source: "/here".into() };
        let mut recent = Recent::default();
        if let Ok(binding) = Binding::read(&headers, &PRIORITY) {
            let _ = binding.event(query.as_deref(), &defaults, &mut recent).map(EventBuilder::build);
        }
    }
}
