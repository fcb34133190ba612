//! A browser on a machine of the test's LAN: headless Chromium, driven by chromedriver (W3C WebDriver, JSON over HTTP).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::api;
use super::net::Host;
use super::process::{Process, run};
use super::wait_for;

/// A browser with a profile of its own; it is gone when dropped.
pub struct Browser {
    // First, so that it can show its words before the folder goes.
    driver: Process,
    host: Host,
    session: String,
    _folder: TempDir,
}

/// A node of the page.
pub struct Node(String);

impl Browser {
    /// Opens a browser whose person reads this language, e.g. `en` or `ja`.
    ///
    /// # Panics
    /// When chromium or chromedriver is missing or does not start.
    pub fn open(host: &Host, language: &str) -> Browser {
        let folder = tempfile::tempdir().expect("a folder");
        // An IPv6 address that is ready a second after the card is a change of the network to Chromium: it breaks off what it
        // loads then (ERR_NETWORK_CHANGED), and a page half of which is there does nothing.
        let mut without = host.command("sh");
        without.args(["-c", "all=/proc/sys/net/ipv6/conf/all/disable_ipv6; test ! -e $all || echo 1 > $all"]);
        run(without);
        let mut command = host.command("chromedriver");
        command.arg(format!("--port={PORT}")).env("HOME", folder.path()).env("TMPDIR", folder.path());
        let driver = Process::start("chromedriver", command, &folder.path().join("driver.log"));
        let mut browser = Browser { driver, host: host.clone(), session: String::new(), _folder: folder };
        wait_for("chromedriver listens", Duration::from_secs(30), || {
            browser.send("GET", "/status", None).ok().filter(|said| said["value"]["ready"] == true)
        });
        let profile = format!("--user-data-dir={}", browser._folder.path().join("profile").display());
        let language = format!("--accept-lang={language}");
        let mut flags = vec![profile, language];
        flags.extend(FLAGS.map(str::to_owned));
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": flags },
            "goog:loggingPrefs": { "browser": "ALL" },
            "timeouts": { "script": 60_000, "pageLoad": 60_000 },
        }}});
        let made = browser.send("POST", "/session", Some(&wanted)).expect("chromedriver answers");
        let id = made["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("no browser: {made}"));
        id.clone_into(&mut browser.session);
        browser
    }

    /// Goes to an address and waits until it is loaded.
    pub fn go(&self, url: &str) {
        self.ask("POST", "/url", &json!({ "url": url }));
    }

    /// Tells the browser's own tools something (Chrome DevTools Protocol).
    pub fn tool(&self, command: &str, parameters: &Value) {
        self.ask("POST", "/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }));
    }

    /// Runs script in the page; `arguments` there are these.
    pub fn run(&self, script: &str, arguments: &[Value]) -> Value {
        self.ask("POST", "/execute/sync", &json!({ "script": script, "args": arguments }))
    }

    /// As `run`, for script that calls its last argument with the result.
    pub fn wait_run(&self, script: &str) -> Value {
        self.ask("POST", "/execute/async", &json!({ "script": script, "args": [] }))
    }

    /// Returns the node that a selector names, once it is there and seen.
    pub fn find(&self, selector: &str) -> Node {
        let (node, _) = wait_for(&format!("{selector} is seen"), SEEN_WITHIN, || {
            let using = json!({ "using": "css selector", "value": selector });
            let found = self.send("POST", &self.path("/element"), Some(&using)).ok()?;
            let node = Node(found["value"][ELEMENT].as_str()?.to_owned());
            let shown = self.send("GET", &self.path(&format!("/element/{}/displayed", node.0)), None).ok()?;
            (shown["value"] == true).then_some(node)
        });
        node
    }

    /// Clicks on what a selector names, as soon as it can be clicked on.
    pub fn click(&self, selector: &str) {
        wait_for(&format!("{selector} can be clicked on"), SEEN_WITHIN, || {
            let node = self.find(selector);
            // As a person does who does not see it yet.
            let script = "document.querySelector(arguments[0])?.scrollIntoView({ block: 'center' })";
            self.run(script, &[json!(selector)]);
            let path = self.path(&format!("/element/{}/click", node.0));
            let said = self.send("POST", &path, Some(&json!({}))).ok()?;
            said["value"].is_null().then_some(())
        });
    }

    /// Types into what a selector names.
    pub fn write(&self, selector: &str, text: &str) {
        let node = self.find(selector);
        self.ask("POST", &format!("/element/{}/value", node.0), &json!({ "text": text }));
    }

    /// Chooses files for a field of files, as the person's dialog would.
    pub fn choose(&self, selector: &str, files: &[PathBuf]) {
        let found = self.ask("POST", "/element", &json!({ "using": "css selector", "value": selector }));
        let node = found[ELEMENT].as_str().expect("a field");
        let names: Vec<&str> = files.iter().map(|file| file.to_str().expect("text")).collect();
        self.ask("POST", &format!("/element/{node}/value"), &json!({ "text": names.join("\n") }));
    }

    /// Empties a field as a person does.
    pub fn empty(&self, selector: &str) {
        let node = self.find(selector);
        self.ask("POST", &format!("/element/{}/clear", node.0), &json!({}));
    }

    /// Returns the text of the first node that a selector names; empty while there is none.
    pub fn text(&self, selector: &str) -> String {
        let script = "const n = document.querySelector(arguments[0]); return n ? n.innerText : ''";
        self.run(script, &[json!(selector)]).as_str().unwrap_or_default().to_owned()
    }

    /// Returns the texts of all nodes that a selector names.
    pub fn texts(&self, selector: &str) -> Vec<String> {
        let script = "return [...document.querySelectorAll(arguments[0])].map((n) => n.innerText)";
        let said = self.run(script, &[json!(selector)]);
        said.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
    }

    /// Waits until the text of what a selector names holds these words.
    pub fn reads(&self, selector: &str, words: &str) {
        let mut last = String::new();
        let start = std::time::Instant::now();
        while start.elapsed() < SEEN_WITHIN {
            last = self.text(selector);
            if last.contains(words) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{selector} never said {words:?}, but {last:?}");
    }

    /// Presses the pointer on `from`, moves it to these points (pixels from there), and lets it go.
    pub fn drag(&self, from: &str, steps: &[(i32, i32)]) {
        let node = self.find(from);
        let origin = json!({ ELEMENT: node.0 });
        let mut actions = vec![
            json!({ "type": "pointerMove", "origin": origin, "x": 0, "y": 0, "duration": 50 }),
            json!({ "type": "pointerDown", "button": 0 }),
        ];
        for (x, y) in steps {
            actions
                .push(json!({ "type": "pointerMove", "origin": "pointer", "x": x, "y": y, "duration": 120 }));
        }
        actions.push(json!({ "type": "pointerUp", "button": 0 }));
        let body = json!({ "actions": [{ "type": "pointer", "id": "finger", "actions": actions }] });
        self.ask("POST", "/actions", &body);
    }

    /// Presses keys one after the other, e.g. `\u{E007}` for Enter (WebDriver 17.4.2).
    pub fn keys(&self, keys: &str) {
        let actions: Vec<Value> = keys
            .chars()
            .flat_map(|key| {
                [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]
            })
            .collect();
        self.ask(
            "POST",
            "/actions",
            &json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] }),
        );
    }

    /// Presses keys one after the other while another one is held.
    pub fn chord(&self, held: &str, keys: &str) {
        let step = |kind: &str, key: &str| json!({ "type": kind, "value": key });
        let mut actions = vec![step("keyDown", held)];
        for key in keys.chars().map(String::from) {
            actions.extend([step("keyDown", &key), step("keyUp", &key)]);
        }
        actions.push(step("keyUp", held));
        let body = json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] });
        self.ask("POST", "/actions", &body);
    }

    /// Sends a command of the Chrome DevTools protocol.
    pub fn devtools(&self, name: &str, given: &Value) -> Value {
        self.ask("POST", "/goog/cdp/execute", &json!({ "cmd": name, "params": given }))
    }

    /// Shows the page this wide and high, in light or dark.
    pub fn looks(&self, width: u32, height: u32, scheme: &str) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
        let scheme = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", &scheme);
    }

    /// Writes a picture of what is seen as PNG.
    pub fn picture(&self, path: &Path) {
        let said = self.devtools("Page.captureScreenshot", &json!({ "format": "png" }));
        let text = said["data"].as_str().expect("a picture");
        std::fs::write(path, base64(text)).expect("a file");
    }

    /// Returns what the console said that is a warning or worse, since it was last asked.
    pub fn complaints(&self) -> Vec<String> {
        let said = self.ask("POST", "/se/log", &json!({ "type": "browser" }));
        let lines = said.as_array().cloned().unwrap_or_default();
        let bad = |line: &Value| {
            matches!(line["level"].as_str(), Some("SEVERE" | "WARNING")).then(|| line["message"].to_string())
        };
        lines.iter().filter_map(bad).collect()
    }

    /// Prints where the page is, what it loaded and how, and what the console said; for a test that failed.
    fn tell_what_it_sees(&self) {
        let script = "return JSON.stringify([location.href, document.readyState, document.body.innerText.slice(0, 400), \
            performance.getEntriesByType('resource').map((e) => [e.name, e.responseStatus, Math.round(e.startTime), Math.round(e.duration)])])";
        let sees = json!({ "script": script, "args": [] });
        let console = json!({ "type": "browser" });
        for (path, body) in [("/execute/sync", sees), ("/se/log", console)] {
            match self.send("POST", &self.path(path), Some(&body)) {
                Ok(said) => println!("the browser: {}", said["value"]),
                Err(error) => println!("the browser says nothing any more: {error}"),
            }
        }
    }

    fn path(&self, rest: &str) -> String {
        format!("/session/{}{rest}", self.session)
    }

    /// Asks the session; an error of the driver is a failure.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let said = self.send(method, &self.path(path), Some(body));
        let mut said =
            said.unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.driver.said()));
        let value = said["value"].take();
        assert!(value.get("error").is_none(), "{method} {path} {body}: {value}");
        value
    }

    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> std::io::Result<Value> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost:{PORT}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let asked = self.host.within(move || -> std::io::Result<Vec<u8>> {
            let mut stream = TcpStream::connect(("127.0.0.1", PORT))?;
            stream.set_read_timeout(Some(ANSWERED_WITHIN))?;
            stream.write_all(request.as_bytes())?;
            whole(&mut stream)
        });
        let bytes = asked.join().expect("no panic")?;
        let reply = api::parse(&bytes).ok_or(std::io::ErrorKind::InvalidData)?;
        Ok(reply.json)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell_what_it_sees();
        }
        if !self.session.is_empty() {
            let _gone = self.send("DELETE", &self.path(""), None);
        }
    }
}

