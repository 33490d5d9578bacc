//! Any bytes: an event or a mistake with a place inside them; and an event that was read reads back the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use relay_event::codec::{Codec, Json};

fuzz_target!(|bytes: &[u8]| {
    let Ok(builder) = Json::new().decode(bytes) else { return };
    let Ok(event) = builder.build() else { return };
    let mut text = Vec::new();
    Json::new().encode(&event, &mut text);
    assert!(!text.contains(&b'\n'), "one event, one line");
    let again = Json::new().decode(&text).expect("what was written can be read").build().expect("and built");
    assert_eq!(again.id(), event.id());
    assert_eq!(again.topic(), event.topic());
    assert_eq!(again.payload(), event.payload());
});
