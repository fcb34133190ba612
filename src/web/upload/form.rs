//! The floor: a page with a plain form, and the files of such a form. Works in any browser, without script; its answer is a
//! page in words, or sentences for whom asks otherwise (`curl -F`).

use axum::body::Body;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;

use crate::error::{Error, Kind};
use crate::http::coming::Coming;
use crate::http::server::Peer;
use crate::intake::door::{Delivery, Finished, Incoming, OneRequest, Pin, Refusal};
use crate::intake::staging::LARGEST_FILE;
use crate::offer::OfferId;
use crate::offer::push::{Sender, Sent};
use crate::units::ByteCount;
use crate::web::Web;
use crate::web::answer::Failure;
use crate::web::plain::escape;
use crate::web::upload::words::{Language, Outcome};
use crate::web::upload::{raw, text};
use crate::wire::multipart::{Event, Form, Head};

/// `GET /beam`: the form.
pub async fn page(State(web): State<Web>, peer: Option<Extension<Peer>>, headers: HeaderMap) -> Response {
    let language = Language::of(&headers);
    let has_pin =
        peer.is_some_and(|Extension(Peer(peer))| !matches!(web.intake.say_pin(None, peer.ip()), Pin::NotSet));
    let pin = if has_pin {
        format!(
            "<p><label>{}<br><input name=\"pin\" inputmode=\"numeric\" autocomplete=\"off\" maxlength=\"16\"></label></p>",
            language.choose(
                "PIN, as the box shows it (not for paired devices)",
                "本体に表示されたPIN（登録済みの端末には不要）"
            )
        )
    } else {
        String::new()
    };
    let body = format!(
        "<p>{}</p><form method=\"post\" action=\"/beam\" enctype=\"multipart/form-data\">{pin}\
         <p><label>{}<br><input type=\"file\" name=\"file\" multiple required></label></p>\
         <p><button>{}</button></p></form><p><small>{}</small></p>",
        language.choose("Send music from this device to the box.", "この端末の音楽を本体に送ります。"),
        language.choose("Songs, or the ZIP of an album", "曲、またはアルバムのZIP"),
        language.choose("Send", "送信"),
        language.choose(
            "Keep this page open and the screen on until it says what became of each file.",
            "結果が表示されるまで、このページと画面を開いたままにしてください。"
        ),
    );
    html(&web, language, StatusCode::OK, &body)
}

/// What became of the files of a form.
#[derive(Debug, Serialize)]
struct Outcomes {
    items: Vec<Outcome>,
}

/// Takes the files of a form, one after the other as they come.
pub async fn take(
    web: &Web,
    from: Sender,
    pin: Option<String>,
    boundary: &str,
    headers: &HeaderMap,
    body: Body,
) -> Response {
    let language = Language::of(headers);
    let most = text(headers, "content-length").and_then(|length| length.parse().ok());
    let (files, request) = (Vec::new(), OneRequest::default());
    let mut taking = Taking { web, from, pin, language, request, files, most: most.unwrap_or(0) };
    let mut coming = Coming::new(body).expected(headers);
    let went = if most.is_none() {
        let words = "the length must be said before the bytes (Content-Length)";
        Err(Failure::new(StatusCode::LENGTH_REQUIRED, "length_required", words))
    } else {
        taking.all(&mut Form::new(boundary), &mut coming).await
    };
    let mut outcomes = taking.outcomes().await;
    let mut status = outcomes.first().map_or(400, Outcome::status);
    if let Err(failure) = went {
        coming.drain().await;
        status = failure.status().as_u16();
        let form = language.choose("The form", "フォーム");
        outcomes.push(Outcome::refused(form, status, failure.words(), language));
    } else if outcomes.is_empty() {
        let form = language.choose("The form", "フォーム");
        let words = language.choose("no file was chosen", "ファイルが選ばれていません");
        outcomes.push(Outcome::refused(form, status, words, language));
    } else if outcomes.iter().any(|outcome| outcome.status() < 300) {
        status = 200;
    }
    told(web, outcomes, status, language, headers)
}

fn told(web: &Web, outcomes: Vec<Outcome>, status: u16, language: Language, headers: &HeaderMap) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let accept = text(headers, "accept").unwrap_or_default();
    if accept.contains("text/html") {
        let lines: String =
            outcomes.iter().map(|outcome| format!("<li>{}</li>", escape(&outcome.words))).collect();
        let again = language.choose("Send more", "続けて送る");
        let body = format!("<ul>{lines}</ul><p><a href=\"/beam\">{again}</a></p>");
        return html(web, language, status, &body);
    }
    if accept.contains("json") {
        return (status, Json(Outcomes { items: outcomes })).into_response();
    }
    let lines: String = outcomes.iter().map(|outcome| format!("{}\n", outcome.words)).collect();
    (status, lines).into_response()
}

