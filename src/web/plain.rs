//! `GET /plain`: what plays, for browsers without JavaScript. One small page, made anew for each request.

use std::time::Instant;

use axum::Extension;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use http::header;

use crate::hifi::state::{State as Box_, Transport};
use crate::offer::Caller;
use crate::web::Web;

/// `GET /plain`.
pub async fn page(State(web): State<Web>, Extension(caller): Extension<Caller>) -> Response {
    let state = web.hifi.of(caller).state();
    let html = render(&web.settings.name(), &state, Instant::now());
    // Nothing but this text is ever loaded or run.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(html)).into_response()
}

fn render(name: &str, state: &Box_, now: Instant) -> String {
    let name = escape(name);
    let doing = match state.transport {
        Transport::Stopped => "Stopped",
        Transport::Opening | Transport::Playing => "Playing",
        Transport::Paused => "Paused",
    };
    let track = state.entry().map_or_else(
        || "<p>Nothing is chosen.</p>".to_owned(),
        |entry| {
            let title = escape(entry.shown.title_or("Without a title"));
            let artist = escape(entry.shown.artist.as_deref().unwrap_or(""));
            let at = state.position.now(now);
            format!("<h2>{title}</h2><p>{artist}</p><p>{at} of {}</p>", state.duration)
        },
    );
    let volume =
        if state.fixed_volume { "on the amplifier".to_owned() } else { state.volume.value().to_string() };
    let notices: String =
        state.notices.iter().rev().take(5).map(|n| format!("<li>{}</li>", escape(&n.words))).collect();
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{name}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><meta http-equiv=\"refresh\" content=\"10\">\
         <style>body{{font:1.1rem system-ui,sans-serif;margin:2rem auto;padding:0 1rem;max-width:32rem;\
         color-scheme:light dark}}</style></head><body><h1>{name}</h1><p>{doing}. Volume {volume}. \
         {} in the queue.</p>{track}<ul>{notices}</ul>\
         <p><a href=\"/api/openapi.json\">What can be asked of this box</a></p></body></html>",
        state.queue.entries.len(),
    )
}

/// Escapes text for HTML: names come from files and phones.
pub(super) fn escape(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}
