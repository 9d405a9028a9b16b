//! Responses that take their time, and how they end.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tower::service_fn;

use super::*;
use crate::sockets::serve;

/// A body that does what the other end of the channel says.
struct Scripted(
    mpsc::UnboundedReceiver<Result<Frame<Bytes>, &'static str>>,
    Option<u64>,
);

type Script = mpsc::UnboundedSender<Result<Frame<Bytes>, &'static str>>;

fn scripted(len: Option<u64>) -> (Script, Scripted) {
    let (script, frames) = mpsc::unbounded_channel();
    (script, Scripted(frames, len))
}

impl http_body::Body for Scripted {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        self.0.poll_recv(cx)
    }

    fn size_hint(&self) -> SizeHint {
        self.1.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

fn data(text: &'static str) -> Result<Frame<Bytes>, &'static str> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

fn trailers(status: &'static str) -> Result<Frame<Bytes>, &'static str> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.parse().unwrap());
    Ok(Frame::trailers(trailers))
}

/// The response to a request, whose body is `body`.
async fn respond(
    world: &World,
    method: &str,
    body: Scripted,
) -> Response<impl http_body::Body<Data = Bytes, Error = &'static str>> {
    let body = Arc::new(Mutex::new(Some(body)));
    let service = service_fn(move |_: Request<String>| {
        let body = body.lock().unwrap().take().unwrap();
        async move { Ok::<_, Infallible>(Response::new(body)) }
    });
    let request = Request::builder()
        .method(method)
        .body(String::new())
        .unwrap();
    world.audit.layer(service).oneshot(request).await.unwrap()
}

async fn end(world: &World) -> (Value, Value) {
    let record = world.only().await;
    (record["end"].clone(), record["sent_bytes"].clone())
}

#[tokio::test]
async fn tm_07_a_body_that_fails_behind_the_layers_still_has_its_record() {
    let world = World::new();
    let (script, body) = scripted(None);
    let response = respond(&world, "GET", body).await;
    assert_eq!(world.written("request").await.len(), 0, "it has not ended");
    script.send(data("four")).unwrap();
    script.send(Err("broken")).unwrap();
    world.clock.advance(Duration::from_millis(1500));
    assert_eq!(response.into_body().collect().await.unwrap_err(), "broken");
    assert_eq!(end(&world).await, ("failed".into(), 4.into()));
    let record = world.only().await;
    assert_eq!(
        (&record["latency_us"], &record["duration_us"]),
        (&0.into(), &1_500_000.into())
    );
}

#[tokio::test]
async fn a_stream_is_recorded_at_its_end() {
    let world = World::new();
    let (script, body) = scripted(None);
    let response = respond(&world, "GET", body).await;
    script.send(data("12")).unwrap();
    script.send(data("345")).unwrap();
    script.send(trailers("7")).unwrap();
    let mut body = std::pin::pin!(response.into_body());
    for _ in 0..3 {
        assert_eq!(world.written("request").await.len(), 0);
        body.frame().await.unwrap().unwrap();
    }
    // Trailers are the last frame.
    assert_eq!(end(&world).await, ("complete".into(), 5.into()));
    assert_eq!(world.only().await["grpc_status"], 7);
}

#[tokio::test]
async fn tm_10_a_client_that_goes_away_leaves_a_record_and_no_seat_taken() {
    let world = World::new();
    let (script, body) = scripted(None);
    let response = respond(&world, "GET", body).await;
    assert_eq!(world.audit.handle().status().waiting, 1);
    script.send(data("12")).unwrap();
    let mut body = Box::pin(response.into_body());
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_eq!(end(&world).await, ("aborted".into(), 2.into()));
    assert_eq!(world.audit.handle().status().waiting, 0);
}

/// A server that knows how long a body is does not ask for its end.
#[tokio::test]
async fn all_of_a_body_whose_length_is_known_is_complete() {
    for (len, sent, how) in [
        (4, "four", "complete"),
        (4, "fou", "aborted"),
        (0, "", "complete"),
    ] {
        let world = World::new();
        let (script, body) = scripted(Some(len));
        let response = respond(&world, "GET", body).await;
        let mut body = Box::pin(response.into_body());
        if !sent.is_empty() {
            script.send(data(sent)).unwrap();
            body.frame().await.unwrap().unwrap();
        }
        drop(body);
        assert_eq!(end(&world).await, (how.into(), sent.len().into()));
    }
}

#[tokio::test]
async fn a_head_has_nothing_to_hand_on() {
    let world = World::new();
    let (_script, body) = scripted(Some(100));
    drop(respond(&world, "HEAD", body).await);
    assert_eq!(end(&world).await, ("complete".into(), 0.into()));
}

