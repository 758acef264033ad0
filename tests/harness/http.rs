//! The JSON API by plain HTTP/1.1, one connection a request: what a program of a customer or operator sends.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

use super::DEADLINE;
use super::demo::{Info, Operator};
use super::xmpp::between;

/// A status with what came with it.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Header lines, names in lower case.
    pub headers: String,
    pub body: String,
}

impl Answer {
    /// Reads a whole answer; `None`: it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let (line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
        let headers = headers.lines().map(|line| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            format!("{}: {}\n", name.to_ascii_lowercase(), value.trim())
        });
        let headers: String = headers.collect();
        let body = if headers.contains("transfer-encoding: chunked") {
            unchunked(body)?
        } else {
            body.to_owned()
        };
        Some(Self {
            status: line.split(' ').nth(1)?.parse().ok()?,
            headers,
            body,
        })
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        between(&self.headers, &format!("{name}: "), "\n")
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{self:?}: {e}"))
    }

    /// A problem document (RFC 9457) with the given status and code; its text and remedy are returned.
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        for part in ["title", "detail", "remedy"] {
            let text = problem[part].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "no {part} in {problem}");
        }
        problem
    }
}

/// A body that came in chunks (RFC 9112 7.1); `None`: it broke off.
fn unchunked(mut rest: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body += after.get(..size)?;
        rest = after.get(size..)?.strip_prefix("\r\n")?;
    }
}

/// Somebody who talks with the API.
pub struct Api {
    panel: SocketAddr,
    proof: String,
}

impl Api {
    /// Without a login.
    pub fn stranger(info: &Info) -> Self {
        let panel = info.panel.trim_start_matches("http://");
        Self {
            panel: panel.trim_end_matches('/').parse().expect("address"),
            proof: String::new(),
        }
    }

    /// Signed in as the platform's operator.
    pub fn operator(info: &Info) -> Self {
        Self::sign_in(info, &info.operator)
    }

    /// Signed in.
    pub fn sign_in(info: &Info, who: &Operator) -> Self {
        let mut api = Self::stranger(info);
        let answer = api.post(
            "/login",
            &json!({"login": who.login, "password": who.password}),
        );
        assert_eq!(answer.status, 200, "{answer:?}");
        let cookie = between(&answer.headers, "set-cookie: ", ";").expect("a cookie");
        let csrf = answer.json()["csrf"].as_str().expect("csrf").to_owned();
        api.proof = format!("cookie: {cookie}\r\nx-csrf-token: {csrf}\r\n");
        api
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "application/json", b"")
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(
            "POST",
            path,
            "application/json",
            body.to_string().as_bytes(),
        )
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, "application/json", b"")
    }

    /// A request below `/api/v1` with any body.
    pub fn send(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Answer {
        self.raw(method, &format!("/api/v1{path}"), kind, body)
    }

    /// A request to any path of the panel.
    pub fn raw(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Answer {
        let mut tcp = TcpStream::connect_timeout(&self.panel, DEADLINE).expect("the panel's door");
        tcp.set_read_timeout(Some(DEADLINE)).expect("timeout");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{}content-type: {kind}\r\ncontent-length: {}\r\n\r\n",
            self.panel,
            self.proof,
            body.len()
        );
        tcp.write_all(head.as_bytes()).expect("request");
        // Who refuses a body may close before it is all written.
        let _ = tcp.write_all(body);
        let mut text = Vec::new();
        let read = tcp.read_to_end(&mut text);
        let text = String::from_utf8(text).expect("UTF-8");
        Answer::parse(&text)
            .unwrap_or_else(|| panic!("no answer to {method} {path}: {read:?} {text}"))
    }
}
