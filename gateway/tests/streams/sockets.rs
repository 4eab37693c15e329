//! Streams over WebSockets, through a real server and a real client.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{SinkExt, StreamExt, stream};
use http_body_util::BodyExt;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use pulpo_gateway::{reply::Sockets, service::Gateway, surface::Surface};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest, protocol::frame::coding::CloseCode},
};
use tonic::{Code, Status};

use super::{
    Line, Service, failing, framed, line, lines, options, reply, service, surface, unframed,
};

/// Serves until the runtime ends.
async fn served(service: Service, sockets: Sockets) -> SocketAddr {
    served_by(surface(options()), service, sockets).await
}

/// With a ping every so often.
async fn pinging(service: Service, ping: Duration) -> SocketAddr {
    let mut options = options();
    options.streams.ping = ping;
    served_by(surface(options), service, Sockets::default()).await
}

pub(super) async fn served_by(
    surface: Arc<Surface>,
    service: Service,
    sockets: Sockets,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let gateway = Gateway::new(surface, service).with_sockets(sockets);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let gateway = TowerToHyperService::new(gateway.clone());
            tokio::spawn(async move {
                let builder = Builder::new(TokioExecutor::new());
                let _ = builder
                    .serve_connection_with_upgrades(TokioIo::new(stream), gateway)
                    .await;
            });
        }
    });
    address
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connected(address: SocketAddr, path: &str) -> Result<Socket, Error> {
    let request = format!("ws://{address}{path}").into_client_request()?;
    connect_async(request).await.map(|(socket, _)| socket)
}

/// The texts until the close frame, and that.
async fn all(mut socket: Socket) -> (Vec<String>, u16, String) {
    let mut texts = Vec::new();
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Text(text) => texts.push(text.to_string()),
            Message::Close(Some(frame)) => {
                return (texts, frame.code.into(), frame.reason.to_string());
            }
            _ => {}
        }
    }
    (texts, 1006, String::new())
}

