//! The fake bot over HTTP, with blocking sockets: a webhook and a client of the Bot API.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, mpsc},
    thread,
};

use serde_json::Value;

/// A request as it came: everything before the body, and the body.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: String,
}

fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    Some(Request { head, body: String::from_utf8(body).unwrap() })
}

/// A webhook that answers what `answer` makes of each request: status line, headers and body.
pub(crate) fn webhook(answer: impl Fn(&Request) -> String + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            thread::spawn(move || {
                let mut writer = stream.try_clone().unwrap();
                let mut reader = BufReader::new(stream);
                while let Some(request) = read(&mut reader) {
                    if writer.write_all(answer(&request).as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A client of the Bot API on one connection.
pub(crate) struct Client {
    base: String,
    address: String,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    pub(crate) fn new(api_url: &str, token: &str) -> Self {
        let address = api_url.strip_prefix("http://").unwrap().to_owned();
        Self { base: format!("/bot{token}"), address, stream: None }
    }

    /// Head and body of the answer; nothing if the connection broke.
    pub(crate) fn post(&mut self, method: &str, body: &str) -> Option<(String, String)> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => BufReader::new(TcpStream::connect(&self.address).unwrap()),
        };
        let request = format!(
            "POST {}/{method} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.base,
            self.address,
            body.len()
        );
        stream.get_mut().write_all(request.as_bytes()).ok()?;
        let answer = read(&mut stream)?;
        self.stream = Some(stream);
        Some((answer.head, answer.body))
    }

    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Result<Value, String> {
        let (_, body) = self.post(method, &params.to_string()).ok_or("no answer")?;
        let mut body: Value = serde_json::from_str(&body).map_err(|_| "no JSON")?;
        if body["ok"] == Value::Bool(true) { Ok(body["result"].take()) } else { Err(body.to_string()) }
    }
}

/// Starts a bot behind a webhook; it works on one update after the other. Repetitions are passed over.
pub(crate) fn serve(mut bot: super::FakeBot, api_url: &str, token: &str) -> SocketAddr {
    let (send, updates) = mpsc::channel::<Value>();
    let mut client = Client::new(api_url, token);
    thread::spawn(move || {
        let mut seen = std::collections::BTreeSet::new();
        for update in updates {
            if seen.insert(update["update_id"].as_i64()) {
                bot.handle(&update, &mut |method, params| client.call(method, &params));
            }
        }
    });
    let send = Mutex::new(send);
    webhook(move |request| {
        let update = serde_json::from_str(&request.body).unwrap();
        // The bot's thread is gone when a test is over.
        send.lock().unwrap().send(update).ok();
        OK.to_owned()
    })
}
