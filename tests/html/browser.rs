//! A headless Chromium, driven over a pipe by the protocol of its developer tools.
//!
//! [`Browser::open`] opens a file in a tab of its own, and waits until it is loaded. Every request is counted, and every
//! message of the console is kept.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use serde_json::{Value, json};

/// Chromium reads from descriptor 3 and writes to 4; a shell gives it our pipes there.
const PIPES: &str = "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";
const FLAGS: [&str; 9] = [
    "--headless=new",
    "--remote-debugging-pipe",
    // Chromium has no sandbox for root, and opens nothing but our own files.
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    // No name resolves, so that what a page asks for can be recorded and not reached.
    "--host-resolver-rules=MAP * ~NOTFOUND",
];

pub struct Browser {
    child: Child,
    pipe: Mutex<Pipe>,
    _profile: tempfile::TempDir,
}

struct Pipe {
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    last: u64,
    events: Vec<Value>,
}

/// A tab with one page.
pub struct Tab<'b> {
    browser: &'b Browser,
    target: Value,
    session: String,
}

/// What a tab is like when it opens a page.
#[derive(Clone, Copy, Debug)]
pub struct View {
    pub scripts: bool,
    pub dark: bool,
    pub width: u32,
}

impl View {
    pub const WIDE: Self = Self { scripts: true, dark: false, width: 1280 };
}

impl Browser {
    pub fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut chromium = Command::new("sh");
        chromium.args(["-c", PIPES, "chromium"]).args(FLAGS);
        chromium.arg(format!("--user-data-dir={}", profile.path().display()));
        let spawned = chromium.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.unwrap();
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let pipe = Pipe { to, from: BufReader::new(from), last: 0, events: Vec::new() };
        let browser = Self { child, pipe: Mutex::new(pipe), _profile: profile };
        let version = browser.call(None, "Browser.getVersion", &json!({}));
        println!("{}", version["product"].as_str().unwrap());
        browser
    }

    fn call(&self, session: Option<&str>, method: &str, parameters: &Value) -> Value {
        self.pipe.lock().unwrap().call(session, method, parameters)
    }

    pub fn open(&self, page: &Path, view: View) -> Tab<'_> {
        let blank = json!({"url": "about:blank"});
        let target = self.call(None, "Target.createTarget", &blank)["targetId"].clone();
        let attach = json!({"targetId": target, "flatten": true});
        let session = self.call(None, "Target.attachToTarget", &attach)["sessionId"].clone();
        let tab = Tab { browser: self, target, session: session.as_str().unwrap().to_owned() };
        for domain in ["Page", "Network", "Runtime", "Log"] {
            tab.call(&format!("{domain}.enable"), &json!({}));
        }
        let scheme = if view.dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        tab.call("Emulation.setEmulatedMedia", &json!({"features": features}));
        tab.call("Emulation.setScriptExecutionDisabled", &json!({"value": !view.scripts}));
        let size =
            json!({"width": view.width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        tab.call("Emulation.setDeviceMetricsOverride", &size);
        tab.call("Emulation.setScrollbarsHidden", &json!({"hidden": true}));
        tab.call("Page.navigate", &json!({"url": format!("file://{}", page.display())}));
        self.pipe.lock().unwrap().until(&tab.session, "Page.loadEventFired");
        tab
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Pipe {
    fn read(&mut self) -> Value {
        let mut message = Vec::new();
        self.from.read_until(0, &mut message).unwrap();
        assert_eq!(message.pop(), Some(0), "Chromium ended");
        serde_json::from_slice(&message).unwrap()
    }

    fn call(&mut self, session: Option<&str>, method: &str, parameters: &Value) -> Value {
        self.last += 1;
        let mut request = json!({"id": self.last, "method": method, "params": parameters});
        if let Some(session) = session {
            request["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{request}\0").as_bytes()).unwrap();
        loop {
            let mut message = self.read();
            if message["id"] == self.last {
                assert_eq!(message["error"], Value::Null, "{method}");
                return message["result"].take();
            }
            self.events.push(message);
        }
    }

    fn until(&mut self, session: &str, event: &str) {
        let is = |it: &Value| it["method"] == event && it["sessionId"] == session;
        while !self.events.iter().any(is) {
            let message = self.read();
            self.events.push(message);
        }
    }
}

impl Tab<'_> {
    pub fn call(&self, method: &str, parameters: &Value) -> Value {
        self.browser.call(Some(&self.session), method, parameters)
    }

    /// The value of an expression, or of the promise that it is.
    pub fn value(&self, expression: &str) -> Value {
        let parameters =
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.call("Runtime.evaluate", &parameters);
        assert_eq!(answer["exceptionDetails"], Value::Null, "{expression}");
        answer["result"]["value"].take()
    }

    /// Presses a key once: `Tab`, `Enter`.
    pub fn press(&self, key: &str) {
        let (code, text) = match key {
            "Enter" => (13, "\r"),
            _ => (9, ""),
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let key = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
            self.call("Input.dispatchKeyEvent", &key);
        }
    }

    /// Presses Tab until the element that has the focus matches the selector.
    pub fn tab_to(&self, selector: &str) {
        for _ in 0..200 {
            self.press("Tab");
            if self.value(&format!("document.activeElement.matches({selector:?})")) == true {
                return;
            }
        }
        panic!("no Tab reaches {selector}");
    }

    /// Waits until an expression is true.
    pub fn until(&self, expression: &str) {
        super::support::eventually(expression, || {
            let value = self.value(expression);
            if value == true { Ok(()) } else { Err(value.to_string()) }
        });
    }

    fn events(&self) -> Vec<Value> {
        // A call that brings along what has happened so far.
        self.value("0");
        let pipe = self.browser.pipe.lock().unwrap();
        pipe.events.iter().filter(|it| it["sessionId"] == *self.session).cloned().collect()
    }

    /// The addresses that the page asked for, itself included.
    pub fn requests(&self) -> Vec<String> {
        let sent =
            self.events().into_iter().filter(|it| it["method"] == "Network.requestWillBeSent");
        sent.map(|it| it["params"]["request"]["url"].as_str().unwrap().to_owned()).collect()
    }

    /// Messages of the console and of the browser, and errors of scripts.
    pub fn complaints(&self) -> Vec<Value> {
        let heard = ["Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"];
        self.events()
            .into_iter()
            .filter(|it| heard.iter().any(|event| it["method"] == **event))
            .collect()
    }

    /// What is shown as a PNG, in base64.
    pub fn picture(&self) -> String {
        let picture = self.call("Page.captureScreenshot", &json!({"format": "png"}));
        picture["data"].as_str().unwrap().to_owned()
    }
}

impl Drop for Tab<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.browser.call(None, "Target.closeTarget", &json!({"targetId": self.target}));
        }
    }
}
