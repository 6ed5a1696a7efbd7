//! Requests on a raw connection.

use std::io::{Read, Write};

/// Sends a request and closes the connection; returns the whole response with its headers.
pub fn ask(stream: &mut (impl Read + Write), request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    stream.flush().unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Posts JSON.
pub fn post(stream: &mut (impl Read + Write), path: &str, body: &str) -> String {
    let length = body.len();
    let head = "host: podgate\r\ncontent-type: application/json\r\nconnection: close";
    ask(
        stream,
        &format!("POST {path} HTTP/1.1\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}"),
    )
}

/// GETs a path.
pub fn get(stream: &mut (impl Read + Write), path: &str) -> String {
    ask(stream, &format!("GET {path} HTTP/1.1\r\nhost: podgate\r\nconnection: close\r\n\r\n"))
}
