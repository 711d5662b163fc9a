//! check.rs asks measured over its Unix socket whether a peer may be trusted; the standard library is enough.
//!
//!     rustc check.rs && ./check SPECIFIER TYPE '{"0":"aabb.."}'
//!
//! A program with a JSON library should use it for the body and the answer; a specifier here must need no escapes.
use std::io::{Read, Write};
use std::{env, os::unix::net::UnixStream, process::exit, time::Duration};

fn ask(specifier: &str, kind: &str, measurements: &str) -> std::io::Result<String> {
    let dir = env::var("MEASURED_SOCKET_DIR").unwrap_or("/run/measured".into());
    let body = format!(r#"{{"specifier":"{specifier}","attestation_type":"{kind}","measurements":{measurements}}}"#);
    let mut socket = UnixStream::connect(dir + "/api.sock")?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(socket, "POST /v1/check HTTP/1.1\r\nHost: measured\r\nConnection: close\r\n\
        Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}", body.len(), body)?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}

fn main() {
    let args: Vec<String> = env::args().collect();
    let answer = ask(&args[1], &args[2], &args[3]).unwrap_or_default();
    // what cannot be found out is unknown, and unknown is refused
    let verdict = match answer.starts_with("HTTP/1.1 200 ") {
        true if answer.contains("\"verdict\":\"approved\"") => "approved",
        true if answer.contains("\"verdict\":\"refused\"") => "refused",
        _ => "unknown",
    };
    println!("{verdict}");
    exit(if verdict == "approved" { 0 } else { 1 });
}