/// Where a record has to be there before the response, the end of a stream is another record.
#[tokio::test]
async fn a_stream_whose_record_was_written_first_has_another_for_its_end() {
    let shelf = Shelf::with(Durability::Written);
    let world = World::of(shelf.clone(), Backpressure::FailRequest, |builder| builder);
    let (script, body) = scripted(None);
    let response = respond(&world, "GET", body).await;
    let record = shelf.of_kind("request").remove(0);
    assert_eq!(
        (&record["outcome"], record.get("end")),
        (&"allowed".into(), None)
    );
    assert_eq!(world.audit.handle().status().waiting, 1);
    script.send(data("12")).unwrap();
    script.send(trailers("0")).unwrap();
    drop(script);
    response.into_body().collect().await.unwrap();
    let ends = world.written("end").await;
    assert_eq!(ends.len(), 1);
    assert_eq!(
        (&ends[0]["of"], &ends[0]["end"]),
        (&record["seq"], &"complete".into())
    );
    assert_eq!(
        (&ends[0]["sent_bytes"], &ends[0]["grpc_status"]),
        (&2.into(), &0.into())
    );
    assert_eq!(world.audit.handle().status().waiting, 0);

    let (_script, body) = scripted(Some(4));
    drop(respond(&world, "GET", body).await);
    let ends = world.written("end").await;
    assert_eq!(
        ends[1]["end"], "aborted",
        "its length was known, and it was not reached"
    );
}

/// The same on a real server: hyper drops the response when the client goes away.
#[tokio::test]
async fn tm_10_a_client_that_hangs_up_on_a_server_leaves_a_record() {
    let world = World::new();
    let (script, body) = scripted(None);
    let body = Arc::new(Mutex::new(Some(body)));
    let stream = move || {
        let body = body.lock().unwrap().take().unwrap();
        async move { Body::new(body) }
    };
    let hang = || std::future::pending::<&'static str>();
    let router = Router::new()
        .route("/stream", get(stream))
        .route("/hang", get(hang))
        .layer(world.audit.clone());
    let address = serve(router).await;

    let mut streaming = TcpStream::connect(address).await.unwrap();
    streaming
        .write_all(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    script.send(data("first")).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"first\r\n") {
        assert_ne!(streaming.read_buf(&mut answer).await.unwrap(), 0);
    }
    let mut hanging = TcpStream::connect(address).await.unwrap();
    hanging
        .write_all(b"GET /hang HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let handle = world.audit.handle();
    eventually("both are under way", || handle.status().waiting == 2).await;
    drop((streaming, hanging));
    eventually("both have ended", || {
        // It is noticed when something is to be sent.
        let _ = script.send(data("next"));
        handle.status().waiting == 0
    })
    .await;
    let records = world.written("request").await;
    let of = |route: &str| {
        records
            .iter()
            .find(|record| record["route"] == route)
            .unwrap()
    };
    assert_eq!(
        (&of("/stream")["outcome"], &of("/stream")["end"]),
        (&"allowed".into(), &"aborted".into())
    );
    assert_eq!(of("/hang")["outcome"], "aborted");
}

/// The length that a response promises is where a server stops to ask.
#[tokio::test]
async fn all_of_a_body_with_a_content_length_is_complete() {
    let world = World::new();
    let (script, body) = scripted(None);
    let body = Arc::new(Mutex::new(Some(body)));
    let stream = move || {
        let body = body.lock().unwrap().take().unwrap();
        async move { ([("content-length", "4")], Body::new(body)) }
    };
    let router = Router::new()
        .route("/", get(stream))
        .layer(world.audit.clone());
    let address = serve(router).await;
    script.send(data("four")).unwrap();
    let answer = crate::sockets::exchange(
        address,
        "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    );
    assert!(answer.await.ends_with("four"));
    eventually("it has ended", || {
        world.audit.handle().status().waiting == 0
    })
    .await;
    assert_eq!(end(&world).await, ("complete".into(), 4.into()));
}

/// What comes after the answer, from whoever keeps the trail, is not about the request.
#[tokio::test]
async fn a_record_says_what_was_decided_by_then() {
    use gateless::audit::Trail;

    let world = World::new();
    let kept = Arc::new(Mutex::new(None));
    let keeps = Arc::clone(&kept);
    let service = service_fn(move |request: Request<String>| {
        *keeps.lock().unwrap() = Trail::of(request.extensions()).cloned();
        async { Ok::<_, Infallible>(Response::new("body".to_owned())) }
    });
    let request = Request::get("/").body(String::new()).unwrap();
    let response = world.audit.layer(service).oneshot(request).await.unwrap();
    let trail = kept.lock().unwrap().take().unwrap();
    trail.refused("late", &gateless::Rejection::CallerNotPermitted);
    drop(response);
    let record = world.only().await;
    assert_eq!(
        (&record["outcome"], record.get("stage")),
        (&"allowed".into(), None)
    );
}

/// What is said on a connection that was handed over is not recorded, and that is.
#[tokio::test]
async fn an_upgrade_is_the_end() {
    let world = World::new();
    let service = service_fn(async |_: Request<String>| {
        let response = Response::builder().status(101).body(String::new());
        Ok::<_, Infallible>(response.unwrap())
    });
    let request = Request::get("/").body(String::new()).unwrap();
    drop(world.audit.layer(service).oneshot(request).await.unwrap());
    assert_eq!(end(&world).await.0, "upgraded");
    assert_eq!(world.audit.handle().status().waiting, 0);
}