/// Reads one answer with its length: chromedriver keeps connections open whatever it is told.
fn whole(stream: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let (mut bytes, mut block) = (Vec::new(), [0; 65_536]);
    loop {
        let count = match stream.read(&mut block) {
            // A machine that was stopped for a while goes on.
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        bytes.extend_from_slice(&block[..count]);
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let length = head.and_then(|end| {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"))?;
            Some(end + 4 + length.trim().parse::<usize>().ok()?)
        });
        if count == 0 || length.is_some_and(|length| bytes.len() >= length) {
            return Ok(bytes);
        }
    }
}

/// Reads base64 (RFC 4648, 4).
fn base64(text: &str) -> Vec<u8> {
    let six = |letter: u8| match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bytes, mut kept, mut bits) = (Vec::new(), 0u32, 0);
    for value in text.bytes().filter_map(six) {
        kept = (kept << 6) | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((kept >> bits) as u8);
            kept &= (1 << bits) - 1;
        }
    }
    bytes
}

/// WebDriver 12.2: the name of a reference to a node.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// In a namespace of its own.
const PORT: u16 = 9515;
const SEEN_WITHIN: Duration = Duration::from_secs(30);
const ANSWERED_WITHIN: Duration = Duration::from_secs(90);
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--window-size=1200,900",
];
