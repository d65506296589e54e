//! One HTTP/1.1 connection, as little as is needed to ask a program how it is and to post updates to it.

use std::{io, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Uri, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Longer than any answer takes.
const TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
}

impl Connection {
    pub(crate) async fn open(uri: &Uri) -> io::Result<Self> {
        let host = uri.host().ok_or_else(|| io::Error::other("the address has no host"))?;
        let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        // Its end shows in the sender.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender })
    }

    /// Status and body of the answer.
    pub(crate) async fn exchange(&mut self, mut request: Request<Full<Bytes>>) -> io::Result<(u16, Bytes)> {
        let uri = request.uri().clone();
        if let Some(authority) = uri.authority() {
            let host = authority.as_str().parse().map_err(io::Error::other)?;
            request.headers_mut().insert(HOST, host);
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse().map_err(io::Error::other)?;
        let exchange = async {
            self.sender.ready().await?;
            let response = self.sender.send_request(request).await?;
            let status = response.status().as_u16();
            Ok::<_, hyper::Error>((status, response.into_body().collect().await?.to_bytes()))
        };
        tokio::time::timeout(TIMEOUT, exchange).await?.map_err(io::Error::other)
    }
}

/// Status and body of one page.
pub(crate) async fn get(uri: &Uri) -> io::Result<(u16, Bytes)> {
    let request = Request::get(uri).body(Full::default()).map_err(io::Error::other)?;
    Connection::open(uri).await?.exchange(request).await
}

/// Status and text of a page such as `http://127.0.0.1:9090/metrics`.
///
/// # Errors
/// Where the address is none, or nobody answers there.
pub async fn page(address: &str) -> io::Result<(u16, String)> {
    let (status, body) = get(&address.parse().map_err(io::Error::other)?).await?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