#[tokio::test]
async fn messages_are_text_frames_and_the_close_code_is_the_status() {
    for (code, expected) in [
        (Code::Ok, 1000),
        (Code::Unavailable, 4503),
        (Code::NotFound, 4404),
    ] {
        let watch = service(move |_| async move { reply(lines(2), code) });
        let address = served(watch, Sockets::default()).await;
        let socket = connected(address, "/v1/logs/a:watch").await.unwrap();
        let (texts, code, _) = all(socket).await;
        assert_eq!(texts[1], r#"{"id":2,"kind":"k","text":"line 2"}"#);
        assert_eq!((texts.len(), code), (2, expected));
    }
}

#[tokio::test]
async fn an_early_error_keeps_its_status() {
    let missing = service(|_| async { Status::permission_denied("not yours").into_http() });
    let address = served(missing, Sockets::default()).await;
    for path in ["/v1/logs/a:watch", "/v1/logs/a:chat"] {
        let Err(Error::Http(response)) = connected(address, path).await else {
            panic!("{path} was opened");
        };
        assert_eq!(response.status(), 403);
        assert_eq!(response.headers()["content-type"], "application/json");
    }
    // Told at the end, without a message before it.
    let address = served(service(|_| async { failing() }), Sockets::default()).await;
    let Err(Error::Http(response)) = connected(address, "/v1/logs/a:watch").await else {
        panic!("it was opened");
    };
    assert_eq!(response.status(), 404);
    assert_eq!(response.headers()["x-trail"], "one");
}

/// Answers every message of the request with the same one as soon as it comes.
fn echo() -> Service {
    service(|request| async move {
        let body = request.into_body();
        let frames = stream::unfold(body, |mut body| async move {
            let frame = body.frame().await?;
            // A status of the request's own ends the reply with it.
            let data = frame.ok()?.into_data().ok()?;
            Some((data, body))
        });
        reply(frames, Code::Ok)
    })
}

#[tokio::test]
async fn frames_go_both_ways_until_the_client_ends() {
    let address = served(echo(), Sockets::default()).await;
    let mut socket = connected(address, "/v1/logs/l:chat").await.unwrap();
    for id in 1..=20 {
        let message = format!("{{\"id\":{id},\"log\":\"other\"}}");
        socket.send(Message::text(message)).await.unwrap();
        let answer = socket.next().await.unwrap().unwrap();
        assert_eq!(
            answer.to_text().unwrap(),
            format!("{{\"log\":\"l\",\"id\":{id}}}")
        );
    }
    socket.send(Message::text("")).await.unwrap();
    assert_eq!(all(socket).await, (vec![], 1000, String::new()));
}

/// Begins to read before it answers, as what passes messages on to another machine does.
fn listening(is_refusing: bool) -> Service {
    service(move |request| async move {
        let mut body = request.into_body();
        let early = tokio::time::timeout(Duration::from_millis(10), body.frame()).await;
        if is_refusing {
            return Status::permission_denied("not yours").into_http();
        }
        let first = match early {
            Ok(first) => first,
            Err(_) => body.frame().await,
        };
        let data = first.unwrap().unwrap().into_data().unwrap();
        reply(stream::iter([data]), Code::Ok)
    })
}

#[tokio::test]
async fn a_service_that_listens_has_time_to_refuse_and_may_wait_for_a_message() {
    let address = served(listening(true), Sockets::default()).await;
    let Err(Error::Http(response)) = connected(address, "/v1/logs/a:chat").await else {
        panic!("it was opened");
    };
    assert_eq!(response.status(), 403);
    let address = served(listening(false), Sockets::default()).await;
    let mut socket = connected(address, "/v1/logs/a:chat").await.unwrap();
    socket.send(Message::text(r#"{"id":1}"#)).await.unwrap();
    let (texts, code, _) = all(socket).await;
    assert_eq!((texts.len(), code), (1, 1000));
}

#[tokio::test]
async fn what_is_no_message_closes_the_socket() {
    let failing = || {
        service(|request| async move {
            match request.into_body().collect().await {
                Ok(body) => {
                    let last = unframed::<Line>(&body.to_bytes()).pop().unwrap();
                    reply(stream::iter([framed(&last)]), Code::Ok)
                }
                Err(status) => status.into_http(),
            }
        })
    };
    let address = served(failing(), Sockets::default()).await;
    let mut socket = connected(address, "/v1/logs/l:append").await.unwrap();
    socket.send(Message::text("{\"id\":\"x\"}")).await.unwrap();
    let (_, code, reason) = all(socket).await;
    assert_eq!(code, 4400);
    assert!(reason.starts_with("INVALID_BODY: id"), "{reason}");
    let mut socket = connected(address, "/v1/logs/l:append").await.unwrap();
    socket.send(Message::binary(vec![1])).await.unwrap();
    assert_eq!(all(socket).await.1, u16::from(CloseCode::Unsupported));
    let mut socket = connected(address, "/v1/logs/l:append").await.unwrap();
    let long = format!("{{\"text\":\"{}\"}}", "x".repeat(5000));
    socket.send(Message::text(long)).await.unwrap();
    assert_eq!(all(socket).await.1, u16::from(CloseCode::Size));
    let mut socket = connected(address, "/v1/logs/l:append").await.unwrap();
    socket.send(Message::text("{\"id\":1}")).await.unwrap();
    socket.send(Message::text("")).await.unwrap();
    assert_eq!(all(socket).await.0, [r#"{"log":"l","id":1}"#]);
}

#[tokio::test]
async fn whoever_stops_the_server_closes_the_sockets() {
    let silent = service(|_| async { reply(lines(1).chain(stream::pending()), Code::Ok) });
    let sockets = Sockets::default();
    let address = served(silent, sockets.clone()).await;
    let mut socket = connected(address, "/v1/logs/a:watch").await.unwrap();
    let first = socket.next().await.unwrap().unwrap();
    assert_eq!(
        first.to_text().unwrap(),
        format!(r#"{{"id":1,"kind":"k","text":"{}"}}"#, line(1).text)
    );
    let (closed, ()) = tokio::join!(all(socket), sockets.close());
    assert_eq!(closed.1, u16::from(CloseCode::Away));
}

/// A stream without an end, how many of its messages were fetched, and what closes when it is dropped.
fn endless() -> (Service, Arc<AtomicUsize>, Arc<Semaphore>) {
    let (fetched, open) = (Arc::<AtomicUsize>::default(), Arc::new(Semaphore::new(0)));
    let (counted, kept) = (fetched.clone(), open.clone());
    let long = framed(&Line {
        text: "x".repeat(16 * 1024),
        ..line(1)
    });
    let service = service(move |_| {
        let (counted, end) = (counted.clone(), Closing(kept.clone()));
        let messages = stream::repeat(long.clone()).inspect(move |_| {
            let _kept = &end;
            counted.fetch_add(1, Ordering::Relaxed);
        });
        async move { reply(messages, Code::Ok) }
    });
    (service, fetched, open)
}

/// Waits until the buffers on the way are full, which is when nothing has been fetched for a while.
async fn stands_still(fetched: &AtomicUsize) {
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    let (mut seen, mut same) = (0, 0);
    while same < 10 {
        looks.tick().await;
        let now = fetched.load(Ordering::Relaxed);
        same = if now == seen && now > 0 { same + 1 } else { 0 };
        seen = now;
    }
}

struct Closing(Arc<Semaphore>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[tokio::test]
async fn a_stop_ends_the_call_of_a_client_that_does_not_read_and_waits_only_if_it_is_to() {
    let (service, fetched, open) = endless();
    let sockets = Sockets::default();
    let address = served(service, sockets.clone()).await;
    let socket = connected(address, "/v1/logs/a:watch").await.unwrap();
    stands_still(&fetched).await;
    let soon = Duration::from_secs(2);
    let closing = tokio::spawn({
        let sockets = sockets.clone();
        async move { sockets.close().await }
    });
    let ended = tokio::time::timeout(soon, open.acquire()).await;
    assert!(ended.expect("the call goes on").is_err());
    assert!(!closing.is_finished());
    sockets.abandon();
    tokio::time::timeout(soon, closing).await.unwrap().unwrap();
    drop(socket);
}

#[tokio::test]
async fn a_client_that_begins_to_read_again_is_told_that_the_server_stops() {
    let (service, fetched, open) = endless();
    let sockets = Sockets::default();
    let address = served(service, sockets.clone()).await;
    let socket = connected(address, "/v1/logs/a:watch").await.unwrap();
    stands_still(&fetched).await;
    let closing = tokio::spawn(async move { sockets.close().await });
    assert!(open.acquire().await.is_err());
    assert_eq!(all(socket).await.1, u16::from(CloseCode::Away));
    closing.await.unwrap();
}

const PING: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_client_that_answers_no_pings_is_closed_and_one_that_does_is_not() {
    let silent = || service(|_| async { reply(lines(1).chain(stream::pending()), Code::Ok) });
    let address = pinging(silent(), PING).await;
    // Whoever reads answers, and who does not read does not.
    let deaf = connected(address, "/v1/logs/a:watch").await.unwrap();
    tokio::time::sleep(PING * 4).await;
    let (texts, code, reason) = all(deaf).await;
    assert_eq!((texts.len(), code), (1, u16::from(CloseCode::Away)));
    assert_eq!(reason, "the client does not answer pings");
    let socket = connected(address, "/v1/logs/a:watch").await.unwrap();
    let closed = tokio::time::timeout(PING * 8, all(socket)).await;
    assert!(closed.is_err(), "{closed:?}");
}

#[tokio::test]
async fn a_client_whose_frames_wait_for_the_service_is_not_taken_for_gone() {
    // Takes the first message, then nothing for many pings, then the rest.
    let slow = service(|request| async move {
        let mut body = request.into_body();
        let first = body.frame().await.unwrap().unwrap();
        let first = first.into_data().unwrap();
        tokio::time::sleep(PING * 8).await;
        let rest = body.collect().await.unwrap().to_bytes();
        let count = unframed::<Line>(&rest).len() + unframed::<Line>(&first).len();
        reply(
            stream::iter([framed(&line(i32::try_from(count).unwrap()))]),
            Code::Ok,
        )
    });
    let address = pinging(slow, PING).await;
    let mut socket = connected(address, "/v1/logs/l:append").await.unwrap();
    for id in 1..=40 {
        let message = format!("{{\"id\":{id}}}");
        socket.send(Message::text(message)).await.unwrap();
    }
    socket.send(Message::text("")).await.unwrap();
    let (texts, code, reason) = all(socket).await;
    assert_eq!((texts.len(), code), (1, 1000), "{reason}");
    assert!(texts[0].contains("\"id\":40"), "{texts:?}");
}

#[tokio::test]
async fn a_handshake_is_answered_within_the_time_the_client_gives() {
    let silent = service(|_| async { std::future::pending().await });
    let address = served(silent, Sockets::default()).await;
    let mut request = format!("ws://{address}/v1/logs/a:watch")
        .into_client_request()
        .unwrap();
    let headers = request.headers_mut();
    headers.insert("x-server-timeout", "0.1".parse().unwrap());
    let Err(Error::Http(response)) = connect_async(request).await else {
        panic!("it was opened");
    };
    assert_eq!(response.status(), 504);
}
