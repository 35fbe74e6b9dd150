//! A line to a server that can be cut, in either direction. What is held back arrives when it is mended, as TCP's
//! does.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Ends with the runtime that it was made in.
pub struct Proxy {
    pub endpoint: String,
    requests: Arc<watch::Sender<bool>>,
    answers: Arc<watch::Sender<bool>>,
}

impl Proxy {
    pub async fn to(endpoint: &str) -> Proxy {
        let server: SocketAddr = endpoint.trim_start_matches("http://").parse().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let [requests, answers] = [(); 2].map(|()| Arc::new(watch::Sender::new(false)));
        let (cut_requests, cut_answers) = (requests.clone(), answers.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(server).await else { continue };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(carry(from_client, to_server, cut_requests.subscribe()));
                tokio::spawn(carry(from_server, to_client, cut_answers.subscribe()));
            }
        });
        Proxy { endpoint, requests, answers }
    }

    pub fn cut_requests(&self, cut: bool) {
        self.requests.send_replace(cut);
    }

    pub fn cut_answers(&self, cut: bool) {
        self.answers.send_replace(cut);
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut cut: watch::Receiver<bool>) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if cut.wait_for(|cut| !*cut).await.is_err() || to.write_all(&bytes[..count]).await.is_err()
        {
            return;
        }
    }
}
