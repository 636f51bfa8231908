//! `status-inspect serve`, as programs see it. A real browser is in `tests/browser`.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    network::network,
    record,
    shell::{Background, Shell, conforms},
};

/// A server and its page.
struct Page {
    address: String,
    path: String,
    _child: Background,
}

impl Page {
    fn start(shell: &Shell, options: &str) -> Self {
        let line = format!("exec status-inspect serve {options}");
        let mut child = Background(shell.command(&line).spawn().expect("bash"));
        let mut first = String::new();
        let stdout = child.0.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut first).expect("a line");
        conforms::check(first.trim());
        let url = record(&first)["url"].as_str().expect("an address").to_owned();
        let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
        Self { address: address.to_owned(), path: format!("/{path}"), _child: child }
    }

    /// Sends a request as it stands, and returns the answer: its status, head and body.
    fn ask(&self, request: &[u8]) -> (u16, String, String) {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(100))).unwrap();
        // It may answer, and close, before all was sent.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).expect("UTF-8");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or(0);
        (status, head.to_owned(), body.to_owned())
    }

    fn get(&self, path: &str) -> (u16, String, String) {
        let (address, start) = (&self.address, &self.path);
        let head =
            format!("GET {start}{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        self.ask(head.as_bytes())
    }

    fn post(&self, body: &[u8]) -> (u16, String, String) {
        let (address, start, length) = (&self.address, &self.path, body.len());
        let head = format!(
            "POST {start}inspect HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        self.ask(&[head.as_bytes(), body].concat())
    }

    /// Waits for a row.
    fn row(&self, number: usize) -> Value {
        for _ in 0..600 {
            let rows: Value = serde_json::from_str(&self.get("rows?from=0").2).expect("JSON");
            if !rows["rows"][number].is_null() {
                return rows["rows"][number].clone();
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("no row {number}");
    }
}

#[test]
fn bytes_are_inspected_for_who_knows_the_address() {
    let shell = Shell::new();
    let page = Page::start(&shell, "--port 0");
    let (status, head, body) = page.get("");
    assert_eq!(status, 200, "{head}");
    assert!(
        head.contains("content-security-policy: default-src 'none'; script-src 'self'"),
        "{head}"
    );
    for own in ["view.css", "page.css", "view.js", "page.js"] {
        assert!(body.contains(&format!("\"{own}\"")), "{own}");
        assert_eq!(page.get(own).0, 200, "{own}");
    }
    for outside in ["http:", "https:", "//"] {
        assert!(!body.contains(outside), "{outside}");
    }
    let (status, _, body) = page.post(b"</script><b>\nstatus-im://chat/public/status");
    assert_eq!(status, 200);
    assert!(body.contains("account.share_link") && !body.contains("<b>\n"), "{body}");
    assert!(page.post(b" \n").2.contains("nothing to inspect"));
    assert!(page.post(&[0xff; 9]).2.contains("inspect.unknown"));
    // No other path, token, host or method.
    for path in ["../", "rows", "rows?from=x", "row?number=0", "page.html", "%2e%2e/"] {
        assert_ne!(page.get(path).0, 200, "{path}");
    }
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: HOST\r\n", 404),
        ("GET /0123/ HTTP/1.1\r\nHost: HOST\r\n", 404),
        ("GET PATH HTTP/1.1\r\nHost: evil.example\r\n", 421),
        ("GET PATH HTTP/1.1\r\nHost: HOST\r\nOrigin: http://evil.example\r\n", 403),
        ("PUT PATH HTTP/1.1\r\nHost: HOST\r\n", 405),
    ] {
        let request = request.replace("HOST", &page.address).replace("PATH", &page.path);
        let found = page.ask(format!("{request}Connection: close\r\n\r\n").as_bytes());
        assert_eq!(found.0, status, "{request}");
    }
}

#[test]
fn what_is_sent_is_bounded() {
    let shell = Shell::new();
    let page = Page::start(&shell, "");
    assert_eq!(page.post(&vec![b'0'; (4 << 20) + 1]).0, 413);
    let long = format!("GET {}{} HTTP/1.1\r\n\r\n", page.path, "a".repeat(100_000));
    assert_ne!(page.ask(long.as_bytes()).0, 200);
    // Who says nothing keeps nobody out for long.
    let silent: Vec<_> = (0..40).filter_map(|_| TcpStream::connect(&page.address).ok()).collect();
    assert_eq!(page.get("").0, 200);
    drop(silent);
}

#[test]
fn a_peer_is_watched() {
    let (shell, _node) = network("");
    let page = Page::start(&shell, "--peer $ENODE --chat status");
    shell.ok("status-send 'hello </script>' --peer $ENODE --identity me.key --chat status");
    let row = page.row(0);
    assert_eq!((&row["text"], &row["chat"]), (&"hello </script>".into(), &"chat status".into()));
    let name = record(&shell.ok("status-account show --identity me.key"))["name"].clone();
    assert_eq!(row["author"], name);
    let (status, _, body) = page.get("row?number=0");
    assert_eq!(status, 200);
    assert!(body.contains("payload.chat_message") && body.contains("hello &lt;/script&gt;"));
}