/// One page. Nothing but its text is ever loaded or run.
fn html(web: &Web, language: Language, status: StatusCode, body: &str) -> Response {
    let name = escape(&web.settings.name());
    let code = language.choose("en", "ja");
    let page = format!(
        "<!doctype html><html lang=\"{code}\"><head><meta charset=\"utf-8\"><title>{name}</title>\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <style>body{{font:1.1rem system-ui,sans-serif;margin:2rem auto;padding:0 1rem;max-width:32rem;\
         color-scheme:light dark}}button,input{{font:inherit;max-width:100%}}</style></head>\
         <body><h1>{name}</h1>{body}</body></html>"
    );
    let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
    let headers = [(header::CONTENT_SECURITY_POLICY, policy), (header::CACHE_CONTROL, "no-store")];
    (status, headers, Html(page)).into_response()
}

/// A file of a form.
enum File {
    /// It is safe here; its verdict is waited for.
    Here(String, OfferId),
    Ended(Outcome),
}

/// What a part of the form is.
enum Part {
    Field(String, Vec<u8>),
    File(Box<(String, Delivery, Incoming)>),
    /// It is read and forgotten.
    Passed,
}

struct Taking<'a> {
    web: &'a Web,
    from: Sender,
    pin: Option<String>,
    language: Language,
    /// A yes is for all files of this form, however many they are.
    request: OneRequest,
    files: Vec<File>,
    /// Bytes that may still come.
    most: u64,
}

impl Taking<'_> {
    /// Reads the whole form.
    async fn all(&mut self, form: &mut Form, coming: &mut Coming) -> Result<(), Failure> {
        let mut part = Part::Passed;
        loop {
            while let Some(event) = form.read()? {
                match event {
                    Event::Part(head) => part = self.begin(head).await?,
                    Event::Data(data) => match &mut part {
                        Part::Field(_, text) if text.len() + data.len() <= LONGEST_FIELD => text.extend(data),
                        Part::File(file) => file.2.write(data.into()).await?,
                        Part::Field(..) | Part::Passed => {}
                    },
                    Event::PartEnd => self.end(std::mem::replace(&mut part, Part::Passed)).await?,
                    Event::End => return Ok(()),
                }
            }
            let Some(bytes) = coming.next().await? else {
                return Err(Error::new(Kind::Invalid, "the form broke off").into());
            };
            self.most = self.most.saturating_sub(bytes.len() as u64);
            form.push(&bytes);
        }
    }

    async fn begin(&mut self, head: Head) -> Result<Part, Failure> {
        let Some(name) = head.file else { return Ok(Part::Field(head.name, Vec::new())) };
        // A field in which no file was chosen (WHATWG HTML, 4.10.21.4).
        if name.is_empty() {
            return Ok(Part::Passed);
        }
        // The rest of the form is the most that a file can have; some of it is here already. A form may be longer than any file.
        let size = ByteCount(self.most.saturating_add(LONGEST_PIECE).min(LARGEST_FILE));
        let file = Sent { name: name.clone(), size, mime: head.mime, sha256: None };
        let offered = self.web.intake.offer_in(&self.request, self.from.clone(), file, self.pin.as_deref());
        let delivery = match offered.await {
            Ok(delivery) => delivery,
            // About this file alone.
            Err(Refusal::Unfit(words)) => {
                self.files.push(File::Ended(Outcome::refused(&name, 400, &words, self.language)));
                return Ok(Part::Passed);
            }
            Err(refusal) => return Err(refusal.into()),
        };
        if delivery.accepted().is_empty() {
            let words = self.language.choose("it is no music", "音楽ではありません");
            self.files.push(File::Ended(Outcome::refused(&name, 415, words, self.language)));
            return Ok(Part::Passed);
        }
        let incoming = delivery.receive_up_to(0).await?;
        Ok(Part::File(Box::new((name, delivery, incoming))))
    }

    async fn end(&mut self, part: Part) -> Result<(), Failure> {
        match part {
            Part::Field(name, text) if name == "pin" => {
                self.pin = String::from_utf8(text).ok().filter(|pin| !pin.is_empty());
            }
            Part::File(file) => {
                let (name, delivery, incoming) = *file;
                let (id, came) = (incoming.id(), incoming.here());
                if incoming.finish().await? == Finished::Safe {
                    self.files.push(File::Here(name, id));
                }
                delivery.settled_at(0, came);
            }
            Part::Field(..) | Part::Passed => {}
        }
        Ok(())
    }

    /// Waits a while for what becomes of the files.
    async fn outcomes(self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let mut late = false;
        for file in self.files {
            outcomes.push(match file {
                File::Ended(outcome) => outcome,
                File::Here(name, id) => {
                    let verdict = if late { None } else { raw::verdict(self.web, id).await };
                    late = verdict.is_none();
                    Outcome::of(&name, verdict.as_ref(), self.language)
                }
            });
        }
        outcomes
    }
}

/// A PIN is shorter.
const LONGEST_FIELD: usize = 1024;
/// What a piece of the body may hold of a file before it is begun.
const LONGEST_PIECE: u64 = 1 << 20;
