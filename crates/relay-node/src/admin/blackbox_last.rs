//! `/blackbox/last`: how the run before this one ended.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use relay_forensics::{Here, PreviousRun, Recording, view};
use serde_json::{Value, json};

use super::Admin;

const NOTHING: &str = "no recording of a run before this one was found\n";

/// JSON, or with `Accept: text/plain` what `relay blackbox why` prints; 404 when no run before this one is known.
pub(super) async fn answer(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    let Some(previous) = admin.engine.previous_exit().cloned() else {
        return (StatusCode::NOT_FOUND, NOTHING).into_response();
    };
    let as_text = wants_text(&headers);
    // Reads a file of up to 8 MiB, so not on a thread that serves.
    let told = tokio::task::spawn_blocking(move || tell(previous, as_text)).await;
    told.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// The first of the two kinds that is named wins; whoever takes anything gets JSON, as from `/state`.
fn wants_text(headers: &HeaderMap) -> bool {
    let accepted = headers
        .get(header::ACCEPT)
        .and_then(|accepted| accepted.to_str().ok());
    let mut kinds = accepted.unwrap_or_default().split(',').map(|kind| {
        let kind = kind.split(';').next().unwrap_or_default();
        kind.trim()
    });
    let known = kinds.find(|kind| {
        matches!(*kind, "application/json" | "application/*" | "*/*") || kind.starts_with("text/")
    });
    known.is_some_and(|kind| kind.starts_with("text/"))
}

/// The records are not kept in memory; a clean run leaves no file, and one may have been deleted since.
fn tell(mut previous: PreviousRun, as_text: bool) -> Response {
    previous.recording = previous
        .path
        .as_ref()
        .and_then(|path| Recording::open(path).ok());
    match (as_text, &previous.recording) {
        (true, Some(recording)) => view::why(recording, Here::SameMachine).into_response(),
        (true, None) => format!("{previous}\n").into_response(),
        (false, recording) => {
            let mut object = view::previous_json(&previous);
            let answers = recording.as_ref().map(|recording| {
                let answers = view::answers(recording, &previous.verdict).into_iter();
                let answers = answers.map(|one| (one.title.to_owned(), json!(one.lines)));
                Value::Object(answers.collect())
            });
            object["answers"] = answers.unwrap_or_default();
            Json(object).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn text_is_for_those_who_ask_for_it_first() {
        for (accept, expected) in [
            ("text/plain", true),
            ("text/html, application/json;q=0.5", true),
            ("application/json", false),
            ("application/json, text/plain", false),
            ("image/png, text/*;q=0.3", true),
            ("*/*", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(wants_text(&headers), expected, "{accept}");
        }
        assert!(!wants_text(&HeaderMap::new()));
    }
}
